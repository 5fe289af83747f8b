using Prometheus;

namespace Observe.Store.Live;

/// <summary>Metrics of a collector's writer of live slices.</summary>
public sealed class SliceWriterMetrics
{
    public SliceWriterMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Slices = metrics.CreateCounter("observe_live_slices_written_total", "Live slices that are in the bucket.");
        Bytes = metrics.CreateCounter("observe_live_written_bytes_total", "Size of the live slices that are in the bucket.");
        Samples = metrics.CreateCounter("observe_live_written_samples_total", "Samples in the live slices that are in the bucket.");
        Lost = metrics.CreateCounter(
            "observe_live_lost_samples_total", "Samples that no live slice has, for the size of the buffer; blocks will have them.");
        Failures = metrics.CreateCounter("observe_live_write_failures_total", "Live slices that could not be written; they are tried again.");
        Buffered = metrics.CreateGauge("observe_live_buffered_bytes", "Size of sealed live slices that are not in the bucket yet.");
        Until = metrics.CreateGauge(
            "observe_live_written_until_timestamp_seconds", "All that was committed before this time is in live slices in the bucket.");
        Windows = metrics.CreateGauge("observe_live_windows", "Windows of live slices that are in the bucket.");
        Deleted = metrics.CreateCounter("observe_live_slices_deleted_total", "Live slices that were deleted since blocks have their samples.");
    }

    internal Counter Slices { get; }

    internal Counter Bytes { get; }

    internal Counter Samples { get; }

    internal Counter Lost { get; }

    internal Counter Failures { get; }

    internal Gauge Buffered { get; }

    internal Gauge Until { get; }

    internal Gauge Windows { get; }

    internal Counter Deleted { get; }
}
