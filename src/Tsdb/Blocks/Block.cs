using System.Buffers;
using System.Runtime.ExceptionServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A block's folder on this machine, a collector's own or one of a bucket that is a folder. Files are opened once and read with positional
/// reads where and when they are needed; what tombstones say is deleted is not there for any reader. Thread-safe.
/// </summary>
/// <remarks>
/// External labels are not added: series have the labels that the block has for them. After Dispose, enumerators of SelectAsync that are
/// open can still read, even when the files are deleted meanwhile.
/// </remarks>
public sealed class Block : IQuerier, IDisposable
{
    /// <summary>Another core reads along only where there are so many series for it.</summary>
    const int SeriesOfStretch = 1_024;

    /// <summary>A selection reads the index entries of so many series, on all cores, before it returns the first of them.</summary>
    const int SeriesAtOnce = 65_536;

    readonly IndexReader _index;
    readonly UseCount _users;
    readonly Lazy<uint[]> _deleted;
    int _disposed;

    Block(string directory, BlockMeta meta, IndexReader index, ChunkSegmentReader chunks, Tombstones tombstones)
    {
        (Directory, Meta, _index, Chunks, Tombstones) = (directory, meta, index, chunks, tombstones);
        LabelSets = meta.ExternalLabels is { IsEmpty: false } external ? [external] : [];
        _deleted = new Lazy<uint[]>(WhollyDeleted, LazyThreadSafetyMode.PublicationOnly);
        _users = new UseCount(() =>
        {
            index.Dispose();
            chunks.Dispose();
        });
    }

    public BlockMeta Meta { get; }

    public string Directory { get; }

    internal ChunkSegmentReader Chunks { get; }

    internal Tombstones Tombstones { get; }

    /// <summary>The external labels, for notes on what is missing; none where the block has none.</summary>
    internal IReadOnlyList<Labels> LabelSets { get; }

    /// <exception cref="FileNotFoundException">The block is gone, or about to be.</exception>
    /// <exception cref="CorruptionException">
    /// meta.json, tombstones, the header of a chunk file or the index's table of contents, symbols or offset table are damaged.
    /// </exception>
    public static Block Open(string directory)
    {
        var index = new IndexReader(Path.Combine(directory, "index"));
        ChunkSegmentReader? chunks = null;
        try
        {
            chunks = new ChunkSegmentReader(Path.Combine(directory, "chunks"));
            var tombstones = Tombstones.Read(directory);

            // Last, since it is deleted first: while it is there, the others are whole.
            return new Block(directory, BlockMeta.Read(directory), index, chunks, tombstones);
        }
        catch
        {
            index.Dispose();
            chunks?.Dispose();
            throw;
        }
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<HeldSeries>(() => new HeldSeries(this, selection), held => Limited(held.Series(), selection).ToAsyncEnumerable());

    /// <summary>
    /// As <see cref="SelectAsync"/>, for readers that wait for nothing else and keep the block open themselves: few series are in memory
    /// at a time, and a chunk that is damaged is a <see cref="CorruptionException"/> where it is read.
    /// </summary>
    public IEnumerable<BlockSeries> Select(Selection selection)
    {
        var reading = new BlockSelection(selection.Range, selection.Hints.Aggregate, coverage: null);
        var all = Entries(selection, SeriesOfStretch).SelectMany(some => Series(some, new BlockPart[some.Count], reading));
        return Limited(all, selection);
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        SearchAsync(selection, labels => labels.NamesAsync(selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        SearchAsync(selection, labels => labels.ValuesAsync(name, selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    /// <summary>Searches for names and values, while the caller keeps the block open. Series that are wholly deleted are not there.</summary>
    public LabelSearch<PostingsRange> Labels() => _index.Labels(_deleted.Value);

    public bool HasLabel(string name) => _index.Lists.Size(Utf8Order.Bytes(name)).Values > 0;

    /// <summary>The series that match; where there are many, it yields, and all cores read.</summary>
    /// <param name="wanted">Series that suffice, any of them.</param>
    public async ValueTask<BlockEntries> EntriesAsync(
        IReadOnlyList<Matcher> matchers, int wanted, Func<BlockEntries> newEntries, CancellationToken cancellationToken)
    {
        if (wanted < int.MaxValue)
        {
            return FewEntries(matchers, wanted, newEntries, cancellationToken);
        }

        var references = _index.Select(matchers, cancellationToken).Rest();
        if (references.Length > SeriesOfStretch)
        {
            await Task.Yield();
        }

        return Entries(references, newEntries, cancellationToken);
    }

    BlockEntries FewEntries(
        IReadOnlyList<Matcher> matchers, int wanted, Func<BlockEntries> newEntries, CancellationToken cancellationToken)
    {
        var entries = newEntries();
        try
        {
            ReadFew(matchers, wanted, entries, cancellationToken);
            return entries;
        }
        catch
        {
            entries.Dispose();
            throw;
        }
    }

    /// <summary>Keeps it open until <see cref="Release"/>, disposed or not; false when it is closed already.</summary>
    internal bool TryAcquire() => _users.TryAcquire();

    internal void Release() => _users.Release();

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            KeepForReaders();
            _users.Release();
        }
    }

    // The block may be deleted once it is closed, and those who are reading it go on to the end.
    void KeepForReaders()
    {
        if (!_users.IsShared)
        {
            return;
        }

        try
        {
            _index.Keep();
            Chunks.Keep();
        }
        catch (Exception e) when (e is IOException or ResourceExhaustedException)
        {
            // They find out when they read on.
        }
    }

    IEnumerable<BlockEntries> Entries(Selection selection, int seriesAtOnce)
    {
        selection.Query.ThrowIfOver();
        if (!Meta.Range.Overlaps(selection.Range))
        {
            yield break;
        }

        if (selection.Hints.Wanted < int.MaxValue)
        {
            yield return FewEntries(selection.Matchers, selection.Hints.Wanted, NewEntries, selection.CancellationToken);
            yield break;
        }

        var references = _index.Select(selection.Matchers, selection.CancellationToken).Rest();
        for (var from = 0; from < references.Length; from += seriesAtOnce)
        {
            selection.Query.ThrowIfOver();
            yield return Entries(
                references.Slice(from, Math.Min(seriesAtOnce, references.Length - from)), NewEntries, selection.CancellationToken);
        }

        BlockEntries NewEntries() => new(Model.Labels.Empty, selection.Range, Meta.NeedsChunks(selection.Range, selection.Hints), like: null);
    }

    BlockEntries Entries(ReadOnlyMemory<uint> references, Func<BlockEntries> newEntries, CancellationToken cancellationToken)
    {
        var stretches = new BlockEntries[Math.Clamp(references.Length / SeriesOfStretch, 1, Environment.ProcessorCount)];
        for (var i = 0; i < stretches.Length; i++)
        {
            stretches[i] = newEntries();
            stretches[i].Reserve(i == 0 ? references.Length : (references.Length / stretches.Length) + 1);
        }

        try
        {
            if (stretches.Length == 1)
            {
                Read(references.Span, stretches[0], cancellationToken);
                return stretches[0];
            }

            // On the threads of whoever asks.
            Parallel.For(0, stretches.Length, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i =>
            {
                var (from, to) = ((long)references.Length * i / stretches.Length, (long)references.Length * (i + 1) / stretches.Length);
                Read(references.Span[(int)from..(int)to], stretches[i], cancellationToken);
            });
            for (var i = 1; i < stretches.Length; i++)
            {
                stretches[0].Append(stretches[i]);
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

    void ReadFew(IReadOnlyList<Matcher> matchers, int wanted, BlockEntries entries, CancellationToken cancellationToken)
    {
        var (references, next) = (ArrayPool<uint>.Shared.Rent(SeriesOfStretch), Math.Min(wanted, SeriesOfStretch));
        foreach (var postings in _index.SelectFew(matchers, cancellationToken))
        {
            // More than are wanted where some of them have no chunk in the range.
            while (entries.Count < wanted && postings.Take(references.AsSpan(0, next)) is var count and > 0)
            {
                var before = entries.Count;
                Read(references.AsSpan(0, count), entries, cancellationToken);
                for (var i = before; i < entries.Count; i++)
                {
                    if (!Matcher.All(matchers, entries[i].Labels))
                    {
                        CorruptionException.Throw(
                            _index.Path, _index.Toc.Postings, $"a postings list has {entries[i].Labels}, which it should not");
                    }
                }

                next = Math.Min(next * 2, SeriesOfStretch);
            }

            if (entries.Count >= wanted)
            {
                break;
            }
        }

        ArrayPool<uint>.Shared.Return(references);
    }

    void Read(ReadOnlySpan<uint> references, BlockEntries entries, CancellationToken cancellationToken)
    {
        var reader = _index.Series();
        foreach (var reference in references)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var deleted = Tombstones.Of(reference);
            reader.Read(reference, entries.NeedsChunks(deleted), entries.NextLabels);
            entries.Add(reader.Chunks, deleted);
        }
    }

    async ValueTask<IReadOnlyList<string>> SearchAsync(
        Selection selection, Func<LabelSearch<PostingsRange>, ValueTask<IReadOnlyList<string>>> search)
    {
        selection.Query.ThrowIfOver();
        if (!Meta.Range.Overlaps(selection.Range))
        {
            return [];
        }

        using var held = new HeldBlock(this);
        using var labels = Labels();
        return selection.Limited(await search(labels));
    }

    uint[] WhollyDeleted()
    {
        if (Tombstones.IsEmpty)
        {
            return [];
        }

        var (deleted, reader) = (new List<uint>(), _index.Series());
        for (var some = Postings.Intersect(_index.Select([]), Postings.Of(Tombstones.Series)); some.Next();)
        {
            reader.Read(some.Current);
            Tombstones.Of(some.Current).RemoveCovered(reader.Chunks);
            if (reader.Chunks.Count == 0)
            {
                deleted.Add(some.Current);
            }
        }

        return [.. deleted];
    }

    /// <param name="parts">One for each entry at least; filled here.</param>
    IEnumerable<BlockSeries> Series(BlockEntries entries, BlockPart[] parts, BlockSelection reading)
    {
        for (var i = 0; i < entries.Count; i++)
        {
            parts[i] = new BlockPart(this, entries[i].Chunks);
            yield return new BlockSeries(entries[i].Labels, parts, i, 1, reading);
        }
    }

    static IEnumerable<BlockSeries> Limited(IEnumerable<BlockSeries> all, Selection selection)
    {
        var (limit, count) = (selection.Hints.Limit, 0);
        foreach (var series in all)
        {
            if (limit > 0 && count++ == limit)
            {
                selection.Coverage.Truncate();
                yield break;
            }

            yield return series;
        }
    }

    /// <summary>Keeps a block open.</summary>
    class HeldBlock : IDisposable
    {
        public HeldBlock(Block block)
        {
            ObjectDisposedException.ThrowIf(!block.TryAcquire(), block);
            Block = block;
        }

        protected Block Block { get; }

        public virtual void Dispose() => Block.Release();
    }

    /// <summary>Keeps a block open, and what the series of a selection lie in.</summary>
    sealed class HeldSeries(Block block, Selection selection) : HeldBlock(block)
    {
        readonly BlockSelection _reading = new(selection.Range, selection.Hints.Aggregate, selection.Coverage);
        readonly List<BlockEntries> _entries = [];
        readonly List<BlockPart[]> _parts = [];

        public IEnumerable<BlockSeries> Series()
        {
            foreach (var some in Block.Entries(selection, SeriesAtOnce))
            {
                _entries.Add(some);
                _parts.Add(ArrayPool<BlockPart>.Shared.Rent(some.Count));
                foreach (var series in Block.Series(some, _parts[^1], _reading))
                {
                    yield return series;
                }
            }
        }

        public override void Dispose()
        {
            _reading.Dispose();
            _entries.ForEach(entries => entries.Dispose());
            _parts.ForEach(parts => ArrayPool<BlockPart>.Shared.Return(parts, clearArray: true));
            base.Dispose();
        }
    }
}
