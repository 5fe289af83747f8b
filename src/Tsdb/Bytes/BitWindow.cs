using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// Looks at bits anywhere in a span without a reader's state: the next 57 bits or more, most significant first. Bits past the end are
/// zero, so a decoder checks its position once at the end of a run instead of at each bit.
/// </summary>
static class BitWindow
{
    /// <summary>Bits that <see cref="At"/> has at least.</summary>
    public const int Size = 57;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(ReadOnlySpan<byte> bytes, int position)
    {
        var index = position >> 3;
        var word = index <= bytes.Length - 8 ? BinaryPrimitives.ReadUInt64BigEndian(bytes[index..]) : Tail(bytes, index);
        return word << (position & 7);
    }

    /// <summary>1 to 64 bits as the low bits of the result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Bits(ReadOnlySpan<byte> bytes, int position, int count) => count <= Size
        ? At(bytes, position) >> (64 - count)
        : (At(bytes, position) >> (64 - Size) << (count - Size)) | (At(bytes, position + Size) >> (64 - count + Size));

    [MethodImpl(MethodImplOptions.NoInlining)]
    static ulong Tail(ReadOnlySpan<byte> bytes, int index)
    {
        if (bytes.Length >= 8)
        {
            return index < bytes.Length ? BinaryPrimitives.ReadUInt64BigEndian(bytes[^8..]) << (8 * (index - bytes.Length + 8)) : 0;
        }

        ulong word = 0;
        for (var i = index; i < bytes.Length; i++)
        {
            word |= (ulong)bytes[i] << (56 - (8 * (i - index)));
        }

        return word;
    }
}
