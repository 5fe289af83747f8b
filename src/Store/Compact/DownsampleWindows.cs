using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

/// <summary>Windows of floats: count, sum, min, max and counter of each.</summary>
sealed class FloatWindows
{
    readonly List<long> _times = [];
    readonly List<double> _values = [];

    public IEnumerable<Chunk> OfRaw(List<long> times, List<double> values, int from, int to, long resolutionMs)
    {
        _times.Clear();
        _values.Clear();
        for (var i = from; i < to; i++)
        {
            if (!double.IsNaN(values[i]))
            {
                _times.Add(times[i]);
                _values.Add(values[i]);
            }
        }

        if (_times.Count == 0)
        {
            yield break;
        }

        var parts = new AggregateBuilder[5];
        for (var i = 0; i < parts.Length; i++)
        {
            parts[i] = new AggregateBuilder();
        }

        var (minTime, maxTime) = (long.MaxValue, long.MinValue);
        parts[4].Append(_times[0], _values[0]);
        Walk(resolutionMs, (time, window) =>
        {
            (minTime, maxTime) = (Math.Min(minTime, time), Math.Max(maxTime, time));
            parts[0].Append(time, window.Count);
            parts[1].Append(time, window.Sum);
            parts[2].Append(time, window.Min);
            parts[3].Append(time, window.Max);
            parts[4].Append(time, window.Counter);
        });
        parts[4].Append(maxTime, _values[^1]);
        yield return new Chunk(minTime, maxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode([.. parts.Select(p => p.Chunk())]));
    }

    public IEnumerable<Chunk> OfAggregates(Chunk[] chunks, long resolutionMs, string source)
    {
        var parts = new AggregateBuilder[5];
        var (minTime, maxTime) = (long.MaxValue, long.MinValue);
        for (var i = 0; i < parts.Length; i++)
        {
            var part = parts[i] = new AggregateBuilder();
            var aggregate =
                i switch { 0 => Aggregate.Count, 1 => Aggregate.Sum, 2 => Aggregate.Min, 3 => Aggregate.Max, _ => Aggregate.Counter };
            var last = Expand(chunks, aggregate, source);
            if (_times.Count == 0)
            {
                continue;
            }

            if (aggregate == Aggregate.Counter)
            {
                part.Append(_times[0], _values[0]);
            }

            var end = 0L;
            Walk(resolutionMs, (time, window) =>
            {
                (minTime, maxTime, end) = (Math.Min(minTime, time), Math.Max(maxTime, time), time);
                part.Append(time, aggregate switch
                {
                    Aggregate.Min => window.Min,
                    Aggregate.Max => window.Max,
                    Aggregate.Counter => window.Counter,
                    _ => window.Sum,
                });
            });
            if (aggregate == Aggregate.Counter)
            {
                part.Append(end, last);
            }
        }

        if (minTime <= maxTime)
        {
            yield return new Chunk(minTime, maxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode([.. parts.Select(p => p.Chunk())]));
        }
    }

    /// <summary>Reads one aggregate of several chunks, a counter with its resets applied; returns the counter's true last value.</summary>
    double Expand(Chunk[] chunks, Aggregate aggregate, string source)
    {
        _times.Clear();
        _values.Clear();
        var batch = new SampleBatch();
        var counter = new CounterIterator(chunks, source, 0);
        foreach (var samples in aggregate == Aggregate.Counter
            ? [counter] : chunks.Select(c => ChunkIterators.OpenChunk(c, aggregate, source, 0)))
        {
            while (samples.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    if (!StaleMarker.IsStale(batch.Values[i]) && (_times.Count == 0 || batch.Timestamps[i] >= _times[^1]))
                    {
                        _times.Add(batch.Timestamps[i]);
                        _values.Add(batch.Values[i]);
                    }
                }
            }
        }

        return counter.LastValue;
    }

    void Walk(long resolutionMs, Action<long, Window> end)
    {
        var window = default(Window);
        var (next, last, total) = (-1L, _times[^1], 0);
        for (var i = 0; i < _times.Count; i++)
        {
            if (_times[i] > next)
            {
                if (next != -1)
                {
                    end(next, window);
                }

                window = window with { Count = 0, Sum = 0, Min = double.MaxValue, Max = double.MinValue };
                next = Math.Min(Downsampler.WindowEnd(_times[i], resolutionMs), last);
            }

            var value = _values[i];
            window.Counter = total++ == 0 ? value : value < window.Last ? window.Counter + value : window.Counter + (value - window.Last);
            window.Last = value;
            window.Sum += value;
            window.Count++;
            window.Min = value < window.Min ? value : window.Min;
            window.Max = value > window.Max ? value : window.Max;
        }

        end(next, window);
    }

    record struct Window(int Count, double Sum, double Min, double Max, double Counter, double Last);
}

/// <summary>
/// Windows of native histograms: count, sum and counter. The counter goes on over the chunks of a run, so that nobody sees a reset between
/// two of them; it begins with the first raw sample, and the last chunk has the last raw value in the place of the maximum, which
/// histograms have none of, where that is less than the counter.
/// </summary>
sealed class HistogramWindows
{
    // Sum of the values before each reset; null before the first one. The counter is what the series has and this.
    Histogram? _offset;
    Histogram? _last;

    /// <param name="isEnd">The run of histograms ends with these samples.</param>
    public List<Chunk> OfRaw(List<long> times, List<Histogram> histograms, int from, int to, long resolutionMs, bool isEnd)
    {
        var samples = new List<Sample>(to - from);
        for (var i = from; i < to; i++)
        {
            if (!double.IsNaN(histograms[i].Sum))
            {
                samples.Add(new Sample(times[i], 1, histograms[i], histograms[i], null));
            }
        }

        return Build(samples, resolutionMs, isEnd);
    }

    /// <param name="isEnd">The run of histograms ends with these chunks.</param>
    public List<Chunk> OfAggregates(Chunk[] chunks, long resolutionMs, string source, bool isEnd)
    {
        var samples = new List<Sample>();
        foreach (var chunk in chunks)
        {
            var (counts, sums, counters) = Read(chunk, source);
            var first = counters.Count - counts.Count;
            if (first == 1)
            {
                samples.Add(new Sample(counters.Timestamps[0], 0, null, counters.Histograms[0], null));
            }

            var last = AggregatesChunk.LastOfCounter(chunk, source, 0);
            for (var i = 0; i < counts.Count; i++)
            {
                samples.Add(new Sample(
                    counts.Timestamps[i], counts.Values[i], sums.Histograms[i], counters.Histograms[i + first],
                    i == counts.Count - 1 ? last : null));
            }
        }

        return Build(samples, resolutionMs, isEnd);
    }

    /// <summary>The windows of a chunk: as many sums as counts, and as many counters or one more, the first raw sample.</summary>
    internal static (SampleBatch Counts, SampleBatch Sums, SampleBatch Counters) Read(Chunk chunk, string source)
    {
        var (counts, sums, counters) = (Part(Aggregate.Count), Part(Aggregate.Sum), Part(Aggregate.Counter));
        return counts is null || sums is null || counters is null || counts.Kind != SampleKind.Float || sums.Kind != SampleKind.Histogram
            || counters.Kind != SampleKind.Histogram || counts.Count != sums.Count || counters.Count - counts.Count is not (0 or 1)
            ? throw new CorruptionException(source, 0, "aggregates of histograms that don't belong together")
            : (counts, sums, counters);

        SampleBatch? Part(Aggregate aggregate)
        {
            if (!AggregatesChunk.TryGet(chunk, aggregate, source, 0, out var part))
            {
                return null;
            }

            var batch = new SampleBatch(Math.Max(1, ChunkIterators.Count(part, source, 0)));
            return ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch) > 0 ? batch : null;
        }
    }

    List<Chunk> Build(List<Sample> samples, long resolutionMs, bool isEnd)
    {
        var (chunks, open, window, end) = (new List<Chunk>(), new HistogramChunkBuilder(), default(Window), samples.Count > 0 ? samples[^1].Time : 0);
        foreach (var sample in samples)
        {
            var isOther = _last is not null && _last.UsesCustomBuckets != sample.Counter.UsesCustomBuckets;
            if (window.Sum is not null && (isOther || sample.Time > window.End))
            {
                Close();
            }

            if (isOther)
            {
                Finish();
            }

            if (window.Sum is null)
            {
                window.End = Math.Min(Downsampler.WindowEnd(sample.Time, resolutionMs), end);
            }

            if (_last is null)
            {
                open.Begin(sample.Time, sample.Counter);
            }
            else if (sample.Counter.CounterResetHint != CounterResetHint.Gauge && sample.Counter.DetectReset(_last))
            {
                _offset = Added(_offset, _last);
            }

            window.Counter = _offset is null ? sample.Counter : Added(sample.Counter.Copy(), _offset);
            _last = sample.Counter;
            if (sample.Last is not null)
            {
                // The counter stays as it is, and what follows is held against the raw value.
                _offset = Added(_offset, Less(_last, sample.Last));
                _last = sample.Last;
            }

            window.Count += sample.Count;
            if (sample.Sum is not null)
            {
                window.Sum = Added(window.Sum, sample.Sum);
            }
        }

        if (window.Sum is not null)
        {
            Close();
        }

        if (isEnd)
        {
            Finish();
        }
        else if (open.Chunk(null) is { } rest)
        {
            chunks.Add(rest);
        }

        return chunks;

        void Close()
        {
            if (open.Append(window.End, window.Count, window.Sum!, window.Counter!) is { } full)
            {
                chunks.Add(full);
            }

            window = default;
        }

        void Finish()
        {
            if (open.Chunk(_offset is null ? null : _last) is { } last)
            {
                chunks.Add(last);
            }

            (open, _last, _offset) = (new HistogramChunkBuilder(), null, null);
        }
    }

    static Histogram Added(Histogram? sum, Histogram histogram)
    {
        if (sum is null)
        {
            sum = histogram.Copy();
        }
        else
        {
            sum.Add(histogram);
        }

        sum.IsInteger = false;
        return sum;
    }

    static Histogram Less(Histogram histogram, Histogram other)
    {
        var difference = histogram.Copy();
        difference.Sub(other);
        return difference;
    }

    /// <summary>What is given of a time: raw samples, or a window with what its chunk says of the last raw value.</summary>
    readonly record struct Sample(long Time, double Count, Histogram? Sum, Histogram Counter, Histogram? Last);

    record struct Window(long End, double Count, Histogram? Sum, Histogram? Counter);
}
