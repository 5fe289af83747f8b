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

    /// <summary>Opens every block of the folder; one that can't be opened is logged and not served.</summary>
    public LocalBlocks(string folder, ILogger log)
    {
        _log = log;
        if (!Directory.Exists(folder))
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
                LogUnreadable(_log, path, e);
            }
        }
    }

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

    /// <summary>Serves a block too. One that is damaged is left alone.</summary>
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
            LogUnreadable(_log, path, e);
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
            foreach (var block in _blocks.Where(b => b.Directory == path))
            {
                _blocks = [.. _blocks.Where(b => b != block)];
                block.Dispose();
            }
        }
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<HeldBlocks>(() => Hold(selection.Range), blocks => blocks.Merged.SelectAsync(selection));

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        using var blocks = Hold(selection.Range);
        return await blocks.Merged.LabelNamesAsync(selection);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        using var blocks = Hold(selection.Range);
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
    HeldBlocks Hold(TimeRange range)
    {
        lock (_lock)
        {
            return new HeldBlocks([.. _blocks.Where(b => b.Meta.Range.Overlaps(range) && b.TryAcquire())]);
        }
    }

    sealed class HeldBlocks(List<Block> blocks) : IDisposable
    {
        public MergeQuerier Merged { get; } = new(blocks);

        public void Dispose() => blocks.ForEach(block => block.Release());
    }

    [LoggerMessage(LogLevel.Error, "a block can't be opened and is left alone")]
    static partial void LogUnreadable(ILogger logger, string block, Exception e);
}
