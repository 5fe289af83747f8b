using System.Buffers;
using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

/// <summary>A series of one head, valid as long as the head lives; 0 is none. Never reused while the process runs.</summary>
public readonly record struct SeriesRef(ulong Value)
{
    public bool IsNone => Value == 0;
}

/// <summary>What became of one sample: expected outcomes, counted and reported, never thrown.</summary>
public enum AppendResult : byte
{
    Appended,

    /// <summary>Older than the newest sample of its series.</summary>
    OutOfOrder,

    /// <summary>Another value at the timestamp of the series' newest sample. (The same value again is Appended.)</summary>
    DuplicateTimestamp,

    /// <summary>Before what the head still takes.</summary>
    OutOfBounds,

    /// <summary>The reference is none of this head's, or its series was dropped since: look the labels up again.</summary>
    UnknownSeries,
}

/// <summary>
/// One atomic append: samples are checked as they are added and become visible together at <see cref="Commit"/>. Reusable after
/// Commit or Rollback. Not thread-safe, but any number of appenders may be at work on one head.
/// </summary>
/// <remarks>
/// A check compares with what is committed. Of several samples that one append has for a series, and of those that two appends have for
/// it at once, those that are not newer than the last are dropped and counted at the commit.
/// </remarks>
public sealed class HeadAppender : IDisposable
{
    readonly HeadBlock _head;
    readonly SeriesTable _series;
    readonly List<uint> _unlogged = [];
    readonly List<WalHistogram> _histograms = [];
    readonly ByteWriter _record = new(4096);
    readonly WalBatch _batch = new();
    WalSample[] _samples = [];
    int _count;

    internal HeadAppender(HeadBlock head)
    {
        _head = head;
        _series = head.Series;
    }

    /// <summary>The series with these labels, made if it is new; none when they are far too many: tens of thousands.</summary>
    public SeriesRef GetOrAdd(Labels labels)
    {
        var reference = _series.GetOrAdd(labels, out var created);
        if (created)
        {
            _head.HeadMetrics.SeriesCreated.Inc();
        }

        return new SeriesRef(reference);
    }

    /// <param name="startTimestamp">When the counter started, Unix milliseconds; 0 where unknown.</param>
    public AppendResult Append(SeriesRef series, long timestamp, double value, long startTimestamp = 0)
    {
        if (!_series.TryGetSlot(series.Value, out var slot))
        {
            return AppendResult.UnknownSeries;
        }

        lock (_series.Stripe(slot))
        {
            ref var found = ref _series.At(slot);
            if (found.Ref != series.Value || (found.Flags & SeriesFlags.Dropped) != 0)
            {
                return AppendResult.UnknownSeries;
            }

            var result = timestamp < _head.MinValidTime ? AppendResult.OutOfBounds : SeriesChunks.Check(found, timestamp, value);
            if (result != AppendResult.Appended || timestamp == found.MaxTime)
            {
                return Refused(result, histogram: false);
            }

            Take(ref found);
        }

        if (_count == _samples.Length)
        {
            Grow();
        }

        _samples[_count++] = new WalSample(series.Value, timestamp, value, startTimestamp);
        return AppendResult.Appended;
    }

    /// <summary>The head keeps no reference to the histogram.</summary>
    /// <param name="startTimestamp">When the histogram's counters started, Unix milliseconds; 0 where unknown.</param>
    /// <exception cref="ArgumentException">Spans and buckets do not match, or the schema is none.</exception>
    public AppendResult Append(SeriesRef series, long timestamp, Histogram histogram, long startTimestamp = 0)
    {
        Validate(histogram);
        if (!_series.TryGetSlot(series.Value, out var slot))
        {
            return AppendResult.UnknownSeries;
        }

        lock (_series.Stripe(slot))
        {
            ref var found = ref _series.At(slot);
            if (found.Ref != series.Value || (found.Flags & SeriesFlags.Dropped) != 0)
            {
                return AppendResult.UnknownSeries;
            }

            var result = timestamp < _head.MinValidTime
                ? AppendResult.OutOfBounds : _head.Chunks.Check(found, slot, timestamp, histogram);
            if (result != AppendResult.Appended || timestamp == found.MaxTime)
            {
                return Refused(result, histogram: true);
            }

            Take(ref found);
        }

        _histograms.Add(new WalHistogram(series.Value, timestamp, histogram.Copy(), startTimestamp));
        return AppendResult.Appended;
    }

    /// <summary>Logs and applies all samples. Returns the WAL position to hand to <see cref="HeadBlock.DurableAsync"/>.</summary>
    /// <exception cref="IOException">The log could not be written (a full disk): nothing of this append is visible, the head goes on.</exception>
    public long Commit()
    {
        try
        {
            Encode();
            var position = _head.Commit(
                _batch, CollectionsMarshal.AsSpan(_unlogged), _samples.AsSpan(0, _count), CollectionsMarshal.AsSpan(_histograms));
            Forget();
            return position;
        }
        catch
        {
            Rollback();
            throw;
        }
    }

    public void Rollback()
    {
        for (var i = 0; i < _count; i++)
        {
            Release(_samples[i].Ref);
        }

        foreach (var histogram in _histograms)
        {
            Release(histogram.Ref);
        }

        Forget();
    }

    /// <summary>Rolls back what was not committed.</summary>
    public void Dispose()
    {
        Rollback();
        _record.Dispose();
        _batch.Dispose();
        Return(_samples);
        _samples = [];
    }

    static void Validate(Histogram histogram)
    {
        if (histogram.IsStale)
        {
            return;
        }

        if (histogram.Schema is not (Histogram.CustomBucketsSchema or (>= Histogram.MinExponentialSchema and <= Histogram.MaxExponentialSchema))
            || Covered(histogram.PositiveSpans) != histogram.PositiveBuckets.Length
            || Covered(histogram.NegativeSpans) != histogram.NegativeBuckets.Length)
        {
            throw new ArgumentException("spans and buckets of the histogram do not match, or its schema is unknown", nameof(histogram));
        }
    }

    static long Covered(BucketSpan[] spans)
    {
        long covered = 0;
        foreach (var span in spans)
        {
            covered += span.Length;
        }

        return covered;
    }

    static void Return(WalSample[] samples)
    {
        if (samples.Length > 0)
        {
            ArrayPool<WalSample>.Shared.Return(samples);
        }
    }

    void Take(ref MemSeries series)
    {
        series.Pending++;
        if ((series.Flags & SeriesFlags.Logged) == 0)
        {
            _unlogged.Add(series.Ref);
        }
    }

    AppendResult Refused(AppendResult result, bool histogram)
    {
        if (result != AppendResult.Appended)
        {
            _head.HeadMetrics.Refused(result, histogram);
        }

        return result;
    }

    void Grow()
    {
        var larger = ArrayPool<WalSample>.Shared.Rent(Math.Max(256, _samples.Length * 2));
        _samples.AsSpan(0, _count).CopyTo(larger);
        Return(_samples);
        _samples = larger;
    }

    void Encode()
    {
        _batch.Clear();
        if (_count > 0)
        {
            _record.Clear();
            WalRecords.Samples(_record, _samples.AsSpan(0, _count));
            _batch.Add(_record.Written);
        }

        WalRecords.AddHistograms(_batch, _record, CollectionsMarshal.AsSpan(_histograms));
    }

    void Forget()
    {
        _count = 0;
        _histograms.Clear();
        _unlogged.Clear();
    }

    /// <summary>A series with pending samples is never dropped, so that its slot is still its own.</summary>
    void Release(ulong reference)
    {
        if (_series.TryGetSlot(reference, out var slot))
        {
            lock (_series.Stripe(slot))
            {
                _series.At(slot).Pending--;
            }
        }
    }
}
