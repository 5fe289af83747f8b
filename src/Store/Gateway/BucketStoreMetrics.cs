using Prometheus;

namespace Observe.Store.Gateway;

/// <summary>The metrics of a bucket store, under the names that Thanos's dashboards and alerts read.</summary>
public sealed class BucketStoreMetrics
{
    static readonly double[] s_seconds = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
    static readonly double[] s_counts = Histogram.ExponentialBuckets(1, 4, 14);

    public BucketStoreMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        BlocksLoaded = metrics.CreateGauge("thanos_bucket_store_blocks_loaded", "Number of currently loaded blocks.");
        BlockLoads = metrics.CreateCounter("thanos_bucket_store_block_loads_total", "Total number of remote block loading attempts.");
        BlockLoadFailures = metrics.CreateCounter(
            "thanos_bucket_store_block_load_failures_total", "Total number of failed remote block loading attempts.");
        BlockDrops = metrics.CreateCounter("thanos_bucket_store_block_drops_total", "Total number of local blocks that were dropped.");
        SyncedBlocks = metrics.CreateGauge(
            "thanos_blocks_meta_synced", "Number of block metadata synced, by what became of them.", ["state"]);
        Syncs = metrics.CreateCounter("thanos_blocks_meta_syncs_total", "Total blocks metadata synchronization attempts.");
        SyncFailures = metrics.CreateCounter("thanos_blocks_meta_sync_failures_total", "Total blocks metadata synchronization failures.");
        SyncDuration = metrics.CreateHistogram(
            "thanos_blocks_meta_sync_duration_seconds", "Duration of the blocks metadata synchronization in seconds.",
            new HistogramConfiguration { Buckets = s_seconds });
        DataTouched = metrics.CreateHistogram(
            "thanos_bucket_store_series_data_size_touched_bytes", "Bytes of a kind that one series request needed.", ["data_type"],
            new HistogramConfiguration { Buckets = Histogram.ExponentialBuckets(1 << 10, 4, 11) });
        DataFetched = metrics.CreateHistogram(
            "thanos_bucket_store_series_data_size_fetched_bytes",
            "Bytes of a kind that one series request fetched from the bucket.", ["data_type"],
            new HistogramConfiguration { Buckets = Histogram.ExponentialBuckets(1 << 10, 4, 11) });
        BlocksQueried = metrics.CreateHistogram(
            "thanos_bucket_store_series_blocks_queried", "Number of blocks in a bucket store that were touched to satisfy a query.",
            new HistogramConfiguration { Buckets = s_counts });
        ResultSeries = metrics.CreateHistogram(
            "thanos_bucket_store_series_result_series", "Number of series observed in the final result of a query.",
            new HistogramConfiguration { Buckets = s_counts });
        GetAllDuration = metrics.CreateHistogram(
            "thanos_bucket_store_series_get_all_duration_seconds",
            "Time it takes until all per-block prepares and loads for a query are finished.",
            new HistogramConfiguration { Buckets = s_seconds });
        QueriesDropped = metrics.CreateCounter(
            "thanos_bucket_store_queries_dropped_total", "Number of queries that were dropped due to the limit.", ["reason"]);
        CacheRequests = metrics.CreateCounter(
            "thanos_store_index_cache_requests_total", "Total number of pages that the cache was asked for.", ["item_type"]);
        CacheHits = metrics.CreateCounter(
            "thanos_store_index_cache_hits_total", "Total number of pages that the cache had.", ["item_type"]);
        CacheEvictions = metrics.CreateCounter(
            "thanos_store_index_cache_items_evicted_total", "Total number of pages that were evicted from the cache.");
        CacheBytes = metrics.CreateGauge("thanos_store_index_cache_total_size_bytes", "Bytes that the cache holds.");
    }

    internal Gauge BlocksLoaded { get; }

    internal Counter BlockLoads { get; }

    internal Counter BlockLoadFailures { get; }

    internal Counter BlockDrops { get; }

    internal Gauge SyncedBlocks { get; }

    internal Counter Syncs { get; }

    internal Counter SyncFailures { get; }

    internal Histogram SyncDuration { get; }

    internal Histogram DataTouched { get; }

    internal Histogram DataFetched { get; }

    internal Histogram BlocksQueried { get; }

    internal Histogram ResultSeries { get; }

    internal Histogram GetAllDuration { get; }

    internal Counter QueriesDropped { get; }

    internal Counter CacheRequests { get; }

    internal Counter CacheHits { get; }

    internal Counter CacheEvictions { get; }

    internal Gauge CacheBytes { get; }
}
