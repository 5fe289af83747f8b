using System.Buffers;
using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

/// <summary>Appends samples to a head.</summary>
/// <remarks>
/// Append checks a sample against what is committed. Where one appender has several samples for a series, or two appenders have samples
/// for it at the same time, the commit drops and counts those that are not newer than the last one.
/// </remarks>
public sealed class HeadAppender : IAppender
{
    readonly HeadBlock _head;
    readonly SeriesTable _series;
    readonly List<uint> _unlogged = [];
    readonly List<WalHistogram> _histograms = [];
    readonly List<(SeriesRef Series, Exemplar Exemplar)> _exemplars = [];
    readonly List<(SeriesRef Series, SeriesMetadata Metadata)> _metadata = [];
    readonly ByteWriter _record = new(4096);
    readonly WalBatch _batch = new();
    WalSample[] _samples = [];
    int _count;

    internal HeadAppender(HeadBlock head)
    {
        _head = head;
        _series = head.Series;
    }

    public AppendSource Source { get; set; } = AppendSource.Unknown;

    /// <summary>Older samples are refused, of any series. Unix milliseconds.</summary>
    public long MinValidTime => _head.MinValidTime;

    public SeriesRef GetOrAdd(Labels labels, out SeriesFault fault)
    {
        var series = GetOrAdd(labels);
        fault = series.IsNone ? SeriesFault.TooManyLabels : SeriesFault.None;
        return series;
    }

    /// <summary>The series with these labels; none where the head has none.</summary>
    public SeriesRef Find(Labels labels) => new(_series.Find(labels));

    /// <summary>How many series the head has, of whomever.</summary>
    public long SeriesCount => _head.SeriesCount;

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

            AddPending(ref found);
        }

        if (_count == _samples.Length)
        {
            Grow();
        }

        _samples[_count++] = new WalSample(series.Value, timestamp, value, startTimestamp);
        return AppendResult.Appended;
    }

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

            AddPending(ref found);
        }

        _histograms.Add(new WalHistogram(series.Value, timestamp, histogram.Copy(), startTimestamp));
        return AppendResult.Appended;
    }

    public void Append(SeriesRef series, in Exemplar exemplar) => _exemplars.Add((series, exemplar));

    public void Describe(SeriesRef series, SeriesMetadata metadata) => _metadata.Add((series, metadata));

    public CommitTicket Commit()
    {
        try
        {
            Encode();
            var ticket = _head.Commit(_batch, CollectionsMarshal.AsSpan(_unlogged), new PendingAppend
            {
                Source = Source,
                Samples = _samples.AsSpan(0, _count),
                Histograms = CollectionsMarshal.AsSpan(_histograms),
                Exemplars = CollectionsMarshal.AsSpan(_exemplars),
                Metadata = CollectionsMarshal.AsSpan(_metadata),
            });
            Forget();
            return ticket;
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

        if (histogram.Schema is not (
            Histogram.CustomBucketsSchema or (>= Histogram.MinExponentialSchema and <= Histogram.MaxExponentialSchema))
            || BucketSpan.Covered(histogram.PositiveSpans) != histogram.PositiveBuckets.Length
            || BucketSpan.Covered(histogram.NegativeSpans) != histogram.NegativeBuckets.Length)
        {
            throw new ArgumentException("spans and buckets of the histogram do not match, or its schema is unknown", nameof(histogram));
        }
    }

    static void Return(WalSample[] samples)
    {
        if (samples.Length > 0)
        {
            ArrayPool<WalSample>.Shared.Return(samples);
        }
    }

    void AddPending(ref MemSeries series)
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
        _exemplars.Clear();
        _metadata.Clear();
        _unlogged.Clear();
    }

    /// <summary>The series still has its slot, since no series with pending samples is dropped.</summary>
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

/// <summary>What an appender has gathered for one commit.</summary>
readonly ref struct PendingAppend
{
    public required AppendSource Source { get; init; }

    public ReadOnlySpan<WalSample> Samples { get; init; }

    /// <summary>Copies, which nobody changes.</summary>
    public ReadOnlySpan<WalHistogram> Histograms { get; init; }

    public ReadOnlySpan<(SeriesRef Series, Exemplar Exemplar)> Exemplars { get; init; }

    public ReadOnlySpan<(SeriesRef Series, SeriesMetadata Metadata)> Metadata { get; init; }
}
