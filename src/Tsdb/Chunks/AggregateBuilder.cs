using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>One aggregate's chunk while it is made: floats, the last timestamp perhaps twice, or float histograms.</summary>
public sealed class AggregateBuilder
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
