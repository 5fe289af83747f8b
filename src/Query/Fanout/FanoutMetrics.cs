using Observe.Store.Fleet;
using Prometheus;

namespace Observe.Query.Fanout;

/// <summary>Metrics of the fan-out, under Thanos's names.</summary>
public sealed class FanoutMetrics(IMetricFactory metrics)
{
    readonly Gauge _connections = metrics.CreateGauge(
        "thanos_store_nodes_grpc_connections", "Stores that answer, by their external labels.", ["external_labels", "store_type"]);

    readonly Gauge _newest = metrics.CreateGauge(
        "observe_cluster_newest_sample_age_seconds",
        "Age of the newest sample that a cluster's collectors tell of, those left out that were stopped or acknowledged as gone.", ["cluster"]);

    readonly Gauge _shared = metrics.CreateGauge(
        "observe_cluster_shared_labels", "Clusters that write under the external labels of this one, where it is more than one.", ["cluster"]);

    readonly Gauge _silent = metrics.CreateGauge("observe_query_silent_stores", "Stores that should answer and do not.");

    public Counter Lookups { get; } = metrics.CreateCounter(
        "thanos_query_store_apis_dns_lookups_total", "Lookups of endpoints' names.");

    public Counter LookupFailures { get; } = metrics.CreateCounter(
        "thanos_query_store_apis_dns_failures_total", "Lookups of endpoints' names that failed.");

    /// <summary>Seconds from the request to the end of a store's answer.</summary>
    public Histogram StoreDuration { get; } = metrics.CreateHistogram(
        "thanos_store_api_query_duration_seconds", "Duration of the Series calls to stores.",
        new HistogramConfiguration { Buckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] });

    public Counter Missing { get; } = metrics.CreateCounter(
        "observe_query_missing_stores_total", "Times that a store which should have taken part in an answer did not.");

    /// <param name="now">Unix milliseconds.</param>
    internal void SetFleet(IReadOnlyList<StoreState> stores, long now)
    {
        var fleet = stores.SelectMany(store => store.Description?.Fleet ?? []).ToList();
        Replace(_shared, SharedLabels.Among(fleet).GroupBy(shared => shared.Labels.Get("cluster"))
            .ToDictionary(cluster => cluster.Key, cluster => (double)cluster.Max(shared => shared.Collectors.Count)));
        Replace(_newest, fleet
            .Where(collector => collector is { IsExpected: true, NewestSample: not null })
            .GroupBy(collector => collector.Cluster)
            .ToDictionary(cluster => cluster.Key, cluster => (now - cluster.Max(collector => collector.NewestSample!.Value)) / 1000.0));
    }

    /// <summary>Sets a metric of clusters; those that are not named have none any longer.</summary>
    static void Replace(Gauge gauge, Dictionary<string, double> values)
    {
        foreach (var gone in gauge.GetAllLabelValues().Where(labels => !values.ContainsKey(labels[0])))
        {
            gauge.RemoveLabelled(gone);
        }

        foreach (var (cluster, value) in values)
        {
            gauge.WithLabels(cluster).Set(value);
        }
    }

    internal void Set(IReadOnlyList<StoreState> stores)
    {
        foreach (var labels in _connections.GetAllLabelValues())
        {
            _connections.RemoveLabelled(labels);
        }

        foreach (var store in stores.Where(s => s.LastError is null && s.Description is not null))
        {
            _connections.WithLabels(
                string.Join(",", store.Description!.LabelSets.Select(l => l.ToString())), store.Description.Component).Inc();
        }

        _silent.Set(stores.Count(s => s.IsSilent));
    }
}
