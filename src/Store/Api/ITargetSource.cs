using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>What is known of the targets of collectors: of those in this process, of a peer's, or of all that a querier asks.</summary>
/// <remarks>
/// What a source lacks is noted in the query's coverage. Errors: <see cref="IOException"/> for a source that fails as a whole.
/// </remarks>
public interface ITargetSource
{
    Task<ApiTargets> TargetsAsync(QueryContext query);

    /// <summary>Metadata of metric families, each entry once, sorted by metric.</summary>
    /// <param name="metric">The one metric that is wanted; "": all.</param>
    /// <param name="limit">The most metrics, of which the first by name are given; negative: all.</param>
    Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query);
}

/// <param name="Kind">counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown.</param>
public sealed record ApiMetadata(string Metric, string Kind, string Help, string Unit)
{
    /// <summary>Each entry once, sorted by metric and in the order given within one, for the first metrics up to a limit.</summary>
    public static IReadOnlyList<ApiMetadata> Merge(IEnumerable<ApiMetadata> all, string metric, int limit)
    {
        var metrics = new SortedDictionary<string, HashSet<ApiMetadata>>(Utf8Order.Instance);
        foreach (var metadata in all)
        {
            if (metric.Length > 0 && metadata.Metric != metric)
            {
                continue;
            }

            if (!metrics.TryGetValue(metadata.Metric, out var known))
            {
                metrics[metadata.Metric] = known = [];
            }

            known.Add(metadata);
        }

        return [.. (limit < 0 ? metrics : metrics.Take(limit)).SelectMany(known => known.Value)];
    }
}

/// <param name="Pool">The scrape pool: the job's name.</param>
/// <param name="LastScrape">Unix milliseconds; 0: never.</param>
/// <param name="LastScrapeDuration">Seconds.</param>
/// <param name="Health">up, down or unknown.</param>
/// <param name="LastError">"" after a good scrape.</param>
public sealed record ApiTarget(
    string Pool,
    Labels DiscoveredLabels, Labels Labels, string Url, string Health, string LastError, long LastScrape, double LastScrapeDuration,
    string ScrapeInterval, string ScrapeTimeout)
{
    public string GlobalUrl { get; init; } = Url;

    /// <summary>The cluster of the collector that scrapes the target; "" when the collector has none, and then not shown.</summary>
    public string Cluster { get; init; } = "";

    /// <summary>The collector's own name; "" is not shown.</summary>
    public string Collector { get; init; } = "";

    /// <summary>The target's own metadata, where it is in this process.</summary>
    public IReadOnlyList<ApiMetadata> Metadata { get; init; } = [];
}

/// <summary>A target that relabelling dropped.</summary>
public sealed record ApiDroppedTarget(string Pool, Labels DiscoveredLabels);

/// <param name="Pools">All scrape pools, those without targets too.</param>
/// <param name="DroppedCounts">By pool: more may have been dropped than are kept.</param>
public sealed record ApiTargets(
    IReadOnlyList<string> Pools,
    IReadOnlyList<ApiTarget> Active, IReadOnlyList<ApiDroppedTarget> Dropped, IReadOnlyDictionary<string, int> DroppedCounts)
{
    public static ApiTargets Empty { get; } = new([], [], [], new Dictionary<string, int>());

    /// <summary>All targets of several sources.</summary>
    public static ApiTargets Of(IReadOnlyList<ApiTargets> all) => new(
        [.. all.SelectMany(one => one.Pools).Distinct().Order(StringComparer.Ordinal)],
        [.. all.SelectMany(one => one.Active)],
        [.. all.SelectMany(one => one.Dropped)],
        all.SelectMany(one => one.DroppedCounts).GroupBy(count => count.Key)
            .ToDictionary(pool => pool.Key, pool => (int)Math.Min(int.MaxValue, pool.Sum(count => (long)count.Value))));

    /// <summary>The targets with the labels added that all series of their collector have, which win over their own.</summary>
    public ApiTargets With(Labels external) => this with
    {
        Active =
        [
            .. Active.Select(target => target with
            {
                DiscoveredLabels = target.DiscoveredLabels.With(external), Labels = target.Labels.With(external),
            }),
        ],
        Dropped = [.. Dropped.Select(target => target with { DiscoveredLabels = target.DiscoveredLabels.With(external) })],
    };
}
