using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// Several iterators of one series as one, by timestamp; where two have a sample at one time, the earlier in the list wins.
/// </summary>
sealed class OverlapIterator : ISampleIterator
{
    readonly Cursor[] _cursors;
    int _previous = -1;
    long _last = long.MinValue;
    bool _started;

    /// <param name="iterators">Owned from now on.</param>
    public OverlapIterator(IReadOnlyList<ISampleIterator> iterators) => _cursors = [.. iterators.Select(i => new Cursor(i))];

    public bool Read(SampleBatch batch)
    {
        batch.Clear();
        while (batch.Count < batch.Capacity)
        {
            var (first, limit) = Earliest();
            if (first < 0)
            {
                break;
            }

            var cursor = _cursors[first];
            var taken = 0;
            while (cursor.HasSample && (taken == 0 || cursor.Timestamp < limit))
            {
                if (!batch.Add(cursor.Batch, cursor.At))
                {
                    return true;
                }

                if (first != _previous && batch.Kind == SampleKind.Histogram)
                {
                    ForgetReset(batch);
                }

                (_previous, _last) = (first, cursor.Timestamp);
                taken++;
                if (!cursor.MoveNext())
                {
                    break;
                }
            }
        }

        return batch.Count > 0;
    }

    public void Seek(long timestamp)
    {
        foreach (var cursor in _cursors)
        {
            cursor.Seek(timestamp);
        }
    }

    public void Dispose()
    {
        foreach (var cursor in _cursors)
        {
            cursor.Iterator.Dispose();
        }
    }

    /// <summary>The cursor with the earliest sample after the last one given, and the time at which another one has its next.</summary>
    (int First, long Limit) Earliest()
    {
        if (!_started)
        {
            _started = true;
            foreach (var cursor in _cursors)
            {
                cursor.MoveNext();
            }
        }

        var (first, limit) = (-1, long.MaxValue);
        for (var i = 0; i < _cursors.Length; i++)
        {
            var cursor = _cursors[i];
            if (_previous >= 0)
            {
                cursor.SkipTo(_last);
            }

            if (!cursor.HasSample)
            {
                continue;
            }

            if (first < 0 || cursor.Timestamp < _cursors[first].Timestamp)
            {
                limit = first < 0 ? limit : _cursors[first].Timestamp;
                first = i;
            }
            else
            {
                limit = Math.Min(limit, cursor.Timestamp);
            }
        }

        return (first, limit);
    }

    /// <summary>"No reset" was said of the sample before in the same source, which is not the one that was given before.</summary>
    static void ForgetReset(SampleBatch batch)
    {
        ref var histogram = ref batch.Histograms[batch.Count - 1];
        if (histogram.CounterResetHint == CounterResetHint.NotCounterReset)
        {
            histogram = histogram.WithHint(CounterResetHint.Unknown);
        }
    }

    sealed class Cursor(ISampleIterator iterator)
    {
        public ISampleIterator Iterator { get; } = iterator;

        public SampleBatch Batch { get; } = new();

        public int At { get; private set; }

        public bool HasSample { get; private set; }

        public long Timestamp => Batch.Timestamps[At];

        public bool MoveNext()
        {
            if (HasSample && ++At < Batch.Count)
            {
                return true;
            }

            At = 0;
            return HasSample = Iterator.Read(Batch);
        }

        /// <summary>Past a time.</summary>
        public void SkipTo(long timestamp)
        {
            while (HasSample && Timestamp <= timestamp)
            {
                MoveNext();
            }
        }

        public void Seek(long timestamp)
        {
            Iterator.Seek(timestamp);
            while (HasSample && Timestamp < timestamp)
            {
                MoveNext();
            }
        }
    }
}
