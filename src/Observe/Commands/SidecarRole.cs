using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Collector.Sidecar;
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

sealed record SidecarOptions
{
    /// <summary>What holds for any collector. Its configuration is never loaded, and the spans of blocks are Prometheus's.</summary>
    public required CollectorOptions Collector { get; init; }

    public required Uri Url { get; init; }

    /// <summary>Prometheus's data folder.</summary>
    public required string TsdbPath { get; init; }

    /// <summary>External labels besides Prometheus's own.</summary>
    public Labels Labels { get; init; }
}

/// <summary>A collector beside a Prometheus: ships the blocks that it cuts, follows its log, and scrapes nothing.</summary>
sealed partial class SidecarRole : IRole
{
    static readonly TimeSpan s_logInterval = TimeSpan.FromSeconds(1);

    readonly RoleHost _host;
    readonly IBucket _bucket;
    readonly SidecarOptions _options;
    readonly CollectorOptions _own;
    readonly ILogger _log;
    readonly LateQuerier _querier = new("Prometheus's data");
    readonly CancellationTokenSource _stop = new();
    readonly PrometheusApi _prometheus;
    readonly PrometheusWatch _watch;
    readonly LocalBlocks _served;
    HeadBlock? _head;
    WalFollower? _follower;
    PrometheusBlocks? _blocks;
    Shipper? _shipper;
    StatusReporter? _status;
    SliceWriter? _live;
    Task[] _loops = [];
    string? _starting;
    (long Samples, long At) _counted;
    (long End, long Since) _cut = (long.MinValue, 0);
    TimeSpan _cutDelay;
    string _unread = "";

    public SidecarRole(RoleHost host, IBucket bucket, SidecarOptions options)
    {
        (_host, _bucket, _options, _own) = (host, bucket, options, options.Collector);
        _log = host.Logging.CreateLogger<SidecarRole>();
        _prometheus = new PrometheusApi(options.Url);
        _watch = new PrometheusWatch(
            _prometheus, _own.Folder, options.Labels, host.Time, host.Loops, host.Logging.CreateLogger<PrometheusWatch>());
        _served = new LocalBlocks(folder: null, host.Logging.CreateLogger<LocalBlocks>());
    }

    /// <summary>Head and young blocks as one querier, with external labels; throws until the role has started.</summary>
    public IQuerier Querier => _querier;

    string IRole.Name => "collector " + _own.Name;

    public bool ServesStoreApi => _own.Serve is not null;

    public string? Fault => _starting;

    /// <summary>Null until started.</summary>
    public HeadBlock? Head => _head;

    public ITargetSource Targets(bool withExternal) => new PrometheusTargets(
        _prometheus, withExternal ? () => _watch.ExternalLabels : null, () => _watch.ExternalLabels.Get(PrometheusWatch.ClusterLabel), _own.Name);

    public StoreDescription Describe()
    {
        var (head, blocks) = (_head?.Range ?? new TimeRange(0, -1), _served.Range);
        var from = blocks.IsEmpty ? head.MinTime : head.IsEmpty ? blocks.MinTime : Math.Min(head.MinTime, blocks.MinTime);
        return new StoreDescription("sidecar", [_watch.ExternalLabels], head.IsEmpty
            && blocks.IsEmpty ? new TimeRange(0, -1) : new TimeRange(from, long.MaxValue))
        {
            Collector = _own.Name,
        };
    }

    public void Configure(IServiceCollection services)
    {
        if (_own.Serve is not null)
        {
            services.AddStoreApi(
                _querier, Describe, new StoreApiMetrics(Metrics.WithCustomRegistry(_own.Registry)), _own.Serve, Targets(withExternal: true));
        }
    }

    public void Map(WebApplication app)
    {
        if (_own.Serve is not null)
        {
            app.MapStoreApi();
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var known = await KnowAsync(cancellationToken);
        var range = TimeSpan.FromMilliseconds(known.BlockRangeMs);
        _cutDelay = Part(range, 5 * 60);
        _head = await HeadBlock.OpenAsync(
            new HeadOptions
            {
                Directory = _own.Folder,
                Time = _host.Time,
                BlockRangeMs = known.BlockRangeMs,
                HasLog = false,
                Metrics = _own.Registry,
                Background = _host.BackgroundThreads,
                Logger = _host.Logging.CreateLogger<HeadBlock>(),
                Loops = _host.Loops,
            },
            cancellationToken);
        _follower = new WalFollower(new WalFollowerOptions
        {
            Directory = Path.Combine(_options.TsdbPath, "wal"),
            Head = _head,
            SeriesLimit = _own.SeriesLimit,
            Time = _host.Time,
            Metrics = new WalFollowerMetrics(_own.Registry),
            Logger = _host.Logging.CreateLogger<WalFollower>(),
        });
        _shipper = new Shipper(new ShipperOptions
        {
            Directory = _options.TsdbPath,
            StateDirectory = _own.Folder,
            Bucket = _bucket,
            Background = _host.BackgroundThreads,
            ExternalLabels = ExternalLabels,
            Origin = () => new BlockOrigin(_own.Name, BuildVersion.Version, _watch.Known!.ConfigHash),
            Time = _host.Time,
            Random = new Random(),
            Metrics = new ShipperMetrics(_own.Registry),
            Logger = _host.Logging.CreateLogger<Shipper>(),
            Loops = _host.Loops,
            Interval = Part(range, 30),
            Spread = Part(range, 30),
        });
        _blocks = new PrometheusBlocks(
            _options.TsdbPath, _served, () => _shipper.Status.Pending, _own.Retention, Part(range * 4, 15 * 60), _host.Time);
        await CatchUpAsync(cancellationToken);

        // The head is read first: samples that leave it after that are in the blocks, which are read next.
        _querier.Open(new ExternalLabelsQuerier(new MergeQuerier([_head, _served]), () => _watch.ExternalLabels));
        var cluster = _watch.ExternalLabels.Get(PrometheusWatch.ClusterLabel);
        _live = _own.LiveInterval > TimeSpan.Zero ? Live(_head, cluster, known.BlockRangeMs) : null;
        _status = new StatusReporter(
            _bucket, cluster, _own.Name, Status, _own.FindClusterUid,
            _live is null ? _own.StatusInterval : _own.LiveInterval, _host.Time, _host.Loops, _host.Logging.CreateLogger<StatusReporter>(),
            _live is null ? null : _live.PrepareAsync);
        AddMetrics();
        _loops =
        [
            _watch.RunAsync(_stop.Token),
            Following().RepeatAsync(FollowAsync, _stop.Token),
            _shipper.RunAsync(_stop.Token),
            _status.RunAsync(_stop.Token),
        ];
        if (_live is not null)
        {
            _loops = [.. _loops, _live.RunAsync(_stop.Token)];
        }
    }

    public Task ReloadAsync() => _watch.LookAsync(_stop.Token);

    /// <summary>Reads Prometheus's log to its end once more, and ships what there is: the bucket has all that was known here.</summary>
    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await stop.StepAsync("end the loops", async () =>
        {
            await _stop.CancelAsync();
            await Task.WhenAll(_loops).WaitAsync(grace);
        });
        if (_loops.Length == 0)
        {
            return;
        }

        await stop.StepAsync("read the log to its end", () => FollowAsync(grace));
        await stop.StepAsync("ship all blocks", async () =>
        {
            if (!await _shipper!.ShipAllAsync(grace))
            {
                throw new IOException($"not everything is in the bucket, the next start ships the rest: {_shipper.Status.LastError}");
            }
        });
        if (_live is not null)
        {
            await stop.StepAsync("send the last live slice", async () =>
            {
                await _live.SealAsync(grace);
                await _live.SendAsync(grace);
            });
        }

        await stop.StepAsync("say that it has stopped", () => _status!.StopAsync(grace));
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _live?.Dispose();
            _follower?.Dispose();
            if (_head is not null)
            {
                await _head.DisposeAsync();
            }
        }
        finally
        {
            _served.Dispose();
            _shipper?.Dispose();
            _prometheus.Dispose();
            await _bucket.DisposeAsync();
            _stop.Dispose();
        }
    }

    /// <summary>Waits until Prometheus's folder is there, and until it is known whose data it has.</summary>
    async Task<PrometheusDescription> KnowAsync(CancellationToken cancellationToken)
    {
        var known = _watch.BeginAsync(cancellationToken);
        while (await Task.WhenAny(known, Task.Delay(TimeSpan.FromSeconds(1), _host.Time, cancellationToken)) != known)
        {
            _starting = _watch.Waiting;
        }

        _starting = null;
        for (var said = false; !Directory.Exists(_options.TsdbPath); said = true)
        {
            _starting = $"waiting for the folder {_options.TsdbPath}, which --prometheus.tsdb.path names";
            if (!said)
            {
                LogWaiting(_log, _starting);
            }

            await Task.Delay(TimeSpan.FromSeconds(1), _host.Time, cancellationToken);
        }

        _starting = null;
        return await known;
    }

    /// <summary>Reads what Prometheus's log has so far, so that what follows is new.</summary>
    async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                _starting = "reading Prometheus's write-ahead log";
                var began = _host.Time.GetTimestamp();
                await FollowAsync(cancellationToken);
                LogCaughtUp(_log, _head!.SeriesCount, _host.Time.GetElapsedTime(began).TotalMilliseconds);
                _starting = null;
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Segments that Prometheus replaces meanwhile, or a disk that recovers.
                _starting = e.Message;
                LogNotCaughtUp(_log, e.Message);
                await Task.Delay(s_logInterval, _host.Time, cancellationToken);
            }
        }
    }

    BackgroundLoop Following() => new(new LoopOptions
    {
        Name = "prometheus log",
        Interval = s_logInterval,
        Time = _host.Time,
        Logger = _log,
        Supervisor = _host.Loops,
        IsNeeded = true,
    });

    /// <summary>Takes what is new in log and folder, and drops from the head what blocks have.</summary>
    async Task FollowAsync(CancellationToken cancellationToken)
    {
        await _host.BackgroundThreads.RunAsync(
            () =>
            {
                _blocks!.Sync();
                _follower!.Read(cancellationToken);
            },
            cancellationToken);
        if (_blocks!.Fault != _unread && (_unread = _blocks.Fault).Length > 0)
        {
            LogUnread(_log, _unread);
        }

        if (_blocks.End > _cut.End)
        {
            _cut = (_blocks.End, _host.Time.GetTimestamp());
            _shipper!.Wake();
        }
        else if (_cut.Since != 0 && _host.Time.GetElapsedTime(_cut.Since) >= _cutDelay)
        {
            // By now Prometheus has dropped them too: until then it may append to a series under the number that it had.
            await _follower!.DropAsync(_cut.End, cancellationToken);
            _cut.Since = 0;
        }
    }

    SliceWriter Live(HeadBlock head, string cluster, long blockRangeMs) => new(new SliceWriterOptions
    {
        Bucket = _bucket,
        Cluster = cluster,
        Collector = _own.Name,
        ExternalLabels = ExternalLabels,
        Interval = _own.LiveInterval,
        BlockRangeMs = blockRangeMs,
        Data = SliceWriter.DataOf(_own.Folder),
        Run = (uint)new Random().NextInt64(1L << 32),
        Head = head,
        Local = new MergeQuerier([head, _served]),
        Shipped = ShippedTimes,
        Written = () => _status?.Wake(),
        DeleteDelay = Part(TimeSpan.FromMilliseconds(blockRangeMs) * 4, 15 * 60),
        Background = _host.BackgroundThreads,
        Time = _host.Time,
        Metrics = new SliceWriterMetrics(_own.Registry),
        Logger = _host.Logging.CreateLogger<SliceWriter>(),
        Loops = _host.Loops,
    });

    /// <summary>The times of which the bucket has all samples. Blocks of Prometheus begin with their first sample: between them there is none.</summary>
    IReadOnlyList<TimeRange> ShippedTimes()
    {
        var status = _shipper!.Status;
        return status.Shipped.Count == 0 ? [] : TimeSpans.Except(
            [new TimeRange(status.Shipped.Min(range => range.MinTime), status.Shipped.Max(range => range.MaxTime))], status.Unshipped);
    }

    /// <exception cref="IOException">Nothing is to be shipped under them.</exception>
    Labels ExternalLabels()
    {
        var labels = _watch.ExternalLabels;
        return _watch.Waiting is { } reason ? throw new IOException(reason)
            : _own.RefuseForeign && _status?.Foreign is { } other ? throw new IOException(
                $"nothing is shipped under {labels}: collector {other.Collector} of another cluster, {other.ClusterUid}, writes under them")
            : labels;
    }

    CollectorStatus Status()
    {
        var (known, labels, head, shipped) = (_watch.Known!, _watch.ExternalLabels, _head!.Range, _shipper!.Status);
        var disk = DriveSpace.Of(_own.Folder);
        List<TimeRange> newest = head.IsEmpty ? [.. shipped.Shipped, .. shipped.Unshipped] : [head];
        return new CollectorStatus
        {
            Cluster = labels.Get(PrometheusWatch.ClusterLabel),
            Collector = _own.Name,
            Instance = "",
            Labels = labels.ToDictionary(),
            ProgramVersion = $"{BuildVersion.Version} beside Prometheus {known.Version}",
            ConfigHash = known.ConfigHash,
            StartedAt = default,
            WrittenAt = default,
            IntervalMs = 0,
            NewestSample = newest.Count == 0 ? null : newest.Max(range => range.MaxTime),
            Shipped = shipped.Shipped,
            Unshipped = head.IsEmpty ? shipped.Unshipped : [.. shipped.Unshipped, head],
            TargetsUp = _watch.Targets.Up,
            TargetsDown = _watch.Targets.Down,
            Series = _head.SeriesCount,
            SamplesPerSecond = SamplesPerSecond(),
            PendingBlocks = shipped.PendingBlocks,
            PendingBytes = shipped.PendingBytes,
            DiskFree = disk?.AvailableFreeSpace ?? 0,
            DiskSize = disk?.TotalSize ?? 0,
            ShedBlocks = shipped.ShedBlocks,
            LastError = shipped.LastError.Length > 0 ? shipped.LastError : _unread.Length > 0 ? _unread : _watch.Away,
            Live = _live?.Status,
        };
    }

    double SamplesPerSecond()
    {
        var (before, now) = (_counted, (Samples: _head!.SamplesAppended, At: _host.Time.GetTimestamp()));
        _counted = now;
        return before.At == 0 || now.At <= before.At
            ? 0 : (now.Samples - before.Samples) / _host.Time.GetElapsedTime(before.At, now.At).TotalSeconds;
    }

    void AddMetrics()
    {
        var metrics = Metrics.WithCustomRegistry(_own.Registry);
        var up = metrics.CreateGauge("thanos_sidecar_prometheus_up", "Boolean indicator whether the sidecar can reach its Prometheus peer.");
        var answered = metrics.CreateGauge(
            "thanos_sidecar_last_heartbeat_success_time_seconds", "Timestamp of the last successful heartbeat in seconds.");
        var foreign = metrics.CreateGauge(
            "observe_collector_foreign_cluster", "1 while another cluster writes under this collector's external labels.");
        _own.Registry.AddBeforeCollectCallback(() =>
        {
            up.Set(_watch.Away.Length == 0 ? 1 : 0);
            answered.Set(_watch.Answered?.ToUnixTimeSeconds() ?? 0);
            foreign.Set(_status!.Foreign is null ? 0 : 1);
        });
    }

    /// <summary>A quarter of a block's span, but no longer than some seconds: short blocks need short intervals.</summary>
    static TimeSpan Part(TimeSpan blockRange, double mostSeconds) =>
        TimeSpan.FromMilliseconds(Math.Clamp(blockRange.TotalMilliseconds / 4, 100, mostSeconds * 1000));

    [LoggerMessage(LogLevel.Warning, "{Reason}")]
    static partial void LogWaiting(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "what Prometheus's write-ahead log had was read series={Series} milliseconds={Milliseconds}")]
    static partial void LogCaughtUp(ILogger logger, long series, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "a block of Prometheus can't be read at present, it is tried again, and the rest goes on: {Fault}")]
    static partial void LogUnread(ILogger logger, string fault);

    [LoggerMessage(LogLevel.Warning, "Prometheus's write-ahead log can't be read at present, it is tried again: {Error}")]
    static partial void LogNotCaughtUp(ILogger logger, string error);
}
