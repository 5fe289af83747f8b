using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;

namespace Observe.Store.Compact;

/// <summary>The aggregates of a chunk of native histograms; one that can't be in one chunk with those before starts another.</summary>
sealed class HistogramChunkBuilder
{
    AggregateBuilder _counts = new();
    AggregateBuilder _sums = new();
    AggregateBuilder _counters = new();
    (long Time, Histogram Value)? _begin;

    /// <summary>How many windows the chunk has.</summary>
    public int Windows { get; private set; }

    /// <summary>The chunk begins with the first raw sample of a run.</summary>
    public void Begin(long time, Histogram value) => _begin = (time, value);

    /// <summary>Adds a window; returns the chunk before it when it needed a new one.</summary>
    public Chunk? Append(long time, double count, Histogram sum, Histogram counter)
    {
        // The sum is a gauge, since sums of windows may fall; a counter may be one.
        (sum, counter) = (sum.WithHint(CounterResetHint.Gauge), Float(counter));
        Chunk? full = null;
        if (Windows > 0 && !(_sums.CanAppend(sum) && _counters.CanAppend(counter)))
        {
            full = Chunk(null);
        }

        if (_begin is { } begin && begin.Time < time)
        {
            _counters.TryAppend(begin.Time, Float(begin.Value));
        }

        _begin = null;
        Windows++;
        _counts.Append(time, count);
        _sums.TryAppend(time, sum);
        _counters.TryAppend(time, counter);
        return full;
    }

    /// <summary>The chunk of the windows, null where there is none.</summary>
    /// <param name="last">What the series had last, where the counter says something else.</param>
    public Chunk? Chunk(Histogram? last)
    {
        if (Windows == 0)
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
        (_counts, _sums, _counters, Windows) = (new AggregateBuilder(), new AggregateBuilder(), new AggregateBuilder(), 0);
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
