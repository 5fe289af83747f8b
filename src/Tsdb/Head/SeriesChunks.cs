using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Head;

/// <summary>
/// The samples of series: appends to the open chunk, closes it, reads it. Callers hold the lock of the series' stripe.
/// </summary>
/// <remarks>
/// Chunks are cut where Prometheus cuts them: at 120 samples, spread evenly up to the end of the block's range once a quarter of them
/// is there, never across that end, and at 1 KiB. A sample with a start timestamp opens a chunk whose encoding has start timestamps, if
/// none is open; samples without one then go into it too, until it is full.
/// </remarks>
sealed class SeriesChunks(ByteArena arena, ChunkFiles files, long rangeMs)
{
    const int PageBits = 12;
    const int PageSize = 1 << PageBits;

    // An open chunk is a list of pieces of one size. As one run it would have to move to a larger run again and again, and since all
    // series grow at the same time, the smaller runs that they leave would not be used again.
    const int PieceSize = 64;
    const int LinkSize = sizeof(uint);
    const int PieceData = PieceSize - LinkSize;

    [ThreadStatic]
    static byte[]? _scratch;

    [ThreadStatic]
    static byte[]? _scratchChunk;

    // Both by slot: few series have such a chunk, and a field for it in MemSeries would cost memory for all of them.
    readonly ConcurrentDictionary<int, Xor2Appender> _withStarts = new();
    readonly ConcurrentDictionary<int, HistogramAppender> _histograms = new();
    readonly Lock _closedLock = new();
    ClosedChunk[][] _closed = [];
    int _closedCount;
    int _free;
    long _chunks;

    /// <summary>Open and closed chunks.</summary>
    public long Count => Volatile.Read(ref _chunks);

    /// <summary>The start of the range of a block that a time is in.</summary>
    public static long RangeStart(long time, long rangeMs) => time - ((((time % rangeMs) + rangeMs)) % rangeMs);

    /// <summary>The result of appending a sample, without regard to the times that the head accepts.</summary>
    public static AppendResult Check(in MemSeries series, long time, double value)
    {
        if (time > series.MaxTime)
        {
            return AppendResult.Appended;
        }

        return time < series.MaxTime ? AppendResult.OutOfOrder
            : (series.Flags & SeriesFlags.Histogram) == 0
              && BitConverter.DoubleToUInt64Bits(value) == BitConverter.DoubleToUInt64Bits(series.Xor.LastValue) ? AppendResult.Appended
            : AppendResult.DuplicateTimestamp;
    }

    public AppendResult Check(in MemSeries series, int slot, long time, Histogram histogram)
    {
        if (time > series.MaxTime)
        {
            return AppendResult.Appended;
        }

        return time == series.MaxTime && IsLast(series, slot, histogram) ? AppendResult.Appended
            : time < series.MaxTime ? AppendResult.OutOfOrder : AppendResult.DuplicateTimestamp;
    }

    /// <param name="time">After the newest sample's.</param>
    /// <param name="start">When the counter started, Unix milliseconds; 0 where unknown.</param>
    public void Append(ref MemSeries series, int slot, long time, double value, long start)
    {
        if ((series.Flags & SeriesFlags.Histogram) != 0)
        {
            if (StaleMarker.IsStale(value) && NewestForm(series, slot) is { } form)
            {
                Append(ref series, slot, time, new Histogram { IsInteger = form.IsInteger, Sum = StaleMarker.Value }, start);
                return;
            }

            CloseHistogram(ref series, slot);
            series.Flags &= ~SeriesFlags.Histogram;
        }

        if ((series.Flags & SeriesFlags.StartTimestamps) != 0)
        {
            var open = _withStarts[slot];
            if (!IsFull(ref series, time, open.Count, open.Length))
            {
                open.Append(time, value, start);
                series.Xor.Remember(value);
                series.MaxTime = time;
                return;
            }

            CloseFloatWithStart(ref series, slot);
        }

        if (series.Open != 0 && (IsFull(ref series, time, series.Xor.Count, series.OpenLength) || start != 0))
        {
            CloseFloat(ref series);
        }

        if (start != 0)
        {
            BeginWithStart(ref series, slot, time, value, start);
            return;
        }

        if (series.Open == 0)
        {
            series.Xor.Restart();
            series.Open = series.OpenLast = AddPiece();
            (series.OpenLength, series.FreeBits) = (XorChunk.HeaderSize, 0);
            Begin(ref series, time);
        }

        Write(ref series, time, value);
        series.MaxTime = time;
    }

    /// <param name="time">After the newest sample's.</param>
    /// <param name="start">When the counter started, Unix milliseconds; 0 where unknown.</param>
    public void Append(ref MemSeries series, int slot, long time, Histogram histogram, long start)
    {
        if (series.Open != 0)
        {
            CloseFloat(ref series);
        }
        else if ((series.Flags & SeriesFlags.StartTimestamps) != 0)
        {
            CloseFloatWithStart(ref series, slot);
        }

        var last = _histograms.GetValueOrDefault(slot);
        if (last is null || time >= series.NextAt
            || (start != 0 && !last.HasStarts) || last.IsFull
            || !last.TryAppend(time, histogram, start))
        {
            if (last is not null)
            {
                CloseHistogram(ref series, slot);
            }

            var open = new HistogramAppender(histogram, last, hasStarts: start != 0);
            if (!open.TryAppend(time, histogram, start))
            {
                throw new InvalidOperationException("an empty chunk refuses a histogram");
            }

            _histograms[slot] = open;
            Begin(ref series, time);
        }

        series.Flags |= SeriesFlags.Histogram;
        series.MaxTime = time;
    }

    /// <summary>
    /// The chunks that overlap a range, in order of time: where closed ones are, to be read outside the lock, and a copy of the open one.
    /// </summary>
    /// <returns>The open chunk; without data when there is none in the range.</returns>
    public Chunk Snapshot(in MemSeries series, int slot, TimeRange range, List<ClosedChunk> closed)
    {
        for (var i = series.Closed; i != 0;)
        {
            ref readonly var chunk = ref ClosedAt(i - 1);
            if (chunk.MaxTime < range.MinTime)
            {
                break;
            }

            if (chunk.MinTime <= range.MaxTime)
            {
                closed.Add(chunk);
            }

            i = chunk.Next;
        }

        closed.Reverse();
        if (series.MaxTime < range.MinTime || series.OpenMinTime > range.MaxTime)
        {
            return default;
        }

        if (_histograms.TryGetValue(slot, out var histograms))
        {
            return new Chunk(series.OpenMinTime, series.MaxTime, histograms.Encoding, histograms.Written.ToArray());
        }

        if ((series.Flags & SeriesFlags.StartTimestamps) != 0)
        {
            return new Chunk(series.OpenMinTime, series.MaxTime, ChunkEncoding.Xor2, _withStarts[slot].Written.ToArray());
        }

        if (series.Open == 0)
        {
            return default;
        }

        var data = new byte[series.OpenLength];
        Gather(series, data);
        return new Chunk(series.OpenMinTime, series.MaxTime, ChunkEncoding.Xor, data);
    }

    /// <summary>Adds a chunk behind all that the series has, to which nothing is appended.</summary>
    /// <param name="lastValue">The series' newest value, where the chunk is the last and has floats.</param>
    public void Restore(ref MemSeries series, ChunkEncoding encoding, long minTime, long maxTime, ReadOnlySpan<byte> data, double lastValue)
    {
        Interlocked.Increment(ref _chunks);
        (series.OpenMinTime, series.MaxTime) = (minTime, maxTime);
        var isFloat = encoding is ChunkEncoding.Xor or ChunkEncoding.Xor2;
        series.Flags = isFloat ? series.Flags & ~SeriesFlags.Histogram : series.Flags | SeriesFlags.Histogram;
        series.Xor.Remember(lastValue);
        AddClosed(ref series, data, encoding);
    }

    /// <exception cref="IOException"/>
    public Chunk Read(in ClosedChunk chunk) => new(chunk.MinTime, chunk.MaxTime, chunk.Encoding, files.Read(chunk.At, chunk.Length));

    /// <summary>Whether the series has a sample in the range.</summary>
    public bool HasChunks(in MemSeries series, int slot, TimeRange range)
    {
        if (IsOpen(series, slot) && series.MaxTime >= range.MinTime && series.OpenMinTime <= range.MaxTime)
        {
            return true;
        }

        for (var i = series.Closed; i != 0; i = ClosedAt(i - 1).Next)
        {
            ref readonly var chunk = ref ClosedAt(i - 1);
            if (chunk.MaxTime < range.MinTime)
            {
                return false;
            }

            if (chunk.MinTime <= range.MaxTime)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Drops the chunks that end before a time.</summary>
    /// <returns>The time of the oldest sample that is left; long.MaxValue when none is.</returns>
    public long Truncate(ref MemSeries series, int slot, long minTime)
    {
        var oldest = long.MaxValue;
        if (IsOpen(series, slot))
        {
            if (series.MaxTime < minTime)
            {
                Interlocked.Decrement(ref _chunks);
                _histograms.TryRemove(slot, out _);
                _withStarts.TryRemove(slot, out _);
                series.Flags &= ~SeriesFlags.StartTimestamps;
                FreeOpen(ref series);
            }
            else
            {
                oldest = series.OpenMinTime;
            }
        }

        ref var link = ref series.Closed;
        while (link != 0 && ClosedAt(link - 1).MaxTime >= minTime)
        {
            ref var kept = ref ClosedAt(link - 1);
            oldest = Math.Min(oldest, kept.MinTime);
            link = ref kept.Next;
        }

        var rest = link;
        link = 0;
        while (rest != 0)
        {
            rest = FreeClosed(rest);
        }

        return oldest;
    }

    static long EndTime(long start, long now, long end)
    {
        var chunks = (end - start) / (4.0 * (now - start + 1));
        return chunks <= 1 ? end : (long)(start + ((end - start) / Math.Floor(chunks)));
    }

    /// <summary>Whether a sample of floats is to go into a new chunk.</summary>
    static bool IsFull(ref MemSeries series, long time, int count, int length)
    {
        if (count == XorChunk.TargetSamples / 4)
        {
            series.NextAt = EndTime(series.OpenMinTime, series.MaxTime, series.NextAt);
        }

        return time >= series.NextAt || count >= 2 * XorChunk.TargetSamples || length > XorChunk.MaxBytesBeforeAppend;
    }

    /// <summary>The form of the newest chunk of histograms, open or closed; null where that is one of floats, or there is none.</summary>
    HistogramForm? NewestForm(in MemSeries series, int slot)
    {
        if (_histograms.TryGetValue(slot, out var open))
        {
            return HistogramForm.Of(open.Encoding);
        }

        return series.Closed != 0 && ClosedAt(series.Closed - 1).Encoding is not (ChunkEncoding.Xor or ChunkEncoding.Xor2) and var encoding
            ? HistogramForm.Of(encoding) : null;
    }

    bool IsOpen(in MemSeries series, int slot) =>
        series.Open != 0 || (series.Flags & SeriesFlags.StartTimestamps) != 0
        || ((series.Flags & SeriesFlags.Histogram) != 0 && _histograms.ContainsKey(slot));

    bool IsLast(in MemSeries series, int slot, Histogram histogram)
    {
        if (!_histograms.TryGetValue(slot, out var open))
        {
            return false;
        }

        using var samples = new HistogramIterator(open.Encoding, open.Written.ToArray(), "head", 0);
        var batch = new SampleBatch();
        Histogram? last = null;
        while (samples.Read(batch))
        {
            last = batch.Histograms[batch.Count - 1];
        }

        return last is not null
            && last.IsInteger == histogram.IsInteger && last.Schema == histogram.Schema && last.Count.Equals(histogram.Count)
            && BitConverter.DoubleToUInt64Bits(last.Sum) == BitConverter.DoubleToUInt64Bits(histogram.Sum)
            && last.ZeroCount.Equals(histogram.ZeroCount);
    }

    void Begin(ref MemSeries series, long time)
    {
        Interlocked.Increment(ref _chunks);
        series.OpenMinTime = time;
        series.NextAt = RangeStart(time, rangeMs) + rangeMs;
    }

    void BeginWithStart(ref MemSeries series, int slot, long time, double value, long start)
    {
        var open = new Xor2Appender();
        open.Append(time, value, start);
        _withStarts[slot] = open;
        series.Flags |= SeriesFlags.StartTimestamps;
        series.Xor.Remember(value);
        Begin(ref series, time);
        series.MaxTime = time;
    }

    /// <summary>Encodes a sample in a buffer of its own, then puts its bytes behind those of the chunk.</summary>
    void Write(ref MemSeries series, long time, double value)
    {
        var scratch = _scratch ??= new byte[64];
        var piece = arena.Span(series.OpenLast, PieceSize);
        var used = LinkSize + ((series.OpenLength - 1) % PieceData) + 1;
        scratch[0] = piece[used - 1];
        var bits = BitWriter.Resume(scratch, 1, series.FreeBits);
        series.Xor.Append(ref bits, time, value);
        var written = bits.Written;
        piece[used - 1] = written[0];
        written = written[1..];
        series.OpenLength += written.Length;
        series.FreeBits = (byte)bits.Free;
        while (!written.IsEmpty)
        {
            if (used == PieceSize)
            {
                var next = AddPiece();
                MemoryMarshal.Write(piece, next);
                series.OpenLast = next;
                piece = arena.Span(next, PieceSize);
                used = LinkSize;
            }

            var part = written[..Math.Min(written.Length, PieceSize - used)];
            part.CopyTo(piece[used..]);
            used += part.Length;
            written = written[part.Length..];
        }
    }

    uint AddPiece()
    {
        var piece = arena.Allocate(PieceSize);
        MemoryMarshal.Write(arena.Span(piece, LinkSize), 0u);
        return piece;
    }

    /// <summary>The open chunk in one, as it would be written to a file.</summary>
    void Gather(in MemSeries series, Span<byte> data)
    {
        var rest = data;
        for (var at = series.Open; !rest.IsEmpty;)
        {
            var piece = arena.Span(at, PieceSize);
            var part = piece.Slice(LinkSize, Math.Min(rest.Length, PieceData));
            part.CopyTo(rest);
            rest = rest[part.Length..];
            at = MemoryMarshal.Read<uint>(piece);
        }

        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)series.Xor.Count);
    }

    void CloseFloat(ref MemSeries series)
    {
        var data = (_scratchChunk ??= new byte[2 * XorChunk.MaxBytesBeforeAppend]).AsSpan(0, series.OpenLength);
        Gather(series, data);
        AddClosed(ref series, data, ChunkEncoding.Xor);
        FreeOpen(ref series);
    }

    void CloseFloatWithStart(ref MemSeries series, int slot)
    {
        series.Flags &= ~SeriesFlags.StartTimestamps;
        if (_withStarts.TryRemove(slot, out var open))
        {
            AddClosed(ref series, open.Written, ChunkEncoding.Xor2);
        }
    }

    void CloseHistogram(ref MemSeries series, int slot)
    {
        if (_histograms.TryRemove(slot, out var open))
        {
            AddClosed(ref series, open.Written, open.Encoding);
        }
    }

    void FreeOpen(ref MemSeries series)
    {
        for (var piece = series.Open; piece != 0;)
        {
            var next = MemoryMarshal.Read<uint>(arena.Span(piece, LinkSize));
            arena.Free(piece, PieceSize);
            piece = next;
        }

        (series.Open, series.OpenLast, series.OpenLength) = (0, 0, 0);
    }

    void AddClosed(ref MemSeries series, ReadOnlySpan<byte> data, ChunkEncoding encoding)
    {
        var at = files.Write(data, series.MaxTime);
        lock (_closedLock)
        {
            int index;
            if (_free != 0)
            {
                index = _free - 1;
                _free = ClosedAt(index).Next;
            }
            else
            {
                index = _closedCount++;
                if (index >> PageBits == _closed.Length)
                {
                    var pages = _closed;
                    Array.Resize(ref pages, pages.Length + 1);
                    pages[^1] = new ClosedChunk[PageSize];
                    Volatile.Write(ref _closed, pages);
                }
            }

            ClosedAt(index) = new ClosedChunk
            {
                MinTime = series.OpenMinTime,
                MaxTime = series.MaxTime,
                At = at,
                Length = data.Length,
                Encoding = encoding,
                Next = series.Closed,
            };
            series.Closed = index + 1;
        }
    }

    int FreeClosed(int indexPlusOne)
    {
        lock (_closedLock)
        {
            ref var chunk = ref ClosedAt(indexPlusOne - 1);
            var next = chunk.Next;
            chunk = new ClosedChunk { Next = _free };
            _free = indexPlusOne;
            Interlocked.Decrement(ref _chunks);
            return next;
        }
    }

    ref ClosedChunk ClosedAt(int index) => ref Volatile.Read(ref _closed)[index >> PageBits][index & (PageSize - 1)];
}
