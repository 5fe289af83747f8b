using Microsoft.Extensions.Logging;
using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Sidecar;

/// <summary>Keeps in mind what a Prometheus says of itself, whether it answers at present or not.</summary>
/// <param name="folder">Where it is kept for the next start, at which Prometheus may be away.</param>
/// <param name="added">External labels besides Prometheus's own, over which they win.</param>
public sealed partial class PrometheusWatch(PrometheusApi api, string folder, Labels added, TimeProvider time, LoopSupervisor loops, ILogger logger)
{
    public const string ClusterLabel = "cluster";

    static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    readonly BackgroundLoop _loop = new(new LoopOptions
    {
        Name = "prometheus",
        Interval = s_interval,
        Time = time,
        Logger = logger,
        Supervisor = loops,
        StartsAtOnce = true,
    });

    volatile PrometheusDescription? _known;
    string _cluster = "";
    string _away = "";

    /// <summary>Null until it is known.</summary>
    public PrometheusDescription? Known => _known;

    /// <summary>Prometheus's labels and those added.</summary>
    public Labels ExternalLabels => (_known?.Labels ?? default).With(added);

    /// <summary>As of the last answer.</summary>
    public (int Up, int Down) Targets { get; private set; }

    /// <summary>When it answered last.</summary>
    public DateTimeOffset? Answered { get; private set; }

    /// <summary>Why Prometheus said nothing at the last attempt; "" when it did.</summary>
    public string Away => Volatile.Read(ref _away);

    /// <summary>Why nothing can be done yet; null once Prometheus, or an earlier run, has said whose data this is.</summary>
    public string? Waiting => _known is null
        ? $"waiting for Prometheus: {(Away.Length > 0 ? Away : "it was not asked yet")}" : ClusterFault(ExternalLabels);

    /// <summary>Waits until it is known whose data this is.</summary>
    public async Task<PrometheusDescription> BeginAsync(CancellationToken cancellationToken)
    {
        var said = "";
        while (true)
        {
            try
            {
                await LookAsync(cancellationToken);
            }
            catch (IOException)
            {
                if (_known is null && PrometheusDescription.Load(folder) is { } before)
                {
                    _known = before;
                }
            }

            if (Waiting is not { } reason)
            {
                _cluster = ExternalLabels.Get(ClusterLabel);
                return _known!;
            }

            if (reason != said)
            {
                LogWaiting(logger, said = reason);
            }

            await Task.Delay(TimeSpan.FromSeconds(1), time, cancellationToken);
        }
    }

    /// <summary>Asks until it is cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => _loop.RepeatAsync(AskAsync, cancellationToken);

    /// <summary>Asks once.</summary>
    /// <exception cref="IOException">Prometheus does not answer.</exception>
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        try
        {
            var said = await api.DescribeAsync(cancellationToken);
            var before = _known;
            if (said != before)
            {
                _known = said;
                if (ClusterFault(ExternalLabels) is null)
                {
                    said.Save(folder);
                }

                if (before is null || before.Labels != said.Labels)
                {
                    LogLabels(logger, ExternalLabels.ToString(), said.Version);
                }

                if (said.JoinsBlocks && before?.JoinsBlocks != true)
                {
                    LogJoins(logger, Duration.Format(said.BlockRangeMs), Duration.Format(said.LongestBlockMs));
                }

                if (_cluster.Length > 0 && ExternalLabels.Get(ClusterLabel) is var cluster && cluster != _cluster)
                {
                    LogRenamed(logger, _cluster, cluster);
                }
            }

            Targets = await api.CountTargetsAsync(cancellationToken);
            Answered = time.GetUtcNow();
            Volatile.Write(ref _away, "");
        }
        catch (IOException e)
        {
            Volatile.Write(ref _away, e.Message);
            throw;
        }
    }

    /// <summary>That Prometheus is away is a state of Prometheus, and no failure of this process.</summary>
    async Task AskAsync(CancellationToken cancellationToken)
    {
        var before = Away;
        try
        {
            await LookAsync(cancellationToken);
            if (before.Length > 0)
            {
                LogBack(logger);
            }
        }
        catch (IOException e)
        {
            if (before.Length == 0)
            {
                LogAway(logger, e.Message);
            }
        }
    }

    static string? ClusterFault(Labels labels) => labels.Get(ClusterLabel) is var cluster && cluster.Length == 0
        ? "Prometheus has no external label that names the cluster: add global.external_labels.cluster to its configuration, or give --prometheus.label cluster=NAME"
        : FleetName.IsValid(cluster) ? null : $"the external label cluster=\"{cluster}\" can't name a cluster: {FleetName.Rule}";

    [LoggerMessage(LogLevel.Warning, "nothing is shipped yet: {Reason}")]
    static partial void LogWaiting(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "beside a Prometheus labels={Labels} version={Version}")]
    static partial void LogLabels(ILogger logger, string labels, string version);

    [LoggerMessage(LogLevel.Warning, "Prometheus joins blocks of {Cut} up to {Joined}: those that it cuts are shipped as they are cut, and joined ones only where their parts were not; --storage.tsdb.max-block-duration of the same span saves Prometheus the work")]
    static partial void LogJoins(ILogger logger, string cut, string joined);

    [LoggerMessage(LogLevel.Error, "the external label cluster was changed from {Before} to {Cluster}: status and live slices stay under the old name until the next start")]
    static partial void LogRenamed(ILogger logger, string before, string cluster);

    [LoggerMessage(LogLevel.Warning, "what it holds is served and shipped meanwhile: {Reason}")]
    static partial void LogAway(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "Prometheus answers again")]
    static partial void LogBack(ILogger logger);
}
