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
/// first one's samples, so that no two samples of one scrape stand side by side. A counter does not fall because of a switch.
/// </summary>
/// <remarks>
/// Whether a sample is given depends on what lies near it alone, never on where a request or a block begins or ends: nothing farther away
/// than <see cref="ReplicaCursor.Near"/>, or than two intervals where that is more, is looked at. The rules and what they guarantee:
/// docs/decisions/0004-dedup-and-downsampling.md.
/// </remarks>
public sealed class DedupIterator : ISampleIterator
{
    /// <summary>Milliseconds, where no replica has two samples.</summary>
    const long UnknownInterval = 60_000;

    /// <summary>Nothing farther away tells the interval, in milliseconds: a bit more than a day.</summary>
    const long Farthest = ReplicaCursor.Near << 10;

    /// <summary>Of so many distances at least one in four is that between two scrapes none of which was missed.</summary>
    internal const int Many = 9;

    /// <summary>So much of what comes before a time is read at least, in milliseconds, to know what is a gap there.</summary>
    const long SeekMargin = 4 * ReplicaCursor.Near;

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

    /// <summary>One series of any number of replicas: the first one's gaps are filled with the series that the others are.</summary>
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
        var joined = replicas[^1];
        for (var i = replicas.Length - 2; i >= 0; i--)
        {
            var iterator = pool?.Rent() ?? new DedupIterator();
            iterator._first.Reset(replicas[i], isFirstJoined && i == 0, i);
            iterator._second.Reset(joined, isJoined: false, i + 1);

            // What one that fills gaps reads beyond shows where they end.
            iterator.Reset(kind, kindOfWindows ?? kind, i == 0 ? until : long.MaxValue, pool);
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

    public bool Read(SampleBatch batch)
    {
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
        _kind = _first.IsOfWindows ? _kindOfWindows : _kind;
        if (_kind == DedupKind.AdjustedCounter)
        {
            // A value depends on all switches before it.
            return;
        }

        var near = timestamp - Math.Max(SeekMargin, 4 * (_first.IsOfWindows ? _first.Batch.ResolutionMs : 0));
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

        _kind = _first.IsOfWindows ? _kindOfWindows : _kind;
        if (_first.IsStale)
        {
            return GiveSecond(batch, _first.Timestamp) ?? GiveMarker(batch);
        }

        return IsUninterrupted() ? GiveFirst(batch) : GiveSecond(batch, _first.Timestamp) ?? GiveFirst(batch);
    }

    /// <summary>Whether the first replica alone shows that it has no gap before its current sample.</summary>
    bool IsUninterrupted() => _first.HasPrevious && _first.MarkerTimestamp is null && !_first.IsJoined
        && (_first.IsRegular || _first.Timestamp - _first.PreviousTimestamp <= Threshold(_first.Batch.ResolutionMs));

    /// <summary>Adds the first replica's samples up to where there may be a gap, or to the end of what was read of it.</summary>
    bool GiveFirst(SampleBatch batch)
    {
        var most = batch.Capacity - batch.Count;
        return Take(batch, _first, !_first.IsJoined ? _first.RegularRun(most)
            : _second.HasSample ? _first.RunBefore(_second.Timestamp, most) : _first.RunBefore(long.MaxValue, most));
    }

    /// <summary>
    /// Adds the second replica's next sample or marker that belongs there, up to a time; null where there is none, false where the batch
    /// cannot take it.
    /// </summary>
    bool? GiveSecond(SampleBatch batch, long until)
    {
        if (_kind != _kindOfWindows && _second.IsOfWindows)
        {
            _kind = _kindOfWindows;
        }

        if (_lastSample != long.MinValue && _kind != DedupKind.AdjustedCounter)
        {
            // What comes shortly before tells the interval, and whether a counter fell in the second replica itself.
            _second.SkipBefore(_lastSample - (2 * Reach(_lastResolution)));
        }

        for (; _second.HasSample && _second.Timestamp <= until; _second.MoveNext())
        {
            if (_kind == DedupKind.AdjustedCounter && _second.Timestamp > _lastSample && _secondAt != _lastSample && !_second.IsStale)
            {
                (_secondAt, _secondValueThen) = (_lastSample, ValueAt(_second, _lastSample));
            }

            if (_second.Timestamp <= _last)
            {
                continue;
            }

            if (RunAlone(batch, until) is > 0 and var run)
            {
                return Take(batch, _second, run);
            }

            if (IsWanted())
            {
                return Take(batch, _second, 1);
            }
        }

        return null;
    }

    /// <summary>How many of the second replica's samples are so far from the first one's that nothing of it is looked at.</summary>
    int RunAlone(SampleBatch batch, long until)
    {
        var far = Math.Max(SeekMargin, 2 * (_first.IsOfWindows ? _first.Batch.ResolutionMs : 0));
        if (_second.IsStale || _second.IsOfWindows || _lastReplica != _second || _lastSample != _second.PreviousTimestamp || _lastIsStale
            || (_first.HasPrevious && _second.Timestamp - _first.PreviousTimestamp <= far)
            || (_first.MarkerTimestamp is { } marker && _second.Timestamp - marker <= far))
        {
            return 0;
        }

        return _second.NearRun(until == long.MaxValue ? until : until - far, batch.Capacity - batch.Count);
    }

    static long Threshold(long interval) => interval * 3 / 2;

    /// <summary>How far from a sample something is at most that decides about it.</summary>
    static long Reach(long interval) => Math.Max(ReplicaCursor.Near, 2 * interval);

    /// <summary>
    /// What the first replica keeps near the second one's current sample, or both where the first one's distances are few and differ. Of
    /// downsampled data the length of a window.
    /// </summary>
    long Interval()
    {
        if (_first.IsOfWindows)
        {
            return _first.Batch.ResolutionMs;
        }

        // Where replicas have no two samples near one another, those are told by that lie farther away.
        Span<long> distances = stackalloc long[4 * ReplicaCursor.MostDistances];
        for (var near = ReplicaCursor.Near; near <= Farthest; near *= 2)
        {
            if (Interval(near, distances) is > 0 and var interval)
            {
                return interval;
            }
        }

        return UnknownInterval;
    }

    /// <summary>As distances up to so far away tell; 0 where there are none.</summary>
    long Interval(long near, Span<long> distances)
    {
        var time = _second.Timestamp;
        var count = _first.IsJoined ? 0 : _first.Distances(time, near, distances);
        distances[..count].Sort();
        if (count >= Many || (count > 1 && IsAlike(distances[0], distances[count - 1])))
        {
            return Usual(distances[..count]);
        }

        if (_second.IsOfWindows)
        {
            return _second.Batch.ResolutionMs;
        }

        count += _second.Distances(time, near, distances[count..]);
        if (count == 0 && _first.IsJoined)
        {
            count = _first.Distances(time, near, distances);
        }

        distances[..count].Sort();
        return count > 0 ? Usual(distances[..count]) : 0;
    }

    /// <summary>
    /// Of many distances that at the lower quartile, since missed scrapes lengthen many of them, but none of the two shortest, since a
    /// restart shortens one or two. Of fewer the longer of the two shortest that are alike, and where there are none the shortest.
    /// </summary>
    static long Usual(ReadOnlySpan<long> sorted)
    {
        for (var i = 0; i + 1 < sorted.Length && sorted.Length < Many; i++)
        {
            if (IsAlike(sorted[i], sorted[i + 1]))
            {
                return sorted[i + 1];
            }
        }

        return sorted[sorted.Length < Many ? 0 : (sorted.Length - 1) / 4];
    }

    static bool IsAlike(long shorter, long longer) => longer <= shorter + (shorter / 4);

    /// <summary>Whether the second replica's current sample or marker stands in a gap of the first one.</summary>
    bool IsWanted()
    {
        var (time, interval) = (_second.Timestamp, Interval());
        var (from, to) = (time - Reach(interval), time + Reach(interval));
        var after = _first.NextSample(to);
        if (time > after - Covered(interval)
            || (_lastReplica == _first && _lastSample != long.MinValue && time < _lastSample + Distance(interval)))
        {
            return false;
        }

        var isMarked = _first.MarkerTimestamp >= from || (_first.HasSample && _first.IsStale && _first.Timestamp <= to);
        if (_second.IsStale)
        {
            return !_lastIsStale && IsEnd(interval, from, to, after);
        }

        return (isMarked || IsGap(interval, from, to, after)) && !IsBehind(interval, after);
    }

    /// <summary>
    /// Whether the first replica missed scrapes around the second one's current sample. Where it ends or begins, the second one has to show
    /// so with what it has more than one and a half intervals from there.
    /// </summary>
    /// <param name="from">What lies before does not count.</param>
    /// <param name="to">What lies behind does not count.</param>
    /// <param name="after">The first replica's next sample; the highest where there is none.</param>
    bool IsGap(long interval, long from, long to, long after)
    {
        var threshold = Threshold(interval);
        if (_first.HasPrevious && _first.PreviousTimestamp >= from)
        {
            var before = _first.PreviousTimestamp;
            return after != long.MaxValue ? after - before > FirstThreshold(interval)
                : _first.IsJoined || _second.Timestamp > before + threshold || _second.NextAfter(before + threshold) <= to;
        }

        return after == long.MaxValue || _first.IsJoined
            || _second.Timestamp < after - threshold || _second.HasPassed(from, after - threshold);
    }

    /// <summary>Whether the series ends with the second replica's marker: the first one does not go on, and has none itself.</summary>
    bool IsEnd(long interval, long from, long to, long after)
    {
        if (_first.HasSample && _first.IsStale && _first.Timestamp <= to)
        {
            return false;
        }

        return !_first.HasPrevious || _first.PreviousTimestamp < from || _first.IsJoined || _first.MarkerTimestamp is not null
            || (after == long.MaxValue
                ? _second.Timestamp - _first.PreviousTimestamp >= interval
                : after - _first.PreviousTimestamp > FirstThreshold(interval));
    }

    /// <summary>Of the first replica a window is no gap behind the one before, however short the interval is.</summary>
    long FirstThreshold(long interval) => Threshold(Math.Max(interval, _first.Batch.ResolutionMs));

    /// <summary>What the first replica's current sample stands for: nothing of that is taken from the second one.</summary>
    long Covered(long interval) =>
        _first.IsOfWindows && _first.Batch.ResolutionMs > _second.Batch.ResolutionMs ? _first.Batch.ResolutionMs : Math.Max(1, interval / 2);

    /// <summary>How far from the last sample the second replica's next one is at least: a window reaches back.</summary>
    long Distance(long interval) => _second.Batch.ResolutionMs > _lastResolution
        ? _second.Batch.ResolutionMs : (_lastResolution > 0 ? _second.Batch.ResolutionMs : interval) / 2;

    /// <summary>
    /// The first replica's staleness marker ends the series, if the second one has no sample around it and the series is not ended already.
    /// </summary>
    bool GiveMarker(SampleBatch batch)
    {
        var isWatched = false;
        if (_second.HasSample)
        {
            var threshold = Threshold(Interval());
            isWatched = _second.HasPrevious && _second.MarkerTimestamp is null && _first.Timestamp - _second.PreviousTimestamp <= threshold
                && _second.Timestamp - _second.PreviousTimestamp <= threshold;
        }

        if (!isWatched && !_lastIsStale && _first.Timestamp > _last)
        {
            return Take(batch, _first, 1);
        }

        _first.MoveNext();
        return true;
    }

    /// <summary>
    /// Whether the second replica's sample is below the last one, or above the first replica's next one, without a fall in its own replica
    /// there: of a counter that is no reset, but a replica that reads earlier or later than it says. One that stands apart for longer than
    /// two intervals counts something else.
    /// </summary>
    bool IsBehind(long interval, long after)
    {
        if (_second.IsHistogram ? _second.Histogram.CounterResetHint == CounterResetHint.Gauge : _kind != DedupKind.Counter)
        {
            return false;
        }

        var isFarFromLast = _lastSample == long.MinValue || _lastIsStale || _second.Timestamp - _lastSample > 2 * interval
            || !_second.HasPrevious || _second.RisingSince > _lastSample || _second.Level < _second.PreviousValue
            || _second.Timestamp - _second.PreviousTimestamp > Threshold(interval) || _second.IsHistogram != (_lastHistogram is not null)
            || (_second.IsHistogram && _second.Histogram.CounterResetHint == CounterResetHint.CounterReset);
        if (!isFarFromLast && _second.Level < (_lastHistogram?.Count ?? _lastValue))
        {
            return true;
        }

        if (!_first.HasSample || _first.Timestamp != after || _second.IsHistogram != _first.IsHistogram || _second.Level <= _first.Level
            || (_first.IsHistogram && _first.Histogram.CounterResetHint == CounterResetHint.CounterReset))
        {
            return false;
        }

        // Where the second one ends there, the first one itself tells whether it was reset.
        var next = _second.NextAfter(_second.Timestamp);
        return next > _second.Timestamp + Reach(interval)
            ? _first.HasPrevious && _first.PreviousTimestamp >= _second.Timestamp - Reach(interval) && _first.PreviousValue <= _first.Level
            : next >= after && _second.IsRisingNext;
    }

    /// <summary>Adds samples of one replica and moves it on; false where the batch cannot take the first of them.</summary>
    bool Take(SampleBatch batch, ReplicaCursor replica, int count)
    {
        if (batch.Count > 0 && batch.Replica != replica.Number)
        {
            return false;
        }

        var (at, isSwitch, isStale) = (batch.Count, replica != _lastReplica, replica.IsStale);
        count = batch.Add(replica.Batch, replica.At, count);
        if (count == 0)
        {
            return false;
        }

        batch.Replica = replica.Number;

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
    /// A replica's value at a time between its previous sample and its current one, which counts from zero where it is lower; null where it
    /// has no previous one.
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
