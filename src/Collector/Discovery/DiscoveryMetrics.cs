using Prometheus;

namespace Observe.Collector.Discovery;

/// <summary>Metrics of target discovery, under Prometheus's names.</summary>
public sealed class DiscoveryMetrics
{
    public DiscoveryMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        DiscoveredTargets = metrics.CreateGauge(
            "prometheus_sd_discovered_targets", "Current number of discovered targets.", "name", "config");
        FileReadErrors = metrics.CreateCounter("prometheus_sd_file_read_errors_total", "The number of File-SD read errors.");
        FileTime = metrics.CreateGauge(
            "prometheus_sd_file_mtime_seconds", "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.", "filename");
    }

    internal Gauge DiscoveredTargets { get; }

    internal Counter FileReadErrors { get; }

    internal Gauge FileTime { get; }
}
