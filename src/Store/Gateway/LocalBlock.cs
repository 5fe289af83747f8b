using System.Buffers;
using System.Runtime.ExceptionServices;
using Observe.Store.Blocks;
using Observe.Store.Bytes;
using Observe.Store.Chunks;
using Observe.Store.Index;
using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Gateway;

/// <summary>
/// A block of a bucket that is a folder of this machine: its index and chunks are read where they lie, when they are needed. The files
/// stay open until this is disposed, deleted or not. Thread-safe.
/// </summary>
sealed class LocalBlock : IDisposable
{
    /// <summary>So many at least for a core to take part.</summary>
    const int SeriesOfStretch = 1_024;

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

    public void Dispose()
    {
        Index.Dispose();
        Chunks.Dispose();
    }

    /// <summary>As <see cref="BucketBlock.EntriesAsync"/>; many are read on all cores.</summary>
    public BlockEntries Entries(
        IReadOnlyList<Matcher> matchers, TimeRange range, bool withChunks, Labels external, CancellationToken cancellationToken)
    {
        var references = Index.Select(matchers).ToArray();
        var stretches = new BlockEntries[Math.Clamp(references.Length / SeriesOfStretch, 1, Environment.ProcessorCount)];
        for (var i = 0; i < stretches.Length; i++)
        {
            stretches[i] = new BlockEntries(external, range);
        }

        try
        {
            if (stretches.Length == 1)
            {
                Read(references, withChunks, stretches[0], cancellationToken);
                return stretches[0];
            }

            Parallel.For(0, stretches.Length, i =>
            {
                var (from, to) = ((long)references.Length * i / stretches.Length, (long)references.Length * (i + 1) / stretches.Length);
                Read(references.AsSpan((int)from, (int)(to - from)), withChunks, stretches[i], cancellationToken);
            });
            for (var i = 1; i < stretches.Length; i++)
            {
                stretches[0].Take(stretches[i]);
            }

            return stretches[0];
        }
        catch (Exception e)
        {
            Array.ForEach(stretches, stretch => stretch.Dispose());
            if (e is AggregateException all)
            {
                ExceptionDispatchInfo.Throw(all.InnerExceptions[0]);
            }

            throw;
        }
    }

    void Read(ReadOnlySpan<uint> references, bool withChunks, BlockEntries entries, CancellationToken cancellationToken)
    {
        using var reader = Index.Series();
        foreach (var reference in references)
        {
            cancellationToken.ThrowIfCancellationRequested();
            reader.Read(reference, withChunks);
            entries.Add(reader.EncodedLabels, withChunks ? reader.Chunks : null);
        }
    }
}

/// <summary>Chunks of a series in one local block, in order of time.</summary>
readonly record struct LocalPart(LocalBlock Block, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>What all series of a selection out of local blocks have in common.</summary>
/// <param name="Warnings">Told of chunks that are damaged, which are left out.</param>
sealed record LocalSelection(TimeRange Range, Aggregate Aggregate, Warnings Warnings);

/// <summary>A series out of local blocks; its chunks are read by each iterator, into buffers that go back when that is disposed.</summary>
/// <param name="parts">Of several series; those of this one are in order of their first chunk and may overlap.</param>
sealed class LocalSeries(Labels labels, LocalPart[] parts, int firstPart, int partCount, LocalSelection selection) : Series(labels)
{
    ReadOnlySpan<LocalPart> Parts => parts.AsSpan(firstPart, partCount);

    public override ISampleIterator Samples()
    {
        var chunks = new RentedChunks(ChunkCount());
        Read(chunks, chunks.Buffers);
        return new ChunkSeriesIterator(chunks.Filled, selection.Aggregate, selection.Range, Parts[0].Block.Directory, chunks);
    }

    public override IEnumerable<Chunk>? Chunks()
    {
        using var chunks = new RentedChunks(ChunkCount());
        Read(chunks, rented: null);
        return [.. chunks.Filled];
    }

    int ChunkCount()
    {
        var count = 0;
        foreach (ref readonly var part in Parts)
        {
            count += part.Chunks.Length;
        }

        return count;
    }

    void Read(RentedChunks chunks, List<byte[]>? rented)
    {
        foreach (ref readonly var part in Parts)
        {
            var block = part.Block;
            var metas = part.Chunks.Span;
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

    void ReadOneByOne(LocalBlock block, ReadOnlySpan<ChunkMeta> metas, RentedChunks chunks)
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
                selection.Warnings.Add($"a chunk of block {block.Directory} is left out: {e.Message}");
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
