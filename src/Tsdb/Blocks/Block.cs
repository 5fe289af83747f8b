using System.Buffers;
using System.Runtime.ExceptionServices;
using System.Text;
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
    int _disposed;

    Block(string directory, BlockMeta meta, IndexReader index, ChunkSegmentReader chunks, Tombstones tombstones)
    {
        (Directory, Meta, _index, Chunks, Tombstones) = (directory, meta, index, chunks, tombstones);
        LabelSets = meta.ExternalLabels is { IsEmpty: false } external ? [external] : [];
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
        var all = Entries(selection, SeriesOfStretch, withChunks: true).SelectMany(some => Series(some, new BlockPart[some.Count], reading));
        return Limited(all, selection);
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        using var held = new HeldBlock(this);
        if (selection.Matchers.Count == 0 && Tombstones.IsEmpty)
        {
            return ValueTask.FromResult(selection.Limited(_index.LabelNames()));
        }

        var names = new HashSet<string>();
        VisitLabels(selection, labels =>
        {
            foreach (var label in labels)
            {
                names.Add(label.NameText);
            }
        });
        return ValueTask.FromResult(selection.Limited([.. names.Order(Utf8Order.Instance)]));
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        using var held = new HeldBlock(this);
        if (selection.Matchers.Count == 0 && Tombstones.IsEmpty)
        {
            return ValueTask.FromResult(selection.Limited(_index.LabelValues(name)));
        }

        var values = new HashSet<string>();
        var utf8 = Encoding.UTF8.GetBytes(name);
        VisitLabels(
            selection.With(new Matcher(Model.MatchType.NotEqual, name, "")),
            labels => values.Add(Encoding.UTF8.GetString(labels.Value(utf8))));
        return ValueTask.FromResult(selection.Limited([.. values.Order(Utf8Order.Instance)]));
    }

    /// <summary>The series that match; where there are many, all cores read.</summary>
    public BlockEntries Entries(IReadOnlyList<Matcher> matchers, Func<BlockEntries> newEntries, CancellationToken cancellationToken) =>
        Entries(_index.Select(matchers, cancellationToken).Rest(), newEntries, cancellationToken);

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

    IEnumerable<BlockEntries> Entries(Selection selection, int seriesAtOnce, bool withChunks)
    {
        selection.Query.ThrowIfOver();
        if (!Meta.Range.Overlaps(selection.Range))
        {
            yield break;
        }

        var references = _index.Select(selection.Matchers, selection.CancellationToken).Rest();
        for (var from = 0; from < references.Length; from += seriesAtOnce)
        {
            selection.Query.ThrowIfOver();
            yield return Entries(
                references.Slice(from, Math.Min(seriesAtOnce, references.Length - from)),
                () => new BlockEntries(Labels.Empty, selection.Range, withChunks, like: null),
                selection.CancellationToken);
        }
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

    void VisitLabels(Selection selection, Action<Labels> visit)
    {
        foreach (var some in Entries(selection, SeriesAtOnce, withChunks: false))
        {
            using (some)
            {
                for (var i = 0; i < some.Count; i++)
                {
                    visit(some[i].Labels);
                }
            }
        }
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
            foreach (var some in Block.Entries(selection, SeriesAtOnce, withChunks: true))
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
