using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>What is known of a series when its replicas are made one.</summary>
public enum DedupKind
{
    /// <summary>May rise and fall.</summary>
    Gauge,

    /// <summary>Falls only when it was reset, so that a lower value of another replica is one that is behind.</summary>
    Counter,

    /// <summary>
    /// Resets are applied already: each replica counts from where its own data begins, so that only what it gained counts after a switch.
    /// </summary>
    AdjustedCounter,
}

/// <summary>
/// The samples of replicas that watch the same target, as one series. It stays with a replica while that delivers, and leaves it for
/// a gap of more than one and a half intervals, for a staleness marker, or at its end, if another one has something then. The interval is
/// the shortest that a replica keeps: the lower quartile of its last seven, since missed scrapes lengthen some. After a switch it keeps a
/// distance of half an interval to the last sample, so that no two replicas' samples of
/// the same scrape stand side by side, save where that would lose the newest sample of all. A counter never falls because of a switch.
/// </summary>
/// <remarks>
/// The same at query and at compaction. Replicas are asked in the order given; the first sample decides with whom it starts.
/// </remarks>
public sealed class DedupIterator : ISampleIterator
{
    readonly Replica[] _replicas;
    readonly DedupKind _kind;
    Replica? _current;
    long _from = long.MinValue;
    long _last = long.MinValue;
    double _lastValue;
    Histogram? _lastHistogram;
    bool _lastStale;
    double _offset;
    bool _switched;
    bool _started;

    /// <param name="replicas">Owned from now on.</param>
    public DedupIterator(IReadOnlyList<ISampleIterator> replicas, DedupKind kind) =>
        (_replicas, _kind) = ([.. replicas.Select(r => new Replica(r))], kind);

    /// <summary>What the name tells where nothing else does: by convention counters, and those of classic histograms, end so.</summary>
    public static DedupKind KindOf(Labels labels)
    {
        var name = labels.Value("__name__"u8);
        return name.EndsWith("_total"u8) || name.EndsWith("_bucket"u8) || name.EndsWith("_count"u8) ? DedupKind.Counter : DedupKind.Gauge;
    }

    public bool Read(SampleBatch batch)
    {
        do
        {
            batch.Count = 0;
            batch.HasStartTimestamps = false;
            Fill(batch);
            if (batch.Count == 0)
            {
                return false;
            }

            batch.DropBefore(_from);
        }
        while (batch.Count == 0);
        return true;
    }

    public void Seek(long timestamp)
    {
        _from = Math.Max(_from, timestamp);
        if (_kind == DedupKind.AdjustedCounter)
        {
            // A value depends on all switches before it.
            return;
        }

        foreach (var replica in _replicas)
        {
            replica.SkipBefore(timestamp);
        }

        if (_last < timestamp)
        {
            // What a seek leaves out is no gap.
            (_last, _started) = (long.MinValue, false);
        }
    }

    public void Dispose()
    {
        foreach (var replica in _replicas)
        {
            replica.Iterator.Dispose();
        }
    }

    void Fill(SampleBatch batch)
    {
        Start();
        while (batch.Count < batch.Capacity && _current is not null)
        {
            if (_current.HasSample && !_current.IsStale && !IsGap(_current.Timestamp))
            {
                if (!Take(batch, _current))
                {
                    break;
                }

                continue;
            }

            if (!Switch(batch))
            {
                break;
            }
        }
    }

    void Start()
    {
        if (_started)
        {
            return;
        }

        _started = true;
        _lastStale = false;
        foreach (var replica in _replicas)
        {
            replica.Open();
        }

        var first = _replicas.Where(r => r.HasSample).MinBy(r => r.Timestamp);
        if (_current is null || !_current.HasSample || first is null || _current.Timestamp - first.Timestamp > _current.Interval)
        {
            _current = first;
        }
    }

    bool IsGap(long timestamp) => _last != long.MinValue && Interval() is > 0 and var interval && timestamp - _last > interval * 3 / 2;

    /// <summary>Adds the replica's sample and moves on; false when the batch is of another kind.</summary>
    bool Take(SampleBatch batch, Replica replica)
    {
        if (!batch.Add(replica.Batch, replica.At))
        {
            return false;
        }

        var at = batch.Count - 1;
        _last = batch.Timestamps[at];
        _lastStale = replica.IsStale;
        if (batch.Kind == SampleKind.Float)
        {
            if (_offset != 0 && !_lastStale)
            {
                batch.Values[at] += _offset;
            }

            (_lastValue, _lastHistogram) = (batch.Values[at], null);
        }
        else
        {
            if (_switched && batch.Histograms[at].CounterResetHint == CounterResetHint.NotCounterReset)
            {
                // That was said of the sample before in the same replica.
                batch.Histograms[at] = batch.Histograms[at].WithHint(CounterResetHint.Unknown);
            }

            _lastHistogram = batch.Histograms[at];
        }

        _switched = false;
        replica.MoveNext();
        return true;
    }

    /// <summary>
    /// The current replica has a gap, a staleness marker or its end before it: another one takes over, or what it has is given after all.
    /// False when the batch can't take it, or at the end.
    /// </summary>
    bool Switch(SampleBatch batch)
    {
        var current = _current!;
        var interval = Interval();
        var until = !current.HasSample ? long.MaxValue
            : current.IsStale ? Math.Max(current.Timestamp, _last) + (interval * 3 / 2)
            : current.Timestamp - 1;
        var next = Candidate(current, interval / 2, until);
        if (next is not null)
        {
            SwitchTo(next);
            return true;
        }

        if (current.HasSample)
        {
            if (current.IsStale && _lastStale)
            {
                // One marker ends a series as well as two.
                current.MoveNext();
                return true;
            }

            if (_last != long.MinValue && current.Timestamp <= _last)
            {
                current.MoveNext();
                return true;
            }

            return Take(batch, current);
        }

        // All are at their end but for what lies near the last sample, or for staleness markers: the newest sample is never lost.
        next = Candidate(current, 0, long.MaxValue) ?? Marker();
        if (next is null)
        {
            _current = null;
            return false;
        }

        SwitchTo(next);
        return !next.IsStale || Take(batch, next);
    }

    void SwitchTo(Replica next)
    {
        if (_kind == DedupKind.AdjustedCounter
            && !next.IsHistogram && next.HasPrevious && _last != long.MinValue && !double.IsNaN(_lastValue))
        {
            _offset = _lastValue - next.PreviousValue;
        }

        (_current, _switched) = (next, true);
    }

    /// <summary>
    /// The other replica with the earliest sample that is no staleness marker, further than a distance after the last one and up to a time.
    /// </summary>
    Replica? Candidate(Replica current, long distance, long until)
    {
        Replica? best = null;
        foreach (var replica in _replicas)
        {
            if (replica == current)
            {
                continue;
            }

            replica.SkipTo(_last);
            // What is skipped here is not lost: where nothing comes after it, it stays.
            while (replica.HasSample && _last != long.MinValue && replica.Timestamp - _last < distance && replica.HasNext)
            {
                replica.MoveNext();
            }

            if (distance > 0 && replica.HasSample && _last != long.MinValue && replica.Timestamp - _last < distance)
            {
                continue;
            }

            while (replica.HasSample && replica.Timestamp <= until && (replica.IsStale || IsBehind(replica)) && replica.HasNext)
            {
                replica.MoveNext();
            }

            if (replica.HasSample && !replica.IsStale && replica.Timestamp <= until && !IsBehind(replica)
                && (best is null || replica.Timestamp < best.Timestamp))
            {
                best = replica;
            }
        }

        return best;
    }

    /// <summary>
    /// Whether a sample is lower than the last one without a fall in its own replica: of a counter that is no reset, but a replica that is
    /// behind. One that is so for longer than two intervals counts something else.
    /// </summary>
    bool IsBehind(Replica replica)
    {
        if (_last == long.MinValue || _lastStale || !replica.HasPrevious || replica.Timestamp - _last > 2 * replica.Interval)
        {
            return false;
        }

        if (replica.IsHistogram)
        {
            var histogram = replica.Histogram;
            return _lastHistogram is not null && histogram.CounterResetHint is not (CounterResetHint.Gauge or CounterResetHint.CounterReset)
                && histogram.Count < _lastHistogram.Count && histogram.Count >= replica.PreviousValue;
        }

        return _kind == DedupKind.Counter && _lastHistogram is null && replica.Value < _lastValue && replica.Value >= replica.PreviousValue;
    }

    /// <summary>A replica whose staleness marker is the newest of all samples.</summary>
    Replica? Marker() => _lastStale
        ? null
        : _replicas.Where(r => r.HasSample && r.IsStale && r.Timestamp > _last).MinBy(r => r.Timestamp);

    /// <summary>Of the replicas that have samples yet, and the current one; 0 where none is known.</summary>
    long Interval()
    {
        var interval = _current!.Interval;
        foreach (var replica in _replicas)
        {
            if (replica.HasSample && replica.Interval > 0 && (interval == 0 || replica.Interval < interval))
            {
                interval = replica.Interval;
            }
        }

        return interval;
    }

    /// <summary>One replica's samples, the next batch read ahead, and what interval it keeps.</summary>
    sealed class Replica(ISampleIterator iterator)
    {
        const int Remembered = 7;

        readonly long[] _intervals = new long[Remembered];
        SampleBatch _next = new();
        bool _opened;
        int _count;
        long _interval;
        bool _settled;

        public ISampleIterator Iterator { get; } = iterator;

        public SampleBatch Batch { get; private set; } = new();

        public int At { get; private set; }

        public bool HasSample => At < Batch.Count;

        public bool HasNext => At + 1 < Batch.Count || _next.Count > 0;

        public long Timestamp => Batch.Timestamps[At];

        public bool IsHistogram => Batch.Kind == SampleKind.Histogram;

        public double Value => Batch.Values[At];

        public Histogram Histogram => Batch.Histograms[At];

        public bool IsStale => IsHistogram ? Batch.Histograms[At].IsStale : StaleMarker.IsStale(Batch.Values[At]);

        /// <summary>Whether a sample that was no staleness marker was passed.</summary>
        public bool HasPrevious { get; private set; }

        /// <summary>Its value, or a histogram's count.</summary>
        public double PreviousValue { get; private set; }

        /// <summary>Milliseconds between samples, 0 while there was only one.</summary>
        public long Interval
        {
            get
            {
                if (!_settled)
                {
                    (_settled, _interval) = (true, Quartile());
                }

                return _interval;
            }
        }

        public void Open()
        {
            if (_opened)
            {
                return;
            }

            _opened = true;
            Load(Batch);
            Load(_next);
            for (var i = 1; i < Batch.Count && i <= Remembered; i++)
            {
                Remember(Batch.Timestamps[i] - Batch.Timestamps[i - 1]);
            }
        }

        public void MoveNext()
        {
            if (!IsStale)
            {
                (HasPrevious, PreviousValue) = (true, IsHistogram ? Histogram.Count : Value);
            }

            var before = Timestamp;
            if (++At == Batch.Count && _next.Count > 0)
            {
                (Batch, _next, At) = (_next, Batch, 0);
                Load(_next);
            }

            if (HasSample)
            {
                Remember(Timestamp - before);
            }
        }

        /// <summary>Past a time.</summary>
        public void SkipTo(long timestamp)
        {
            while (HasSample && Timestamp <= timestamp)
            {
                MoveNext();
            }
        }

        /// <summary>To a time; before the first sample was read that costs nothing.</summary>
        public void SkipBefore(long timestamp)
        {
            Iterator.Seek(timestamp);
            while (HasSample && Timestamp < timestamp)
            {
                MoveNext();
            }
        }

        void Load(SampleBatch batch)
        {
            if (!Iterator.Read(batch))
            {
                batch.Count = 0;
            }
        }

        void Remember(long interval)
        {
            _intervals[_count++ % Remembered] = interval;
            // The interval is asked for at every sample, but changes only when intervals do.
            _settled &= Math.Abs(interval - _interval) <= _interval / 8;
        }

        long Quartile()
        {
            Span<long> intervals = stackalloc long[Remembered];
            intervals = intervals[..Math.Min(_count, Remembered)];
            _intervals.AsSpan(0, intervals.Length).CopyTo(intervals);
            intervals.Sort();
            return intervals.Length == 0 ? 0 : intervals[(intervals.Length - 1) / 4];
        }
    }
}
