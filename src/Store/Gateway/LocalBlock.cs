using System.Buffers;
using Observe.Store.Blocks;
using Observe.Store.Bytes;
using Observe.Store.Chunks;
using Observe.Store.Index;
using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Gateway;

/// <summary>
/// A block of a bucket that is a folder of this machine: its index and chunks are read where they lie, when they are needed. The files
/// stay open as long as anything refers to this, so that series are readable when the block is deleted and its selection over: the
/// handles' finalizers close them. Thread-safe.
/// </summary>
sealed class LocalBlock
{
    LocalBlock(IndexReader index, ChunkSegmentReader chunks, string directory) => (Index, Chunks, Directory) = (index, chunks, directory);

    public IndexReader Index { get; }

    public ChunkSegmentReader Chunks { get; }

    public string Directory { get; }

    /// <exception cref="FileNotFoundException">The block is gone or about to be.</exception>
    /// <exception cref="CorruptionException">The index or a chunk file is damaged where it is read first.</exception>
    public static LocalBlock Open(string directory)
    {
        var index = new IndexReader(Path.Combine(directory, "index"));
        try
        {
            var chunks = new ChunkSegmentReader(Path.Combine(directory, "chunks"));
            if (File.Exists(Path.Combine(directory, BlockMeta.FileName)))
            {
                return new LocalBlock(index, chunks, directory);
            }

            // The first thing that goes of a block: the others may have been gone already.
            chunks.Dispose();
            throw new FileNotFoundException($"{directory} is being deleted");
        }
        catch
        {
            index.Dispose();
            throw;
        }
    }

    /// <summary>As <see cref="BucketBlock.EntriesAsync"/>.</summary>
    public List<BlockEntry> Entries(
        IReadOnlyList<Matcher> matchers, TimeRange range, bool withChunks, Labels external, CancellationToken cancellationToken)
    {
        var entries = new List<BlockEntry>();
        using var reader = Index.Series();
        using var merged = new ByteWriter();
        for (var postings = Index.Select(matchers, cancellationToken); postings.Next();)
        {
            cancellationToken.ThrowIfCancellationRequested();
            reader.Read(postings.Current, withChunks);
            var chunks = withChunks ? BucketBlock.Inside(reader.Chunks, range) : [];
            if (!withChunks || chunks.Length > 0)
            {
                ExternalLabelMerge.Merge(reader.EncodedLabels, external, merged);
                entries.Add(new BlockEntry(Labels.FromEncoded(merged.Written), chunks));
            }
        }

        return entries;
    }
}

/// <summary>Chunks of a series in one local block, in order of time.</summary>
readonly record struct LocalPart(LocalBlock Block, ChunkMeta[] Chunks);

/// <summary>A series out of local blocks; its chunks are read by each iterator, into buffers that go back when that is disposed.</summary>
/// <param name="parts">In order of their first chunk; they may overlap.</param>
/// <param name="warnings">Told of chunks that are damaged, which are left out.</param>
sealed class LocalSeries(Labels labels, LocalPart[] parts, TimeRange range, Aggregate aggregate, Warnings warnings) : Series(labels)
{
    public override ISampleIterator Samples()
    {
        var chunks = new RentedChunks(parts.Sum(part => part.Chunks.Length));
        Read(chunks, chunks.Buffers);
        return new ChunkSeriesIterator(chunks.Filled, aggregate, range, parts[0].Block.Directory, chunks);
    }

    public override IEnumerable<Chunk>? Chunks()
    {
        using var chunks = new RentedChunks(parts.Sum(part => part.Chunks.Length));
        Read(chunks, rented: null);
        return [.. chunks.Filled];
    }

    void Read(RentedChunks chunks, List<byte[]>? rented)
    {
        foreach (var (block, metas) in parts)
        {
            var room = chunks.Room(metas.Length);
            try
            {
                block.Chunks.Read(metas, room, rented);
                chunks.Count += metas.Length;
            }
            catch (CorruptionException)
            {
                ReadOneByOne(block, metas, chunks);
            }
        }

        chunks.Sort();
    }

    void ReadOneByOne(LocalBlock block, ChunkMeta[] metas, RentedChunks chunks)
    {
        foreach (var meta in metas)
        {
            try
            {
                chunks.Room(1)[0] = block.Chunks.Read(meta);
                chunks.Count++;
            }
            catch (CorruptionException e)
            {
                warnings.Add($"a chunk of block {block.Directory} is left out: {e.Message}");
            }
        }
    }

    sealed class RentedChunks(int capacity) : IDisposable
    {
        readonly Chunk[] _chunks = ArrayPool<Chunk>.Shared.Rent(capacity);
        bool _returned;

        public int Count { get; set; }

        public List<byte[]> Buffers { get; } = new(4);

        public ArraySegment<Chunk> Filled => new(_chunks, 0, Count);

        public Span<Chunk> Room(int count) => _chunks.AsSpan(Count, count);

        public void Sort()
        {
            for (var i = 1; i < Count; i++)
            {
                if (_chunks[i].MinTime < _chunks[i - 1].MinTime)
                {
                    var sorted = Filled.OrderBy(chunk => chunk.MinTime).ToArray();
                    sorted.CopyTo(_chunks, 0);
                    return;
                }
            }
        }

        public void Dispose()
        {
            if (_returned)
            {
                return;
            }

            _returned = true;
            ArrayPool<Chunk>.Shared.Return(_chunks, clearArray: true);
            foreach (var buffer in Buffers)
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }
}
