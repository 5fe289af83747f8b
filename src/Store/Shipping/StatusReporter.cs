using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Store.Shipping;

/// <summary>
/// Keeps the collector's status in the bucket up to date, and logs when another collector uses the same name, or another cluster the same
/// external labels.
/// </summary>
/// <remarks>A bucket that can't be reached only makes the status old.</remarks>
/// <param name="status">Called for each write; instance, times and the cluster's UID are filled in here.</param>
/// <param name="findClusterUid">Finds what the cluster is by itself, see <see cref="ClusterClaim"/>; null where that can't be known.</param>
/// <param name="begin">Awaited before each write, which takes the place of what was there.</param>
/// <param name="interval">How often it is written, or woken.</param>
public sealed partial class StatusReporter(
    IBucket bucket, string cluster, string collector, Func<CollectorStatus> status, Func<CancellationToken, Task<string?>> findClusterUid,
    TimeSpan interval, TimeProvider time, LoopSupervisor loops, ILogger logger,
    Func<CancellationToken, Task>? begin = null)
{
    static readonly TimeSpan s_claimInterval = ClusterClaim.RenewedAfter / 2;

    /// <summary>How long after a failure it is tried again: an API server that does not answer must not hold up each status.</summary>
    static readonly TimeSpan s_claimRetry = TimeSpan.FromMinutes(2);

    readonly FleetMember _member = new(bucket, cluster, collector);
    readonly DateTimeOffset _started = time.GetUtcNow();
    IReadOnlyList<LostRange>? _lostBefore;
    string? _clusterUid;
    (Labels Labels, DateTimeOffset Until)? _claimed;
    (string Text, DateTimeOffset Since) _error = ("", default);

    /// <summary>Longer than the interval: what wakes it comes first, where there is something.</summary>
    readonly BackgroundLoop _loop = new(new LoopOptions
    {
        Name = "status",
        Interval = interval * 1.25,
        Time = time,
        Logger = logger,
        Supervisor = loops,
        StartsAtOnce = true,
    });

    /// <summary>Identifies this run; a restart is another instance.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    /// <summary>The collector that writes under the same name; null when there is none.</summary>
    public CollectorStatus? Rival { get; private set; }

    /// <summary>The claim of another cluster on the collector's external labels; null when there is none, or it is not known.</summary>
    public ClusterClaim? Foreign { get; private set; }

    /// <summary>Writes until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => _loop.RepeatAsync(token => WriteAsync(stopped: false, token), cancellationToken);

    /// <summary>Writes soon, since there is something new to say.</summary>
    public void Wake() => _loop.Wake();

    /// <summary>Writes the last status of a graceful stop, once RunAsync has ended.</summary>
    /// <exception cref="BucketException">The status could not be written.</exception>
    public Task StopAsync(CancellationToken cancellationToken) => WriteAsync(stopped: true, cancellationToken);

    async Task WriteAsync(bool stopped, CancellationToken cancellationToken)
    {
        await (begin?.Invoke(cancellationToken) ?? Task.CompletedTask);
        var (own, now) = (status(), time.GetUtcNow());
        _lostBefore ??= LostBefore(await _member.ReadAsync(cancellationToken), own, now);
        if (!stopped)
        {
            await ClaimAsync(Labels.Of(own.Labels), now, cancellationToken);
        }

        if (own.LastError != _error.Text)
        {
            _error = (own.LastError, now);
        }

        var written = own with
        {
            Cluster = cluster,
            Collector = collector,
            Instance = Instance,
            ClusterUid = _clusterUid ?? "",
            ForeignCluster = Foreign?.ClusterUid ?? "",
            StartedAt = _started,
            WrittenAt = now,
            LastErrorSince = _error.Text.Length == 0 ? null : _error.Since,
            IntervalMs = (long)interval.TotalMilliseconds,
            Stopped = stopped,
            Lost = LostRange.Join([.. own.Lost, .. _lostBefore]),
        };
        var rival = await _member.WriteAsync(written, cancellationToken);
        if (rival is not null && rival.Instance != Rival?.Instance)
        {
            LogRival(logger, cluster, collector, rival.Instance, rival.StartedAt);
        }

        Rival = rival;
    }

    /// <summary>What earlier runs lost, and what they held in a data folder that is gone: a node that came back without its disk.</summary>
    static IReadOnlyList<LostRange> LostBefore(CollectorStatus? before, CollectorStatus own, DateTimeOffset now) => before is null ? [] :
    [
        .. before.Lost,
        .. before.Data.Length == 0 || own.Data.Length == 0 || before.Data == own.Data ? [] : TimeSpans.Except(
            TimeSpans.Union(before.Unshipped), [.. own.Shipped, .. own.Unshipped])
            .Select(range => new LostRange(range.MinTime, range.MaxTime, "gone with the collector's data folder", now.ToUnixTimeMilliseconds())),
    ];

    /// <summary>Claims the labels for the cluster, now and then. What fails here is tried again later.</summary>
    async Task ClaimAsync(Labels labels, DateTimeOffset now, CancellationToken cancellationToken)
    {
        if (_claimed is { } last && last.Labels == labels && now < last.Until && last.Until - now <= s_claimInterval)
        {
            return;
        }

        try
        {
            if ((_clusterUid ??= await findClusterUid(cancellationToken)) is not { } uid)
            {
                return;
            }

            var foreign = await ClusterClaim.MakeAsync(bucket, labels, uid, collector, now, cancellationToken);
            if (foreign is not null)
            {
                LogForeign(logger, labels.ToString(), uid, foreign.ClusterUid, foreign.Collector);
            }

            (Foreign, _claimed) = (foreign, (labels, now + s_claimInterval));
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            _claimed = (labels, now + s_claimRetry);
            LogUnclaimed(logger, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "another cluster writes under this collector's external labels, their series mix: is the configuration a copy? labels={Labels} own={Own} other={Other} otherCollector={OtherCollector}")]
    private static partial void LogForeign(ILogger logger, string labels, string own, string other, string otherCollector);

    [LoggerMessage(Level = LogLevel.Warning, Message = "whether another cluster writes under this collector's external labels is not known, it is tried again: {Error}")]
    private static partial void LogUnclaimed(ILogger logger, string error);

    [LoggerMessage(Level = LogLevel.Error, Message = "two collectors run under one name, their blocks would mix: {Cluster}/{Collector}, the other instance is {Instance}, started {Started}")]
    private static partial void LogRival(ILogger logger, string cluster, string collector, string instance, DateTimeOffset started);
}
