using Prometheus;

namespace Observe.Store.Compact;

/// <summary>The metrics of a compactor: Thanos's <c>thanos_compact_*</c> with another prefix.</summary>
public sealed class CompactMetrics
{
    public CompactMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Iterations = metrics.CreateCounter(
            "thanos_compact_iterations_total", "Total number of iterations that were executed successfully.");
        Failures = metrics.CreateCounter("observe_compact_step_failures_total", "Steps of iterations that failed.", ["step"]);
        Halted = metrics.CreateGauge("thanos_compact_halted",
            "Set to 1 if the compactor halted; it never does, a stream that fails is left for the next iteration.");
        Compactions = metrics.CreateCounter(
            "thanos_compact_group_compactions_total", "Compactions that led to a new block, by resolution.", ["resolution"]);
        CompactionFailures = metrics.CreateCounter(
            "thanos_compact_group_compactions_failures_total", "Compactions that failed, by resolution.", ["resolution"]);
        VerticalCompactions = metrics.CreateCounter(
            "thanos_compact_group_vertical_compactions_total", "Compactions of blocks that overlap, by resolution.", ["resolution"]);
        CompactionDuration = metrics.CreateHistogram(
            "thanos_compact_group_compaction_duration_seconds", "Duration of a compaction from the first download to the last mark.",
            new HistogramConfiguration { Buckets = s_seconds });
        CompactedSamples = metrics.CreateCounter("observe_compact_samples_total", "Samples of the blocks that compactions wrote.");
        Downsamplings = metrics.CreateCounter("thanos_compact_downsample_total", "Downsampled blocks, by resolution.", ["resolution"]);
        DownsamplingFailures = metrics.CreateCounter(
            "thanos_compact_downsample_failures_total", "Downsamplings that failed, by resolution.", ["resolution"]);
        DownsamplingDuration = metrics.CreateHistogram(
            "thanos_compact_downsample_duration_seconds",
            "Duration of a downsampling.", ["resolution"], new HistogramConfiguration { Buckets = s_seconds });
        BlocksMarked = metrics.CreateCounter(
            "thanos_compact_blocks_marked_total", "Blocks marked, by marker and reason.", ["marker", "reason"]);
        BlocksCleaned = metrics.CreateCounter("thanos_compact_blocks_cleaned_total", "Marked blocks that were deleted.");
        CleanupFailures = metrics.CreateCounter("thanos_compact_block_cleanup_failures_total", "Deletions of marked blocks that failed.");
        PartialUploadsDeleted = metrics.CreateCounter(
            "thanos_compact_aborted_partial_uploads_deletion_attempts_total", "Deletions of broken uploads that were begun.");
        GarbageCollected = metrics.CreateCounter(
            "thanos_compact_garbage_collected_blocks_total", "Blocks marked because another block has all that is in them.");
        Quarantined = metrics.CreateGauge("observe_compact_quarantined_blocks", "Blocks that are left alone since they are damaged.");
        TodoCompactions = metrics.CreateGauge("thanos_compact_todo_compactions", "Compactions that could be done now.");
        TodoCompactionBlocks = metrics.CreateGauge("thanos_compact_todo_compaction_blocks", "Blocks that compactions could take in now.");
        Unreadable = metrics.CreateGauge(
            "observe_compact_unreadable_blocks", "Blocks that are left alone because their meta.json can't be read.");
        TodoDownsampleBlocks = metrics.CreateGauge("thanos_compact_todo_downsample_blocks", "Blocks that could be downsampled now.");
        TodoDeletionBlocks = metrics.CreateGauge(
            "thanos_compact_todo_deletion_blocks", "Blocks that are past their retention and not marked yet.");
        KeptPastRetention = metrics.CreateGauge(
            "observe_compact_kept_past_retention_blocks",
            "Blocks past their retention that stay, for no sound coarser block has all that is in them.");
        LastRun = metrics.CreateGauge(
            "observe_compact_last_successful_run_timestamp_seconds", "When an iteration last ended without a failure.");
    }

    static readonly double[] s_seconds = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 7200];

    internal Counter Iterations { get; }

    internal Counter Failures { get; }

    internal Gauge Halted { get; }

    internal Counter Compactions { get; }

    internal Counter CompactionFailures { get; }

    internal Counter VerticalCompactions { get; }

    internal Histogram CompactionDuration { get; }

    internal Counter CompactedSamples { get; }

    internal Counter Downsamplings { get; }

    internal Counter DownsamplingFailures { get; }

    internal Histogram DownsamplingDuration { get; }

    internal Counter BlocksMarked { get; }

    internal Counter BlocksCleaned { get; }

    internal Counter CleanupFailures { get; }

    internal Counter PartialUploadsDeleted { get; }

    internal Counter GarbageCollected { get; }

    internal Gauge Quarantined { get; }

    internal Gauge Unreadable { get; }

    internal Gauge TodoCompactions { get; }

    internal Gauge TodoCompactionBlocks { get; }

    internal Gauge TodoDownsampleBlocks { get; }

    internal Gauge TodoDeletionBlocks { get; }

    internal Gauge KeptPastRetention { get; }

    internal Gauge LastRun { get; }
}
