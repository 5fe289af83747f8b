using Observe.Collector.Discovery;
using Prometheus;

namespace Observe.Collector.Scrape;

/// <summary>Metrics of the scraper, under the names that dashboards for Prometheus use.</summary>
public sealed class ScrapeMetrics
{
    static readonly QuantileEpsilonPair[] s_quantiles =
        [new(0.01, 0.001), new(0.05, 0.005), new(0.5, 0.05), new(0.9, 0.01), new(0.99, 0.001)];

    public ScrapeMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Discovery = new DiscoveryMetrics(registry);
        Pools = metrics.CreateCounter("prometheus_target_scrape_pools_total", "Total number of scrape pool creation attempts.");
        PoolReloads = metrics.CreateCounter("prometheus_target_scrape_pool_reloads_total", "Total number of scrape pool reloads.");
        PoolTargets = metrics.CreateGauge(
            "prometheus_target_scrape_pool_targets", "Current number of targets in this scrape pool.", "scrape_job");
        PoolTargetLimit = metrics.CreateGauge(
            "prometheus_target_scrape_pool_target_limit", "Maximum number of targets allowed in this scrape pool.", "scrape_job");
        PoolSyncs = metrics.CreateCounter(
            "prometheus_target_scrape_pool_sync_total", "Total number of syncs that were executed on a scrape pool.", "scrape_job");
        ExceededTargetLimit = metrics.CreateCounter(
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
            "Total number of times scrape pools hit the target limit, during sync or config reload.");
        ExceededLabelLimits = metrics.CreateCounter(
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            "Total number of times scrape pools hit the label limits, during sync or config reload.");
        SyncFailed = metrics.CreateCounter("prometheus_target_sync_failed_total", "Total number of target sync failures.", "scrape_job");
        SyncLength = metrics.CreateSummary(
            "prometheus_target_sync_length_seconds", "Actual interval to sync the scrape pool.",
            new SummaryConfiguration { LabelNames = ["scrape_job"], Objectives = s_quantiles });
        IntervalLength = metrics.CreateSummary(
            "prometheus_target_interval_length_seconds", "Actual intervals between scrapes.",
            new SummaryConfiguration { LabelNames = ["interval"], Objectives = s_quantiles });
        ScrapeDuration = metrics.CreateHistogram(
            "prometheus_target_scrape_duration_seconds", "Total duration of the scrape from start to commit completion in seconds.",
            new HistogramConfiguration { Buckets = [.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60] });
        ExceededBodySizeLimit = metrics.CreateCounter(
            "prometheus_target_scrapes_exceeded_body_size_limit_total", "Total number of scrapes that hit the body size limit");
        ExceededSampleLimit = metrics.CreateCounter(
            "prometheus_target_scrapes_exceeded_sample_limit_total",
            "Total number of scrapes that hit the sample limit and were rejected.");
        ExceededSeriesLimit = metrics.CreateCounter(
            "observe_scrapes_exceeded_series_limit_total", "Total number of scrapes that brought more new series than the target or the collector may have.");
        DuplicateTimestamp = metrics.CreateCounter(
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "Total number of samples rejected due to duplicate timestamps but different values.");
        OutOfOrder = metrics.CreateCounter(
            "prometheus_target_scrapes_sample_out_of_order_total",
            "Total number of samples rejected due to not being out of the expected order.");
        OutOfBounds = metrics.CreateCounter(
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "Total number of samples rejected due to timestamp falling outside of the time bounds.");
        CommitsFailed = metrics.CreateCounter(
            "observe_scrape_commits_failed_total", "Total number of scrapes that were lost because the head could not log them.");
        Broken = metrics.CreateCounter(
            "observe_scrapes_broken_total", "Total number of scrapes that failed for an error that was not foreseen.");
        Samples = metrics.CreateCounter(
            "observe_scrape_samples_total", "Total number of samples that scrapes brought, before relabelling.");
        BodyBytes = metrics.CreateCounter("observe_scrape_body_bytes_total", "Total number of bytes of scraped bodies, uncompressed.");
    }

    internal DiscoveryMetrics Discovery { get; }

    internal Counter Pools { get; }

    internal Counter PoolReloads { get; }

    internal Gauge PoolTargets { get; }

    internal Gauge PoolTargetLimit { get; }

    internal Counter PoolSyncs { get; }

    internal Counter ExceededTargetLimit { get; }

    internal Counter ExceededLabelLimits { get; }

    internal Counter SyncFailed { get; }

    internal Summary SyncLength { get; }

    internal Summary IntervalLength { get; }

    internal Histogram ScrapeDuration { get; }

    internal Counter ExceededBodySizeLimit { get; }

    internal Counter ExceededSampleLimit { get; }

    internal Counter ExceededSeriesLimit { get; }

    internal Counter DuplicateTimestamp { get; }

    internal Counter OutOfOrder { get; }

    internal Counter OutOfBounds { get; }

    internal Counter CommitsFailed { get; }

    internal Counter Broken { get; }

    internal Counter Samples { get; }

    internal Counter BodyBytes { get; }

    /// <summary>Removes the metrics of a job that left the configuration.</summary>
    internal void Remove(string job)
    {
        PoolTargets.RemoveLabelled(job);
        PoolTargetLimit.RemoveLabelled(job);
        PoolSyncs.RemoveLabelled(job);
        SyncFailed.RemoveLabelled(job);
        SyncLength.RemoveLabelled(job);
    }
}
