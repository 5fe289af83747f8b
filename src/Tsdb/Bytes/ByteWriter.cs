using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// A growing buffer of big-endian integers, varints and bytes, rented from the shared pool; dispose it to give the buffer back.
/// </summary>
public sealed class ByteWriter(int capacity = 256) : IBufferWriter<byte>, IDisposable
{
    byte[] _buffer = ArrayPool<byte>.Shared.Rent(capacity);

    public int Length { get; private set; }

    /// <summary>What was written; valid until the next write.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, Length);

    /// <summary>What was written, to be patched in place; valid until the next write.</summary>
    public Span<byte> WrittenMutable => _buffer.AsSpan(0, Length);

    public void Clear() => Length = 0;

    public void Byte(byte value) => Reserve(1)[0] = value;

    public void UInt16(ushort value) => BinaryPrimitives.WriteUInt16BigEndian(Reserve(2), value);

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Reserve(4), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Reserve(8), value);

    public void Double(double value) => UInt64(BitConverter.DoubleToUInt64Bits(value));

    public void UVarint(ulong value)
    {
        Grow(Bytes.Varint.MaxSize);
        Length += Bytes.Varint.WriteUnsigned(_buffer.AsSpan(Length), value);
    }

    public void Varint(long value)
    {
        Grow(Bytes.Varint.MaxSize);
        Length += Bytes.Varint.WriteSigned(_buffer.AsSpan(Length), value);
    }

    public void Raw(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

    /// <summary>A uvarint length, then the bytes.</summary>
    public void LengthPrefixed(ReadOnlySpan<byte> bytes)
    {
        Grow(bytes.Length + Bytes.Varint.MaxSize);
        var room = _buffer.AsSpan(Length);
        var size = 1;
        if (bytes.Length < 0x80)
        {
            room[0] = (byte)bytes.Length;
        }
        else
        {
            size = Bytes.Varint.WriteUnsigned(room, (ulong)bytes.Length);
        }

        bytes.CopyTo(room[size..]);
        Length += size + bytes.Length;
    }

    /// <summary>Zeroes up to the next multiple of <paramref name="alignment"/>.</summary>
    public void Pad(int alignment)
    {
        var count = (alignment - (Length % alignment)) % alignment;
        Reserve(count).Clear();
    }

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Grow(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Grow(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(Length);
    }

    public void Dispose()
    {
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            (_buffer, Length) = ([], 0);
        }
    }

    Span<byte> Reserve(int count)
    {
        Grow(count);
        var room = _buffer.AsSpan(Length, count);
        Length += count;
        return room;
    }

    void Grow(int count)
    {
        if (_buffer.Length - Length < count)
        {
            Enlarge(count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    void Enlarge(int count)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_buffer.Length * 2, Length + count));
        _buffer.AsSpan(0, Length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
