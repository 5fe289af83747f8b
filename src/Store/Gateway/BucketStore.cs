using Microsoft.Extensions.Logging;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

public sealed record BucketStoreOptions
{
    /// <summary>For metas and index-headers; may be deleted at any time between runs.</summary>
    public required string Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>Blocks that are served; see <see cref="MetaFilters"/>. Duplicates and deletion marks are always filtered.</summary>
    public IReadOnlyList<MetaFilter> Filters { get; init; } = [];

    /// <summary>A block is served for so long after it was marked: others need time to learn of the block that replaces it.</summary>
    public TimeSpan IgnoreDeletionMarksDelay { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Bytes of pages of index and chunk files kept in memory; <c>--index-cache-size</c>.</summary>
    public long CacheBytes { get; init; } = 250L << 20;

    /// <summary>Bytes that one query may fetch; 0 is no limit; <c>--store.grpc.downloaded-bytes-limit</c>.</summary>
    public long MaxBytesPerQuery { get; init; }

    /// <summary>Bytes that all queries under way may hold; <c>--chunk-pool-size</c>.</summary>
    public long MaxBytes { get; init; } = 2L << 30;

    /// <summary>Requests of one query at the same time.</summary>
    public int Concurrency { get; init; } = 20;
}

/// <summary>A block that a store knows of.</summary>
/// <param name="Excluded">Null when it is served; else why not: a filter's word, <c>no-meta-json</c> or <c>corrupted-meta-json</c>.</param>
/// <param name="Meta">Null for the last two.</param>
/// <param name="Fault">What is wrong with a meta.json that can't be read.</param>
public sealed record StoredBlock(BlockId Id, BlockMeta? Meta, DeletionMark? DeletionMark, string? Excluded, string? Fault);

/// <summary>
/// Serves the blocks of a bucket, raw and downsampled: index-headers on the local disk, everything else by range reads. A series has the
/// block's external labels besides its own.
/// </summary>
public sealed partial class BucketStore : IQuerier, IAsyncDisposable
{
    readonly IBucket _bucket;
    readonly BucketStoreMetrics _metrics;
    readonly ILogger _logger;
    readonly RangeReader _reader;
    readonly MetaFetcher _fetcher;
    readonly Budget _pool;
    readonly SemaphoreSlim _syncing = new(1, 1);
    volatile State _state = State.Empty;
    volatile bool _synced;

    /// <summary>What is served, swapped as a whole.</summary>
    sealed record State(
        IReadOnlyDictionary<BlockId, BucketBlock> Blocks, IReadOnlyList<BlockStream> Streams, IReadOnlyList<StoredBlock> Known)
    {
        public static State Empty { get; } = new(new Dictionary<BlockId, BucketBlock>(), [], []);

        public IReadOnlyList<StoredBlock> Unreadable { get; } = [.. Known.Where(block => block.Fault is not null)];
    }

    public BucketStore(IBucket bucket, BucketStoreOptions options, BucketStoreMetrics metrics, ILogger logger)
    {
        (_bucket, Options, _metrics, _logger) = (bucket, options, metrics, logger);
        _reader = new RangeReader(bucket, new PageCache(options.CacheBytes, metrics), options.Concurrency, metrics);
        _pool = new Budget(
            options.MaxBytes,
            pool => $"the queries under way hold as much memory as the store may use, {pool.Limit} bytes (--chunk-pool-size); try again later");
        var fetcher = new MetaFetcherOptions
        {
            Directory = Path.Combine(options.Directory, "meta"),
            Time = options.Time,
            Filters = [.. options.Filters, MetaFilters.DeletionMarks(options.IgnoreDeletionMarksDelay), MetaFilters.Duplicates()],
        };
        _fetcher = new MetaFetcher(new BucketBlocks(bucket), fetcher, logger);
    }

    internal BucketStoreOptions Options { get; }

    internal string Name => _bucket.Name;

    internal IReadOnlyList<BlockStream> Streams => _state.Streams;

    /// <summary>Blocks whose meta.json can't be read: whose they are and of what time, nobody knows.</summary>
    internal IReadOnlyList<StoredBlock> Unreadable => _state.Unreadable;

    /// <summary>The span of what is served; empty where nothing is. Before the first look into the bucket it may be anything.</summary>
    public TimeRange Range
    {
        get
        {
            var blocks = _state.Blocks.Values;
            return !_synced ? TimeRange.All
                : blocks.Any()
                ? new TimeRange(blocks.Min(b => b.Meta.MinTime), blocks.Max(b => b.Meta.Range.MaxTime))
                : new TimeRange(long.MaxValue, long.MinValue);
        }
    }

    /// <summary>
    /// Looks into the bucket and serves what is there from then on. The host calls it on an interval; ready after the first.
    /// </summary>
    /// <exception cref="BucketException">The bucket can't be read; what was known is served on.</exception>
    public async Task SyncAsync(CancellationToken cancellationToken)
    {
        await _syncing.WaitAsync(cancellationToken);
        try
        {
            await SyncHeldAsync(cancellationToken);
        }
        finally
        {
            _syncing.Release();
        }
    }

    /// <summary>All blocks of the last look, in order of their ids.</summary>
    public IReadOnlyList<StoredBlock> Blocks() => _state.Known;

    /// <summary>External labels of what is served, each set once.</summary>
    public IReadOnlyList<Labels> LabelSets() => [.. _state.Streams.Select(stream => stream.ExternalLabels)];

    /// <summary>The span of each of them.</summary>
    public IReadOnlyDictionary<Labels, TimeRange> Ranges() => _state.Streams.ToDictionary(
        stream => stream.ExternalLabels,
        stream => new TimeRange(stream.Blocks.Min(b => b.Meta.MinTime), stream.Blocks.Max(b => b.Meta.Range.MaxTime)));

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<BucketQuery>(() => NewQuery(selection), query => query.SelectAsync());

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        using var query = NewQuery(selection);
        return selection.Union(await query.SearchAsync(async (source, labels, token) =>
        {
            var names = await labels.NamesAsync(source.Rest.Matchers, selection.Hints.Wanted, token);
            return names.Count == 0 ? names : selection.Union([names, source.External.Names()]);
        }));
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        using var query = NewQuery(selection);
        return selection.Union(await query.SearchAsync(async (source, labels, token) =>
            !source.External.Has(name) ? await labels.ValuesAsync(name, source.Rest.Matchers, selection.Hints.Wanted, token)
            : await labels.AnyAsync(source.Rest.Matchers, token) ? [source.External.Get(name)]
            : []));
    }

    public ValueTask DisposeAsync()
    {
        foreach (var block in _state.Blocks.Values)
        {
            block.Dispose();
        }

        _state = State.Empty;
        return ValueTask.CompletedTask;
    }

    internal void Queried(int blocks, int series)
    {
        _metrics.BlocksQueried.Observe(blocks);
        _metrics.ResultSeries.Observe(series);
    }

    /// <summary>Blocks were found to be gone: looks for what replaced them.</summary>
    internal async Task ReplaceAsync(IEnumerable<BlockId> gone, CancellationToken cancellationToken)
    {
        await _syncing.WaitAsync(cancellationToken);
        try
        {
            // Another query may have found the same and looked already.
            var still = gone.Where(_state.Blocks.ContainsKey).ToList();
            if (still.Count > 0)
            {
                still.ForEach(_fetcher.Forget);
                await SyncHeldAsync(cancellationToken);
            }
        }
        finally
        {
            _syncing.Release();
        }
    }

    /// <summary>Whether all that a block was made of is in others of its stream.</summary>
    internal bool HasReplacement(BlockMeta gone)
    {
        var others = _state.Blocks.Values.Select(block => block.Meta)
            .Where(meta => meta.Id != gone.Id && StreamKey.IsInStreamOf(gone, meta)).ToList();
        return others.Any(other => other.Compaction.Parents?.Any(parent => parent.Id == gone.Id) == true)
            || gone.Sources.All(source => others.Any(other => other.Sources.Contains(source)));
    }

    /// <exception cref="BucketException">The bucket was not looked into yet: that nothing is known of is no answer.</exception>
    BucketQuery NewQuery(Selection selection) => !_synced
        ? throw new BucketException("the bucket has not been looked into yet") { Failure = BucketFailure.Unavailable }
        : new(this, selection, new ByteBudget(_pool, Options.MaxBytesPerQuery, selection.Query, _metrics));

    async Task SyncHeldAsync(CancellationToken cancellationToken)
    {
        _metrics.Syncs.Inc();
        var started = Options.Time.GetTimestamp();
        try
        {
            Swap(await _fetcher.FetchAsync(cancellationToken));
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            _metrics.SyncFailures.Inc();
            throw;
        }

        var elapsed = Options.Time.GetElapsedTime(started);
        _metrics.SyncDuration.Observe(elapsed.TotalSeconds);
    }

    void Swap(MetaView view)
    {
        var before = _state.Blocks;
        var blocks = view.Blocks.ToDictionary(
            meta => meta.Key,
            meta => before.TryGetValue(meta.Key, out var open)
                ? open
                : new BucketBlock(meta.Value, _bucket, _reader, Folder(meta.Key), _metrics));
        var streams = blocks.Values.GroupBy(block => block.ExternalLabels).OrderBy(g => g.Key)
            .Select(g => new BlockStream(g.Key, [.. g.OrderBy(block => block.Meta.MinTime)])).ToList();
        _state = new State(blocks, streams, Known(view));
        foreach (var gone in before.Values.Where(block => !blocks.ContainsKey(block.Meta.Id)))
        {
            _metrics.BlockDrops.Inc();
            gone.Drop();
        }

        if (!_synced)
        {
            DeleteLeftovers(blocks);
        }

        _synced = true;
        _metrics.BlocksLoaded.Set(blocks.Count);
        _metrics.SyncedBlocks.WithLabels("loaded").Set(blocks.Count);
        _metrics.SyncedBlocks.WithLabels("no-meta-json").Set(view.Partial.Count);
        _metrics.SyncedBlocks.WithLabels("corrupted-meta-json").Set(view.Corrupt.Count);
        foreach (var state in (ReadOnlySpan<string>)["time-excluded", "label-excluded", "duplicate", "marked-for-deletion", "too-fresh"])
        {
            _metrics.SyncedBlocks.WithLabels(state).Set(view.Excluded.Values.Count(excluded => excluded.Reason == state));
        }

        var (added, dropped) = (blocks.Keys.Count(id => !before.ContainsKey(id)), before.Keys.Count(id => !blocks.ContainsKey(id)));
        if (added + dropped > 0)
        {
            LogSynced(blocks.Count, added, dropped, view.Partial.Count, view.Corrupt.Count);
        }
    }

    static List<StoredBlock> Known(MetaView view)
    {
        var known = view.Blocks.Select(b => new StoredBlock(b.Key, b.Value, view.DeletionMarks.GetValueOrDefault(b.Key), null, null))
            .Concat(view.Excluded.Select(
            e => new StoredBlock(e.Key, e.Value.Meta, view.DeletionMarks.GetValueOrDefault(e.Key), e.Value.Reason, null)))
            .Concat(view.Partial.Select(id => new StoredBlock(id, null, null, "no-meta-json", null)))
            .Concat(view.Corrupt.Select(c => new StoredBlock(c.Key, null, null, "corrupted-meta-json", c.Value)));
        return [.. known.OrderBy(block => block.Id)];
    }

    string Folder(BlockId id) => Path.Combine(Options.Directory, id.ToString());

    // Index-headers of blocks that went while nothing was running here.
    void DeleteLeftovers(Dictionary<BlockId, BucketBlock> blocks)
    {
        foreach (var folder in Directory.GetDirectories(Options.Directory))
        {
            if (BlockId.TryParse(Path.GetFileName(folder), out var id) && !blocks.ContainsKey(id))
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "bucket looked through: blocks={Blocks} new={Added} dropped={Dropped} partial={Partial} corrupt={Corrupt}")]
    partial void LogSynced(int blocks, int added, int dropped, int partial, int corrupt);
}
