using Prometheus;

namespace Observe.Tsdb.Wal;

/// <summary>What the log tells of itself, under Prometheus's names.</summary>
sealed class WalMetrics
{
    public WalMetrics(CollectorRegistry registry)
    {
        var metrics = Prometheus.Metrics.WithCustomRegistry(registry);
        FsyncDuration = metrics.CreateHistogram(
            "prometheus_tsdb_wal_fsync_duration_seconds", "Duration of the write log's fsync.",
            new HistogramConfiguration { Buckets = Histogram.ExponentialBuckets(0.0005, 4, 9) });
        FsyncFailures = metrics.CreateCounter(
            "observe_wal_fsync_failures_total", "Syncs that the disk refused; their records were written again.");
        WritesFailed = metrics.CreateCounter("prometheus_tsdb_wal_writes_failed_total", "Writes to the log that failed.");
        WrittenBytes = metrics.CreateCounter("observe_wal_written_bytes_total", "Bytes written to the log.");
        CurrentSegment = metrics.CreateGauge("prometheus_tsdb_wal_segment_current", "Number of the segment that is written to.");
        Truncations = metrics.CreateCounter("prometheus_tsdb_wal_truncations_total", "Truncations of the log that were attempted.");
        TruncationsFailed = metrics.CreateCounter("prometheus_tsdb_wal_truncations_failed_total", "Truncations of the log that failed.");
        Corruptions = metrics.CreateCounter("prometheus_tsdb_wal_corruptions_total", "Damaged places of the log that were skipped.");
    }

    public Histogram FsyncDuration { get; }

    public Counter FsyncFailures { get; }

    public Counter WritesFailed { get; }

    public Counter WrittenBytes { get; }

    public Gauge CurrentSegment { get; }

    public Counter Truncations { get; }

    public Counter TruncationsFailed { get; }

    public Counter Corruptions { get; }
}
