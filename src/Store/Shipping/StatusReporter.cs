using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Threading;

namespace Observe.Store.Shipping;

/// <summary>Keeps the collector's status in the bucket up to date, and logs when another collector uses the same name.</summary>
/// <remarks>A bucket that can't be reached only makes the status old.</remarks>
/// <param name="status">Called for each write; instance and time are filled in here.</param>
public sealed partial class StatusReporter(
    IBucket bucket, string cluster, string collector, Func<CollectorStatus> status, TimeSpan interval, TimeProvider time, ILogger logger)
{
    readonly FleetMember _member = new(bucket, cluster, collector);
    readonly DateTimeOffset _started = time.GetUtcNow();

    /// <summary>Identifies this run; a restart is another instance.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    /// <summary>The collector that writes under the same name; null when there is none.</summary>
    public CollectorStatus? Rival { get; private set; }

    /// <summary>Writes until cancelled.</summary>
    public Task RunAsync(LoopSupervisor loops, CancellationToken cancellationToken)
    {
        var loop = new BackgroundLoop(new LoopOptions
        {
            Name = "status",
            Interval = interval,
            Time = time,
            Logger = logger,
            Supervisor = loops,
            StartsAtOnce = true,
        });
        return loop.RepeatAsync(token => WriteAsync(stopped: false, token), cancellationToken);
    }

    /// <summary>Writes the last status of a graceful stop, once RunAsync has ended.</summary>
    /// <exception cref="BucketException">The status could not be written.</exception>
    public Task StopAsync(CancellationToken cancellationToken) => WriteAsync(stopped: true, cancellationToken);

    async Task WriteAsync(bool stopped, CancellationToken cancellationToken)
    {
        var written = status() with
        {
            Cluster = cluster,
            Collector = collector,
            Instance = Instance,
            StartedAt = _started,
            WrittenAt = time.GetUtcNow(),
            IntervalMs = (long)interval.TotalMilliseconds,
            Stopped = stopped,
        };
        var rival = await _member.WriteAsync(written, cancellationToken);
        if (rival is not null && rival.Instance != Rival?.Instance)
        {
            LogRival(logger, cluster, collector, rival.Instance, rival.StartedAt);
        }

        Rival = rival;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "two collectors run under one name, their blocks would mix: {Cluster}/{Collector}, the other instance is {Instance}, started {Started}")]
    private static partial void LogRival(ILogger logger, string cluster, string collector, string instance, DateTimeOffset started);
}
