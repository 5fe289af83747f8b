using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Goes over one replica's samples, one after another, and sees the times of those around: of a few before and of as many behind as are
/// asked for.
/// </summary>
sealed class ReplicaCursor
{
    /// <summary>What lies farther than so many milliseconds from a sample decides nothing about it, unless intervals are longer.</summary>
    public const long Near = 150_000;

    /// <summary>Distances between so many pairs of neighbours at each side of a time tell the interval there.</summary>
    public const int MostDistances = 15;

    /// <summary>So many times before the current one are kept, for their distances.</summary>
    const int Kept = MostDistances + 1;

    readonly Queue<SampleBatch> _ahead = new();
    readonly Stack<SampleBatch> _free = new();
    ISampleIterator _samples = null!;
    SampleBatch _batch = new();
    bool _isOpen;
    bool _isAtEnd;
    int _number;

    // Times of what was loaded, and of a few samples before; where each is no sample, or not the next one of the same replica.
    long[] _times = new long[3 * SampleBatch.DefaultCapacity];
    bool[] _isStale = new bool[3 * SampleBatch.DefaultCapacity];
    bool[] _isApart = new bool[3 * SampleBatch.DefaultCapacity];
    int _count;
    int _now;
    int _endOfBatch;
    int _lastNumber;

    // A run of samples whose distances are alike, and the shortest and the longest of those.
    int _runStart;
    int _runEnd;
    long _shortest;
    long _longest;

    // Up to here samples are known to be close to one another; -1 where that is not known.
    int _closeUntil = -1;

    public bool HasSample
    {
        get
        {
            Open();
            return _now < _count;
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

    /// <summary>The current sample's place in the batch.</summary>
    public int At => _batch.Count - (_endOfBatch - _now);

    /// <summary>Which replica the current samples are of, in order of preference.</summary>
    public int Number => _samples is DedupIterator ? _batch.Replica : _number;

    public long Timestamp => _times[_now];

    public bool IsHistogram => _batch.Kind == SampleKind.Histogram;

    public double Value => _batch.Values[At];

    public Histogram Histogram => _batch.Histograms[At];

    public bool IsStale => _isStale[_now];

    /// <summary>Whether a sample that is no staleness marker was passed since the last jump.</summary>
    public bool HasPrevious { get; private set; }

    public long PreviousTimestamp { get; private set; }

    /// <summary>The previous sample's value, or its histogram's count.</summary>
    public double PreviousValue { get; private set; }

    /// <summary>
    /// The time of the first of those samples passed since the last jump, up to the previous one, among which none is lower than the one
    /// before it, so far as they were passed one by one. Of histograms the count is meant.
    /// </summary>
    public long RisingSince { get; private set; } = long.MaxValue;

    /// <summary>The time of the staleness marker that was passed since the previous sample; null where there was none.</summary>
    public long? MarkerTimestamp { get; private set; }

    /// <summary>The current sample's value, or its histogram's count.</summary>
    public double Level => IsHistogram ? Histogram.Count : Value;

    /// <summary>Whether the sample after the current one is of its kind and not lower, or its count is not.</summary>
    public bool IsRisingNext
    {
        get
        {
            if (NextAfter(Timestamp) == long.MaxValue)
            {
                return false;
            }

            var (batch, at) = _now + 1 < _endOfBatch ? (_batch, At + 1) : (_ahead.Peek(), 0);
            return batch.Kind == _batch.Kind && (IsHistogram ? batch.Histograms[at].Count : batch.Values[at]) >= Level;
        }
    }

    /// <summary>
    /// Whether no gap is before the current sample for certain: all distances near are alike and there are enough to tell the interval, or it
    /// is close to the one before it whichever of them is the interval.
    /// </summary>
    public bool IsRegular => CertainUntil(_now) >= _now;

    /// <summary>How many samples from the current one on have no gap between them for certain.</summary>
    public int RegularRun(int most) =>
        _now + 1 < _endOfBatch ? Math.Clamp(Math.Min(CertainUntil(_now + 1), _endOfBatch - 1) - _now + 1, 1, most) : 1;

    /// <summary>How many samples from the current one on lie before a time.</summary>
    public int RunBefore(long time, int most)
    {
        var end = Math.Min(_endOfBatch, _now + most);
        var at = _now + 1;
        while (at < end && _times[at] < time && !_isStale[at])
        {
            at++;
        }

        return at - _now;
    }

    /// <summary>How many samples from the current one on are near one another and at most at a time.</summary>
    public int NearRun(long until, int most)
    {
        LoadUntil(_times[_endOfBatch - 1]);
        var end = Math.Min(Math.Min(_endOfBatch, _now + most), _count - 1);
        var at = _now;
        while (at < end && _times[at] <= until && !_isStale[at] && _times[at + 1] - _times[at] <= Near)
        {
            at++;
        }

        return at - _now;
    }

    /// <summary>The time of the next sample, the current one included, that is no marker; the highest where there is none up to a time.</summary>
    public long NextSample(long until)
    {
        LoadUntil(until);
        var at = _now;
        while (at < _count && _times[at] <= until && _isStale[at])
        {
            at++;
        }

        return at < _count && _times[at] <= until ? _times[at] : long.MaxValue;
    }

    /// <summary>The time of the first sample or marker after a time, from the current one on; the highest where there is none.</summary>
    public long NextAfter(long time)
    {
        LoadUntil(time);
        var at = Math.Max(_now, FirstAfter(time));
        return at < _count ? _times[at] : long.MaxValue;
    }

    /// <summary>Whether one of the samples that were passed lies from a time on and before another.</summary>
    public bool HasPassed(long from, long before)
    {
        for (var at = Math.Min(_now, FirstAfter(before - 1)) - 1; at >= 0 && _times[at] >= from; at--)
        {
            if (!_isStale[at])
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Distances between the replica's neighbouring samples near a time, which is after the sample before the current one: of the latest pairs
    /// before it and of the first behind it.
    /// </summary>
    /// <returns>How many there are.</returns>
    public int Distances(long time, long near, Span<long> distances)
    {
        if (!HasSample && _count == 0)
        {
            return 0;
        }

        LoadUntil(time + near);
        var (count, last) = (0, FirstAfter(time) - 1);
        for (var at = last; at > 0 && at > last - MostDistances && _times[at - 1] >= time - near; at--)
        {
            Add(at, distances);
        }

        last = last >= 0 && _times[last] == time ? last : last + 1;
        for (var at = last + 1; at < _count && at <= last + MostDistances && _times[at] <= time + near; at++)
        {
            Add(at, distances);
        }

        return count;

        void Add(int at, Span<long> distances)
        {
            if (!_isApart[at])
            {
                distances[count++] = _times[at] - _times[at - 1];
            }
        }
    }

    /// <summary>Begins anew with the samples of another series.</summary>
    /// <param name="samples">Owned from now on. Nothing is read before the cursor is asked.</param>
    /// <param name="number">Which replica it is, in order of preference.</param>
    public void Reset(ISampleIterator samples, bool isJoined, int number)
    {
        (_samples, IsJoined, _number) = (samples, isJoined, number);
        (_isOpen, _isAtEnd) = (false, false);
        Forget();
    }

    public void MoveNext() => MoveBy(1);

    /// <summary>Passes samples of the current batch: one, or several of which none is a staleness marker.</summary>
    public void MoveBy(int count)
    {
        var last = _now + count - 1;
        if (_isStale[last])
        {
            MarkerTimestamp = _times[last];
        }
        else
        {
            var at = At + count - 1;
            var value = IsHistogram ? _batch.Histograms[at].Count : _batch.Values[at];
            if (!HasPrevious || value < PreviousValue)
            {
                RisingSince = _times[last];
            }

            (HasPrevious, PreviousTimestamp, PreviousValue, MarkerTimestamp) = (true, _times[last], value, null);
        }

        _now += count;
        if (_now == _endOfBatch)
        {
            NextBatch();
        }
    }

    /// <summary>Passes all samples before a time, those of whole chunks without reading them.</summary>
    /// <returns>Whether there were any that were not passed one by one: what came before the current sample is not known then.</returns>
    public bool SkipBefore(long timestamp)
    {
        if (!_isOpen)
        {
            _samples.Seek(timestamp);
            return false;
        }

        if (_now == _count || Timestamp >= timestamp)
        {
            return false;
        }

        if (_times[_count - 1] >= timestamp)
        {
            while (Timestamp < timestamp)
            {
                MoveNext();
            }

            return false;
        }

        _samples.Seek(timestamp);
        Forget();
        NextBatch();
        while (_now < _count && Timestamp < timestamp)
        {
            MoveNext();
        }

        return true;
    }

    public void Dispose() => _samples.Dispose();

    /// <summary>The place of the first of the times that are known after one.</summary>
    int FirstAfter(long time) => _times.AsSpan(0, _count).BinarySearch(time) is var at && at >= 0 ? at + 1 : ~at;

    /// <summary>The last sample up to which there is no gap for certain; -1 where there may be one before the sample at a place.</summary>
    int CertainUntil(int at) => RegularUntil(at) is >= 0 and var until ? until : CloseUntil(at);

    /// <summary>
    /// The last sample up to which each is at most one and a half of the shortest distance near behind the one before it, where there are
    /// enough distances near that one of them is the interval; -1 where the sample at a place is not.
    /// </summary>
    int CloseUntil(int at)
    {
        if (at <= _closeUntil)
        {
            return _closeUntil;
        }

        var shortest = long.MaxValue;
        for (var i = Math.Max(1, at - MostDistances); i < _count && i <= at + (2 * MostDistances); i++)
        {
            shortest = _isApart[i] ? shortest : Math.Min(shortest, _times[i] - _times[i - 1]);
        }

        var (next, end) = (at, Math.Min(_endOfBatch, at + MostDistances));
        while (next < end && next > 0 && !_isApart[next] && _times[next] - _times[next - 1] <= shortest / 2 * 3 && HasManyNear(next))
        {
            next++;
        }

        if (next == at)
        {
            return -1;
        }

        return _closeUntil = next - 1;
    }

    /// <summary>Whether there are enough distances near any time between a sample and the one before it.</summary>
    bool HasManyNear(int at)
    {
        var count = 0;
        for (var i = at - 1; count < DedupIterator.Many && i > 0 && i > at - 1 - MostDistances && _times[i - 1] >= _times[at] - Near; i--)
        {
            count += _isApart[i] ? 0 : 1;
        }

        for (var i = at + 1; count < DedupIterator.Many && i < _count && i <= at + MostDistances && _times[i] <= _times[at - 1] + Near; i++)
        {
            count += _isApart[i] ? 0 : 1;
        }

        return count >= DedupIterator.Many;
    }

    /// <summary>
    /// The last sample up to which the run of alike distances tells the interval; -1 where it tells nothing of the one at a place, before
    /// which there may be a gap.
    /// </summary>
    int RegularUntil(int at)
    {
        LoadUntil(_times[_endOfBatch - 1] + Near);
        ExtendRun(at);
        if (at > _runEnd || at - 2 < _runStart || _longest > Near / 2
            || !(_runStart <= 0 || at - 1 - _runStart >= MostDistances || _times[at - 1] - _times[_runStart] >= Near))
        {
            return -1;
        }

        // Two distances near are enough, beside the one before the sample: one at each side, or at the end both before it.
        var until = _longest > Near / 3 || _runEnd - 3 < _runStart ? _runEnd - 1 : _runEnd;
        while (_runEnd < _count - 1 && until >= at && _runEnd - until < MostDistances && _times[_runEnd] - _times[until] < Near)
        {
            until--;
        }

        return until;
    }

    /// <summary>Has the run of distances that are alike be the one that ends at a place or behind it, as far as was read.</summary>
    void ExtendRun(int at)
    {
        while (_runEnd + 1 < _count)
        {
            var distance = _times[_runEnd + 1] - _times[_runEnd];
            var (shortest, longest) = (Math.Min(_shortest, distance), Math.Max(_longest, distance));
            if (!_isApart[_runEnd + 1] && longest <= shortest + (shortest / 4))
            {
                (_shortest, _longest) = (shortest, longest);
            }
            else if (at <= _runEnd)
            {
                return;
            }
            else
            {
                (_runStart, _shortest, _longest) = _isApart[_runEnd + 1] ? (_runEnd + 1, long.MaxValue, 0) : (_runEnd, distance, distance);
            }

            _runEnd++;
        }
    }

    void Open()
    {
        if (!_isOpen)
        {
            _isOpen = true;
            NextBatch();
        }
    }

    void Forget()
    {
        while (_ahead.TryDequeue(out var batch))
        {
            _free.Push(batch);
        }

        (_count, _now, _endOfBatch, _batch.Count) = (0, 0, 0, 0);
        (_runStart, _runEnd, _shortest, _longest, _closeUntil) = (0, 0, long.MaxValue, 0, -1);
        (HasPrevious, PreviousTimestamp, PreviousValue, RisingSince, MarkerTimestamp) = (false, 0, 0, long.MaxValue, null);
    }

    void NextBatch()
    {
        if (_ahead.Count == 0 && !Load())
        {
            return;
        }

        _free.Push(_batch);
        _batch = _ahead.Dequeue();
        _endOfBatch = _now + _batch.Count;
    }

    void LoadUntil(long timestamp)
    {
        Open();
        while ((_count == 0 || _times[_count - 1] <= timestamp) && Load())
        {
        }
    }

    /// <summary>Reads one batch more.</summary>
    bool Load()
    {
        if (_isAtEnd)
        {
            return false;
        }

        var batch = _free.TryPop(out var free) ? free : new SampleBatch();
        batch.Clear();
        if (!_samples.Read(batch))
        {
            _isAtEnd = true;
            _free.Push(batch);
            return false;
        }

        Reserve(batch.Count);
        batch.Timestamps.AsSpan(0, batch.Count).CopyTo(_times.AsSpan(_count));
        var isStale = _isStale.AsSpan(_count, batch.Count);
        var isApart = _isApart.AsSpan(_count, batch.Count);
        MarkStale(batch, isStale);
        isStale.CopyTo(isApart);
        isApart[0] |= _count == 0 || _isStale[_count - 1] || (_samples is DedupIterator && batch.Replica != _lastNumber);
        for (var at = isStale.IndexOf(true); at >= 0 && ++at < isStale.Length;)
        {
            isApart[at] = true;
            var next = isStale[at..].IndexOf(true);
            at = next < 0 ? -1 : at + next;
        }

        (_count, _lastNumber) = (_count + batch.Count, batch.Replica);
        _ahead.Enqueue(batch);
        return true;
    }

    static void MarkStale(SampleBatch batch, Span<bool> isStale)
    {
        if (batch.Kind == SampleKind.Histogram)
        {
            for (var i = 0; i < isStale.Length; i++)
            {
                isStale[i] = batch.Histograms[i].IsStale;
            }

            return;
        }

        isStale.Clear();
        var values = MemoryMarshal.Cast<double, ulong>(batch.Values.AsSpan(0, isStale.Length));
        if (values.Contains(StaleMarker.Bits))
        {
            for (var i = 0; i < values.Length; i++)
            {
                isStale[i] = values[i] == StaleMarker.Bits;
            }
        }
    }

    /// <summary>
    /// Makes room for so many times more: what lies too far back goes. So much stays free that what is kept is moved a few times at most.
    /// </summary>
    void Reserve(int count)
    {
        if (_count + count <= _times.Length)
        {
            return;
        }

        var first = Math.Min(_now, _endOfBatch - _batch.Count);
        var from = first < _count ? Math.Min(FirstAfter(_times[first] - Near - 1), first - Kept) : first - Kept;
        from = Math.Max(0, from);
        var (times, isStale, isApart) = (_times, _isStale, _isApart);
        if (4 * (_count - from + count) > 3 * _times.Length)
        {
            var size = 2 * (_count - from + count);
            (_times, _isStale, _isApart) = (new long[size], new bool[size], new bool[size]);
        }

        Array.Copy(times, from, _times, 0, _count - from);
        Array.Copy(isStale, from, _isStale, 0, _count - from);
        Array.Copy(isApart, from, _isApart, 0, _count - from);
        (_count, _now, _endOfBatch) = (_count - from, _now - from, _endOfBatch - from);
        (_runStart, _runEnd, _closeUntil) = (_runStart - from, Math.Max(0, _runEnd - from), Math.Max(-1, _closeUntil - from));
    }
}
