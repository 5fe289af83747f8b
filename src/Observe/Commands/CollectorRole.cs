using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Hosting;
using Observe.Store.Api;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Live;
using Observe.Store.Shipping;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Prometheus;

namespace Observe.Commands;

sealed record CollectorOptions
{
    /// <summary>Reads the configuration, at the start and at each reload.</summary>
    public required Func<CollectorConfig> Load { get; init; }

    public required string Folder { get; init; }

    /// <summary>The flag that names the folder, for messages.</summary>
    public string FolderFlag { get; init; } = "--data-dir";

    /// <summary>The collector's name, unique in its cluster.</summary>
    public required string Name { get; init; }

    public TimeSpan BlockRange { get; init; } = TimeSpan.FromHours(2);

    public TimeSpan WalSync { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a shipped block stays here, from its newest sample on.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(6);

    /// <summary>Bytes that blocks may take here; 0 for no limit, null for a share of the disk.</summary>
    public long? SizeLimit { get; init; }

    /// <summary>See <see cref="HeadOptions.SnapshotBytes"/>.</summary>
    public long SnapshotBytes { get; init; } = 64 << 20;

    /// <summary>See <see cref="ShipperOptions.UploadBytesPerSecond"/>.</summary>
    public long UploadBytesPerSecond { get; init; }

    /// <summary>Finds what the cluster is by itself; see <see cref="ClusterClaim"/>.</summary>
    public Func<CancellationToken, Task<string?>> FindClusterUid { get; init; } = static _ => Task.FromResult<string?>(null);

    /// <summary>Ship nothing while another cluster writes under the same external labels.</summary>
    public bool RefuseForeign { get; init; }

    /// <summary>Series of the head; 0 for no limit.</summary>
    public long SeriesLimit { get; init; }

    public static long DefaultBodyMemory => Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 3, 128 << 20, 2L << 30);

    /// <summary>See <see cref="ScrapeOptions.BodyMemory"/>.</summary>
    public long BodyMemory { get; init; } = DefaultBodyMemory;

    /// <summary>How often what was measured is written to the bucket as a live slice, and the status with it; 0: no slices are written.</summary>
    public TimeSpan LiveInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How often the collector writes its status to the bucket where it writes no live slices.</summary>
    public TimeSpan StatusInterval { get; init; } = TimeSpan.FromSeconds(30);

    public required CollectorRegistry Registry { get; init; }

    /// <summary>How head and local blocks are served over the store API; null: they are not served.</summary>
    public StoreApiOptions? Serve { get; init; }
}

/// <summary>Scrapes into a head, cuts blocks, ships them to the bucket.</summary>
sealed partial class CollectorRole(RoleHost host, IBucket bucket, CollectorOptions options) : IRole
{
    readonly ILogger _log = host.Logging.CreateLogger<CollectorRole>();
    readonly LateQuerier _querier = new("the head");
    readonly CancellationTokenSource _stop = new();
    volatile CollectorConfig _config = new();
    LocalBlocks? _blocks;
    HeadBlock? _head;
    ScrapeManager? _scrape;
    Shipper? _shipper;
    StatusReporter? _status;
    SliceWriter? _live;
    string _data = "";
    Task[] _loops = [];
    (long Samples, long At) _counted;

    /// <summary>Head and local blocks as one querier, with external labels; throws until the role has started.</summary>
    public IQuerier Querier => _querier;

    public string Name => options.Name;

    string IRole.Name => "collector " + options.Name;

    public bool ServesStoreApi => options.Serve is not null;

    public string? Fault => _head?.Fault;

    public CollectorConfig Config => _config;

    /// <summary>Null until started.</summary>
    public ScrapeManager? Scrape => _scrape;

    /// <summary>Null until started.</summary>
    public HeadBlock? Head => _head;

    public StoreDescription Describe()
    {
        var (head, blocks) = (_head?.Range ?? new TimeRange(0, -1), _blocks?.Range ?? new TimeRange(0, -1));
        var from = blocks.IsEmpty ? head.MinTime : head.IsEmpty ? blocks.MinTime : Math.Min(head.MinTime, blocks.MinTime);

        // The head grows while a query runs, so that its range has no end.
        return new StoreDescription("sidecar", [_config.Global.ExternalLabels], head.IsEmpty
            && blocks.IsEmpty ? new TimeRange(0, -1) : new TimeRange(from, long.MaxValue))
        {
            Collector = options.Name,
        };
    }

    public void Configure(IServiceCollection services)
    {
        if (options.Serve is not null)
        {
            services.AddStoreApi(
                _querier, Describe, new StoreApiMetrics(Metrics.WithCustomRegistry(options.Registry)), options.Serve,
                new CollectorTargets([this], withExternal: true));
        }
    }

    public void Map(WebApplication app)
    {
        if (options.Serve is not null)
        {
            app.MapStoreApi();
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _config = options.Load();
        LogConfigWarnings(_config);
        _head = await OpenHeadAsync(
            new HeadOptions
            {
                Directory = options.Folder,
                Time = host.Time,
                BlockRangeMs = (long)options.BlockRange.TotalMilliseconds,
                WalSyncInterval = options.WalSync,
                SnapshotBytes = options.SnapshotBytes,
                Metrics = options.Registry,
                Background = host.BackgroundThreads,
                Logger = host.Logging.CreateLogger<HeadBlock>(),
                Loops = host.Loops,
                BlockCut = (path, _) =>
                {
                    _blocks!.Add(path);
                    _shipper?.Wake();
                    return ValueTask.CompletedTask;
                },
            },
            cancellationToken);
        _blocks = new LocalBlocks(options.Folder, host.Logging.CreateLogger<LocalBlocks>());

        // The head is read first: samples that leave it after that are in the blocks, which are read next.
        _querier.Open(new ExternalLabelsQuerier(new MergeQuerier([_head, _blocks]), () => _config.Global.ExternalLabels));
        _data = SliceWriter.DataOf(options.Folder);
        _live = options.LiveInterval > TimeSpan.Zero ? Live(_head, _blocks) : null;
        _scrape = new ScrapeManager(
            _head,
            new ScrapeOptions { Time = host.Time, Loops = host.Loops, SeriesLimit = options.SeriesLimit, BodyMemory = options.BodyMemory },
            new ScrapeMetrics(options.Registry),
            host.Logging);
        await _scrape.ApplyAsync(_config, cancellationToken);
        _shipper = new Shipper(new ShipperOptions
        {
            Directory = options.Folder,
            Bucket = bucket,
            Background = host.BackgroundThreads,
            ExternalLabels = ExternalLabels,
            Origin = () => new BlockOrigin(options.Name, BuildVersion.Version, _config.Hash()),
            Time = host.Time,
            Random = new Random(),
            Metrics = new ShipperMetrics(options.Registry),
            Logger = host.Logging.CreateLogger<Shipper>(),
            Loops = host.Loops,
            Interval = Part(options.BlockRange, 30),
            Spread = Part(options.BlockRange, 30),
            Retention = options.Retention,
            Grace = Part(options.BlockRange * 4, 15 * 60),
            SizeLimit = options.SizeLimit,
            UploadBytesPerSecond = options.UploadBytesPerSecond,
            Deleting = (path, _) =>
            {
                _blocks.Remove(path);
                return ValueTask.CompletedTask;
            },
            Salvaged = (path, _) =>
            {
                _blocks.Add(path);
                return ValueTask.CompletedTask;
            },
            Suspects = () => _blocks.DamagedBlocks,
        });
        _blocks.Damaged = _shipper.Wake;
        _status = new StatusReporter(
            bucket, _config.Cluster, options.Name, Status, options.FindClusterUid,
            _live is null ? options.StatusInterval : options.LiveInterval, host.Time, host.Loops, host.Logging.CreateLogger<StatusReporter>(),
            _live is null ? null : _live.PrepareAsync);
        var foreign = Metrics.WithCustomRegistry(options.Registry).CreateGauge(
            "observe_collector_foreign_cluster", "1 while another cluster writes under this collector's external labels.");
        options.Registry.AddBeforeCollectCallback(() => foreign.Set(_status.Foreign is null ? 0 : 1));
        var cut = new BackgroundLoop(new LoopOptions
        {
            Name = "head cut",
            Interval = Part(options.BlockRange, 30),
            Time = host.Time,
            Logger = _log,
            Supervisor = host.Loops,
            IsNeeded = true,
        });
        _loops =
        [
            cut.RepeatAsync(token => _head.CutAsync(force: false, token), _stop.Token),
            _shipper.RunAsync(_stop.Token),
            _status.RunAsync(_stop.Token),
        ];
        if (_live is not null)
        {
            _loops = [.. _loops, _live.RunAsync(_stop.Token)];
        }
    }

    /// <summary>Made before the first scrape: it follows all that is committed from then on.</summary>
    SliceWriter Live(HeadBlock head, LocalBlocks blocks) => new(new SliceWriterOptions
    {
        Bucket = bucket,
        Cluster = _config.Cluster,
        Collector = options.Name,
        ExternalLabels = ExternalLabels,
        Interval = options.LiveInterval,
        BlockRangeMs = (long)options.BlockRange.TotalMilliseconds,
        Data = _data,
        Run = (uint)new Random().NextInt64(1L << 32),
        Head = head,
        Local = new MergeQuerier([head, blocks]),
        Shipped = () => _shipper?.Status.Shipped ?? [],
        Written = () => _status?.Wake(),
        DeleteDelay = Part(options.BlockRange * 4, 15 * 60),
        Background = host.BackgroundThreads,
        Time = host.Time,
        Metrics = new SliceWriterMetrics(options.Registry),
        Logger = host.Logging.CreateLogger<SliceWriter>(),
        Loops = host.Loops,
    });

    async Task<HeadBlock> OpenHeadAsync(HeadOptions head, CancellationToken cancellationToken)
    {
        try
        {
            return await HeadBlock.OpenAsync(head, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FlagException($"{options.FolderFlag}: {e.Message}", e);
        }
    }

    public async Task ReloadAsync()
    {
        var config = options.Load();
        LogConfigWarnings(config);
        await _scrape!.ApplyAsync(config, _stop.Token);
        _config = config;
    }

    /// <summary>Stops scraping, cuts the whole head and ships it: after a graceful stop the bucket has everything.</summary>
    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await stop.StepAsync("end the loops", async () =>
        {
            await _stop.CancelAsync();
            await Task.WhenAll(_loops).WaitAsync(grace);
        });
        await stop.StepAsync("stop scraping", () => _scrape?.DisposeAsync().AsTask().WaitAsync(grace) ?? Task.CompletedTask);
        if (_loops.Length == 0)
        {
            return; // The role never started scraping: the samples of its head are in the WAL.
        }

        await stop.StepAsync("cut the head", () => _head!.CutAsync(force: true, grace));
        await stop.StepAsync("ship all blocks", async () =>
        {
            if (!await _shipper!.ShipAllAsync(grace))
            {
                throw new IOException($"not everything is in the bucket, the next start ships the rest: {_shipper.Status.LastError}");
            }
        });
        _live?.MarkShipped(isLast: true);
        await stop.StepAsync("say that it has stopped", () => _status!.StopAsync(grace));
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _live?.Dispose();
            if (_head is not null)
            {
                await _head.DisposeAsync();
            }
        }
        finally
        {
            _blocks?.Dispose();
            _shipper?.Dispose();
            await bucket.DisposeAsync();
            _stop.Dispose();
        }
    }

    /// <exception cref="IOException">Nothing is to be shipped under them.</exception>
    Labels ExternalLabels()
    {
        var labels = _config.Global.ExternalLabels;
        return options.RefuseForeign && _status?.Foreign is { } other
            ? throw new IOException(
                $"nothing is shipped under {labels}: collector {other.Collector} of another cluster, {other.ClusterUid}, writes under them")
            : labels;
    }

    CollectorStatus Status()
    {
        var (config, head, shipped) = (_config, _head!.Range, _shipper!.Status);
        var targets = _scrape!.Targets().Active;
        var disk = DriveSpace.Of(options.Folder);

        // A graceful stop has cut the whole head.
        List<TimeRange> newest = head.IsEmpty ? [.. shipped.Shipped, .. shipped.Unshipped] : [head];
        return new CollectorStatus
        {
            Cluster = config.Cluster,
            Collector = options.Name,
            Instance = "",
            Labels = config.Global.ExternalLabels.ToDictionary(),
            ProgramVersion = BuildVersion.Version,
            ConfigHash = config.Hash(),
            StartedAt = default,
            WrittenAt = default,
            IntervalMs = 0,
            Data = _data,
            NewestSample = newest.Count == 0 ? null : newest.Max(range => range.MaxTime),
            Shipped = shipped.Shipped,
            Unshipped = head.IsEmpty ? shipped.Unshipped : [.. shipped.Unshipped, head],
            TargetsUp = targets.Count(t => t.Health == TargetHealth.Up),
            TargetsDown = targets.Count(t => t.Health == TargetHealth.Down),
            Series = _head.SeriesCount,
            SamplesPerSecond = SamplesPerSecond(),
            PendingBlocks = shipped.PendingBlocks,
            PendingBytes = shipped.PendingBytes,
            DiskFree = disk?.AvailableFreeSpace ?? 0,
            DiskSize = disk?.TotalSize ?? 0,
            ShedBlocks = shipped.ShedBlocks,
            Lost = shipped.Lost,
            LastError = shipped.LastError,
            Live = _live?.Status,
        };
    }

    double SamplesPerSecond()
    {
        var (before, now) = (_counted, (Samples: _head!.SamplesAppended, At: host.Time.GetTimestamp()));
        _counted = now;
        return before.At == 0 || now.At <= before.At
            ? 0 : (now.Samples - before.Samples) / host.Time.GetElapsedTime(before.At, now.At).TotalSeconds;
    }

    /// <summary>A quarter of a block's span, but no longer than some seconds: short blocks need short intervals.</summary>
    static TimeSpan Part(TimeSpan blockRange, double mostSeconds) =>
        TimeSpan.FromMilliseconds(Math.Clamp(blockRange.TotalMilliseconds / 4, 100, mostSeconds * 1000));

    void LogConfigWarnings(CollectorConfig config)
    {
        foreach (var warning in config.Warnings)
        {
            LogConfigWarning(_log, warning.ToString());
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Warning}")]
    static partial void LogConfigWarning(ILogger logger, string warning);
}
