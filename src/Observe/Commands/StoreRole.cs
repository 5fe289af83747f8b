using System.CommandLine;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Hosting;
using Observe.Query.HttpApi;
using Observe.Store.Api;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Gateway;
using Observe.Store.Live;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Prometheus;

namespace Observe.Commands;

/// <summary>The flags of every role that reads a bucket's blocks.</summary>
sealed class StoreFlags
{
    public Option<string> DataFolder { get; } = Flags.Text(
        "--data-dir", "where metas and index headers are kept (default ./data)", "./data");

    public Option<TimeSpan> SyncInterval { get; } = Flags.Span("--sync-block-duration", "how often the bucket is looked into", "30s");

    public Option<TimeSpan> IgnoreMarks { get; } = Flags.Span(
        "--ignore-deletion-marks-delay", "how long a block marked for deletion is still read", "24h");

    public Option<long> CacheSize { get; } = Flags.Size("--index-cache-size", "memory for what was read of indexes and chunks", "250MB");

    public Option<long> PoolSize { get; } = Flags.Size("--chunk-pool-size", "memory for chunks of all queries under way", "2GB");

    public Option<long> QueryLimit { get; } = Flags.Size(
        "--store.grpc.downloaded-bytes-limit", "what one query may fetch; 0 for no limit", "0B");

    public Option<long> LiveMemory { get; } = Flags.Size(
        "--live.memory-limit", "memory for samples that are not in blocks yet; 0 reads no live slices", "1GB");

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[DataFolder, SyncInterval, IgnoreMarks, CacheSize, PoolSize, QueryLimit, LiveMemory])
        {
            command.Options.Add(option);
        }
    }

    public BucketStoreOptions Options(ParseResult flags, string folder, TimeProvider time) => new()
    {
        Directory = folder,
        Time = time,
        IgnoreDeletionMarksDelay = flags.GetValue(IgnoreMarks),
        CacheBytes = flags.GetValue(CacheSize),
        MaxBytes = flags.GetValue(PoolSize),
        MaxBytesPerQuery = flags.GetValue(QueryLimit),
    };
}

/// <summary>Serves the blocks of a bucket, and what is in its live slices only: over the store API, or only to this process.</summary>
/// <param name="serve">How series are served over the store API; null: to this process only.</param>
/// <param name="liveMemory">Bytes for live samples; 0: live slices are not read.</param>
sealed partial class StoreRole(
    RoleHost host, IBucket bucket, BucketStoreOptions options, TimeSpan syncInterval, StoreApiOptions? serve, long liveMemory = 1L << 30) : IRole
{
    static readonly TimeSpan s_fleetAge = TimeSpan.FromSeconds(5);
    static readonly TimeSpan s_knownAge = TimeSpan.FromSeconds(1);
    readonly LiveStore? _live = liveMemory == 0 ? null : new LiveStore(new LiveStoreOptions
    {
        Bucket = bucket,
        Time = host.Time,
        MemoryLimit = liveMemory,
        Background = host.BackgroundThreads,
        Metrics = new LiveStoreMetrics(host.Registry),
        Logger = host.Logging.CreateLogger<LiveStore>(),
        Loops = host.Loops,
    });
    readonly BucketStore _store = new(bucket, options, new BucketStoreMetrics(host.Registry), host.Logging.CreateLogger<BucketStore>());
    readonly CancellationTokenSource _stop = new();
    readonly BackgroundLoop _sync = new(new LoopOptions
    {
        Name = "bucket sync",
        Interval = syncInterval,
        Time = host.Time,
        Logger = host.Logging.CreateLogger<StoreRole>(),
        Supervisor = host.Loops,
        StartsAtOnce = true,
        IsNeeded = true,
    });
    readonly SemaphoreSlim _readingFleet = new(1, 1);
    (FleetStatus Status, long Read)? _fleet;
    volatile FleetStatus? _looked;
    KnownFleet? _known;
    Task _loop = Task.CompletedTask;

    public string Name => "store";

    public bool ServesStoreApi => serve is not null;

    public Task Working => _sync.Succeeded;

    public string? Fault => _sync.Succeeded.IsCompleted ? null
        : "the bucket has not been looked into yet" + (_sync.LastError.Length == 0 ? "" : $": {_sync.LastError}");

    public IQuerier Querier => _live is null ? _store : _live.Before(_store);

    public IReadOnlyList<StoredBlock> Blocks => _store.Blocks();

    /// <summary>The collectors that write to the bucket; read at most every five seconds, for all callers together.</summary>
    public async Task<FleetStatus> FleetAsync(CancellationToken cancellationToken)
    {
        await _readingFleet.WaitAsync(cancellationToken);
        try
        {
            if (_fleet is not { } known || host.Time.GetElapsedTime(known.Read) > s_fleetAge)
            {
                _fleet = known = (await FleetStatus.ReadAsync(bucket, cancellationToken), host.Time.GetTimestamp());
            }

            return known.Status;
        }
        finally
        {
            _readingFleet.Release();
        }
    }

    /// <summary>Acknowledges that a collector is gone for good; the next answers know of it.</summary>
    public async Task<AcknowledgeResult> AcknowledgeAsync(string cluster, string collector, CancellationToken cancellationToken)
    {
        var result = await Acknowledgement.WriteAsync(bucket, cluster, collector, host.Time.GetUtcNow(), cancellationToken);
        _fleet = null;
        _sync.Wake();
        return result;
    }

    /// <summary>Makes the role of its flags; the role owns the bucket that it opens.</summary>
    /// <param name="folder">The folder for index headers and other files read from the bucket.</param>
    public static StoreRole Create(
        RoleHost host,
        ParseResult flags, StoreFlags store, DataFolder folder, (string Content, string Source) bucket, StoreApiOptions? serve) => new(
        host,
        BucketConfig.Parse(bucket.Content, bucket.Source).Open(host.Time, new BucketMetrics(host.Registry, host.Time)),
        store.Options(flags, folder.Path, host.Time),
        flags.GetValue(store.SyncInterval),
        serve,
        flags.GetValue(store.LiveMemory));

    public StoreDescription Describe()
    {
        var (ranges, all) = (new Dictionary<Labels, TimeRange>(_store.Ranges()), _store.Range);
        foreach (var (labels, range) in _live?.Streams ?? [])
        {
            ranges[labels] = ranges.TryGetValue(labels, out var blocks) ? Hull(blocks, range) : range;
            all = all.IsEmpty ? range : Hull(all, range);
        }

        return new StoreDescription("store", [.. ranges.Keys.Order()], all) { Ranges = ranges, Fleet = Known() };
    }

    /// <summary>The collectors, each held against the blocks as of the last look into the bucket, and the live slices.</summary>
    public IReadOnlyList<KnownCollector> Known(FleetStatus fleet) =>
        fleet.Known(Metas(), host.Time.GetUtcNow(), _live is null ? null : _live.Covered);

    public void Configure(IServiceCollection services)
    {
        if (serve is not null)
        {
            services.AddStoreApi(Querier, Describe, new StoreApiMetrics(Metrics.WithCustomRegistry(host.Registry)), serve);
        }
    }

    public void Map(WebApplication app)
    {
        if (serve is not null)
        {
            app.MapStoreApi();
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _loop = Task.WhenAll(_sync.RepeatAsync(SyncAsync, _stop.Token), _live?.RunAsync(_stop.Token) ?? Task.CompletedTask);
        return Task.CompletedTask;
    }

    /// <summary>
    /// What collectors say is read before the blocks: what they had shipped by then is found. A fleet that can't be read stays as it was
    /// known, which makes what is lacking larger.
    /// </summary>
    async Task SyncAsync(CancellationToken cancellationToken)
    {
        FleetStatus? fleet = null;
        try
        {
            fleet = await FleetStatus.ReadAsync(bucket, cancellationToken);
        }
        catch (BucketException e)
        {
            LogFleet(host.Logging.CreateLogger<StoreRole>(), e.Message);
        }

        await _store.SyncAsync(cancellationToken);
        if (fleet is not null)
        {
            _looked = fleet;
            Volatile.Write(ref _known, null);
            await (_live?.UpdateAsync(fleet, Metas(), cancellationToken) ?? Task.CompletedTask);
        }
    }

    static TimeRange Hull(TimeRange one, TimeRange other) => new(Math.Min(one.MinTime, other.MinTime), Math.Max(one.MaxTime, other.MaxTime));

    List<BlockMeta> Metas() =>
        [.. _store.Blocks().Where(block => block.Meta is not null && block.Excluded is null or "duplicate").Select(block => block.Meta!)];

    /// <summary>The collectors as of the last look at the fleet; live slices that came since count.</summary>
    IReadOnlyList<KnownCollector> Known()
    {
        if (_looked is not { } fleet)
        {
            return [];
        }

        if (Volatile.Read(ref _known) is { } known && host.Time.GetElapsedTime(known.At) < s_knownAge)
        {
            return known.Collectors;
        }

        var collectors = Known(fleet);
        Volatile.Write(ref _known, new KnownFleet(collectors, host.Time.GetTimestamp()));
        return collectors;
    }

    sealed record KnownFleet(IReadOnlyList<KnownCollector> Collectors, long At);

    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await _stop.CancelAsync();
        await _loop.WaitAsync(grace);
    }

    public async ValueTask DisposeAsync()
    {
        _live?.Dispose();
        await _store.DisposeAsync();
        await bucket.DisposeAsync();
        _readingFleet.Dispose();
        _stop.Dispose();
    }

    [LoggerMessage(LogLevel.Warning, "what collectors say of themselves can't be read, what was known stays error={Error}")]
    static partial void LogFleet(ILogger logger, string error);
}

/// <summary>What the HTTP API shows of the bucket that a role of this process reads: blocks and fleet.</summary>
static class BucketApi
{
    public static PrometheusApiOptions With(StoreRole store, bool isAdmin, PrometheusApiOptions options) => options with
    {
        Blocks = () =>
        [
            .. store.Blocks.Select(b => new BlockState(
                b.Id.ToString(), b.Meta?.ToJson() ?? [], b.Excluded, b.Fault, b.DeletionMark?.DeletionTime.ToUnixTimeMilliseconds())),
        ],
        Acknowledge = isAdmin ? store.AcknowledgeAsync : null,
        Fleet = async cancellationToken =>
        {
            var fleet = await store.FleetAsync(cancellationToken);
            return (fleet, store.Known(fleet));
        },
    };
}
