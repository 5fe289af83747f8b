using System.Runtime.ExceptionServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A block of a bucket that is a folder of this machine: its index and chunks are read where they lie, when they are needed. The files
/// stay open until this is disposed, deleted or not. Thread-safe.
/// </summary>
public sealed class LocalBlock : IDisposable
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

    /// <summary>The series that match, with their chunks if wanted; where there are many, all cores read.</summary>
    public BlockEntries Entries(
        IReadOnlyList<Matcher> matchers, bool withChunks, Func<BlockEntries> newEntries, CancellationToken cancellationToken)
    {
        var references = Index.Select(matchers, cancellationToken).Rest();
        var stretches = new BlockEntries[Math.Clamp(references.Length / SeriesOfStretch, 1, Environment.ProcessorCount)];
        for (var i = 0; i < stretches.Length; i++)
        {
            stretches[i] = newEntries();
            stretches[i].Room(i == 0 ? references.Length : (references.Length / stretches.Length) + 1);
        }

        try
        {
            if (stretches.Length == 1)
            {
                Read(references.Span, withChunks, stretches[0], cancellationToken);
                return stretches[0];
            }

            // On the threads of whoever asks.
            Parallel.For(0, stretches.Length, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i =>
            {
                var (from, to) = ((long)references.Length * i / stretches.Length, (long)references.Length * (i + 1) / stretches.Length);
                Read(references.Span[(int)from..(int)to], withChunks, stretches[i], cancellationToken);
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
        var reader = Index.Series();
        foreach (var reference in references)
        {
            cancellationToken.ThrowIfCancellationRequested();
            reader.Read(reference, withChunks, entries.NextLabels);
            entries.Add(withChunks ? reader.Chunks : null);
        }
    }
}

/// <summary>Chunks of a series in one local block, in order of time.</summary>
public readonly record struct LocalPart(LocalBlock Block, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>
/// What all series of a selection out of local blocks have in common. Thread-safe; disposed when no series is read any more.
/// </summary>
/// <param name="range">Of the samples that are wanted.</param>
/// <param name="coverage">Notes chunks that are damaged, which are left out.</param>
public sealed class LocalSelection(TimeRange range, Aggregate aggregate, Coverage coverage) : IDisposable
{
    // Each thread finds the iterator that it used before, whose windows are where it goes on.
    readonly LocalSamples?[] _free = new LocalSamples?[16];
    volatile bool _isDisposed;

    public TimeRange Range => range;

    public Coverage Coverage => coverage;

    /// <summary>An iterator over one of the series: one that was used before where there is one.</summary>
    /// <exception cref="ObjectDisposedException">The series is read too late: its parts may be somebody else's by now.</exception>
    public LocalSamples Open(ReadOnlySpan<LocalPart> parts)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var samples = Interlocked.Exchange(ref Slot, null) ?? new LocalSamples(this, new ChunkSeriesIterator(aggregate, range));
        samples.Open(parts);
        return samples;
    }

    public void Return(LocalSamples samples)
    {
        if (Interlocked.Exchange(ref Slot, samples) is { } other)
        {
            other.GiveBack();
        }
    }

    public void Dispose()
    {
        _isDisposed = true;
        foreach (var samples in _free)
        {
            samples?.GiveBack();
        }
    }

    ref LocalSamples? Slot => ref _free[Environment.CurrentManagedThreadId % _free.Length];
}

/// <summary>A series out of local blocks; its chunks are read by each iterator, into buffers that go back when that is disposed.</summary>
/// <param name="parts">Of several series, the selection's; those of this one are in order of their first chunk and may overlap.</param>
public sealed class LocalSeries(Labels labels, LocalPart[] parts, int firstPart, int partCount, LocalSelection selection) : Series(labels)
{
    public override ISampleIterator Samples() => selection.Open(parts.AsSpan(firstPart, partCount));

    public override IEnumerable<Chunk>? Chunks()
    {
        var chunks = new LocalChunks(pooled: false);
        chunks.Read(parts.AsSpan(firstPart, partCount), selection.Coverage);
        return chunks.Filled;
    }
}

/// <summary>The samples of one series after another: disposed, it goes back to its selection with all that it has allocated.</summary>
public sealed class LocalSamples(LocalSelection selection, ChunkSeriesIterator samples) : ISampleIterator
{
    readonly LocalChunks _chunks = new(pooled: true);
    bool _isOpen;

    public void Open(ReadOnlySpan<LocalPart> parts)
    {
        _isOpen = true;
        _chunks.Read(parts, selection.Coverage);
        samples.Reset(_chunks.Filled, parts[0].Block.Directory);
    }

    public bool Read(SampleBatch batch) => _isOpen && samples.Read(batch);

    public void Seek(long timestamp) => samples.Seek(timestamp);

    public void Dispose()
    {
        if (!_isOpen)
        {
            return;
        }

        _isOpen = false;
        samples.Dispose();
        _chunks.Release();
        selection.Return(this);
    }

    /// <summary>It is not used again.</summary>
    public void GiveBack() => _chunks.Dispose();
}

/// <summary>The chunks of one series in local blocks, in order of time. May be filled again.</summary>
/// <param name="pooled">Whether they lie in buffers that go back with <see cref="Dispose"/>, or in arrays of their own.</param>
sealed class LocalChunks(bool pooled) : IDisposable
{
    /// <summary>Parts beyond share the last window.</summary>
    const int MaxWindows = 8;

    // The parts of one series after another are of the same blocks, as a rule.
    readonly List<ChunkWindow> _windows = [];
    Chunk[] _chunks = [];
    int _count;

    public ArraySegment<Chunk> Filled => new(_chunks, 0, _count);

    /// <param name="coverage">Notes chunks that are damaged, which are left out.</param>
    public void Read(ReadOnlySpan<LocalPart> parts, Coverage coverage)
    {
        var count = 0;
        foreach (ref readonly var part in parts)
        {
            count += part.Chunks.Length;
        }

        if (_chunks.Length < count)
        {
            _chunks = new Chunk[count];
        }

        _count = 0;
        for (var i = 0; i < parts.Length; i++)
        {
            var metas = parts[i].Chunks.Span;
            try
            {
                parts[i].Block.Chunks.Read(metas, _chunks.AsSpan(_count), pooled ? Window(i) : null);
                _count += metas.Length;
            }
            catch (CorruptionException)
            {
                ReadOneByOne(parts[i].Block, metas, coverage);
            }
        }

        for (var i = 1; i < _count; i++)
        {
            if (_chunks[i].MinTime < _chunks[i - 1].MinTime)
            {
                Filled.OrderBy(chunk => chunk.MinTime).ToArray().CopyTo(_chunks, 0);
                return;
            }
        }
    }

    /// <summary>The chunks are not read any more.</summary>
    public void Release() => _windows.ForEach(static window => window.Release());

    public void Dispose() => _windows.ForEach(static window => window.Dispose());

    ChunkWindow Window(int part)
    {
        part = Math.Min(part, MaxWindows - 1);
        if (part == _windows.Count)
        {
            _windows.Add(new ChunkWindow());
        }

        return _windows[part];
    }

    void ReadOneByOne(LocalBlock block, ReadOnlySpan<ChunkMeta> metas, Coverage coverage)
    {
        foreach (var meta in metas)
        {
            try
            {
                _chunks[_count] = block.Chunks.Read(meta);
                _count++;
            }
            catch (CorruptionException e)
            {
                coverage.Add(new Missing(MissingPart.Chunk, block.Directory, [], new TimeRange(meta.MinTime, meta.MaxTime), e.Message));
            }
        }
    }
}
