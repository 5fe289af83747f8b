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

    readonly ReplicaCursor _first = new();
    readonly ReplicaCursor _second = new();
    DedupPool? _pool;
    DedupKind _kindOfWindows;
    DedupKind _kind;
    long _from;
    long _until;

    // What was given last, staleness markers included, and the last sample that was none.
    long _last;
    bool _lastIsStale;
    long _lastResolution;
    long _lastSample;
    double _lastValue;
    Histogram? _lastHistogram;
    ReplicaCursor? _lastReplica;

    // Of an adjusted counter: what is added to the values of the replica that is read.
    double _offset;

    // Of an adjusted counter: the second replica's value at the time of the last sample, and that time.
    double? _secondValueThen;
    long _secondAt;

    internal DedupIterator()
    {
    }

    /// <summary>One series of any number of replicas: each fills the gaps which those before it leave.</summary>
    /// <param name="replicas">Owned from now on; at least one.</param>
    /// <param name="kind">What raw samples are.</param>
    /// <param name="kindOfWindows">What samples are where a replica gives those of downsampled windows; null: the same.</param>
    /// <param name="isFirstJoined">The first is no replica, but what compaction made of some.</param>
    /// <param name="until">Nothing after it is wanted.</param>
    /// <param name="pool">Where iterators come from, and go back to when they are disposed.</param>
    public static ISampleIterator Join(
        ReadOnlySpan<ISampleIterator> replicas, DedupKind kind, DedupKind? kindOfWindows = null, bool isFirstJoined = false,
        long until = long.MaxValue, DedupPool? pool = null)
    {
        var joined = replicas[0];
        for (var i = 1; i < replicas.Length; i++)
        {
            var iterator = pool?.Rent() ?? new DedupIterator();
            iterator._first.Reset(joined, isFirstJoined && i == 1);
            iterator._second.Reset(replicas[i], isJoined: false);

            // What one that is joined further reads beyond shows gaps.
            iterator.Reset(kind, kindOfWindows ?? kind, i == replicas.Length - 1 ? until : long.MaxValue, pool);
            joined = iterator;
        }

        return joined;
    }

    void Reset(DedupKind kind, DedupKind kindOfWindows, long until, DedupPool? pool)
    {
        (_kind, _kindOfWindows, _from, _until, _pool) = (kind, kindOfWindows, long.MinValue, until, pool);
        (_last, _lastIsStale, _lastResolution, _lastSample) = (long.MinValue, false, 0, long.MinValue);
        (_lastValue, _lastHistogram, _lastReplica, _offset) = (0, null, null, 0);
        (_secondValueThen, _secondAt) = (null, long.MinValue);
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

    internal long Guess => Shorter(_first.Guess, _second.Guess);

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
        var pool = _pool;
        // Disposed twice, it must not serve two series at once.
        _pool = null;
        pool?.Return(this);
    }

    /// <summary>Adds what comes next; false at the end, or where the batch cannot take it.</summary>
    bool Give(SampleBatch batch)
    {
        if (_last >= _until)
        {
            return false;
        }

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

        return IsGap(interval) ? GiveSecond(batch, _first.Timestamp - Covered(interval)) ?? GiveFirst(batch) : GiveFirst(batch);
    }

    /// <summary>What replicas keep where the next sample is looked for.</summary>
    long GapInterval()
    {
        var next = _first.HasSample ? _first.Timestamp : _second.HasSample ? _second.Timestamp : _last;
        return IntervalWithin(_last == long.MinValue ? next : _last, next) is > 0 and var near ? near
            : Interval is > 0 and var interval ? interval : Guess is > 0 and var guess ? guess : UnknownInterval;
    }

    static long Threshold(long interval) => interval * 3 / 2;

    /// <summary>Of the first replica a window is no gap behind the one before, however short the second one's interval is.</summary>
    long FirstThreshold(long interval) => Threshold(Math.Max(interval, _first.Batch.ResolutionMs));

    /// <summary>What the first replica's current sample stands for: nothing of that is taken from the second one, which may be finer.</summary>
    long Covered(long interval) =>
        _second.HasSample && _first.Batch.ResolutionMs > _second.Batch.ResolutionMs ? _first.Batch.ResolutionMs : interval / 2;

    /// <summary>How far from the last sample the second replica's next one is at least: a window reaches back behind the one before.</summary>
    long Distance(long interval) => _second.HasSample && _second.Batch.ResolutionMs > _lastResolution
        ? _second.Batch.ResolutionMs : Math.Max(interval, _lastResolution == 0 ? 0 : _second.Batch.ResolutionMs) / 2;

    /// <summary>Whether the first replica missed scrapes before its current sample.</summary>
    bool IsGap(long interval)
    {
        if (_first.HasPrevious)
        {
            return _first.IsAbsent || _first.Timestamp - _first.PreviousTimestamp > FirstThreshold(interval);
        }

        return _lastReplica == _second || _first.IsJoined
            || (_second.HasSample && _second.Timestamp < _first.Timestamp - FirstThreshold(interval))
            || (_second.HasPrevious && _second.PreviousTimestamp < _first.Timestamp - FirstThreshold(interval));
    }

    /// <summary>Adds the first replica's samples up to its next gap, or to the end of what was read of it.</summary>
    bool GiveFirst(SampleBatch batch)
    {
        var (from, at) = (_first.At, _first.At);
        var most = Math.Min(_first.Batch.Count, from + batch.Capacity - batch.Count);
        var threshold = FirstThreshold(GapInterval());
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

        var from = _lastReplica == _second || _lastSample == long.MinValue ? long.MinValue : _lastSample + Distance(interval);
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

            // Raw samples behind the windows fall where the counter was reset.
            var previous = isSwitch || !replica.HasPrevious ? replica.Value : replica.PreviousValue;
            foreach (ref var value in batch.Values.AsSpan(at, count))
            {
                _offset += value < previous ? previous : 0;
                previous = value;
                value += _offset;
            }
        }

        (_last, _lastIsStale, _lastResolution) = (batch.Timestamps[batch.Count - 1], isStale, batch.ResolutionMs);
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

    /// <summary>
    /// A replica's value at a time between its previous sample and its current one, which counts from zero where it is lower; null where it has
    /// no previous one.
    /// </summary>
    static double? ValueAt(ReplicaCursor replica, long timestamp)
    {
        if (!replica.HasPrevious || replica.PreviousTimestamp > timestamp)
        {
            return null;
        }

        var before = replica.Value < replica.PreviousValue ? 0 : replica.PreviousValue;
        return before + ((replica.Value - before)
            * (timestamp - replica.PreviousTimestamp) / (replica.Timestamp - replica.PreviousTimestamp));
    }
}

/// <summary>Iterators of one query that serve one series after another. Thread-safe.</summary>
public sealed class DedupPool
{
    readonly Lock _lock = new();
    readonly Stack<DedupIterator> _free = new();

    internal DedupIterator? Rent()
    {
        lock (_lock)
        {
            return _free.TryPop(out var free) ? free : null;
        }
    }

    internal void Return(DedupIterator iterator)
    {
        lock (_lock)
        {
            _free.Push(iterator);
        }
    }
}
