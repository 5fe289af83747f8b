using Prometheus;

namespace Observe.Store.Shipping;

/// <summary>Metrics of the shipper, under Thanos's names where Thanos has them.</summary>
public sealed class ShipperMetrics
{
    public ShipperMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Syncs = metrics.CreateCounter("thanos_shipper_dir_syncs_total", "Total number of dir syncs");
        SyncFailures = metrics.CreateCounter("thanos_shipper_dir_sync_failures_total", "Total number of failed dir syncs");
        Uploads = metrics.CreateCounter("thanos_shipper_uploads_total", "Total number of uploaded blocks");
        UploadFailures = metrics.CreateCounter("thanos_shipper_upload_failures_total", "Total number of block upload failures");
        Corrupted = metrics.CreateCounter("thanos_shipper_corrupted_blocks_total", "Total number of corrupted blocks");
        LastUpload = metrics.CreateGauge(
            "thanos_shipper_last_successful_upload_time", "Unix timestamp of the last successful TSDB block upload to the bucket.");
        Pending = metrics.CreateGauge("observe_shipper_pending_blocks", "Blocks in the data folder that are not in the bucket yet.");
        PendingBytes = metrics.CreateGauge("observe_shipper_pending_bytes", "Size of the blocks that are not in the bucket yet.");
        Lag = metrics.CreateGauge(
            "observe_shipper_lag_seconds", "How long the oldest block that is not in the bucket yet has been waiting since it was cut.");
        LocalBytes = metrics.CreateGauge("observe_shipper_local_bytes", "Size of all blocks in the data folder.");
        ShedBlocks = metrics.CreateCounter(
            "observe_shipper_shed_blocks_total", "Blocks deleted before they were in the bucket, for the size limit.");
        ShedSamples = metrics.CreateCounter(
            "observe_shipper_shed_samples_total", "Samples in blocks deleted before they were in the bucket, for the size limit.");
    }

    internal Counter Syncs { get; }

    internal Counter SyncFailures { get; }

    internal Counter Uploads { get; }

    internal Counter UploadFailures { get; }

    internal Counter Corrupted { get; }

    internal Gauge LastUpload { get; }

    internal Gauge Pending { get; }

    internal Gauge PendingBytes { get; }

    internal Gauge Lag { get; }

    internal Gauge LocalBytes { get; }

    internal Counter ShedBlocks { get; }

    internal Counter ShedSamples { get; }
}
