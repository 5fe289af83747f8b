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
/// Windows of native histograms: count, sum and counter. The counter goes on over the chunks of a series, since a reader has nothing
/// that would tell it of resets between them.
/// </summary>
sealed class HistogramWindows
{
    Histogram? _counter;
    Histogram? _previous;

    public IEnumerable<Chunk> OfRaw(List<long> times, List<Histogram> histograms, int from, int to, long resolutionMs)
    {
        var samples = new List<(long Time, double Count, Histogram Sum, Histogram Counter)>(to - from);
        for (var i = from; i < to; i++)
        {
            if (!double.IsNaN(histograms[i].Sum))
            {
                samples.Add((times[i], 1, histograms[i], histograms[i]));
            }
        }

        return Build(samples, resolutionMs);
    }

    public IEnumerable<Chunk> OfAggregates(Chunk[] chunks, long resolutionMs, string source)
    {
        var samples = new List<(long Time, double Count, Histogram Sum, Histogram Counter)>();
        var (counts, sums, counters) =
            (new SampleBatch(ushort.MaxValue), new SampleBatch(ushort.MaxValue), new SampleBatch(ushort.MaxValue));
        foreach (var chunk in chunks)
        {
            if (!ReadAll(chunk, Aggregate.Count, counts, source) || !ReadAll(chunk, Aggregate.Sum, sums, source)
                || !ReadAll(chunk, Aggregate.Counter, counters, source) || counts.Count != sums.Count || counts.Count != counters.Count)
            {
                Tsdb.Bytes.CorruptionException.Throw(source, 0, "aggregates of histograms that don't belong together");
            }

            for (var i = 0; i < counts.Count; i++)
            {
                samples.Add((counts.Timestamps[i], counts.Values[i], sums.Histograms[i], counters.Histograms[i]));
            }
        }

        return Build(samples, resolutionMs);
    }

    static bool ReadAll(Chunk chunk, Aggregate aggregate, SampleBatch batch, string source)
    {
        batch.Clear();
        return AggregatesChunk.TryGet(chunk, aggregate, source, 0, out var part)
            && ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch) > 0
            && batch.Kind == (aggregate == Aggregate.Count ? SampleKind.Float : SampleKind.Histogram);
    }

    IEnumerable<Chunk> Build(List<(long Time, double Count, Histogram Sum, Histogram Counter)> samples, long resolutionMs)
    {
        if (samples.Count == 0)
        {
            yield break;
        }

        var gauge = samples[0].Counter.CounterResetHint == CounterResetHint.Gauge;
        var open = new Parts();
        var (next, last) = (-1L, samples[^1].Time);
        var (count, sum) = (0.0, default(Histogram));
        foreach (var sample in samples)
        {
            if (sample.Time > next)
            {
                if (next != -1 && open.Append(next, count, sum!, Counter(gauge)) is { } full)
                {
                    yield return full;
                }

                (count, sum) = (0, null);
                next = Math.Min(Downsampler.WindowEnd(sample.Time, resolutionMs), last);
            }

            count += sample.Count;
            sum = Added(sum, sample.Sum);
            Count(sample.Counter);
        }

        if (open.Append(next, count, sum!, Counter(gauge)) is { } before)
        {
            yield return before;
        }

        yield return open.Chunk()!.Value;
    }

    /// <summary>The sum of histograms, a gauge: sums of windows may fall.</summary>
    static Histogram Added(Histogram? sum, Histogram histogram)
    {
        if (sum is null)
        {
            sum = histogram.Copy();
            sum.IsInteger = false;
        }
        else
        {
            sum.Add(histogram);
        }

        sum.CounterResetHint = CounterResetHint.Gauge;
        return sum;
    }

    void Count(Histogram histogram)
    {
        if (_counter is null || _previous is null || _counter.UsesCustomBuckets != histogram.UsesCustomBuckets)
        {
            _counter = histogram.Copy();
        }
        else if (histogram.CounterResetHint != CounterResetHint.Gauge && histogram.DetectReset(_previous))
        {
            _counter.Add(histogram);
        }
        else
        {
            var gained = histogram.Copy();
            gained.Sub(_previous);
            _counter.Add(gained);
        }

        _counter.IsInteger = false;
        _previous = histogram;
    }

    Histogram Counter(bool gauge)
    {
        var counter = _counter!.Copy();
        counter.CounterResetHint = gauge ? CounterResetHint.Gauge : CounterResetHint.Unknown;
        return counter;
    }

    /// <summary>The three aggregates of a chunk; a histogram that can't be in one chunk with those before starts another.</summary>
    sealed class Parts
    {
        AggregateBuilder _counts = new();
        AggregateBuilder _sums = new();
        AggregateBuilder _counters = new();
        int _windows;

        /// <summary>Adds a window; returns the chunk before it when it needed a new one.</summary>
        public Chunk? Append(long time, double count, Histogram sum, Histogram counter)
        {
            Chunk? full = null;
            if (_windows > 0 && !(_sums.CanAppend(sum) && _counters.CanAppend(counter)))
            {
                full = Chunk();
                (_counts, _sums, _counters, _windows) = (new AggregateBuilder(), new AggregateBuilder(), new AggregateBuilder(), 0);
            }

            _windows++;
            _counts.Append(time, count);
            _sums.TryAppend(time, sum);
            _counters.TryAppend(time, counter);
            return full;
        }

        public Chunk? Chunk()
        {
            var (counts, sums, counters) = (_counts.Chunk(), _sums.Chunk(), _counters.Chunk());
            return counts.Encoding == ChunkEncoding.None
                ? null
                : new Chunk(counts.MinTime, counts.MaxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(
                [counts, sums, default, default, counters]));
        }
    }
}
