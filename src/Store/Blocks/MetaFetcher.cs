using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Blocks;

public sealed record MetaFetcherOptions
{
    /// <summary>Where metas are kept between runs; null: in memory only.</summary>
    public string? Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>What is applied to each look into the bucket, in this order.</summary>
    public IReadOnlyList<MetaFilter> Filters { get; init; } = [];

    /// <summary>Requests at the same time.</summary>
    public int Concurrency { get; init; } = 32;
}

/// <summary>What one look into a bucket found.</summary>
/// <param name="Blocks">Blocks that passed all filters.</param>
/// <param name="Excluded">Why each other whole block did not.</param>
/// <param name="Partial">Folders without a meta.json: uploads or deletions under way or broken off.</param>
/// <param name="Corrupt">Blocks whose meta.json can't be read, and why; they are left alone.</param>
public sealed record MetaView(
    IReadOnlyDictionary<BlockId, BlockMeta> Blocks,
    IReadOnlyDictionary<BlockId, DeletionMark> DeletionMarks,
    IReadOnlyDictionary<BlockId, (BlockMeta Meta, string Reason)> Excluded,
    IReadOnlyList<BlockId> Partial,
    IReadOnlyDictionary<BlockId, string> Corrupt);

/// <summary>
/// Finds the blocks of a bucket: one listing of their files, and one GET for each meta.json that is not known yet and for each deletion
/// mark that is new or another one. One caller at a time.
/// </summary>
public sealed partial class MetaFetcher(BucketBlocks blocks, MetaFetcherOptions options, ILogger logger)
{
    readonly Dictionary<BlockId, BlockMeta> _known = [];
    readonly Dictionary<BlockId, DeletionMark> _marks = [];

    /// <summary>Which version of its mark was read, of each block that has one, whether that could be read or not.</summary>
    readonly Dictionary<BlockId, BucketEntry> _marksRead = [];
    readonly HashSet<BlockId> _named = [];
    bool _loaded;

    /// <summary>Looks into the bucket.</summary>
    /// <exception cref="BucketException">The bucket can't be listed or read.</exception>
    public async Task<MetaView> FetchAsync(CancellationToken cancellationToken)
    {
        Load();
        var (listed, whole) = (new HashSet<BlockId>(), new HashSet<BlockId>());
        var marks = new Dictionary<BlockId, BucketEntry>();
        await foreach (var (id, path, entry) in blocks.ListFilesAsync(cancellationToken))
        {
            listed.Add(id);
            if (path == BlockMeta.FileName)
            {
                whole.Add(id);
            }
            else if (path == DeletionMark.FileName)
            {
                marks[id] = entry;
            }
        }

        foreach (var gone in _known.Keys.Where(id => !whole.Contains(id)).ToList())
        {
            Forget(gone);
        }

        var partial = new ConcurrentBag<BlockId>(listed.Except(whole));
        var corrupt = new ConcurrentDictionary<BlockId, string>();
        var found = new ConcurrentDictionary<BlockId, BlockMeta>();
        await ForEachAsync(whole.Where(id => !_known.ContainsKey(id)), async id =>
        {
            try
            {
                if (await blocks.MetaAsync(id, cancellationToken) is { } meta)
                {
                    found[id] = meta;
                }
                else
                {
                    partial.Add(id);
                }
            }
            catch (CorruptionException e)
            {
                corrupt[id] = e.Message;
            }
        }, cancellationToken);
        foreach (var (id, meta) in found)
        {
            _known[id] = meta;
            Keep(meta);
        }

        Name(corrupt);
        await ReadMarksAsync(marks, cancellationToken);
        var set = new MetaSet(options.Time.GetUtcNow(), _known, _marks);
        foreach (var filter in options.Filters)
        {
            filter(set);
        }

        return new MetaView(set.Blocks, new Dictionary<BlockId, DeletionMark>(_marks), set.Excluded, [.. partial.Order()], corrupt);
    }

    /// <summary>The block was found to be gone: its meta is read again at the next look.</summary>
    public void Forget(BlockId id)
    {
        _known.Remove(id);
        _marks.Remove(id);
        _marksRead.Remove(id);
        if (Path(id) is { } path)
        {
            File.Delete(path);
        }
    }

    /// <param name="listed">The marks that are in the bucket.</param>
    async Task ReadMarksAsync(Dictionary<BlockId, BucketEntry> listed, CancellationToken cancellationToken)
    {
        foreach (var gone in _marksRead.Keys.Where(id => !listed.ContainsKey(id)).ToList())
        {
            _marks.Remove(gone);
            _marksRead.Remove(gone);
        }

        var wanted = _known.Keys.Where(id => listed.TryGetValue(id, out var mark) && _marksRead.GetValueOrDefault(id) != mark).ToList();
        var found = new ConcurrentDictionary<BlockId, DeletionMark>();
        await ForEachAsync(wanted, async id =>
        {
            try
            {
                if (await blocks.DeletionMarkAsync(id, cancellationToken) is { } mark)
                {
                    found[id] = mark;
                }
            }
            catch (CorruptionException e)
            {
                // A mark that can't be read marks nothing.
                LogBadMark(e.Message);
            }
        }, cancellationToken);
        foreach (var id in wanted)
        {
            _marksRead[id] = listed[id];
            if (found.TryGetValue(id, out var mark))
            {
                _marks[id] = mark;
            }
            else
            {
                _marks.Remove(id);
            }
        }
    }

    Task ForEachAsync(IEnumerable<BlockId> ids, Func<BlockId, Task> action, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            ids,
            new ParallelOptions { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancellationToken },
            async (id, _) => await action(id));

    void Name(ConcurrentDictionary<BlockId, string> corrupt)
    {
        _named.RemoveWhere(id => !corrupt.ContainsKey(id));
        foreach (var (id, fault) in corrupt)
        {
            if (_named.Add(id))
            {
                LogQuarantined(id, fault);
            }
        }
    }

    string? Path(BlockId id) => options.Directory is null ? null : System.IO.Path.Combine(options.Directory, $"{id}.json");

    // What an earlier run kept. A file that can't be read is fetched again.
    void Load()
    {
        if (_loaded || options.Directory is null)
        {
            return;
        }

        _loaded = true;
        Directory.CreateDirectory(options.Directory);
        foreach (var path in Directory.GetFiles(options.Directory))
        {
            try
            {
                var meta = BlockMeta.Parse(File.ReadAllBytes(path), path);
                if (path == Path(meta.Id))
                {
                    _known[meta.Id] = meta;
                    continue;
                }
            }
            catch (CorruptionException e)
            {
                LogBadCache(e.Message);
            }

            File.Delete(path);
        }
    }

    void Keep(BlockMeta meta)
    {
        if (Path(meta.Id) is not { } path)
        {
            return;
        }

        try
        {
            // No sync: what a crash leaves half written is fetched again.
            File.WriteAllBytes(path + ".tmp", meta.ToJson());
            File.Move(path + ".tmp", path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotKept(meta.Id, e.Message);
        }
    }

    [LoggerMessage(LogLevel.Warning, "block is left out until its meta.json can be read: block={Block} err={Error}")]
    partial void LogQuarantined(BlockId block, string error);

    [LoggerMessage(LogLevel.Warning, "deletion mark is ignored: err={Error}")]
    partial void LogBadMark(string error);

    [LoggerMessage(LogLevel.Debug, "kept meta is fetched again: err={Error}")]
    partial void LogBadCache(string error);

    [LoggerMessage(LogLevel.Warning, "meta is not kept on disk: block={Block} err={Error}")]
    partial void LogNotKept(BlockId block, string error);
}
