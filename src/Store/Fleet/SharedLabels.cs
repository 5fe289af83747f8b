using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>External labels under which more than one cluster writes, so that series of them can't be told apart.</summary>
/// <param name="Collectors">One of each cluster, by name.</param>
public sealed record SharedLabels(Labels Labels, IReadOnlyList<KnownCollector> Collectors)
{
    /// <summary>Only collectors that live and know their cluster count.</summary>
    public static IReadOnlyList<SharedLabels> Among(IEnumerable<KnownCollector> collectors) =>
    [
        .. collectors.Where(collector => collector.ClusterUid.Length > 0).GroupBy(collector => collector.Labels)
            .Select(alike => new SharedLabels(
                alike.Key,
                [.. alike.OrderBy(collector => collector.Collector, StringComparer.Ordinal).DistinctBy(collector => collector.ClusterUid)]))
            .Where(shared => shared.Collectors.Count > 1),
    ];

    public override string ToString() =>
        $"more than one cluster writes under {Labels}, their series are mixed: "
        + string.Join(", ", Collectors.Select(one => $"collector {one.Collector} runs in {GoText.Quote(one.ClusterUid)}"));
}
