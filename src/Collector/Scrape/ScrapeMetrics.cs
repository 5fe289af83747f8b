using Prometheus;

namespace Observe.Collector.Scrape;

/// <summary>What the scraper tells of itself, under the names that dashboards for Prometheus ask for.</summary>
public sealed class ScrapeMetrics
{
    public ScrapeMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Pools = metrics.CreateCounter("prometheus_target_scrape_pools_total", "Total number of scrape pool creation attempts.");
    }

    internal Counter Pools { get; }
}
