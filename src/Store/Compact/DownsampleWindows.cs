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
        var (counts, sums, counters) =
            (new SampleBatch(ushort.MaxValue), new SampleBatch(ushort.MaxValue), new SampleBatch(ushort.MaxValue));
        foreach (var chunk in chunks)
        {
            if (!ReadAll(chunk, Aggregate.Count, counts, source) || !ReadAll(chunk, Aggregate.Sum, sums, source)
                || !ReadAll(chunk, Aggregate.Counter, counters, source) || counts.Count != sums.Count
                || counters.Count - counts.Count is not (0 or 1))
            {
                CorruptionException.Throw(source, 0, "aggregates of histograms that don't belong together");
            }

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

    static bool ReadAll(Chunk chunk, Aggregate aggregate, SampleBatch batch, string source)
    {
        batch.Clear();
        return AggregatesChunk.TryGet(chunk, aggregate, source, 0, out var part)
            && ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch) > 0
            && batch.Kind == (aggregate == Aggregate.Count ? SampleKind.Float : SampleKind.Histogram);
    }

    List<Chunk> Build(List<Sample> samples, long resolutionMs, bool isEnd)
    {
        var (chunks, open, window, end) = (new List<Chunk>(), new Parts(), default(Window), samples.Count > 0 ? samples[^1].Time : 0);
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
            if (open.Append(window) is { } full)
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

            (open, _last, _offset) = (new Parts(), null, null);
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

    /// <summary>The aggregates of a chunk; a histogram that can't be in one chunk with those before starts another.</summary>
    sealed class Parts
    {
        AggregateBuilder _counts = new();
        AggregateBuilder _sums = new();
        AggregateBuilder _counters = new();
        int _windows;
        (long Time, Histogram Value)? _begin;

        /// <summary>The chunk begins with the first raw sample of a run.</summary>
        public void Begin(long time, Histogram value) => _begin = (time, value);

        /// <summary>Adds a window; returns the chunk before it when it needed a new one.</summary>
        public Chunk? Append(in Window window)
        {
            // The sum is a gauge, since sums of windows may fall; a counter may be one.
            var (sum, counter) = (window.Sum!.WithHint(CounterResetHint.Gauge), Float(window.Counter!));
            Chunk? full = null;
            if (_windows > 0 && !(_sums.CanAppend(sum) && _counters.CanAppend(counter)))
            {
                full = Chunk(null);
            }

            if (_begin is { } begin && begin.Time < window.End)
            {
                _counters.TryAppend(begin.Time, Float(begin.Value));
            }

            _begin = null;
            _windows++;
            _counts.Append(window.End, window.Count);
            _sums.TryAppend(window.End, sum);
            _counters.TryAppend(window.End, counter);
            return full;
        }

        /// <summary>The chunk of the windows, null where there is none.</summary>
        /// <param name="last">What the series had last, where the counter says something else.</param>
        public Chunk? Chunk(Histogram? last)
        {
            if (_windows == 0)
            {
                return null;
            }

            var (counts, end) = (_counts.Chunk(), new AggregateBuilder());
            if (last is not null)
            {
                end.TryAppend(counts.MaxTime, Float(last));
            }

            var chunk = new Chunk(counts.MinTime, counts.MaxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(
                [counts, _sums.Chunk(), default, end.Chunk(), _counters.Chunk()]));
            (_counts, _sums, _counters, _windows) = (new AggregateBuilder(), new AggregateBuilder(), new AggregateBuilder(), 0);
            return chunk;
        }

        static Histogram Float(Histogram histogram)
        {
            var hint = histogram.CounterResetHint == CounterResetHint.Gauge ? CounterResetHint.Gauge : CounterResetHint.Unknown;
            if (histogram.IsInteger || histogram.CounterResetHint != hint)
            {
                histogram = histogram.WithHint(hint);
                histogram.IsInteger = false;
            }

            return histogram;
        }
    }
}
