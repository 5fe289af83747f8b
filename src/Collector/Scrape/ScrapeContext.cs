using System.IO.Hashing;
using System.Text;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Scrape;

/// <summary>The objects that all pools of a collector share.</summary>
sealed class ScrapeContext : IDisposable
{
    readonly HeadBlock _head;
    readonly ulong _offsetSeed = XxHash64.HashToUInt64(Encoding.UTF8.GetBytes(Environment.MachineName));

    public ScrapeContext(HeadBlock head, ScrapeOptions options, ScrapeMetrics metrics, ILogger logger)
    {
        (_head, Time, Metrics, Logger, ExternalHost) = (head, options.Time, metrics, logger, options.ExternalHost);
        Loops = options.Loops;
        Bodies = new BodyBudget(options.BodyMemory);
        Appenders = new ScrapeAppenders(head, options.SeriesLimit);
        Discoveries = new SharedDiscoveries(Time, metrics.Discovery, Loops, logger);
    }

    public TimeProvider Time { get; }

    public ScrapeMetrics Metrics { get; }

    public ILogger Logger { get; }

    public string ExternalHost { get; }

    public LoopSupervisor Loops { get; }

    public SharedDiscoveries Discoveries { get; }

    public ScrapeAppenders Appenders { get; }

    public BodyBudget Bodies { get; }

    public MetricFamilyTable Families { get; } = new();

    /// <summary>Why a scrape fails whose own series are refused as too old.</summary>
    public string TooOld() => _head.AheadOfClock is { Ticks: > 0 } ahead
        ? $"nothing of the scrape was stored: samples that are there already are {Duration.Format(TimeSpan.FromSeconds(Math.Ceiling(ahead.TotalSeconds)))} ahead of the clock, which was set back"
        : "nothing of the scrape was stored: it is older than samples of the target that are there already";

    /// <summary>
    /// The next moment of a target's own place in its interval: the same at each start, spread evenly over targets, and different on
    /// another machine, so that the replicas of a pair do not scrape at the same moment. An interval has at least a hundred places; targets
    /// at the same place share a timer.
    /// </summary>
    public DateTimeOffset FirstScrape(Target target)
    {
        var now = Time.GetUtcNow().ToUnixTimeMilliseconds();
        var interval = (long)target.ScrapeInterval.TotalMilliseconds;
        var offset = (long)((target.Hash ^ _offsetSeed) % (ulong)interval);
        offset -= offset % Math.Clamp(interval / 100, 1, 100);
        var first = now - (now % interval) + offset;
        return DateTimeOffset.FromUnixTimeMilliseconds(first < now ? first + interval : first);
    }

    public void Dispose() => Appenders.Dispose();
}

/// <summary>A job with the other settings that determine the labels of its series.</summary>
sealed record ScrapeJob(ScrapeConfig Config, LabelConflict OnConflict, Labels External)
{
    /// <summary>Equal for two versions of a job that are the same.</summary>
    public string Identity { get; } = IdentityOf(Config, OnConflict, External);

    /// <summary>
    /// Equal for two versions of a job that differ in their targets only, so that loops of targets that stay need no restart.
    /// </summary>
    public string LoopIdentity { get; } = IdentityOf(
        Config with { StaticConfigs = [], FileDiscoveryConfigs = [], TargetLimit = 0, KeepDroppedTargets = 0 }, OnConflict, External);

    /// <summary>
    /// Equal for two versions of a job that give series the same labels, so that a restarted loop can take over a target's series.
    /// </summary>
    public string SeriesIdentity { get; } = IdentityOf(
        new ScrapeConfig
        {
            JobName = Config.JobName,
            HonorLabels = Config.HonorLabels,
            LegacyNames = Config.LegacyNames,
            LabelLimit = Config.LabelLimit,
            LabelNameLengthLimit = Config.LabelNameLengthLimit,
            LabelValueLengthLimit = Config.LabelValueLengthLimit,
            MetricRelabelConfigs = Config.MetricRelabelConfigs,
        },
        OnConflict,
        External);

    public IngestRules Rules { get; } = new()
    {
        External = External,
        OnConflict = OnConflict,
        LegacyNames = Config.LegacyNames,
        LabelLimit = Config.LabelLimit,
        LabelNameLengthLimit = Config.LabelNameLengthLimit,
        LabelValueLengthLimit = Config.LabelValueLengthLimit,
        SampleLimit = Config.SampleLimit,
    };

    static string IdentityOf(ScrapeConfig config, LabelConflict onConflict, Labels external) =>
        $"{onConflict} {external}\n{ConfigPrinter.Identity(config)}";
}
