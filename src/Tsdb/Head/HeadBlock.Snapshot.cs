using Microsoft.Extensions.Logging;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

/// <summary>
/// Where the log has grown long, all series and their chunks are written into one file, so that a start reads only the segments after it.
/// The log keeps what it has: a snapshot that is missing, damaged or does not fit the log costs time and nothing else.
/// </summary>
public sealed partial class HeadBlock
{
    const string SnapshotName = "head.snapshot";

    (int Segment, int Checkpoint, long Bytes) _snapshot = (-1, -1, 0);

    string SnapshotPath => Path.Combine(_options.Directory, SnapshotName);

    /// <summary>
    /// Writes a snapshot when a start would read more of the log than the options say, and more than half as much as the last snapshot has.
    /// </summary>
    void SaveSnapshot(CancellationToken cancellationToken)
    {
        try
        {
            var checkpoint = Checkpoint.Last(WalDirectory)?.Index ?? -1;
            if (_snapshot.Segment >= 0 && _snapshot.Checkpoint != checkpoint)
            {
                File.Delete(SnapshotPath);
                _snapshot = (-1, -1, 0);
            }

            if (_options.SnapshotBytes == 0 || BytesToReplay() <= Math.Max(_options.SnapshotBytes, _snapshot.Bytes / 2) || !IsRoomForSnapshot())
            {
                return;
            }

            var start = _options.Time.GetTimestamp();
            var segment = Wal.NextSegment() - 1;
            lock (_committing)
            {
                // Whoever logged into that segment has applied it, too.
            }

            _snapshot = (segment, checkpoint, WriteSnapshot(segment, checkpoint, cancellationToken));
            LogSnapshot(segment, _snapshot.Bytes, _options.Time.GetElapsedTime(start).TotalMilliseconds);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogSnapshotFailed(e);
        }
    }

    long BytesToReplay()
    {
        var (checkpoint, segments) = Checkpoint.Replay(WalDirectory);
        return segments.Where(segment => segment.Index > _snapshot.Segment).Concat(_snapshot.Segment < 0 ? checkpoint : [])
            .Sum(segment => new FileInfo(segment.Path).Length);
    }

    /// <summary>The log needs what is left of the disk more than this does.</summary>
    bool IsRoomForSnapshot() => new DriveInfo(_options.Directory).AvailableFreeSpace > 2 * (_files.Bytes + _arena.UsedBytes);

    long WriteSnapshot(int segment, int checkpoint, CancellationToken cancellationToken)
    {
        var bytes = new FileInfo(WalSegment.At(WalDirectory, segment).Path).Length;
        var header = new HeadSnapshotHeader(segment, bytes, checkpoint, Series.LastRef);
        using var writer = new HeadSnapshotWriter(SnapshotPath, header);
        var closed = new List<ClosedChunk>();
        for (var slot = 0; slot < Series.SlotCount; slot++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            closed.Clear();
            MemSeries series;
            Chunk open;
            lock (Series.Stripe(slot))
            {
                series = Series.At(slot);
                open = series.Ref == 0 ? default : Chunks.Snapshot(series, slot, TimeRange.All, closed);
            }

            // One without samples is written too: the log does not name a series twice, and samples of it may follow.
            if (!Series.TryGetLabels(series.Ref, out var labels))
            {
                continue;
            }

            writer.Series.UInt32(series.Ref);
            writer.Series.LengthPrefixed(labels.Encoded);
            writer.Series.Double(series.Xor.LastValue);
            writer.Series.UVarint((ulong)(closed.Count + (open.Data.IsEmpty ? 0 : 1)));
            foreach (var chunk in closed)
            {
                Write(writer.Series, Chunks.Read(chunk));
            }

            if (!open.Data.IsEmpty)
            {
                Write(writer.Series, open);
            }

            writer.EndSeries();
        }

        writer.Finish();
        return writer.Length;
    }

    static void Write(ByteWriter into, in Chunk chunk)
    {
        into.Byte((byte)chunk.Encoding);
        into.Varint(chunk.MinTime);
        into.UVarint((ulong)(chunk.MaxTime - chunk.MinTime));
        into.LengthPrefixed(chunk.Data.Span);
    }

    /// <summary>Reads the snapshot into memory, but for what lies in blocks. What was read of a damaged one is right, and stays.</summary>
    /// <param name="checkpoint">The log's; -1 when it has none.</param>
    /// <param name="range">The samples that were read or lie in blocks.</param>
    /// <returns>The last segment that need not be read; -1 when the log is to be read from its beginning.</returns>
    int LoadSnapshot(int checkpoint, out TimeRange range, CancellationToken cancellationToken)
    {
        var (minTime, maxTime) = (long.MaxValue, long.MinValue);
        range = new TimeRange(minTime, maxTime);
        if (!File.Exists(SnapshotPath))
        {
            return -1;
        }

        try
        {
            using var reader = new HeadSnapshotReader(SnapshotPath);
            var (segment, bytes, truncated, lastRef) = reader.Header;
            if (truncated != checkpoint || !File.Exists(WalSegment.At(WalDirectory, segment + 1).Path)
                || new FileInfo(WalSegment.At(WalDirectory, segment).Path) is not { Exists: true } file || file.Length != bytes)
            {
                LogSnapshotOutlived(SnapshotPath, segment);
                File.Delete(SnapshotPath);
                return -1;
            }

            Series.SkipTo(lastRef);
            for (var frame = reader.Next(); !frame.IsEmpty; frame = reader.Next())
            {
                cancellationToken.ThrowIfCancellationRequested();
                for (var rest = new ByteReader(frame, SnapshotPath); !rest.AtEnd;)
                {
                    LoadSeries(ref rest, ref minTime, ref maxTime);
                    range = new TimeRange(minTime, maxTime);
                }
            }

            _snapshot = (segment, checkpoint, reader.Length);
            return segment;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            LogSnapshotDamaged(e, SnapshotPath);
            return -1;
        }
    }

    void LoadSeries(ref ByteReader reader, ref long minTime, ref long maxTime)
    {
        var (reference, labels) = (reader.UInt32(), Labels.FromEncoded(reader.LengthPrefixed()));
        var (lastValue, cut) = (reader.Double(), Volatile.Read(ref _cutTime));
        if (Series.Restore(reference, labels) != RestoreResult.Restored || !Series.TryGetSlot(Series.Resolve(reference), out var slot))
        {
            reader.Fail($"a series with the reference {reference}");
            return;
        }

        ref var series = ref Series.At(slot);
        for (var count = reader.Length(); count > 0; count--)
        {
            var (encoding, from) = ((ChunkEncoding)reader.Byte(), reader.Varint());
            var to = from + (long)reader.UVarint();
            var data = reader.LengthPrefixed();
            maxTime = Math.Max(maxTime, to);
            if (to < cut || to <= series.MaxTime)
            {
                continue;
            }

            if (from < cut || from <= series.MaxTime || to < from
                || SeriesChunks.RangeStart(from, _options.BlockRangeMs) != SeriesChunks.RangeStart(to, _options.BlockRangeMs))
            {
                reader.Fail("a chunk that would lie in two blocks");
            }

            Chunks.Restore(ref series, encoding, from, to, data, lastValue);
            minTime = Math.Min(minTime, from);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "snapshot of the head written: write-ahead log up to segment {segment}, {bytes} bytes, {milliseconds} ms")]
    partial void LogSnapshot(int segment, long bytes, double milliseconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "no snapshot of the head written, so that a start takes longer; it is tried again")]
    partial void LogSnapshotFailed(Exception e);

    [LoggerMessage(Level = LogLevel.Information, Message = "{path} stands for segments up to {segment}, which the write-ahead log does not go on from: the log is read instead")]
    partial void LogSnapshotOutlived(string path, int segment);

    [LoggerMessage(Level = LogLevel.Error, Message = "{path} can't be read to its end: the write-ahead log is read instead")]
    partial void LogSnapshotDamaged(Exception e, string path);
}
