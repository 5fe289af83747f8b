using System.Buffers.Binary;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Index;

namespace Observe.Store.Gateway;

/// <summary>
/// What has to be at hand of a block's index to know which ranges of it to fetch: symbols and the postings offset table, copied out of
/// the index into a local file (docs/format/index-header.md), which is Thanos's index-header. Thread-safe.
/// </summary>
sealed class IndexHeader : IDisposable
{
    const uint Magic = 0xBAAAD792;
    const int HeaderSize = 14;
    const int TocSize = 20;
    const int CopySize = 4 << 20;

    /// <summary>Bytes that are read of the index's both ends at once: of a small index that is all.</summary>
    const int EndSize = 64 << 10;

    readonly IndexFile _file;

    IndexHeader(string path)
    {
        _file = new IndexFile(path);
        try
        {
            var head = _file.Read(0, HeaderSize);
            if (BinaryPrimitives.ReadUInt32BigEndian(head) != Magic || head[4] != 1 || head[5] is < 1 or > 3)
            {
                CorruptionException.Throw(path, 0, "is no index-header of version 1");
            }

            var toc = _file.Read(_file.Length - TocSize, TocSize);
            if (Crc32C.Of(toc.AsSpan(0, 16)) != BinaryPrimitives.ReadUInt32BigEndian(toc.AsSpan(16)))
            {
                CorruptionException.ThrowChecksum(path, _file.Length - TocSize);
            }

            IndexVersion = head[5];
            var symbols = Position(toc);
            Symbols = new SymbolsReader(_file, symbols, IndexVersion, indexPosition: IndexFormat.HeaderSize);
            Lists = new PostingsTable(_file, Position(toc.AsSpan(8)), IndexVersion, BinaryPrimitives.ReadInt64BigEndian(head.AsSpan(6)));
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public int IndexVersion { get; }

    public SymbolsReader Symbols { get; }

    /// <summary>Where the postings lists lie in the index.</summary>
    public PostingsTable Lists { get; }

    /// <summary>Opens the local file; where there is none, or it is damaged, it is made from the block's index.</summary>
    /// <param name="indexSize">Bytes of the index in the bucket.</param>
    /// <exception cref="CorruptionException">The index is damaged.</exception>
    /// <exception cref="ObjectNotFoundException">There is no index.</exception>
    public static async Task<IndexHeader> OpenAsync(
        IBucket bucket, BlockId id, long indexSize, string path, CancellationToken cancellationToken)
    {
        if (File.Exists(path))
        {
            try
            {
                return new IndexHeader(path);
            }
            catch (CorruptionException)
            {
                // Made again from the index, which says whether the damage is there.
                File.Delete(path);
            }
        }

        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await WriteAsync(bucket, id, indexSize, path, cancellationToken);
                return new IndexHeader(path);
            }
            catch (CorruptionException e) when (attempt == 1 || File.Exists(path))
            {
                if (File.Exists(path))
                {
                    File.Delete(path);
                }

                // It may have been damaged on its way here.
                if (attempt == 1)
                {
                    continue;
                }

                throw new CorruptionException(
                    $"{bucket.Name}/{BucketBlocks.Key(id, "index")}", 0, $"symbols or postings offset table: {e.What}", e);
            }
        }
    }

    public void Dispose() => _file.Dispose();

    long Position(ReadOnlySpan<byte> bytes)
    {
        var position = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        if (position > (ulong)_file.Length)
        {
            CorruptionException.Throw(_file.Path, _file.Length - TocSize, "a section starts past the end");
        }

        return (long)position;
    }

    static async Task WriteAsync(IBucket bucket, BlockId id, long indexSize, string path, CancellationToken cancellationToken)
    {
        var key = BucketBlocks.Key(id, "index");
        var source = $"{bucket.Name}/{key}";
        if (indexSize < IndexFormat.HeaderSize + IndexFormat.TocSize)
        {
            CorruptionException.Throw(source, 0, $"{indexSize} bytes are too few for an index");
        }

        var index = new RemoteIndex(bucket, key, indexSize);
        await index.ReadEndsAsync(cancellationToken);
        var head = (await index.ReadAsync(0, IndexFormat.HeaderSize, cancellationToken)).ToArray();
        if (BinaryPrimitives.ReadUInt32BigEndian(head) != IndexFormat.Magic)
        {
            CorruptionException.Throw(source, 0, "is no index: wrong magic number");
        }

        var tocPosition = indexSize - IndexFormat.TocSize;
        var toc = IndexToc.Parse((await index.ReadAsync(tocPosition, IndexFormat.TocSize, cancellationToken)).Span, source, tocPosition);
        if (toc.Series < toc.Symbols)
        {
            CorruptionException.Throw(source, tocPosition, "series start before symbols");
        }

        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var temporary = path + ".tmp";
        using (var file = new AppendFile(temporary))
        {
            using var writer = new ByteWriter();
            writer.UInt32(Magic);
            writer.Byte(1);
            writer.Byte(head[4]);
            writer.UInt64((ulong)toc.PostingsTable);
            file.Append(writer.Written);
            await CopyAsync(index, toc.Symbols, toc.Series, file, cancellationToken);
            var table = file.Position;
            await CopyAsync(index, toc.PostingsTable, indexSize, file, cancellationToken);
            writer.Clear();
            writer.UInt64(HeaderSize);
            writer.UInt64((ulong)table);
            writer.UInt32(Crc32C.Of(writer.Written));
            file.Append(writer.Written);
            file.Sync();
        }

        DurableFile.Rename(temporary, path);
    }

    static async Task CopyAsync(RemoteIndex index, long start, long end, AppendFile file, CancellationToken cancellationToken)
    {
        for (; start < end; start += CopySize)
        {
            file.Append((await index.ReadAsync(start, (int)Math.Min(CopySize, end - start), cancellationToken)).Span);
        }
    }

    /// <summary>An index in the bucket, of which both ends are kept.</summary>
    sealed class RemoteIndex(IBucket bucket, string key, long size)
    {
        byte[] _head = [];
        byte[] _tail = [];

        public async Task ReadEndsAsync(CancellationToken cancellationToken)
        {
            var headSize = (int)Math.Min(size, EndSize);
            var tailSize = (int)Math.Min(size - headSize, EndSize);
            var ends = await Task.WhenAll(
                FetchAsync(0, headSize, cancellationToken), FetchAsync(size - tailSize, tailSize, cancellationToken));
            (_head, _tail) = (ends[0], tailSize > 0 ? ends[1] : ends[0]);
        }

        public async Task<ReadOnlyMemory<byte>> ReadAsync(long start, int count, CancellationToken cancellationToken)
        {
            var tailStart = size - _tail.Length;
            return start + count <= _head.Length ? _head.AsMemory((int)start, count)
                : start >= tailStart ? _tail.AsMemory((int)(start - tailStart), count)
                : await FetchAsync(start, count, cancellationToken);
        }

        async Task<byte[]> FetchAsync(long start, int count, CancellationToken cancellationToken)
        {
            var bytes = new byte[count];
            if (count > 0 && await bucket.GetRangeAsync(key, start, bytes, cancellationToken) is var read && read < count)
            {
                CorruptionException.Throw($"{bucket.Name}/{key}", start + read, $"the index ends before its size of {size} bytes");
            }

            return bytes;
        }
    }
}
