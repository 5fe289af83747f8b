using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>A block in a local folder. Files are opened once and read with positional reads; tombstones are honoured.</summary>
/// <remarks>
/// External labels are not added: series come as they lie in the block. Dispose takes away the opener's hold; enumerators of
/// SelectAsync that are open keep the files readable, even when they are deleted from the folder meanwhile.
/// </remarks>
public sealed class Block : IQuerier, IDisposable
{
    readonly IndexReader _index;
    readonly ChunkSegmentReader _chunks;
    readonly Tombstones _tombstones;
    readonly UseCount _users;
    int _disposed;

    Block(string directory)
    {
        Directory = directory;
        Meta = BlockMeta.Read(directory);
        _tombstones = Tombstones.Read(directory);
        _chunks = new ChunkSegmentReader(Path.Combine(directory, "chunks"));
        try
        {
            _index = new IndexReader(Path.Combine(directory, "index"));
        }
        catch
        {
            _chunks.Dispose();
            throw;
        }

        _users = new UseCount(() =>
        {
            _index.Dispose();
            _chunks.Dispose();
        });
    }

    public BlockMeta Meta { get; }

    public string Directory { get; }

    /// <exception cref="CorruptionException">meta.json, the index's table of contents, symbols or offset table are damaged.</exception>
    public static Block Open(string directory) => new(directory);

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<HeldBlock>(() => new HeldBlock(this), _ => Select(selection).ToAsyncEnumerable());

    /// <summary>As <see cref="SelectAsync"/>, for readers that wait for nothing else and keep the block open themselves.</summary>
    public IEnumerable<Series> Select(Selection selection)
    {
        var (hints, count) = (selection.Hints, 0);
        foreach (var (labels, chunks, deleted) in Entries(selection, withChunks: true))
        {
            if (hints.Limit > 0 && count++ == hints.Limit)
            {
                selection.Coverage.Truncate();
                yield break;
            }

            yield return new BlockSeries(this, labels, chunks, deleted, hints);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        using var held = new HeldBlock(this);
        if (selection.Matchers.Count == 0)
        {
            return ValueTask.FromResult(selection.Limited(_index.LabelNames()));
        }

        var names = new HashSet<string>();
        foreach (var (labels, _, _) in Entries(selection, withChunks: false))
        {
            foreach (var label in labels)
            {
                names.Add(label.NameText);
            }
        }

        return ValueTask.FromResult(selection.Limited([.. names.Order(Utf8Order.Instance)]));
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        using var held = new HeldBlock(this);
        if (selection.Matchers.Count == 0)
        {
            return ValueTask.FromResult(selection.Limited(_index.LabelValues(name)));
        }

        var values = new HashSet<string>();
        var utf8 = Encoding.UTF8.GetBytes(name);
        foreach (var (labels, _, _) in Entries(selection.With(new Matcher(Model.MatchType.NotEqual, name, "")), withChunks: false))
        {
            values.Add(Encoding.UTF8.GetString(labels.Value(utf8)));
        }

        return ValueTask.FromResult(selection.Limited([.. values.Order(Utf8Order.Instance)]));
    }

    /// <summary>Keeps it open until <see cref="Release"/>, disposed or not; false when it is closed already.</summary>
    internal bool TryTake() => _users.TryTake();

    internal void Release() => _users.Release();

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            KeepForReaders();
            _users.Release();
        }
    }

    // Who closes a block may delete it next, and who reads it goes on to the end.
    void KeepForReaders()
    {
        if (!_users.IsShared)
        {
            return;
        }

        try
        {
            _index.Keep();
            _chunks.Keep();
        }
        catch (Exception e) when (e is IOException or ResourceExhaustedException)
        {
            // They are told when they come to it.
        }
    }

    IEnumerable<(Labels Labels, ChunkMeta[] Chunks, IReadOnlyList<TimeRange> Deleted)> Entries(Selection selection, bool withChunks)
    {
        selection.Query.ThrowIfOver();
        if (!Meta.Range.Overlaps(selection.Range))
        {
            yield break;
        }

        var reader = _index.Series();
        for (var postings = _index.Select(selection.Matchers, selection.CancellationToken); postings.Next();)
        {
            selection.Query.ThrowIfOver();
            reader.Read(postings.Current, withChunks);
            var deleted = _tombstones.Of(postings.Current);
            ChunkMeta[] chunks = withChunks
                ? [.. reader.Chunks.Where(
                c => c.MinTime <= selection.Range.MaxTime && c.MaxTime >= selection.Range.MinTime && !Covered(c, deleted))]
                : [];
            if (!withChunks || chunks.Length > 0)
            {
                yield return (reader.Labels, chunks, deleted);
            }
        }
    }

    static bool Covered(ChunkMeta chunk, IReadOnlyList<TimeRange> deleted) =>
        deleted.Any(d => d.MinTime <= chunk.MinTime && d.MaxTime >= chunk.MaxTime);

    /// <summary>Keeps a block open.</summary>
    sealed class HeldBlock : IDisposable
    {
        readonly Block _block;

        public HeldBlock(Block block)
        {
            ObjectDisposedException.ThrowIf(!block.TryTake(), block);
            _block = block;
        }

        public void Dispose() => _block.Release();
    }

    sealed class BlockSeries(Block block, Labels labels, ChunkMeta[] metas, IReadOnlyList<TimeRange> deleted, SelectHints hints)
        : Series(labels)
    {
        public override ISampleIterator Samples()
        {
            var samples = new ChunkSeriesIterator(Read(), hints.Aggregate, hints.Range, block.Directory);
            return deleted.Count == 0 ? samples : new UndeletedIterator(samples, deleted);
        }

        // A chunk that is deleted in part is no longer what its bytes say.
        public override IEnumerable<Chunk>? Chunks() =>
            deleted.Any(d => metas.Any(m => m.MinTime <= d.MaxTime && d.MinTime <= m.MaxTime)) ? null : Read();

        Chunk[] Read()
        {
            var chunks = new Chunk[metas.Length];
            block._chunks.Read(metas, chunks);
            return chunks;
        }
    }
}
