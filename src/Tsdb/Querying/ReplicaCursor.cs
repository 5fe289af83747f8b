using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>Goes over one replica's samples, one after another, and learns which interval the replica keeps.</summary>
sealed class ReplicaCursor
{
    /// <summary>
    /// Which interval a replica keeps counts so far from its samples, in milliseconds: less than is read beyond a range, so that it is
    /// known to whoever reads a part.
    /// </summary>
    public const long Near = 150_000;

    /// <summary>Of the distances between samples the latest so many are remembered.</summary>
    const int Remembered = 15;

    /// <summary>Of fewer distances one that a restart shortened, or a gap lengthened, would be the interval.</summary>
    const int Few = 3;

    /// <summary>The first batch is small, since of most replicas only the interval is wanted.</summary>
    const int FirstCapacity = 16;

    const long Second = 1_000;

    readonly long[] _distances = new long[Remembered];
    readonly SampleBatch _small = new(FirstCapacity);
    readonly SampleBatch?[] _large = new SampleBatch?[2];
    ISampleIterator _samples = null!;
    SampleBatch _batch = null!;
    SampleBatch? _ahead;
    int _at;
    int _distanceCount;
    long _rememberedTo = long.MinValue;
    long _interval;
    bool _isIntervalKnown;
    bool _isOpen;

    public bool HasSample
    {
        get
        {
            Open();
            return _at < _batch.Count;
        }
    }

    /// <summary>Whether the current samples are those of downsampled windows.</summary>
    public bool IsOfWindows => HasSample && _batch.ResolutionMs > 0;

    /// <summary>
    /// Whether the samples are what compaction made of several replicas: their distances are not those that one of them keeps, and they end
    /// where a block does.
    /// </summary>
    public bool IsJoined { get; private set; }

    public SampleBatch Batch => _batch;

    public int At => _at;

    public long Timestamp => _batch.Timestamps[_at];

    public bool IsHistogram => _batch.Kind == SampleKind.Histogram;

    public double Value => _batch.Values[_at];

    public Histogram Histogram => _batch.Histograms[_at];

    public bool IsStale => IsStaleAt(_at);

    /// <summary>Whether a sample that is no staleness marker was passed since the last jump.</summary>
    public bool HasPrevious { get; private set; }

    public long PreviousTimestamp { get; private set; }

    /// <summary>The previous sample's value, or its histogram's count.</summary>
    public double PreviousValue { get; private set; }

    /// <summary>
    /// The time of the first of those samples passed one by one since the last jump, up to the previous one, among which none is lower than
    /// the one before it. Of histograms the count is meant.
    /// </summary>
    public long RisingSince { get; private set; } = long.MaxValue;

    /// <summary>Whether a staleness marker was passed since the previous sample.</summary>
    public bool IsAbsent { get; private set; }

    /// <summary>The time of the sample or marker after the current one; null at the end.</summary>
    public long? NextTimestamp
    {
        get
        {
            if (_at + 1 < _batch.Count)
            {
                return _batch.Timestamps[_at + 1];
            }

            _ahead ??= Load(Large());
            return _ahead.Count > 0 ? _ahead.Timestamps[0] : null;
        }
    }

    /// <summary>Whether the sample after the current one is there and not lower, or its count is not.</summary>
    public bool IsRisingNext
    {
        get
        {
            if (NextTimestamp is null)
            {
                return false;
            }

            var (batch, at) = _at + 1 < _batch.Count ? (_batch, _at + 1) : (_ahead!, 0);
            return batch.Kind == _batch.Kind
                && (IsHistogram ? batch.Histograms[at].Count >= Histogram.Count : batch.Values[at] >= Value);
        }
    }

    /// <summary>Whether a sample or marker comes after a time that is not far from the current one.</summary>
    public bool HasSampleAfter(long timestamp)
    {
        if (_batch.Timestamps[_batch.Count - 1] > timestamp)
        {
            return true;
        }

        _ahead ??= Load(Large());
        return _ahead.Count > 0 && _ahead.Timestamps[_ahead.Count - 1] > timestamp;
    }

    /// <summary>
    /// Milliseconds between the replica's samples: of the latest fifteen distances those like the third shortest, since missed scrapes
    /// lengthen many of them and a restart shortens one or two; in whole seconds, so that it is the same wherever reading began. Of
    /// downsampled data the length of a window. 0 while fewer than three distances were seen.
    /// </summary>
    public long Interval
    {
        get
        {
            if (_samples is DedupIterator joined)
            {
                return joined.Interval;
            }

            if (IsOfWindows)
            {
                return _batch.ResolutionMs;
            }

            if (!_isIntervalKnown)
            {
                (_isIntervalKnown, _interval) = (true, Usual());
            }

            return _distanceCount < Few ? 0 : _interval;
        }
    }

    /// <summary>What the shortest distance that was seen says, for want of anything better; 0 where there is none.</summary>
    public long Guess => _samples is DedupIterator joined ? joined.Guess
        : _distanceCount == 0 ? 0 : _distances.AsSpan(0, Math.Min(_distanceCount, Remembered)).ToArray().Min();

    /// <summary>The interval that the replica keeps in a span; 0 where it has no sample near, or is none but several in one.</summary>
    public long IntervalWithin(long from, long to)
    {
        if (_samples is DedupIterator joined)
        {
            return joined.IntervalWithin(from, to);
        }

        // What lies between the cursor and a later time was not read.
        var isNear = HasSample && (Timestamp <= to + Near || PreviousTimestamp > to + Near);
        isNear |= HasPrevious && PreviousTimestamp >= from - Near;
        return isNear && !IsJoined ? Interval : 0;
    }

    public bool IsStaleAt(int at) => IsStaleAt(_batch, at);

    static bool IsStaleAt(SampleBatch batch, int at) =>
        batch.Kind == SampleKind.Histogram ? batch.Histograms[at].IsStale : StaleMarker.IsStale(batch.Values[at]);

    /// <summary>Begins anew with the samples of another series.</summary>
    /// <param name="samples">Owned from now on. Nothing is read before the cursor is asked.</param>
    public void Reset(ISampleIterator samples, bool isJoined)
    {
        (_samples, IsJoined, _batch, _ahead, _at) = (samples, isJoined, _small, null, 0);
        (_distanceCount, _rememberedTo, _interval, _isIntervalKnown, _isOpen) = (0, long.MinValue, 0, false, false);
        (HasPrevious, PreviousTimestamp, PreviousValue, RisingSince, IsAbsent) = (false, 0, 0, long.MaxValue, false);
        _small.Clear();
    }

    public void MoveNext() => MoveBy(1);

    /// <summary>Passes samples of the current batch: one, or several of which none is a staleness marker.</summary>
    public void MoveBy(int count)
    {
        var last = _at + count - 1;
        if (IsStaleAt(last))
        {
            IsAbsent = true;
        }
        else
        {
            var value = IsHistogram ? _batch.Histograms[last].Count : _batch.Values[last];
            if (!HasPrevious || value < PreviousValue)
            {
                RisingSince = _batch.Timestamps[last];
            }

            (HasPrevious, IsAbsent) = (true, false);
            (PreviousTimestamp, PreviousValue) = (_batch.Timestamps[last], value);
        }

        for (; _at < last; _at++)
        {
            Remember(_batch.Timestamps[_at], _batch.Timestamps[_at + 1]);
        }

        Advance();
        if (_at < _batch.Count && HasPrevious && !IsAbsent && !IsStale)
        {
            Remember(PreviousTimestamp, Timestamp);
        }
    }

    /// <summary>Passes all samples before a time, those of whole chunks without reading them.</summary>
    /// <returns>Whether there were any that were not passed before: what came before the current sample is not known then.</returns>
    public bool SkipBefore(long timestamp)
    {
        if (!_isOpen)
        {
            _samples.Seek(timestamp);
            return false;
        }

        if (!HasSample || Timestamp >= timestamp)
        {
            return false;
        }

        _samples.Seek(timestamp);
        (HasPrevious, IsAbsent) = (false, false);
        while (_at < _batch.Count && Timestamp < timestamp)
        {
            Advance();
        }

        Peek();
        return true;
    }

    public void Dispose() => _samples.Dispose();

    void Open()
    {
        if (_isOpen)
        {
            return;
        }

        _isOpen = true;
        Load(_batch);
        Peek();
    }

    /// <summary>
    /// Remembers the distances of what comes next. Of a batch that was begun so little may be left that the one behind it is looked at too.
    /// </summary>
    void Peek()
    {
        var left = PeekInto(_batch, _at + 1, Remembered);
        if (left > 0 && _at > 0)
        {
            _ahead ??= Load(Large());
            PeekInto(_ahead, 1, left);
        }
    }

    int PeekInto(SampleBatch batch, int from, int most)
    {
        for (var i = from; i < batch.Count && most > 0; i++)
        {
            if (!IsStaleAt(batch, i) && !IsStaleAt(batch, i - 1))
            {
                Remember(batch.Timestamps[i - 1], batch.Timestamps[i]);
                most--;
            }
        }

        return most;
    }

    void Advance()
    {
        if (++_at == _batch.Count)
        {
            (_batch, _ahead, _at) = (_ahead ?? Load(_batch == _small ? Large() : _batch), null, 0);
        }
    }

    /// <summary>A batch that is not in use.</summary>
    SampleBatch Large()
    {
        var at = _large[0] is { } large && (large == _batch || large == _ahead) ? 1 : 0;
        return _large[at] ??= new SampleBatch();
    }

    SampleBatch Load(SampleBatch batch)
    {
        if (!_samples.Read(batch))
        {
            batch.Count = 0;
        }

        return batch;
    }

    /// <summary>Each distance once, whether the samples are passed or looked at ahead.</summary>
    void Remember(long before, long after)
    {
        if (after <= _rememberedTo)
        {
            return;
        }

        var distance = after - before;
        (_rememberedTo, _distances[_distanceCount++ % Remembered]) = (after, distance);
        // The interval is asked for at every sample, but changes only when the distances do.
        _isIntervalKnown &= Math.Abs(distance - _interval) <= _interval / 8;
    }

    long Usual()
    {
        Span<long> distances = stackalloc long[Remembered];
        distances = distances[..Math.Min(_distanceCount, Remembered)];
        if (distances.IsEmpty)
        {
            return 0;
        }

        _distances.AsSpan(0, distances.Length).CopyTo(distances);
        distances.Sort();
        var third = distances[Math.Min(2, (distances.Length - 1) / 2)];
        var (sum, count) = (0L, 0);
        foreach (var distance in distances)
        {
            if (Math.Abs(distance - third) <= third / 8)
            {
                (sum, count) = (sum + distance, count + 1);
            }
        }

        var usual = sum / count;
        return usual < Second ? usual : (usual + (Second / 2)) / Second * Second;
    }
}
