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

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[DataFolder, SyncInterval, IgnoreMarks, CacheSize, PoolSize, QueryLimit])
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

/// <summary>Serves the blocks of a bucket: over the store API, or only to this process.</summary>
/// <param name="serve">How blocks are served over the store API; null: to this process only.</param>
sealed partial class StoreRole(RoleHost host, IBucket bucket, BucketStoreOptions options, TimeSpan syncInterval, StoreApiOptions? serve) : IRole
{
    static readonly TimeSpan s_fleetAge = TimeSpan.FromSeconds(5);
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
    volatile IReadOnlyList<KnownCollector> _known = [];
    Task _loop = Task.CompletedTask;

    public string Name => "store";

    public bool ServesStoreApi => serve is not null;

    public Task Working => _sync.Succeeded;

    public string? Fault => _sync.Succeeded.IsCompleted ? null
        : "the bucket has not been looked into yet" + (_sync.LastError.Length == 0 ? "" : $": {_sync.LastError}");

    public IQuerier Querier => _store;

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
        serve);

    public StoreDescription Describe() => new("store", _store.LabelSets(), _store.Range) { Ranges = _store.Ranges(), Fleet = _known };

    /// <summary>The collectors, each held against the blocks as of the last look into the bucket.</summary>
    public IReadOnlyList<KnownCollector> Known(FleetStatus fleet) => fleet.Known(
        [.. _store.Blocks().Where(block => block.Meta is not null && block.Excluded is null or "duplicate").Select(block => block.Meta!)],
        host.Time.GetUtcNow());

    public void Configure(IServiceCollection services)
    {
        if (serve is not null)
        {
            services.AddStoreApi(_store, Describe, new StoreApiMetrics(Metrics.WithCustomRegistry(host.Registry)), serve);
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
        _loop = _sync.RepeatAsync(SyncAsync, _stop.Token);
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
            _known = Known(fleet);
        }
    }

    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await _stop.CancelAsync();
        await _loop.WaitAsync(grace);
    }

    public async ValueTask DisposeAsync()
    {
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
