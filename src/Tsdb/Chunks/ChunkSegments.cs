using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Chunks;

/// <summary>The files of a block's <c>chunks/</c> folder (docs/format/chunks.md): 000001, 000002 …</summary>
public static class ChunkSegments
{
    public const uint Magic = 0x85BD40DD;
    public const byte Version = 1;
    public const int HeaderSize = 8;
    public const int ChecksumSize = 4;
    public const long MaxSize = 512L << 20;

    public static string Name(int index) => (index + 1).ToString("D6", CultureInfo.InvariantCulture);

    public static int Segment(ulong chunk) => (int)(chunk >> 32);

    public static long Offset(ulong chunk) => (uint)chunk;

    /// <summary>
    /// The chunk whose entry starts the bytes: length, encoding, data, checksum over encoding and data, which is verified.
    /// </summary>
    /// <param name="size">Bytes of the entry; when more than there are bytes here, nothing was parsed.</param>
    /// <returns>A chunk over the bytes given; default where there are too few.</returns>
    public static Chunk Parse(ReadOnlyMemory<byte> bytes, ChunkMeta meta, string source, out long size)
    {
        var span = bytes.Span;
        var offset = Offset(meta.Ref);
        var length = Varint.ReadUnsigned(span[..Math.Min(5, span.Length)], out var lengthSize);
        if (lengthSize == 0)
        {
            if (span.Length >= 5)
            {
                CorruptionException.Throw(source, offset, "invalid chunk length");
            }

            size = span.Length + 1;
            return default;
        }

        size = lengthSize + 1 + (long)length + ChecksumSize;
        if (size > MaxSize)
        {
            CorruptionException.Throw(source, offset, "chunk length past the segment's end");
        }

        if (size > span.Length)
        {
            return default;
        }

        var covered = span.Slice(lengthSize, 1 + (int)length);
        if (Crc32C.Of(covered) != BinaryPrimitives.ReadUInt32BigEndian(span[(lengthSize + 1 + (int)length)..]))
        {
            CorruptionException.ThrowChecksum(source, offset);
        }

        return new Chunk(meta.MinTime, meta.MaxTime, (ChunkEncoding)covered[0], bytes.Slice(lengthSize + 1, (int)length));
    }
}

/// <summary>
/// Writes chunks to segment files in a folder that it creates; a file is synced when it is complete. Dispose without Complete leaves what
/// there is.
/// </summary>
sealed class ChunkSegmentWriter : IDisposable
{
    const int BufferSize = 1 << 20;

    readonly string _directory;
    readonly long _maxSize;
    readonly ByteWriter _buffer = new(BufferSize + 4096);
    SafeFileHandle? _file;
    string _path = "";
    int _segment = -1;
    long _flushed;

    /// <param name="maxSize">Bytes of a segment, after which the next is begun; at most 512 MiB.</param>
    public ChunkSegmentWriter(string directory, long maxSize = ChunkSegments.MaxSize)
    {
        (_directory, _maxSize) = (directory, maxSize);
        Directory.CreateDirectory(directory);
    }

    /// <summary>Bytes written so far, in all segments.</summary>
    public long BytesWritten { get; private set; }

    /// <summary>Appends a chunk and returns its reference for the index.</summary>
    public ulong Write(Chunk chunk)
    {
        var entry = Varint.SizeUnsigned((ulong)chunk.Data.Length) + 1L + chunk.Data.Length + ChunkSegments.ChecksumSize;
        if (_file is null || _flushed + _buffer.Length + entry > _maxSize)
        {
            Next();
        }

        var reference = ((ulong)_segment << 32) | (uint)(_flushed + _buffer.Length);
        _buffer.UVarint((ulong)chunk.Data.Length);
        var start = _buffer.Length;
        _buffer.Byte((byte)chunk.Encoding);
        _buffer.Raw(chunk.Data.Span);
        _buffer.UInt32(Crc32C.Of(_buffer.Written[start..]));
        BytesWritten += entry;
        if (_buffer.Length >= BufferSize)
        {
            Flush();
        }

        return reference;
    }

    /// <summary>Writes and syncs what is left, the folder too.</summary>
    public void Complete()
    {
        if (_file is null && _segment < 0)
        {
            Next();
        }

        Close();
        DurableFile.SyncDirectory(_directory);
    }

    public void Dispose()
    {
        _file?.Dispose();
        _file = null;
        _buffer.Dispose();
    }

    void Next()
    {
        Close();
        _path = Path.Combine(_directory, ChunkSegments.Name(++_segment));
        _file = File.OpenHandle(_path, FileMode.CreateNew, FileAccess.Write);
        _buffer.UInt32(ChunkSegments.Magic);
        _buffer.Byte(ChunkSegments.Version);
        _buffer.Raw([0, 0, 0]);
        BytesWritten += ChunkSegments.HeaderSize;
    }

    void Flush()
    {
        RandomAccess.Write(_file!, _buffer.Written, _flushed);
        _flushed += _buffer.Length;
        _buffer.Clear();
    }

    void Close()
    {
        if (_file is null)
        {
            return;
        }

        Flush();
        DurableFile.Sync(_file, _path);
        _file.Dispose();
        (_file, _flushed) = (null, 0);
    }
}

/// <summary>Reads chunks of a block's segment files with positional reads; each chunk's checksum is verified. Thread-safe.</summary>
public sealed class ChunkSegmentReader : IDisposable
{
    /// <summary>Bytes read beyond the start of the last chunk asked for: most chunks fit.</summary>
    const int ReadAhead = 2048;

    /// <summary>So many bytes of a chunk, or all of it, tell how long it is.</summary>
    const int MinChunk = 8;

    /// <summary>Chunks nearer to one another than this are read at once.</summary>
    const int MaxRun = 4 << 20;

    readonly PooledFile[] _segments;

    /// <param name="directory">A block's <c>chunks</c> folder.</param>
    /// <param name="checkHeaders">False for a reader of what is left of damaged segments: each chunk has a checksum of its own.</param>
    /// <exception cref="CorruptionException">A segment has no valid header, or one is missing in the sequence.</exception>
    public ChunkSegmentReader(string directory, bool checkHeaders = true)
    {
        var paths = Directory.Exists(directory)
            ? Directory.GetFiles(directory)
            .Where(p => Path.GetFileName(p) is { Length: 6 } name && name.All(char.IsAsciiDigit)).Order(StringComparer.Ordinal).ToArray()
            : [];
        _segments = new PooledFile[paths.Length];
        try
        {
            for (var i = 0; i < paths.Length; i++)
            {
                if (Path.GetFileName(paths[i]) != ChunkSegments.Name(i))
                {
                    CorruptionException.Throw(Path.Combine(directory, ChunkSegments.Name(i)), 0, "segment is missing");
                }

                _segments[i] = new PooledFile(paths[i]);
                if (checkHeaders)
                {
                    CheckHeader(_segments[i]);
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>One chunk; its data is an array of its own.</summary>
    /// <exception cref="CorruptionException">The chunk is damaged, or the reference is none.</exception>
    public Chunk Read(ChunkMeta meta)
    {
        var chunks = new Chunk[1];
        Read([meta], chunks);
        return chunks[0];
    }

    /// <summary>Chunks of a series, neighbours in one read.</summary>
    /// <param name="window">Where their data lies until it is released; null to have it in arrays of their own.</param>
    public void Read(ReadOnlySpan<ChunkMeta> metas, Span<Chunk> chunks, ChunkWindow? window = null)
    {
        for (var from = 0; from < metas.Length;)
        {
            var to = from + 1;
            while (to < metas.Length && metas[to].Ref > metas[to - 1].Ref && metas[to].Ref - metas[from].Ref < MaxRun)
            {
                to++;
            }

            ReadRun(metas[from..to], chunks[from..to], window);
            from = to;
        }
    }

    /// <summary>The files are about to be deleted while they are read.</summary>
    public void Keep() => Array.ForEach(_segments, file => file.Keep());

    public void Dispose()
    {
        foreach (var file in _segments)
        {
            file?.Dispose();
        }
    }

    void ReadRun(ReadOnlySpan<ChunkMeta> metas, Span<Chunk> chunks, ChunkWindow? window)
    {
        var start = ChunkSegments.Offset(metas[0].Ref);
        var last = ChunkSegments.Offset(metas[^1].Ref) - start;
        var bytes = ReadBytes(metas[0].Ref, last + MinChunk, last + ReadAhead, window, out var path);
        for (var i = 0; i < metas.Length; i++)
        {
            var at = (int)(ChunkSegments.Offset(metas[i].Ref) - start);
            chunks[i] = ChunkSegments.Parse(bytes[Math.Min(at, bytes.Length)..], metas[i], path, out var size);
            if (size > bytes.Length - at)
            {
                // A chunk larger than what was read ahead: only the last of a run can be.
                var own = ReadBytes(metas[i].Ref, size, size, window, out path);
                chunks[i] = ChunkSegments.Parse(own, metas[i], path, out size);
                if (size > own.Length)
                {
                    CorruptionException.Throw(path, ChunkSegments.Offset(metas[i].Ref), "chunk past the segment's end");
                }
            }
        }
    }

    // At least the smaller number of bytes, if the segment has them, where they are here; else the larger one is read.
    ReadOnlyMemory<byte> ReadBytes(ulong reference, long atLeast, long length, ChunkWindow? window, out string path)
    {
        var segment = ChunkSegments.Segment(reference);
        var offset = ChunkSegments.Offset(reference);
        if (segment < 0 || segment >= _segments.Length || offset < ChunkSegments.HeaderSize || offset >= _segments[segment].Length)
        {
            throw new CorruptionException(
                _segments.Length == 0
                ? "chunks"
                : _segments[0].Path, offset, $"reference to a chunk of segment {segment + 1} that is not there");
        }

        var file = _segments[segment];
        (path, var size) = (file.Path, file.Length);
        if (window?.From(this, segment, offset, Math.Min(atLeast, size - offset)) is { IsEmpty: false } here)
        {
            return here;
        }

        var bytes = window?.Move(this, segment, offset, length, size - offset) ?? new byte[(int)Math.Min(length, size - offset)];
        var read = 0;
        while (read < bytes.Length)
        {
            var got = file.Read(bytes.Span[read..], offset + read);
            if (got == 0)
            {
                break;
            }

            read += got;
        }

        return bytes[..read];
    }

    static void CheckHeader(PooledFile segment)
    {
        Span<byte> header = stackalloc byte[ChunkSegments.HeaderSize];
        if (segment.Read(header, 0) < header.Length || BinaryPrimitives.ReadUInt32BigEndian(header) != ChunkSegments.Magic)
        {
            CorruptionException.Throw(segment.Path, 0, "not a chunk segment");
        }

        if (header[4] != ChunkSegments.Version)
        {
            CorruptionException.Throw(segment.Path, 4, $"chunk segment of the unknown version {header[4]}");
        }
    }
}
