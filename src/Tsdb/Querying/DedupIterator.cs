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
/// The samples of two replicas that watch the same target, as one series: all samples of the first, and in its gaps those of the second.
/// A gap is longer than one and a half intervals, or begins with a staleness marker. What fills it keeps half an interval's distance to the
/// samples around it, so that no two samples of one scrape stand side by side. A counter does not fall because of a switch.
/// </summary>
/// <remarks>
/// Which samples are given near a time depends on the samples near that time alone, never on where a request or a block begins or ends.
/// So the first replica's end is a gap only once the second one has something more than one and a half intervals later; the same holds,
/// mirrored, for its beginning. The rules and what they guarantee: docs/decisions/0004-dedup-and-downsampling.md.
/// </remarks>
public sealed class DedupIterator : ISampleIterator
{
    /// <summary>Milliseconds, where no replica has two samples yet.</summary>
    const long UnknownInterval = 60_000;

    /// <summary>So much of what comes before a time is read at least, in milliseconds, to know what is a gap there.</summary>
    const long SeekMargin = 600_000;

    readonly ReplicaCursor _first;
    readonly ReplicaCursor _second;
    readonly DedupKind _kindOfWindows;
    DedupKind _kind;
    long _from = long.MinValue;

    // What was given last, staleness markers included, and the last sample that was none.
    long _last = long.MinValue;
    bool _lastIsStale;
    long _lastSample = long.MinValue;
    double _lastValue;
    Histogram? _lastHistogram;
    ReplicaCursor? _lastReplica;

    // Of an adjusted counter: what is added to the values of the replica that is read.
    double _offset;

    // Of an adjusted counter: the second replica's value at the time of the last sample, and that time.
    double? _secondValueThen;
    long _secondAt = long.MinValue;

    DedupIterator(ISampleIterator first, ISampleIterator second, DedupKind kind, DedupKind kindOfWindows, bool isFirstJoined) =>
        (_first, _second, _kind, _kindOfWindows) =
        (new ReplicaCursor(first, isFirstJoined), new ReplicaCursor(second, isJoined: false), kind, kindOfWindows);

    /// <summary>One series of any number of replicas: each fills the gaps which those before it leave.</summary>
    /// <param name="replicas">Owned from now on; at least one.</param>
    /// <param name="kind">What raw samples are.</param>
    /// <param name="kindOfWindows">What samples are where a replica gives those of downsampled windows; null: the same.</param>
    /// <param name="isFirstJoined">The first is no replica, but what compaction made of some.</param>
    public static ISampleIterator Join(
        IReadOnlyList<ISampleIterator> replicas, DedupKind kind, DedupKind? kindOfWindows = null, bool isFirstJoined = false)
    {
        var joined = replicas[0];
        for (var i = 1; i < replicas.Count; i++)
        {
            joined = new DedupIterator(joined, replicas[i], kind, kindOfWindows ?? kind, isFirstJoined && i == 1);
        }

        return joined;
    }

    /// <summary>What the name tells where nothing else does: by convention counters, and those of classic histograms, end so.</summary>
    public static DedupKind KindOf(Labels labels)
    {
        var name = labels.Value("__name__"u8);
        return name.EndsWith("_total"u8) || name.EndsWith("_bucket"u8) || name.EndsWith("_count"u8) ? DedupKind.Counter : DedupKind.Gauge;
    }

    /// <summary>Milliseconds: the shorter one, since a replica that misses most scrapes would hide its gaps behind its own.</summary>
    internal long Interval => Shorter(_first.Interval, _second.Interval);

    /// <summary>As <see cref="Interval"/>, of those that have samples near a span; 0 where none has.</summary>
    internal long IntervalWithin(long from, long to) => Shorter(_first.IntervalWithin(from, to), _second.IntervalWithin(from, to));

    static long Shorter(long first, long second) => first > 0 && second > 0 ? Math.Min(first, second) : Math.Max(first, second);

    public bool Read(SampleBatch batch)
    {
        if (_first.IsOfWindows || _second.IsOfWindows)
        {
            _kind = _kindOfWindows;
        }

        do
        {
            batch.Clear();
            while (batch.Count < batch.Capacity && Give(batch))
            {
            }

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

        var near = timestamp - SeekMargin;
        if (near > timestamp)
        {
            return;
        }

        var jumped = _first.SkipBefore(near);
        jumped |= _second.SkipBefore(near);
        if (jumped && _last < near)
        {
            (_last, _lastIsStale, _lastSample, _lastReplica) = (long.MinValue, false, long.MinValue, null);
        }
    }

    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }

    /// <summary>Adds what comes next; false at the end, or where the batch cannot take it.</summary>
    bool Give(SampleBatch batch)
    {
        if (!_first.HasSample)
        {
            return GiveSecond(batch, long.MaxValue) ?? false;
        }

        var interval = GapInterval();
        if (_first.IsStale)
        {
            var until = Math.Min(_first.Timestamp, _first.NextTimestamp is { } next ? next - (interval / 2) : long.MaxValue);
            return GiveSecond(batch, until) ?? GiveMarker(batch);
        }

        return IsGap(interval) ? GiveSecond(batch, _first.Timestamp - (interval / 2)) ?? GiveFirst(batch) : GiveFirst(batch);
    }

    /// <summary>What replicas keep where the next sample is looked for.</summary>
    long GapInterval()
    {
        var next = _first.HasSample ? _first.Timestamp : _second.HasSample ? _second.Timestamp : _last;
        return IntervalWithin(_last == long.MinValue ? next : _last, next) is > 0 and var near ? near
            : Interval is > 0 and var interval ? interval : UnknownInterval;
    }

    static long Threshold(long interval) => interval * 3 / 2;

    /// <summary>Whether the first replica missed scrapes before its current sample.</summary>
    bool IsGap(long interval)
    {
        if (_first.HasPrevious)
        {
            return _first.IsAbsent || _first.Timestamp - _first.PreviousTimestamp > Threshold(interval);
        }

        return _lastReplica == _second || _first.IsJoined
            || (_second.HasSample && _second.Timestamp < _first.Timestamp - Threshold(interval))
            || (_second.HasPrevious && _second.PreviousTimestamp < _first.Timestamp - Threshold(interval));
    }

    /// <summary>Adds the first replica's samples up to its next gap, or to the end of what was read of it.</summary>
    bool GiveFirst(SampleBatch batch)
    {
        var (from, at) = (_first.At, _first.At);
        var most = Math.Min(_first.Batch.Count, from + batch.Capacity - batch.Count);
        var threshold = Threshold(GapInterval());
        var timestamps = _first.Batch.Timestamps;

        // Where the second one comes near, its interval may be a shorter one.
        var until = _second.HasSample && _second.Timestamp - ReplicaCursor.Near > _first.Timestamp
            ? _second.Timestamp - ReplicaCursor.Near : long.MaxValue;
        do
        {
            at++;
        }
        while (at < most && timestamps[at] - timestamps[at - 1] <= threshold && !_first.IsStaleAt(at)
            && timestamps[at] < until);
        return Take(batch, _first, at - from);
    }

    /// <summary>
    /// Adds the second replica's next sample or marker in a gap of the first one, up to a time; null where there is none, false where the
    /// batch cannot take it.
    /// </summary>
    bool? GiveSecond(SampleBatch batch, long until)
    {
        var interval = GapInterval();
        if (_lastSample != long.MinValue && _kind != DedupKind.AdjustedCounter)
        {
            // What comes shortly before tells whether a counter fell in the second replica itself.
            _second.SkipBefore(_lastSample - (2 * interval));
        }

        var from = _lastReplica == _second || _lastSample == long.MinValue ? long.MinValue : _lastSample + (interval / 2);
        for (; _second.HasSample && _second.Timestamp <= until; _second.MoveNext())
        {
            if (_kind == DedupKind.AdjustedCounter && _second.Timestamp > _lastSample && _secondAt != _lastSample && !_second.IsStale)
            {
                (_secondAt, _secondValueThen) = (_lastSample, ValueAt(_second, _lastSample));
            }

            if (_second.Timestamp <= _last || _second.Timestamp < from)
            {
                continue;
            }

            if (_second.IsStale)
            {
                if (!_lastIsStale && EndsFirst(interval))
                {
                    return Take(batch, _second, 1);
                }
            }
            else if (!IsLeft(interval))
            {
                return null;
            }
            else if (!IsBehind(interval))
            {
                return Take(batch, _second, 1);
            }
        }

        return null;
    }

    /// <summary>
    /// The first replica's staleness marker ends the series, if the second one has no sample around it and the series is not ended already.
    /// </summary>
    bool GiveMarker(SampleBatch batch)
    {
        while (_second.HasSample && _second.Timestamp <= _first.Timestamp)
        {
            _second.MoveNext();
        }

        var threshold = Threshold(GapInterval());
        var isWatched = _second.HasPrevious && !_second.IsAbsent && _second.HasSample
            && _first.Timestamp - _second.PreviousTimestamp <= threshold && _second.Timestamp - _second.PreviousTimestamp <= threshold;
        if (!isWatched && !_lastIsStale)
        {
            return Take(batch, _first, 1);
        }

        _first.MoveNext();
        return true;
    }

    /// <summary>
    /// Whether the second replica shows that the first one has a gap: where the first goes on, its next sample has shown it.
    /// </summary>
    bool IsLeft(long interval) => _first.HasSample || _first.IsJoined || !_first.HasPrevious || _first.IsAbsent
        || _second.HasSampleAfter(_first.PreviousTimestamp + Threshold(interval));

    /// <summary>Whether the series ends with the second replica's staleness marker: the first has had time to say otherwise.</summary>
    bool EndsFirst(long interval) => _first.HasSample
        ? !_first.IsStale
        : _first.IsJoined || !_first.HasPrevious || _first.IsAbsent || _second.Timestamp - _first.PreviousTimestamp >= interval;

    /// <summary>
    /// Whether the second replica's sample is below the last one, or above the first replica's next one, without a fall in its own replica
    /// there: of a counter that is no reset, but a replica that reads earlier or later than it says. One that stands apart for longer than
    /// two intervals counts something else.
    /// </summary>
    bool IsBehind(long interval)
    {
        var isFarFromLast = _lastSample == long.MinValue || _lastIsStale || _second.Timestamp - _lastSample > 2 * interval
            || !_second.HasPrevious || _second.RisingSince > _lastSample
            || _second.Timestamp - _second.PreviousTimestamp > Threshold(interval);
        var isFarFromNext = !_first.HasSample || _first.IsStale || !(_second.NextTimestamp >= _first.Timestamp && _second.IsRisingNext);
        if (_second.IsHistogram)
        {
            var histogram = _second.Histogram;
            if (histogram.CounterResetHint is CounterResetHint.Gauge)
            {
                return false;
            }

            return (!isFarFromLast && _lastHistogram is not null && histogram.CounterResetHint is not CounterResetHint.CounterReset
                    && histogram.Count < _lastHistogram.Count && histogram.Count >= _second.PreviousValue)
                || (!isFarFromNext && _first.IsHistogram && _first.Histogram.CounterResetHint is not CounterResetHint.CounterReset
                    && histogram.Count > _first.Histogram.Count);
        }

        return _kind == DedupKind.Counter
            && ((!isFarFromLast && _lastHistogram is null && _second.Value < _lastValue
                    && _second.Value >= _second.PreviousValue)
                || (!isFarFromNext && !_first.IsHistogram && _second.Value > _first.Value));
    }

    /// <summary>Adds samples of one replica and moves it on; false where the batch cannot take the first of them.</summary>
    bool Take(SampleBatch batch, ReplicaCursor replica, int count)
    {
        var (at, isSwitch, isStale) = (batch.Count, replica != _lastReplica, replica.IsStale);
        count = batch.Add(replica.Batch, replica.At, count);
        if (count == 0)
        {
            return false;
        }

        if (batch.Kind == SampleKind.Histogram)
        {
            if ((isSwitch || replica.PreviousTimestamp != _lastSample)
                && batch.Histograms[at].CounterResetHint == CounterResetHint.NotCounterReset)
            {
                // That was said of the sample before in the same replica.
                batch.Histograms[at] = batch.Histograms[at].WithHint(CounterResetHint.Unknown);
            }
        }
        else if (_kind == DedupKind.AdjustedCounter && !isStale)
        {
            if (isSwitch && _lastSample != long.MinValue)
            {
                _offset = Continued(replica) - replica.Value;
            }

            if (_offset != 0)
            {
                foreach (ref var value in batch.Values.AsSpan(at, count))
                {
                    value += _offset;
                }
            }
        }

        (_last, _lastIsStale) = (batch.Timestamps[batch.Count - 1], isStale);
        if (!isStale)
        {
            (_lastSample, _lastReplica) = (_last, replica);
            (_lastValue, _lastHistogram) = batch.Kind == SampleKind.Float
                ? (batch.Values[batch.Count - 1], null)
                : (0.0, batch.Histograms[batch.Count - 1]);
        }

        replica.MoveBy(count);
        return true;
    }

    /// <summary>
    /// What an adjusted counter has with the next sample of a replica that takes over: what that replica gained since the last sample.
    /// </summary>
    double Continued(ReplicaCursor replica)
    {
        var before = replica == _first ? ValueAt(_first, _lastSample) : _secondAt == _lastSample ? _secondValueThen : null;
        // A replica that was not there before has counted what it has, and perhaps more: resets are applied to what it saw alone.
        return before is { } value ? _lastValue + Math.Max(0, replica.Value - value) : Math.Max(_lastValue, replica.Value);
    }

    /// <summary>A replica's value at a time between its previous sample and its current one; null where it has no previous one.</summary>
    static double? ValueAt(ReplicaCursor replica, long timestamp) => replica.HasPrevious && replica.PreviousTimestamp <= timestamp
        ? replica.PreviousValue + ((replica.Value - replica.PreviousValue)
            * (timestamp - replica.PreviousTimestamp) / (replica.Timestamp - replica.PreviousTimestamp))
        : null;
}
