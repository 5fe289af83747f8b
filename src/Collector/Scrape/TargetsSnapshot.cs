using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

public enum TargetHealth : byte
{
    /// <summary>Not yet scraped.</summary>
    Unknown,
    Up,
    Down,
}

/// <summary>All targets at one moment, as /api/v1/targets shows them: sorted by pool, then by URL.</summary>
/// <param name="Dropped">At most keep_dropped_targets a pool, where that is set.</param>
/// <param name="DroppedCounts">The number of all dropped targets, by pool.</param>
public sealed record TargetsSnapshot(
    IReadOnlyList<ActiveTarget> Active,
    IReadOnlyList<DroppedTarget> Dropped,
    IReadOnlyDictionary<string, int> DroppedCounts);

/// <param name="DiscoveredLabels">Before relabelling.</param>
/// <param name="Labels">The labels that the target's series get.</param>
/// <param name="GlobalUrl">The URL with a loopback host replaced by the machine's name.</param>
/// <param name="LastError">"" when the last scrape went well.</param>
/// <param name="LastScrape">The start of the last scrape; null before the first.</param>
public sealed record ActiveTarget(
    Labels DiscoveredLabels,
    Labels Labels,
    string ScrapePool,
    string ScrapeUrl,
    string GlobalUrl,
    string LastError,
    DateTimeOffset? LastScrape,
    TimeSpan LastScrapeDuration,
    TargetHealth Health,
    TimeSpan ScrapeInterval,
    TimeSpan ScrapeTimeout);

public sealed record DroppedTarget(Labels DiscoveredLabels, string ScrapePool);

/// <summary>A target's metadata of a metric family: # TYPE, # HELP and # UNIT.</summary>
/// <param name="Target">The labels of the target that exposed it.</param>
public sealed record MetricMetadata(Labels Target, string Metric, MetricType Type, string Help, string Unit);
