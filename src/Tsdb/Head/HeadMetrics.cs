using Observe.Tsdb.Ingest;
using Prometheus;

namespace Observe.Tsdb.Head;

/// <summary>The metrics of a head, under Prometheus's names.</summary>
sealed class HeadMetrics
{
    readonly Counter.Child _floats;
    readonly Counter.Child _histograms;
    readonly Counter _outOfOrder;
    readonly Counter _outOfBound;

    public HeadMetrics(CollectorRegistry registry)
    {
        var metrics = Prometheus.Metrics.WithCustomRegistry(registry);
        var appended = metrics.CreateCounter("prometheus_tsdb_head_samples_appended_total", "Samples appended.", "type");
        (_floats, _histograms) = (appended.WithLabels("float"), appended.WithLabels("histogram"));
        _outOfOrder = metrics.CreateCounter("prometheus_tsdb_out_of_order_samples_total", "Samples refused as out of order.", "type");
        _outOfBound = metrics.CreateCounter("prometheus_tsdb_out_of_bound_samples_total", "Samples refused as too old.", "type");
        Duplicates = metrics.CreateCounter("observe_head_duplicate_samples_total", "Samples refused for another value at the same time.");
        SeriesCreated = metrics.CreateCounter("prometheus_tsdb_head_series_created_total", "Series made.");
        SeriesRemoved = metrics.CreateCounter("prometheus_tsdb_head_series_removed_total", "Series dropped.");
        Series = metrics.CreateGauge("prometheus_tsdb_head_series", "Series in the head.");
        Chunks = metrics.CreateGauge("prometheus_tsdb_head_chunks", "Chunks in the head.");
        MinTime = metrics.CreateGauge("prometheus_tsdb_head_min_time", "Time of the oldest sample, Unix milliseconds.");
        MaxTime = metrics.CreateGauge("prometheus_tsdb_head_max_time", "Time of the newest sample, Unix milliseconds.");
        MemoryBytes = metrics.CreateGauge("observe_head_memory_bytes", "Bytes of labels and open chunks.");
        ChunkFileBytes = metrics.CreateGauge("observe_head_chunk_file_bytes", "Bytes of closed chunks on disk.");
        Truncations = metrics.CreateCounter("prometheus_tsdb_head_truncations_total", "Truncations of the head.");
        ReplayDuration = metrics.CreateGauge("prometheus_tsdb_data_replay_duration_seconds", "Time that the replay at the start took.");
        Compactions = metrics.CreateCounter("prometheus_tsdb_compactions_total", "Blocks cut from the head.");
        CompactionsFailed = metrics.CreateCounter("prometheus_tsdb_compactions_failed_total", "Blocks that could not be cut.");
        AheadOfClock = metrics.CreateGauge("observe_head_ahead_of_clock_seconds", "How far the newest sample is ahead of the clock.");
        SetBack = metrics.CreateCounter(
            "observe_head_clock_set_back_total", "How often samples of the future were cut into blocks, because the clock was set back.");
    }

    public Counter Duplicates { get; }

    public Counter SeriesCreated { get; }

    public Counter SeriesRemoved { get; }

    public Gauge Series { get; }

    public Gauge Chunks { get; }

    public Gauge MinTime { get; }

    public Gauge MaxTime { get; }

    public Gauge MemoryBytes { get; }

    public Gauge ChunkFileBytes { get; }

    public Counter Truncations { get; }

    public Gauge ReplayDuration { get; }

    public Counter Compactions { get; }

    public Counter CompactionsFailed { get; }

    public Gauge AheadOfClock { get; }

    public Counter SetBack { get; }

    public long SamplesAppended => (long)(_floats.Value + _histograms.Value);

    public void Appended(int floats, int histograms)
    {
        _floats.Inc(floats);
        _histograms.Inc(histograms);
    }

    public void Refused(AppendResult result, bool histogram)
    {
        switch (result)
        {
            case AppendResult.OutOfOrder:
                _outOfOrder.WithLabels(histogram ? "histogram" : "float").Inc();
                break;
            case AppendResult.OutOfBounds:
                _outOfBound.WithLabels(histogram ? "histogram" : "float").Inc();
                break;
            case AppendResult.DuplicateTimestamp:
                Duplicates.Inc();
                break;
        }
    }
}
