using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// Reads big-endian integers, varints and lengths from a span; what runs over the end is a <see cref="CorruptionException"/>.
/// </summary>
/// <param name="bytes">What is read.</param>
/// <param name="source">File or object for error messages.</param>
/// <param name="origin">Offset of the span's first byte in that file.</param>
public ref struct ByteReader(ReadOnlySpan<byte> bytes, string source, long origin = 0)
{
    readonly ReadOnlySpan<byte> _bytes = bytes;
    readonly string _source = source;
    readonly long _origin = origin;

    /// <summary>Bytes read so far.</summary>
    public int Position { get; private set; }

    public readonly int Remaining => _bytes.Length - Position;

    public readonly bool AtEnd => Position == _bytes.Length;

    public byte Byte()
    {
        if (Position >= _bytes.Length)
        {
            Fail("unexpected end");
        }

        return _bytes[Position++];
    }

    public ushort UInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    public uint UInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    public double Double() => BitConverter.UInt64BitsToDouble(UInt64());

    public ulong UVarint()
    {
        var value = Bytes.Varint.ReadUnsigned(_bytes[Position..], out var size);
        if (size == 0)
        {
            Fail("invalid uvarint");
        }

        Position += size;
        return value;
    }

    public long Varint()
    {
        var value = Bytes.Varint.ReadSigned(_bytes[Position..], out var size);
        if (size == 0)
        {
            Fail("invalid varint");
        }

        Position += size;
        return value;
    }

    /// <summary>A uvarint that counts or measures what follows, so that it can't exceed the bytes left.</summary>
    public int Length()
    {
        var value = UVarint();
        if (value > (ulong)Remaining)
        {
            Fail("length past the end");
        }

        return (int)value;
    }

    /// <summary>Bytes behind a uvarint length.</summary>
    public ReadOnlySpan<byte> LengthPrefixed() => Take(Length());

    public ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)Remaining)
        {
            Fail("unexpected end");
        }

        var taken = _bytes.Slice(Position, count);
        Position += count;
        return taken;
    }

    public void Skip(int count) => Take(count);

    [DoesNotReturn]
    public readonly void Fail(string what) => throw new CorruptionException(_source, _origin + Position, what);
}
