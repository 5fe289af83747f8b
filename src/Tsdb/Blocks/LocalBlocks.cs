using Microsoft.Extensions.Logging;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// The blocks of a local folder as one source: those that a head has cut and that are not yet in the bucket. Thread-safe.
/// </summary>
public sealed partial class LocalBlocks : IQuerier, IDisposable
{
    readonly ILogger _log;
    readonly Lock _lock = new();
    volatile IReadOnlyList<Block> _blocks = [];
    volatile IReadOnlyList<(string Path, string Fault)> _damaged = [];

    /// <summary>Opens every block of the folder; one that can't be opened is logged, and missing in each answer.</summary>
    /// <param name="folder">Null: there is none but those that are added.</param>
    public LocalBlocks(string? folder, ILogger log)
    {
        _log = log;
        if (folder is null || !Directory.Exists(folder))
        {
            return;
        }

        foreach (var path in Directory.GetDirectories(folder)
            .Where(p => BlockId.TryParse(Path.GetFileName(p), out _)).Order(StringComparer.Ordinal))
        {
            try
            {
                Add(path);
            }
            catch (Exception e)
            {
                Report(path, e);
            }
        }
    }

    /// <summary>Called when a block turns out to be damaged.</summary>
    public Action? Damaged { get; set; }

    /// <summary>The folders of blocks that are damaged.</summary>
    public IReadOnlyList<string> DamagedBlocks => [.. _damaged.Select(block => block.Path)];

    /// <summary>From the oldest sample to the newest; empty where there is no block.</summary>
    public TimeRange Range
    {
        get
        {
            var blocks = _blocks;
            return blocks.Count == 0
                ? new TimeRange(0, -1)
                : new TimeRange(blocks.Min(b => b.Meta.MinTime), blocks.Max(b => b.Meta.MaxTime) - 1);
        }
    }

    /// <summary>Serves a block too. One that is damaged is missing in each answer.</summary>
    /// <exception cref="IOException">It cannot be opened at present.</exception>
    public void Add(string path)
    {
        Block block;
        try
        {
            block = Block.Open(path);
        }
        catch (CorruptionException e)
        {
            Report(path, e);
            return;
        }

        lock (_lock)
        {
            _blocks = [.. _blocks, block];
        }
    }

    /// <summary>Closes a block; queries that are reading it go on to their end.</summary>
    public void Remove(string path)
    {
        lock (_lock)
        {
            _damaged = [.. _damaged.Where(block => block.Path != path)];
            foreach (var block in _blocks.Where(b => b.Directory == path))
            {
                _blocks = [.. _blocks.Where(b => b != block)];
                block.Dispose();
            }
        }
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<HeldBlocks>(() => Hold(selection), blocks => blocks.Merged.SelectAsync(selection));

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        using var blocks = Hold(selection);
        return await blocks.Merged.LabelNamesAsync(selection);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        using var blocks = Hold(selection);
        return await blocks.Merged.LabelValuesAsync(name, selection);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var block in _blocks)
            {
                block.Dispose();
            }

            _blocks = [];
        }
    }

    /// <summary>The blocks of a range, which stay open until they are disposed, removed or not.</summary>
    HeldBlocks Hold(Selection selection)
    {
        foreach (var (path, fault) in _damaged)
        {
            selection.Coverage.Add(new Missing(MissingPart.Block, path, [], selection.Range, fault));
        }

        lock (_lock)
        {
            return new HeldBlocks(this, [.. _blocks.Where(b => b.Meta.Range.Overlaps(selection.Range) && b.TryAcquire())]);
        }
    }

    void Report(string path, Exception e)
    {
        lock (_lock)
        {
            if (_damaged.Any(block => block.Path == path))
            {
                return;
            }

            _damaged = [.. _damaged, (path, e.Message)];
        }

        LogUnreadable(_log, path, e);
        Damaged?.Invoke();
    }

    sealed class HeldBlocks(LocalBlocks all, List<Block> blocks) : IDisposable
    {
        public MergeQuerier Merged { get; } = new([.. blocks.Select(block => new GuardedBlock(all, block))]);

        public void Dispose() => blocks.ForEach(block => block.Release());
    }

    /// <summary>A block whose damage is missing in an answer, and no error that takes the answers of others with it.</summary>
    sealed class GuardedBlock(LocalBlocks all, Block block) : IQuerier
    {
        public IAsyncEnumerable<Series> SelectAsync(Selection selection) => new GuardedSelection(this, selection);

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
            TryAsync<IReadOnlyList<string>>(selection, () => block.LabelNamesAsync(selection), []);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            TryAsync<IReadOnlyList<string>>(selection, () => block.LabelValuesAsync(name, selection), []);

        async ValueTask<T> TryAsync<T>(Selection selection, Func<ValueTask<T>> read, T otherwise)
        {
            try
            {
                return await read();
            }
            catch (CorruptionException e)
            {
                selection.Coverage.Add(
                    new Missing(MissingPart.Block, block.Directory, block.LabelSets, block.Meta.Range.Intersect(selection.Range), e.Message));
                all.Report(block.Directory, e);
                return otherwise;
            }
        }

        /// <summary>Ends where the damage begins. The series before it stay readable until it is disposed.</summary>
        sealed class GuardedSelection(GuardedBlock guarded, Selection selection) : IAsyncEnumerable<Series>, IAsyncEnumerator<Series>
        {
            readonly IAsyncEnumerator<Series> _series = guarded.Selected(selection);

            public Series Current => _series.Current;

            public IAsyncEnumerator<Series> GetAsyncEnumerator(CancellationToken cancellationToken = default) => this;

            public ValueTask<bool> MoveNextAsync() => guarded.TryAsync(selection, _series.MoveNextAsync, false);

            public ValueTask DisposeAsync() => _series.DisposeAsync();
        }

        IAsyncEnumerator<Series> Selected(Selection selection) => block.SelectAsync(selection).GetAsyncEnumerator(CancellationToken.None);
    }

    [LoggerMessage(LogLevel.Error, "a block is damaged: answers say that it is missing until what is whole in it was saved: {block}")]
    static partial void LogUnreadable(ILogger logger, string block, Exception e);
}
