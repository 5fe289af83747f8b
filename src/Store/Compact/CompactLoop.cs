using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Threading;

namespace Observe.Store.Compact;

/// <summary>What one iteration did.</summary>
/// <param name="Failures">Streams and steps that failed and are tried again by the next iteration; each is logged.</param>
/// <param name="SyncError">Why the bucket could not be looked into, so that nothing at all was tried; null when it could.</param>
public sealed record CompactReport(int Compactions, int Downsamplings, int Marked, int Deleted, int Failures, string? SyncError = null)
{
    /// <summary>Nothing was done and nothing failed: there is nothing to do at present.</summary>
    public bool IsIdle => this == new CompactReport(0, 0, 0, 0, 0);
}

/// <summary>
/// Keeps a bucket in shape, one iteration after the other: finds the blocks, marks what a broken compaction left behind, compacts stream
/// by stream, downsamples, applies retention and deletes what was marked long enough ago. A stream or step that fails does not keep the
/// others; a damaged block is marked as not to be compacted and its stream goes on without it. One compactor per set of streams.
/// </summary>
public sealed partial class CompactLoop
{
    /// <summary>The reason of a mark.</summary>
    const string Damaged = "damaged";

    readonly BucketBlocks _blocks;
    readonly CompactOptions _options;
    readonly CompactMetrics _metrics;
    readonly ILogger _logger;
    readonly MetaFetcher _fetcher;
    readonly Compactor _compactor;
    readonly BlockCleaner _cleaner;
    readonly HashSet<BlockId> _leftAlone = [];
    readonly HashSet<BlockId> _notDownsampled = [];
    readonly HashSet<BlockId> _nothingToDownsample = [];
    readonly HashSet<BlockId> _keptPastRetention = [];
    readonly HashSet<BlockId> _damaged = [];
    bool _cleaned;

    public CompactLoop(IBucket bucket, CompactOptions options, CompactMetrics metrics, ILogger<CompactLoop> logger)
    {
        (_blocks, _options, _metrics, _logger) = (new BucketBlocks(bucket), options, metrics, logger);
        _fetcher = new MetaFetcher(
            _blocks,
            new MetaFetcherOptions
            {
                Directory = Path.Combine(options.Directory, "metas"),
                Time = options.Time,
                Filters = [MetaFilters.ConsistencyDelay(options.ConsistencyDelay)],
            },
            logger);
        _compactor = new Compactor(_blocks, options);
        _cleaner = new BlockCleaner(_blocks, options, metrics, logger);
    }

    /// <summary>Iterates until it is cancelled, waiting between iterations that found nothing to do or failed.</summary>
    public Task RunAsync(TimeSpan interval, LoopSupervisor loops, CancellationToken cancellationToken)
    {
        var loop = new BackgroundLoop(new LoopOptions
        {
            Name = "compact",
            Interval = interval,
            Time = _options.Time,
            Random = _options.Random,
            Logger = _logger,
            Supervisor = loops,
            StartsAtOnce = true,
            IsNeeded = true,
        });
        return loop.RepeatAsync(
            async token =>
            {
                CompactReport report;
                do
                {
                    report = await RunOnceAsync(token);
                }
                while (!report.IsIdle && report.Failures == 0);
                return report.SyncError;
            },
            cancellationToken);
    }

    /// <summary>One iteration. Throws only when it is cancelled.</summary>
    public Task<CompactReport> RunOnceAsync(CancellationToken cancellationToken) =>
        _options.Background.RunAsync(() => IterateAsync(cancellationToken));

    async Task<CompactReport> IterateAsync(CancellationToken cancellationToken)
    {
        var work = new Iteration();
        _leftAlone.Clear();
        var syncError = await StepAsync("sync", work, async () =>
        {
            if (!_cleaned)
            {
                _compactor.Clean();
                _cleaned = true;
            }

            work.View = await _fetcher.FetchAsync(cancellationToken);
            _metrics.Unreadable.Set(work.View.Corrupt.Count);
            foreach (var meta in work.View.Blocks.Values.Where(m => !work.View.DeletionMarks.ContainsKey(m.Id)))
            {
                work.Blocks[meta.Id] = meta;
            }
        }, cancellationToken);
        if (syncError is null)
        {
            await StepAsync("garbage collection", work, () => CollectGarbageAsync(work, cancellationToken), cancellationToken);
            CountTodo(work);
            var streams = Planner.Groups(work.Blocks.Values, _options.ReplicaLabels).Keys;
            foreach (var stream in streams.OrderBy(key => key.ToString(), StringComparer.Ordinal))
            {
                await StepAsync("compaction", work, () => CompactStreamAsync(stream, work, cancellationToken), cancellationToken);
            }

            CountTodo(work);

            if (_options.Downsampling)
            {
                await DownsampleAsync(Downsampler.FiveMinutes, work, cancellationToken);
                await DownsampleAsync(Downsampler.OneHour, work, cancellationToken);
            }

            await StepAsync("retention", work, () => RetainAsync(work, cancellationToken), cancellationToken);
            await StepAsync(
                "cleanup", work, async () => work.Deleted += await _cleaner.CleanAsync(work.View, cancellationToken), cancellationToken);
        }

        _metrics.Quarantined.Set(_damaged.Count);
        if (work.Failures == 0)
        {
            _metrics.Iterations.Inc();
            _metrics.LastRun.Set(_options.Time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        }

        return new CompactReport(work.Compactions, work.Downsamplings, work.Marked, work.Deleted, work.Failures, syncError);
    }

    /// <summary>Runs one step; what fails is logged and left for the next iteration. Returns why it failed, null when it did not.</summary>
    async Task<string?> StepAsync(string step, Iteration work, Func<Task> run, CancellationToken cancellationToken)
    {
        try
        {
            await run();
            return null;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            work.Failures++;
            _metrics.Failures.WithLabels(step).Inc();
            LogFailed(e, step, e.Message);
            return e.Message;
        }
    }

    async Task CollectGarbageAsync(Iteration work, CancellationToken cancellationToken)
    {
        var superseded = StreamKey.Superseded(work.Blocks.Values);

        // Whether they can be marked or not, nothing is made of them.
        foreach (var (block, _) in superseded)
        {
            work.Blocks.Remove(block.Id);
        }

        foreach (var (block, by) in superseded)
        {
            await MarkAsync(block, work, "superseded", $"all of it is in block {by.Id}", cancellationToken);
            _metrics.GarbageCollected.Inc();
        }
    }

    /// <summary>Sets the metrics of what could be compacted at present; called before the compactions and after them.</summary>
    void CountTodo(Iteration work)
    {
        var plans = Planner.Groups(work.Blocks.Values, _options.ReplicaLabels).Values
            .Select(group => Planner.Next(group, _options.LevelsMs, _leftAlone).Count).Where(count => count > 0).ToList();
        _metrics.TodoCompactions.Set(plans.Count);
        _metrics.TodoCompactionBlocks.Set(plans.Sum());
    }

    async Task CompactStreamAsync(StreamKey stream, Iteration work, CancellationToken cancellationToken)
    {
        while (await PlanAsync(stream, work, cancellationToken) is { Count: > 0 } plan)
        {
            var resolution = Resolution(plan[0].ResolutionMs);
            var clock = Stopwatch.GetTimestamp();
            try
            {
                var made = await _compactor.CompactAsync(plan, cancellationToken);
                if (made is not null)
                {
                    work.Blocks[made.Id] = made;
                    _metrics.CompactedSamples.Inc(made.Stats.Samples);
                }

                foreach (var source in plan)
                {
                    work.Blocks.Remove(source.Id);
                }

                foreach (var source in plan)
                {
                    await MarkAsync(
                        source, work, "compacted", made is null ? "nothing in it is kept" : $"compacted into {made.Id}", cancellationToken);
                }

                work.Compactions++;
                _metrics.Compactions.WithLabels(resolution).Inc();
                if (plan.Zip(plan.Skip(1)).Any(p => p.Second.MinTime < p.First.MaxTime))
                {
                    _metrics.VerticalCompactions.WithLabels(resolution).Inc();
                }

                var elapsed = Stopwatch.GetElapsedTime(clock);
                _metrics.CompactionDuration.Observe(elapsed.TotalSeconds);
                LogCompacted(stream.ToString(), plan.Count, made?.Id, made?.Stats.Samples ?? 0, elapsed.TotalMilliseconds);
            }
            catch (DamagedBlockException e)
            {
                _metrics.CompactionFailures.WithLabels(resolution).Inc();
                await QuarantineAsync(e, work, cancellationToken);
            }
            catch (Exception) when (!cancellationToken.IsCancellationRequested)
            {
                _metrics.CompactionFailures.WithLabels(resolution).Inc();
                throw;
            }
        }
    }

    /// <summary>What to compact next in a stream: planned again until no block of the plan is marked as not to be compacted.</summary>
    async Task<IReadOnlyList<BlockMeta>> PlanAsync(StreamKey stream, Iteration work, CancellationToken cancellationToken)
    {
        while (true)
        {
            var group = Planner.Groups(work.Blocks.Values, _options.ReplicaLabels).GetValueOrDefault(stream);
            if (group is null)
            {
                return [];
            }

            var plan = Planner.Next(group, _options.LevelsMs, _leftAlone);
            var marked = false;
            foreach (var block in plan)
            {
                if (!work.Checked.Contains(block.Id) && await IsMarkedAsync(() => _blocks.NoCompactMarkAsync(block.Id, cancellationToken)))
                {
                    marked |= _leftAlone.Add(block.Id);
                }

                work.Checked.Add(block.Id);
            }

            if (!marked && Planner.Oversized(plan, _options.MaxIndexBytes) is { } large)
            {
                await _blocks.MarkNoCompactAsync(
                    large.Id, "index-size-exceeding",
                    "its index would make the compacted block's too large", _options.Time.GetUtcNow(), cancellationToken);
                _metrics.BlocksMarked.WithLabels(NoCompactMark.FileName, "index-size-exceeding").Inc();
                marked = _leftAlone.Add(large.Id);
            }

            if (!marked)
            {
                return plan;
            }
        }
    }

    /// <summary>Whether a block is marked as not to be compacted; a mark that can't be read counts as one.</summary>
    async Task<bool> IsMarkedAsync<TMark>(Func<Task<TMark?>> read)
        where TMark : class
    {
        try
        {
            return await read() is not null;
        }
        catch (CorruptionException e)
        {
            LogBadMark(e.Message);
            return true;
        }
    }

    async Task DownsampleAsync(long resolutionMs, Iteration work, CancellationToken cancellationToken)
    {
        var todo = new Retention(work.Blocks.Values, _options, _options.Time.GetUtcNow()).ToDownsample(resolutionMs)
            .Where(m => !_notDownsampled.Contains(m.Id) && !_nothingToDownsample.Contains(m.Id)).ToList();
        _metrics.TodoDownsampleBlocks.Set(todo.Count);
        foreach (var source in todo)
        {
            await StepAsync("downsampling", work, async () =>
            {
                if (await IsMarkedAsync(() => _blocks.NoDownsampleMarkAsync(source.Id, cancellationToken)))
                {
                    return;
                }

                var clock = Stopwatch.GetTimestamp();
                try
                {
                    var made = await _compactor.DownsampleAsync(source, resolutionMs, cancellationToken);
                    if (made is null)
                    {
                        _nothingToDownsample.Add(source.Id);
                        return;
                    }

                    work.Blocks[made.Id] = made;
                    work.Downsamplings++;
                    _metrics.Downsamplings.WithLabels(Resolution(resolutionMs)).Inc();
                    var elapsed = Stopwatch.GetElapsedTime(clock);
                    _metrics.DownsamplingDuration.WithLabels(Resolution(resolutionMs)).Observe(elapsed.TotalSeconds);
                    LogDownsampled(source.Id, Resolution(resolutionMs), made.Id, elapsed.TotalMilliseconds);
                }
                catch (DamagedBlockException e)
                {
                    _metrics.DownsamplingFailures.WithLabels(Resolution(resolutionMs)).Inc();
                    _notDownsampled.Add(source.Id);
                    await QuarantineAsync(e, work, cancellationToken);
                }
                catch (Exception) when (!cancellationToken.IsCancellationRequested)
                {
                    _metrics.DownsamplingFailures.WithLabels(Resolution(resolutionMs)).Inc();
                    throw;
                }
            }, cancellationToken);
        }
    }

    async Task RetainAsync(Iteration work, CancellationToken cancellationToken)
    {
        var past = new Retention(work.Blocks.Values, _options, _options.Time.GetUtcNow()).Past();
        _metrics.TodoDeletionBlocks.Set(past.Count);
        var kept = 0;
        foreach (var (block, successors) in past)
        {
            if (_nothingToDownsample.Contains(block.Id) || (successors is not null && await AreSoundAsync(successors, cancellationToken)))
            {
                await MarkAsync(block, work, "retention", "older than its resolution is kept", cancellationToken);
                continue;
            }

            kept++;
            if (_keptPastRetention.Add(block.Id))
            {
                LogKept(block.Id, Resolution(block.ResolutionMs));
            }
        }

        _metrics.KeptPastRetention.Set(kept);
    }

    /// <summary>Whether no block was found damaged. All were verified when they were made.</summary>
    async Task<bool> AreSoundAsync(IReadOnlyList<BlockMeta> blocks, CancellationToken cancellationToken)
    {
        foreach (var block in blocks)
        {
            if (_damaged.Contains(block.Id) || await IsMarkedAsync(async () =>
                await _blocks.NoCompactMarkAsync(block.Id, cancellationToken) is { Reason: Damaged } mark ? mark : null))
            {
                return false;
            }
        }

        return true;
    }

    async Task MarkAsync(BlockMeta block, Iteration work, string reason, string details, CancellationToken cancellationToken)
    {
        if (await _blocks.MarkForDeletionAsync(block.Id, details, _options.Time.GetUtcNow(), cancellationToken))
        {
            _metrics.BlocksMarked.WithLabels(DeletionMark.FileName, reason).Inc();
            work.Marked++;
        }

        work.Blocks.Remove(block.Id);
    }

    /// <summary>
    /// Marks a damaged block as not to be compacted, for this compactor and every other; what can be read of it is still served.
    /// </summary>
    async Task QuarantineAsync(DamagedBlockException damage, Iteration work, CancellationToken cancellationToken)
    {
        work.Failures++;
        LogDamaged(damage.Id, damage.Fault);
        _damaged.Add(damage.Id);
        _leftAlone.Add(damage.Id);
        if (await _blocks.MarkNoCompactAsync(damage.Id, Damaged, damage.Fault, _options.Time.GetUtcNow(), cancellationToken))
        {
            _metrics.BlocksMarked.WithLabels(NoCompactMark.FileName, Damaged).Inc();
        }
    }

    static string Resolution(long resolutionMs) => resolutionMs switch
    {
        0 => "raw",
        Downsampler.FiveMinutes => "5m",
        Downsampler.OneHour => "1h",
        _ => Tsdb.Model.Duration.Format(resolutionMs),
    };

    [LoggerMessage(LogLevel.Warning, "step failed, the next iteration tries again: step={Step} err={Error}")]
    partial void LogFailed(Exception exception, string step, string error);

    [LoggerMessage(LogLevel.Warning, "mark can't be read, its block is left alone: err={Error}")]
    partial void LogBadMark(string error);

    [LoggerMessage(LogLevel.Error, "block is damaged and left out of compaction from now on: block={Block} err={Error}")]
    partial void LogDamaged(BlockId block, string error);

    [LoggerMessage(LogLevel.Warning,
        "block past its retention stays, for no sound coarser block has all that is in it: block={Block} resolution={Resolution}")]
    partial void LogKept(BlockId block, string resolution);

    [LoggerMessage(LogLevel.Information, "compacted: group={Group} sources={Sources} block={Block} samples={Samples} ms={Milliseconds}")]
    partial void LogCompacted(string group, int sources, BlockId? block, long samples, double milliseconds);

    [LoggerMessage(LogLevel.Information, "downsampled: source={Source} resolution={Resolution} block={Block} ms={Milliseconds}")]
    partial void LogDownsampled(BlockId source, string resolution, BlockId block, double milliseconds);

    /// <summary>One iteration's view of the bucket, kept up as blocks are made and marked, and what was done.</summary>
    sealed class Iteration
    {
        public MetaView View { get; set; } = null!;

        public Dictionary<BlockId, BlockMeta> Blocks { get; } = [];

        public HashSet<BlockId> Checked { get; } = [];

        public int Compactions { get; set; }

        public int Downsamplings { get; set; }

        public int Marked { get; set; }

        public int Deleted { get; set; }

        public int Failures { get; set; }
    }
}
