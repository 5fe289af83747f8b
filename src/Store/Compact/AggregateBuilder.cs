using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

/// <summary>Cuts the front off a chunk of downsampled data.</summary>
static class AggregatesTrim
{
    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    /// <summary>The windows after a time; null when there is none. A counter begins with the value of its first window then.</summary>
    public static Chunk? After(Chunk chunk, long time, string source)
    {
        var parts = new Chunk[s_aggregates.Length];
        long minTime = long.MaxValue, maxTime = long.MinValue;
        for (var i = 0; i < parts.Length; i++)
        {
            if (!AggregatesChunk.TryGet(chunk, s_aggregates[i], source, 0, out var part))
            {
                continue;
            }

            parts[i] = Cut(part, time, source);
            if (parts[i].Encoding != ChunkEncoding.None)
            {
                (minTime, maxTime) = (Math.Min(minTime, parts[i].MinTime), Math.Max(maxTime, parts[i].MaxTime));
            }
        }

        return minTime > maxTime ? null : new Chunk(minTime, maxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(parts));
    }

    static Chunk Cut(Chunk part, long time, string source)
    {
        var samples = ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0);
        var batch = new SampleBatch(ushort.MaxValue);
        samples.Append(batch);
        var builder = new AggregateBuilder();
        for (var i = 0; i < batch.Count; i++)
        {
            if (batch.Timestamps[i] > time && !builder.TryAppend(batch, i))
            {
                break;
            }
        }

        return builder.Chunk();
    }
}

/// <summary>One aggregate's chunk while it is made: floats, the last timestamp perhaps twice, or float histograms.</summary>
sealed class AggregateBuilder
{
    XorAppender _floats;
    HistogramAppender? _histograms;
    long _minTime = long.MaxValue;
    int _count;

    public bool TryAppend(SampleBatch batch, int index) => batch.Kind == SampleKind.Float
        ? Append(batch.Timestamps[index], batch.Values[index])
        : TryAppend(batch.Timestamps[index], batch.Histograms[index]);

    public bool Append(long timestamp, double value)
    {
        if (_count++ == 0)
        {
            (_floats, _minTime) = (new XorAppender(new byte[256]), timestamp);
        }

        _floats.Append(timestamp, value);
        return true;
    }

    /// <summary>False when the histogram can't be in the same chunk.</summary>
    public bool TryAppend(long timestamp, Histogram histogram)
    {
        _histograms ??= new HistogramAppender(histogram);
        if (!_histograms.TryAppend(timestamp, histogram))
        {
            return false;
        }

        _minTime = _count++ == 0 ? timestamp : _minTime;
        return true;
    }

    /// <summary>Whether a histogram can be in the same chunk.</summary>
    public bool CanAppend(Histogram histogram) => _histograms is null || _histograms.CanAppend(histogram);

    /// <summary>What was appended; of no encoding when nothing was.</summary>
    public Chunk Chunk() => _count == 0 ? default
        : _histograms is not null ? new Chunk(_minTime, _histograms.MaxTime, _histograms.Encoding, _histograms.Written.ToArray())
        : new Chunk(_minTime, _floats.MaxTime, ChunkEncoding.Xor, _floats.Written.ToArray());
}
