using System.Numerics;
using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Bytes;

/// <summary>LEB128 integers as Go's encoding/binary writes them; signed ones in zigzag. At most ten bytes.</summary>
public static class Varint
{
    public const int MaxSize = 10;

    public static int SizeUnsigned(ulong value) => 1 + (BitOperations.Log2(value | 1) / 7);

    public static int SizeSigned(long value) => SizeUnsigned(ZigZag(value));

    /// <summary>Writes and returns the number of bytes written.</summary>
    public static int WriteUnsigned(Span<byte> destination, ulong value)
    {
        var i = 0;
        while (value >= 0x80)
        {
            destination[i++] = (byte)(value | 0x80);
            value >>= 7;
        }

        destination[i++] = (byte)value;
        return i;
    }

    public static int WriteSigned(Span<byte> destination, long value) => WriteUnsigned(destination, ZigZag(value));

    /// <summary>Reads; <paramref name="size"/> is the number of bytes taken, 0 when the source ends early or the value overflows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong ReadUnsigned(ReadOnlySpan<byte> source, out int size)
    {
        if (source.Length > 1)
        {
            if (source[0] < 0x80)
            {
                size = 1;
                return source[0];
            }

            if (source[1] < 0x80)
            {
                size = 2;
                return (source[0] & 0x7fu) | ((ulong)source[1] << 7);
            }
        }

        return ReadLong(source, out size);
    }

    public static long ReadSigned(ReadOnlySpan<byte> source, out int size)
    {
        var value = ReadUnsigned(source, out size);
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));

    static ulong ReadLong(ReadOnlySpan<byte> source, out int size)
    {
        ulong value = 0;
        for (var i = 0; i < source.Length && i < MaxSize; i++)
        {
            var b = source[i];
            if (i == MaxSize - 1 && b > 1)
            {
                break;
            }

            value |= (ulong)(b & 0x7f) << (7 * i);
            if (b < 0x80)
            {
                size = i + 1;
                return value;
            }
        }

        size = 0;
        return 0;
    }
}
