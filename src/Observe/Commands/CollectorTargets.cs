using System.Globalization;
using Observe.Store.Api;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Commands;

/// <summary>The targets of the collectors in this process.</summary>
/// <param name="withExternal">Their labels with the external ones of their collector, as other processes get them.</param>
sealed class CollectorTargets(IReadOnlyList<CollectorRole> collectors, bool withExternal) : ITargetSource
{
    public Task<ApiTargets> TargetsAsync(QueryContext query) =>
        Task.FromResult(ApiTargets.Of([.. collectors.Select(TargetsOf).OfType<ApiTargets>()]));

    public Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query) => Task.FromResult(ApiMetadata.Merge(
        collectors.SelectMany(collector => collector.Scrape?.Metadata() ?? []).Select(Of), metric, limit));

    ApiTargets? TargetsOf(CollectorRole collector)
    {
        if (collector.Scrape is not { } scrape)
        {
            return null;
        }

        var metadata = scrape.Metadata().ToLookup(m => m.Target);
        var snapshot = scrape.Targets();
        var targets = new ApiTargets(
            [.. scrape.Pools()],
            [
                .. snapshot.Active.Select(t => new ApiTarget(
                    t.ScrapePool, t.DiscoveredLabels, t.Labels, t.ScrapeUrl, t.Health.ToString().ToLower(CultureInfo.InvariantCulture), t.LastError,
                    t.LastScrape?.ToUnixTimeMilliseconds() ?? 0, t.LastScrapeDuration.TotalSeconds,
                    Duration.Format(t.ScrapeInterval), Duration.Format(t.ScrapeTimeout))
                {
                    GlobalUrl = t.GlobalUrl,
                    Cluster = collector.Config.Cluster,
                    Collector = collector.Name,
                    Metadata = [.. metadata[t.Labels].Select(Of)],
                }),
            ],
            [.. snapshot.Dropped.Select(t => new ApiDroppedTarget(t.ScrapePool, t.DiscoveredLabels))],
            snapshot.DroppedCounts);
        return withExternal ? targets.With(collector.Config.Global.ExternalLabels) : targets;
    }

    static ApiMetadata Of(Collector.Scrape.MetricMetadata metadata) =>
        new(metadata.Metric, metadata.Type.ToString().ToLower(CultureInfo.InvariantCulture), metadata.Help, metadata.Unit);
}
