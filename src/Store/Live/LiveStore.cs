using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Prometheus;

namespace Observe.Store.Live;

public sealed record LiveStoreOptions
{
    public required IBucket Bucket { get; init; }

    public required TimeProvider Time { get; init; }

    public required LiveStoreMetrics Metrics { get; init; }

    /// <summary>Bytes that samples may take, about (<c>--live.memory-limit</c>); beyond it the oldest are dropped.</summary>
    public long MemoryLimit { get; init; } = 1L << 30;

    /// <summary>Collectors that are asked for at the same time.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>The threads that unpack slices.</summary>
    public TaskScheduler Background { get; init; } = TaskScheduler.Default;

    public ILogger Logger { get; init; } = NullLogger.Instance;

    public LoopSupervisor Loops { get; init; } = new();
}

/// <summary>Metrics of a reader of live slices.</summary>
public sealed class LiveStoreMetrics
{
    public LiveStoreMetrics(CollectorRegistry registry)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        Requests = metrics.CreateCounter("observe_live_read_requests_total", "Requests for live slices.");
        Absent = metrics.CreateCounter("observe_live_read_absent_total", "Requests for live slices that were not there, or not yet.");
        Slices = metrics.CreateCounter("observe_live_slices_read_total", "Live slices that were read.");
        Bytes = metrics.CreateCounter("observe_live_read_bytes_total", "Size of the live slices that were read.");
        Samples = metrics.CreateCounter("observe_live_read_samples_total", "Samples in the live slices that were read.");
        Corrupt = metrics.CreateCounter("observe_live_corrupt_slices_total", "Live slices that are damaged.");
        Missing = metrics.CreateCounter(
            "observe_live_missing_slices_total", "Live slices that were not there though later ones were, damaged ones among them.");
        Failures = metrics.CreateCounter("observe_live_read_failures_total", "Collectors whose live slices could not be read, each time.");
        Shed = metrics.CreateCounter("observe_live_shed_total", "Times that the oldest live samples were dropped for the memory limit.");
        Collectors = metrics.CreateGauge("observe_live_collectors", "Collectors whose live slices are followed.");
        Behind = metrics.CreateGauge("observe_live_collectors_behind", "Collectors of which slices are missing, or come no more.");
        MemoryBytes = metrics.CreateGauge("observe_live_memory_bytes", "Memory that live samples take, about.");
        Series = metrics.CreateGauge("observe_live_series", "Series that have live samples.");
        Age = metrics.CreateHistogram(
            "observe_live_age_seconds", "Age of the oldest commit of a live slice when the slice could be queried.",
            new HistogramConfiguration { Buckets = [1, 2.5, 5, 10, 15, 20, 25, 30, 45, 60, 120, 300, 3600] });
    }

    internal Counter Requests { get; }

    internal Counter Absent { get; }

    internal Counter Slices { get; }

    internal Counter Bytes { get; }

    internal Counter Samples { get; }

    internal Counter Corrupt { get; }

    internal Counter Missing { get; }

    internal Counter Failures { get; }

    internal Counter Shed { get; }

    internal Gauge Collectors { get; }

    internal Gauge Behind { get; }

    internal Gauge MemoryBytes { get; }

    internal Gauge Series { get; }

    internal Histogram Age { get; }
}

/// <summary>
/// Serves what the collectors of a bucket measured since their last block, from their live slices: a series has the external labels besides its own.
/// Samples stay until the blocks that have them can be read here, so that whoever reads this first and the blocks then misses none.
/// </summary>
public sealed partial class LiveStore : IQuerier, IDisposable
{
    static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(250);

    /// <summary>How long all that is due may take together.</summary>
    static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    readonly LiveStoreOptions _options;
    readonly SemaphoreSlim _turn = new(1, 1);
    volatile SliceTailer[] _tailers = [];

    public LiveStore(LiveStoreOptions options) => _options = options;

    /// <summary>External labels of what is served, and the span of each: without an end while slices come as they should.</summary>
    public IReadOnlyList<(Labels Labels, TimeRange Range)> Streams =>
    [
        .. _tailers.SelectMany(tailer => tailer.Tails.Select(tail => (tail.Labels, Range: RangeOf(tailer, tail)))).Where(tail => !tail.Range.IsEmpty)
            .GroupBy(tail => tail.Labels).Select(same => (
                same.Key, new TimeRange(same.Min(tail => tail.Range.MinTime), same.Max(tail => tail.Range.MaxTime)))),
    ];

    /// <summary>The times of a collector of which nothing is missing here.</summary>
    public IReadOnlyList<TimeRange> Covered(string cluster, string collector) =>
        Array.Find(_tailers, tailer => tailer.Cluster == cluster && tailer.Collector == collector)?.Covered ?? [];

    /// <summary>Polls until it is cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => new BackgroundLoop(new LoopOptions
    {
        Name = "live tail",
        Interval = s_pause,
        Time = _options.Time,
        Logger = _options.Logger,
        Supervisor = _options.Loops,
        StartsAtOnce = true,
        MaxBackoff = TimeSpan.FromSeconds(10),
    }).RepeatAsync(PollAsync, cancellationToken);

    /// <summary>Takes a look at the fleet, and drops what blocks have.</summary>
    /// <param name="fleet">Read before the blocks were listed.</param>
    /// <param name="blocks">Those that are read here: whoever asks from now on gets them.</param>
    public async Task UpdateAsync(FleetStatus fleet, IReadOnlyList<BlockMeta> blocks, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var known = _tailers.ToDictionary(tailer => (tailer.Cluster, tailer.Collector));
            var visible = fleet.ShippedBy(blocks);
            foreach (var status in fleet.Clusters.SelectMany(cluster => cluster.Collectors))
            {
                var key = (status.Cluster, status.Collector);
                if (SliceCleaner.IsOver(status, _options.Time.GetUtcNow()))
                {
                    known.Remove(key);
                    continue;
                }

                if (!known.TryGetValue(key, out var tailer))
                {
                    if (status.Live is null)
                    {
                        continue;
                    }

                    known.Add(key, tailer = new SliceTailer(_options, status.Cluster, status.Collector));
                }

                tailer.Update(status.Live);
                tailer.Release(status.Shipped, visible(status));
            }

            _tailers = [.. known.Values];
            await TryAsync(_tailers, (tailer, token) => tailer.PollLateAsync(token), cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Reads the slices that are due.</summary>
    public async Task PollAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            await TryAsync([.. _tailers.Where(tailer => tailer.IsDue).OrderBy(tailer => tailer.Due)], PollAsync, cancellationToken);
            Shed();
            _options.Metrics.Collectors.Set(_tailers.Length);
            _options.Metrics.Behind.Set(_tailers.Count(tailer => !tailer.IsInStep));
            _options.Metrics.MemoryBytes.Set(_tailers.Sum(Bytes));
            _options.Metrics.Series.Set(_tailers.Sum(tailer => tailer.Tails.Sum(tail => tail.Head.SeriesCount)));
        }
        finally
        {
            _turn.Release();
        }
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => Merged(selection)?.SelectAsync(selection) ?? AsyncEnumerable.Empty<Series>();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => Merged(selection)?.LabelNamesAsync(selection) ?? new([]);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        Merged(selection)?.LabelValuesAsync(name, selection) ?? new([]);

    /// <summary>Serves this and then blocks, as one: what leaves this meanwhile is in the blocks already.</summary>
    public IQuerier Before(IQuerier blocks) => new LiveThenBlocks(this, blocks);

    public void Dispose() => _turn.Dispose();

    static long Bytes(SliceTailer tailer) => tailer.Tails.Sum(tail => tail.Head.Bytes);

    static TimeRange RangeOf(SliceTailer tailer, SliceTailer.Tail tail) => tail.Head.Range is { IsEmpty: false } range && tailer.IsInStep
        ? range with { MaxTime = long.MaxValue } : tail.Head.Range;

    MergeQuerier? Merged(Selection selection)
    {
        var queriers = _tailers.SelectMany(tailer => tailer.Tails)
            .Where(tail => selection.Range.Overlaps(tail.Head.Range) && selection.Answer(tail.Labels) is not null)
            .Select(tail => (IQuerier)new ExternalLabelsQuerier(tail.Head, () => tail.Labels)).ToList();
        return queriers.Count == 0 ? null : new MergeQuerier(queriers);
    }

    async Task PollAsync(SliceTailer tailer, CancellationToken cancellationToken)
    {
        await tailer.PollAsync(cancellationToken);
        if (tailer.IsOverdue)
        {
            var key = CollectorStatus.Key(tailer.Cluster, tailer.Collector);
            try
            {
                var json = await _options.Bucket.GetBytesAsync(key, CollectorStatus.MaxSize, cancellationToken);
                tailer.Update(CollectorStatus.Parse(json, $"{_options.Bucket.Name}/{key}").Live);
            }
            catch (Exception e) when (e is ObjectNotFoundException or CorruptionException or BucketException { Failure: BucketFailure.TooLarge })
            {
                // The next look at the fleet says so.
            }
        }
    }

    /// <summary>Does something for each collector; one that fails, or takes long, is left alone for a while, and holds no other up.</summary>
    /// <exception cref="BucketException">All fail.</exception>
    async Task TryAsync(
        SliceTailer[] tailers, Func<SliceTailer, CancellationToken, Task> act, CancellationToken cancellationToken)
    {
        var faults = new ConcurrentBag<string>();
        using var late = new CancellationTokenSource(s_patience, _options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        await Parallel.ForEachAsync(
            tailers, new ParallelOptions { MaxDegreeOfParallelism = _options.Concurrency, CancellationToken = cancellationToken },
            async (tailer, _) =>
            {
                try
                {
                    await act(tailer, either.Token);
                }
                catch (Exception e) when (!cancellationToken.IsCancellationRequested)
                {
                    var fault = e is OperationCanceledException ? "the bucket takes too long" : e.Message;
                    faults.Add(fault);
                    tailer.Defer();
                    _options.Metrics.Failures.Inc();
                    LogFailed(_options.Logger, tailer.Cluster, tailer.Collector, fault);
                }
            });
        if (!faults.IsEmpty && faults.Count == tailers.Length)
        {
            throw new BucketException($"no live slices can be read: {faults.First()}");
        }
    }

    /// <summary>
    /// Of the collector that takes most, drops the oldest tenth of the time that is held, and more where whole chunks are not that short, as
    /// often as it takes.
    /// </summary>
    void Shed()
    {
        for (var held = _tailers.Sum(Bytes); held > _options.MemoryLimit;)
        {
            var (tailer, freed) = (_tailers.MaxBy(Bytes)!, 0L);
            var ranges = tailer.Tails.Select(tail => tail.Head.Range).Where(range => !range.IsEmpty).ToList();
            if (ranges.Count == 0)
            {
                return;
            }

            var (oldest, newest) = (ranges.Min(range => range.MinTime), ranges.Max(range => range.MaxTime));
            for (var tenths = 1; tenths <= 10 && freed == 0; tenths++)
            {
                var before = tenths == 10 ? newest + 1 : oldest + ((newest - oldest) / 10 * tenths) + 1;
                freed = Bytes(tailer);
                tailer.Shed(before);
                freed -= Bytes(tailer);
            }

            held -= freed;
            _options.Metrics.Shed.Inc();
            LogShed(_options.Logger, tailer.Cluster, tailer.Collector, _options.MemoryLimit);
        }
    }

    /// <summary>Selections without live samples go to the blocks alone.</summary>
    sealed class LiveThenBlocks(LiveStore live, IQuerier blocks) : IQuerier
    {
        public IAsyncEnumerable<Series> SelectAsync(Selection selection) => For(selection).SelectAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => For(selection).LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            For(selection).LabelValuesAsync(name, selection);

        IQuerier For(Selection selection) => live.Merged(selection) is { } newest ? new MergeQuerier([newest, blocks]) : blocks;
    }

    [LoggerMessage(LogLevel.Warning, "live slices can't be read, it is tried again cluster={Cluster} collector={Collector} error={Error}")]
    static partial void LogFailed(ILogger logger, string cluster, string collector, string error);

    [LoggerMessage(LogLevel.Warning, "live samples take more memory than they may (--live.memory-limit), the oldest of a collector are dropped; answers say what they lack until blocks are there cluster={Cluster} collector={Collector} limit={Limit}")]
    static partial void LogShed(ILogger logger, string cluster, string collector, long limit);
}
