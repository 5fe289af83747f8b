using System.Numerics;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// Integers of 1 to 72 bits: a unary prefix of up to eight ones says how many bits follow (docs/format/chunks.md). Signed ones have a
/// range of -(2^(n-1) - 1) to 2^(n-1), one more up than down.
/// </summary>
static class Varbit
{
    static ReadOnlySpan<byte> Sizes => [0, 3, 6, 9, 12, 18, 25, 56, 64];

    public static bool Fits(long value, int bits) => value >= -((1L << (bits - 1)) - 1) && value <= 1L << (bits - 1);

    /// <summary>The value of so many bits as a signed integer.</summary>
    public static long Signed(ulong bits, int size) => bits > 1UL << (size - 1) ? (long)bits - (1L << size) : (long)bits;

    public static void Write(ref BitWriter writer, long value)
    {
        var prefix = 0;
        if (value != 0)
        {
            for (prefix = 1; prefix < 8 && !Fits(value, Sizes[prefix]); prefix++)
            {
            }
        }

        WriteSized(ref writer, (ulong)value, prefix);
    }

    public static void WriteUnsigned(ref BitWriter writer, ulong value)
    {
        var prefix = 0;
        if (value != 0)
        {
            var size = 64 - BitOperations.LeadingZeroCount(value);
            for (prefix = 1; prefix < 8 && size > Sizes[prefix]; prefix++)
            {
            }
        }

        WriteSized(ref writer, value, prefix);
    }

    public static long Read(ref BitReader reader)
    {
        var size = ReadSize(ref reader);
        return size switch { 0 => 0, 64 => (long)reader.Bits(64), _ => Signed(reader.Bits(size), size) };
    }

    public static ulong ReadUnsigned(ref BitReader reader)
    {
        var size = ReadSize(ref reader);
        return size == 0 ? 0 : reader.Bits(size);
    }

    static int ReadSize(ref BitReader reader)
    {
        var prefix = 0;
        while (prefix < 8 && reader.Bit())
        {
            prefix++;
        }

        return Sizes[prefix];
    }

    static void WriteSized(ref BitWriter writer, ulong value, int prefix)
    {
        // The prefix of the longest form has no zero at its end.
        writer.Bits(prefix == 8 ? 0xff : (1UL << (prefix + 1)) - 2, prefix == 8 ? 8 : prefix + 1);
        writer.Bits(value, Sizes[prefix]);
    }
}
