using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;

namespace Observe.Store.Shipping;

/// <summary>Keeps the collector's status in the bucket up to date, and tells when another collector uses the same name.</summary>
/// <param name="status">Asked for each write; who and when is filled in here.</param>
public sealed partial class StatusReporter(
    IBucket bucket, string cluster, string collector, Func<CollectorStatus> status, TimeSpan interval, TimeProvider time, ILogger logger)
{
    readonly FleetMember _member = new(bucket, cluster, collector);
    readonly DateTimeOffset _started = time.GetUtcNow();
    string _error = "";

    /// <summary>Of this run; a restart is another instance.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    /// <summary>The collector that writes under the same name; null when there is none.</summary>
    public CollectorStatus? Rival { get; private set; }

    /// <summary>Writes until cancelled; a bucket that is away costs nothing but the status's age.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            do
            {
                await WriteAsync(stopped: false, cancellationToken);
            }
            while (await timer.WaitForNextTickAsync(cancellationToken));
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
    }

    /// <summary>The last word of a graceful stop, once RunAsync has ended.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => WriteAsync(stopped: true, cancellationToken);

    async Task WriteAsync(bool stopped, CancellationToken cancellationToken)
    {
        try
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
            _error = "";
        }
        catch (BucketException e)
        {
            if (e.Message != _error)
            {
                LogFailed(logger, e.Message);
            }

            _error = e.Message;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "two collectors run under one name, their blocks would mix: {Cluster}/{Collector}, the other instance is {Instance}, started {Started}")]
    private static partial void LogRival(ILogger logger, string cluster, string collector, string instance, DateTimeOffset started);

    [LoggerMessage(Level = LogLevel.Warning, Message = "status is not in the bucket, is tried again: {Error}")]
    private static partial void LogFailed(ILogger logger, string error);
}
