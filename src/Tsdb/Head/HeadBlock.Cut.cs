using Microsoft.Extensions.Logging;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

public sealed partial class HeadBlock
{
    /// <summary>Samples before it are gone from memory; long.MinValue while none are.</summary>
    long _truncatedBefore = long.MinValue;

    /// <summary>Samples before it are in blocks.</summary>
    long _blockEnd = long.MinValue;

    /// <summary>A block that nobody was told of yet; until somebody was, its samples stay in memory.</summary>
    string? _newBlock;

    /// <summary>
    /// Cuts each whole range that is due (the head spans more than 1.5 ranges) into a block, drops its samples from memory and log,
    /// and returns the folders of the new blocks, oldest first. With <paramref name="force"/> all samples are cut, the last range
    /// as far as it goes: what a graceful stop does once nobody appends any more. One call at a time; others wait.
    /// </summary>
    /// <remarks>
    /// A block may be shipped and deleted once this has returned: from then on a restart knows without it that its samples were cut.
    /// </remarks>
    /// <exception cref="IOException">
    /// A block could not be written; its samples stay in head and log, and a later call tries again.
    /// </exception>
    public async Task<IReadOnlyList<string>> CutAsync(bool force, CancellationToken cancellationToken)
    {
        await _cutting.WaitAsync(cancellationToken);
        try
        {
            var blocks = IsAheadOfClock() ? await LeaveFutureAsync(cancellationToken) : await CutRangesAsync(force, cancellationToken);
            await _options.Background.RunAsync(() => SaveSnapshot(cancellationToken), cancellationToken);
            return blocks;
        }
        finally
        {
            _cutting.Release();
        }
    }

    /// <summary>Drops the samples before a time, which somebody else has in blocks that are read beside the head.</summary>
    public async Task DropAsync(long before, CancellationToken cancellationToken)
    {
        await _cutting.WaitAsync(cancellationToken);
        try
        {
            if (before > _truncatedBefore && Range is { IsEmpty: false } range && range.MinTime < before)
            {
                Freeze(before);
                await TruncateAsync(before, cancellationToken);
            }
        }
        finally
        {
            _cutting.Release();
        }
    }

    async Task<List<string>> CutRangesAsync(bool force, CancellationToken cancellationToken)
    {
        var blocks = new List<string>();
        var newest = Range.MaxTime;
        while (true)
        {
            if (_newBlock is { } cut)
            {
                await (_options.BlockCut?.Invoke(cut, cancellationToken) ?? ValueTask.CompletedTask);
                _newBlock = null;
            }

            if (_blockEnd > _truncatedBefore)
            {
                await TruncateAsync(_blockEnd, cancellationToken);
                await _options.Background.RunAsync(() => TruncateWal(_blockEnd), cancellationToken);
            }

            if (NextCut(force, newest) is not { } range)
            {
                return blocks;
            }

            if (await CutAsync(range, cancellationToken) is { } block)
            {
                blocks.Add(block);
            }
        }
    }

    /// <summary>The oldest range that is to be cut, both ends inclusive; null when none is.</summary>
    /// <param name="newest">The newest sample when the cutting began: forced or not, it ends somewhere.</param>
    TimeRange? NextCut(bool force, long newest)
    {
        var head = Range;
        if (head.IsEmpty || head.MinTime > newest || (!force && head.MaxTime - head.MinTime <= _options.BlockRangeMs / 2 * 3))
        {
            return null;
        }

        var start = SeriesChunks.RangeStart(head.MinTime, _options.BlockRangeMs);
        var end = start + _options.BlockRangeMs - 1;
        return new TimeRange(Math.Max(start, _visibleFrom), force ? Math.Min(end, newest) : end);
    }

    async Task<string?> CutAsync(TimeRange range, CancellationToken cancellationToken)
    {
        Freeze(range.MaxTime + 1);
        string? block;
        try
        {
            block = await _options.Background.RunAsync(() => WriteBlock(range, cancellationToken), cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            HeadMetrics.CompactionsFailed.Inc();
            throw;
        }

        // After a crash before the next line the newest block says what was cut, after a crash behind it the state file does.
        _blockEnd = range.MaxTime + 1;
        SaveState(_blockEnd);
        if (block is not null)
        {
            HeadMetrics.Compactions.Inc();
            LogCut(block, range.MinTime, range.MaxTime + 1);
            _newBlock = block;
        }

        return block;
    }

    /// <summary>From now on samples before a time are refused, and no chunk holds samples from both sides of it.</summary>
    void Freeze(long time)
    {
        lock (_committing)
        {
            lock (_applying)
            {
                Volatile.Write(ref _cutTime, Math.Max(_cutTime, time));
                for (var slot = 0; slot < Series.SlotCount; slot++)
                {
                    lock (Series.Stripe(slot))
                    {
                        ref var series = ref Series.At(slot);
                        if (series.OpenMinTime < time)
                        {
                            series.NextAt = Math.Min(series.NextAt, time);
                        }
                    }
                }
            }
        }
    }

    string? WriteBlock(TimeRange range, CancellationToken cancellationToken)
    {
        var selected = new List<(Labels Labels, uint Ref)>();
        for (var slot = 0; slot < Series.SlotCount; slot++)
        {
            uint reference;
            lock (Series.Stripe(slot))
            {
                ref readonly var series = ref Series.At(slot);
                reference = series.Ref != 0 && Chunks.HasChunks(series, slot, range) ? series.Ref : 0;
            }

            if (reference != 0 && Series.TryGetLabels(reference, out var labels))
            {
                selected.Add((labels, reference));
            }
        }

        selected.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        var id = BlockId.New(_options.Time.GetUtcNow(), new Random());
        using var writer = BlockWriter.Create(_options.Directory, id);
        var closed = new List<ClosedChunk>();
        var chunks = new List<Chunk>();
        foreach (var (labels, reference) in selected)
        {
            cancellationToken.ThrowIfCancellationRequested();
            closed.Clear();
            chunks.Clear();
            Chunk open = default;
            if (Series.TryGetSlot(reference, out var slot))
            {
                lock (Series.Stripe(slot))
                {
                    open = Chunks.Snapshot(Series.At(slot), slot, range, closed);
                }
            }

            foreach (var chunk in closed)
            {
                chunks.Add(Chunks.Read(chunk));
            }

            if (!open.Data.IsEmpty)
            {
                chunks.Add(open);
            }

            writer.Add(labels, chunks);
        }

        var meta = new BlockMeta { Id = id, MinTime = range.MinTime, MaxTime = range.MaxTime + 1 };
        return writer.Finish(meta) is null ? null : Path.Combine(_options.Directory, id.ToString());
    }

    async Task TruncateAsync(long time, CancellationToken cancellationToken)
    {
        lock (_applying)
        {
            Volatile.Write(ref _visibleFrom, time);
        }

        if (!await _readers.DrainAsync(ReaderPatience, _options.Time, cancellationToken))
        {
            LogSlowReaders(ReaderPatience);
        }

        Volatile.Write(ref _truncatedBefore, time);
        lock (_committing)
        {
            var oldest = DropSeries(time, all: false);
            Volatile.Write(ref _minTime, oldest);
            if (oldest == long.MaxValue)
            {
                Volatile.Write(ref _maxTime, long.MinValue);
            }
        }

        _files.DropBefore(time);
        HeadMetrics.Truncations.Inc();
    }

    /// <summary>
    /// Drops chunks that end before a time, and series without chunks: those that are new only with <paramref name="all"/>.
    /// </summary>
    /// <returns>The time of the oldest sample; long.MaxValue when there is none.</returns>
    long DropSeries(long time, bool all)
    {
        var oldest = long.MaxValue;
        var dropped = new HashSet<uint>();
        for (var slot = 0; slot < Series.SlotCount; slot++)
        {
            lock (Series.Stripe(slot))
            {
                ref var series = ref Series.At(slot);
                if (series.Ref == 0)
                {
                    continue;
                }

                var first = Chunks.Truncate(ref series, slot, time);
                oldest = Math.Min(oldest, first);
                if (first != long.MaxValue || series.Pending > 0)
                {
                    continue;
                }

                if (all || series.MaxTime != long.MinValue || (series.Flags & SeriesFlags.Unused) != 0)
                {
                    dropped.Add(series.Ref);
                    series.Flags |= SeriesFlags.Dropped;
                }

                series.Flags |= SeriesFlags.Unused;
            }
        }

        Series.Drop(dropped);
        HeadMetrics.SeriesRemoved.Inc(dropped.Count);
        return oldest;
    }

    /// <summary>Replaces the older two thirds of the log by a checkpoint; all of it when the head is empty.</summary>
    /// <returns>False when the log is as it was.</returns>
    bool TruncateWal(long time)
    {
        _walMetrics.Truncations.Inc();
        try
        {
            var last = Wal.NextSegment() - 1;
            var segments = Checkpoint.Replay(WalDirectory).Segments;
            if (segments.Count == 0)
            {
                return true;
            }

            var first = segments[0].Index;
            var upTo = Range.IsEmpty ? last : first + ((last - first) * 2 / 3);
            foreach (var damage in Checkpoint.Create(WalDirectory, upTo, Series.IsKnown, time, _options.WalSegmentBytes, _options.Disk))
            {
                _walMetrics.Corruptions.Inc();
                LogDamage(damage.ToString());
            }

            return true;
        }
        catch (Exception e)
        {
            _walMetrics.TruncationsFailed.Inc();
            LogTruncateFailed(e);
            return false;
        }
    }

    void RemoveUnfinished()
    {
        File.Delete(HeadSnapshotWriter.TemporaryOf(SnapshotPath));
        foreach (var directory in Directory.EnumerateDirectories(_options.Directory, "*" + BlockWriter.TemporarySuffix))
        {
            if (BlockId.TryParse(Path.GetFileNameWithoutExtension(directory), out _))
            {
                Directory.Delete(directory, recursive: true);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "block cut: {block}, from {minTime} to {maxTime}")]
    partial void LogCut(string block, long minTime, long maxTime);

    [LoggerMessage(Level = LogLevel.Warning, Message = "readers of the head took longer than {patience}, their samples leave memory now")]
    partial void LogSlowReaders(TimeSpan patience);

    [LoggerMessage(Level = LogLevel.Error, Message = "write-ahead log not truncated, it is tried again after the next block")]
    partial void LogTruncateFailed(Exception e);
}
