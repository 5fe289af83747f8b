using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>A file that is read at given positions; a read past its end is corruption. Thread-safe.</summary>
public sealed class IndexFile : IDisposable
{
    readonly PooledFile _file;

    public IndexFile(string path) => _file = new PooledFile(path);

    public string Path => _file.Path;

    public long Length => _file.Length;

    /// <summary>It is about to be deleted while it is read.</summary>
    public void Keep() => _file.Keep();

    public void Read(long position, Span<byte> destination)
    {
        if (position < 0 || position + destination.Length > Length)
        {
            CorruptionException.Throw(Path, position, $"{destination.Length} bytes are expected past the end at {Length}");
        }

        while (!destination.IsEmpty)
        {
            var read = _file.Read(destination, position);
            if (read == 0)
            {
                CorruptionException.Throw(Path, position, "the file was cut while it was read");
            }

            position += read;
            destination = destination[read..];
        }
    }

    public byte[] Read(long position, int count)
    {
        if (position < 0 || count < 0 || position + count > Length)
        {
            CorruptionException.Throw(Path, position, $"{count} bytes are expected past the end at {Length}");
        }

        var bytes = new byte[count];
        Read(position, bytes);
        return bytes;
    }

    public uint ReadUInt32(long position)
    {
        Span<byte> bytes = stackalloc byte[4];
        Read(position, bytes);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes);
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>
/// Reads a stretch of a file from front to back through one buffer, with the checksum of all that was read. The buffer grows as it is filled,
/// since many readers stop soon.
/// </summary>
sealed class SequentialReader(IndexFile file, long start, long end)
{
    const int SmallBuffer = 2_048;
    const int LargeBuffer = 65_536;

    byte[] _buffer = new byte[(int)Math.Clamp(end - start, 16, SmallBuffer)];
    long _bufferStart = start;
    int _at, _filled;

    public long Position => _bufferStart + _at;

    public bool AtEnd => Position >= end;

    /// <summary>CRC-32C of all bytes that came into the buffer: of the whole stretch, once it is read.</summary>
    public uint Checksum { get; private set; }

    /// <summary>A section as the index has it: u32 length, content, CRC of the content. Stands at the content's first byte.</summary>
    public static SequentialReader OfSection(IndexFile file, long position)
    {
        var length = file.ReadUInt32(position);
        if (position + 4 + length + 4 > file.Length)
        {
            CorruptionException.Throw(file.Path, position, $"a section of {length} bytes runs past the end");
        }

        return new SequentialReader(file, position + 4, position + 4 + length);
    }

    public uint UInt32() => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ulong UVarint()
    {
        Fill((int)Math.Min(Varint.MaxSize, end - Position));
        var value = Varint.ReadUnsigned(_buffer.AsSpan(_at, _filled - _at), out var size);
        if (size == 0)
        {
            CorruptionException.Throw(file.Path, Position, "invalid uvarint");
        }

        _at += size;
        return value;
    }

    /// <summary>Bytes behind a uvarint length; valid until the next read.</summary>
    public ReadOnlySpan<byte> LengthPrefixed()
    {
        var length = UVarint();
        if (length > (ulong)(end - Position))
        {
            CorruptionException.Throw(file.Path, Position, $"a string of {length} bytes runs past the end of its section");
        }

        return Take((int)length);
    }

    /// <summary>Reads what is left and holds the checksum behind the section against it.</summary>
    public void VerifyChecksum()
    {
        while (!AtEnd)
        {
            Take((int)Math.Min(end - Position, 4_096));
        }

        if (file.ReadUInt32(end) != Checksum)
        {
            CorruptionException.ThrowChecksum(file.Path, end);
        }
    }

    ReadOnlySpan<byte> Take(int count)
    {
        Fill(count);
        var taken = _buffer.AsSpan(_at, count);
        _at += count;
        return taken;
    }

    void Fill(int count)
    {
        if (_filled - _at >= count)
        {
            return;
        }

        if (count > end - Position)
        {
            CorruptionException.Throw(file.Path, Position, "unexpected end of the section");
        }

        var rest = _buffer.AsSpan(_at, _filled - _at);
        var size = (int)Math.Max(count, Math.Min(end - Position, Math.Min(_buffer.Length * 4, LargeBuffer)));
        var target = size <= _buffer.Length ? _buffer : new byte[size];
        rest.CopyTo(target);
        (_bufferStart, _at, _filled) = (Position, 0, rest.Length);
        _buffer = target;
        var room = _buffer.AsSpan(_filled, (int)Math.Min(_buffer.Length - _filled, end - _bufferStart - _filled));
        file.Read(_bufferStart + _filled, room);
        Checksum = Crc32C.Append(Checksum, room);
        _filled += room.Length;
    }
}
