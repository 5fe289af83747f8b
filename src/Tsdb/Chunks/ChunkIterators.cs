using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>Iterators over chunks of every encoding.</summary>
public static class ChunkIterators
{
    /// <summary>
    /// The samples of one chunk. Of downsampled data: the aggregate that is wanted, Raw being the average. Of raw data: the samples, or
    /// 1 for each (that is not stale) where counts are wanted.
    /// </summary>
    /// <param name="source">File or object, for error messages.</param>
    /// <param name="origin">Offset of the chunk's data in it.</param>
    /// <exception cref="CorruptionException">The chunk is damaged or of no known encoding; also thrown by the iterator.</exception>
    public static ISampleIterator Open(Chunk chunk, Aggregate aggregate, string source, long origin) => chunk.Encoding switch
    {
        ChunkEncoding.Aggregates when aggregate == Aggregate.Counter => new CounterIterator([chunk], source, origin),
        _ => OpenChunk(chunk, aggregate, source, origin),
    };

    /// <summary>As <see cref="Open"/>, but a counter aggregate comes as it is encoded, with its last timestamp twice.</summary>
    public static ChunkIterator OpenChunk(Chunk chunk, Aggregate aggregate, string source, long origin)
    {
        if (chunk.Encoding == ChunkEncoding.Aggregates)
        {
            if (aggregate != Aggregate.Raw)
            {
                return AggregatesChunk.TryGet(chunk, aggregate, source, origin, out var found)
                    ? OpenEncoded(found, source, origin)
                    : new XorIterator(new byte[XorChunk.HeaderSize], source, origin);
            }

            return AggregatesChunk.TryGet(chunk, Aggregate.Sum, source, origin, out var sums)
                && AggregatesChunk.TryGet(chunk, Aggregate.Count, source, origin, out var counts)
                ? new AverageIterator(OpenEncoded(sums, source, origin), OpenEncoded(counts, source, origin), source, origin)
                : new XorIterator(new byte[XorChunk.HeaderSize], source, origin);
        }

        var samples = OpenEncoded(chunk, source, origin);
        return aggregate == Aggregate.Count ? new CountOfRawIterator(samples) : samples;
    }

    /// <summary>The number of samples that a chunk's header tells; of downsampled data the number of windows.</summary>
    public static int Count(Chunk chunk, string source, long origin) => chunk.Encoding switch
    {
        ChunkEncoding.Aggregates => AggregatesChunk.TryGet(chunk, Aggregate.Count, source, origin, out var counts)
            ? Count(counts, source, origin) : 0,
        _ when chunk.Data.Length < 3 => chunk.Data.Length == 2 ? XorChunk.Count(chunk.Data.Span) : 0,
        ChunkEncoding.Xor or ChunkEncoding.Xor2 => XorChunk.Count(chunk.Data.Span),
        _ => HistogramForm.Of(chunk.Encoding).Count(chunk.Data.Span),
    };

    static ChunkIterator OpenEncoded(Chunk chunk, string source, long origin)
    {
        switch (chunk.Encoding)
        {
            case ChunkEncoding.Xor:
                return new XorIterator(chunk.Data, source, origin);
            case ChunkEncoding.Xor2:
                return new Xor2Iterator(chunk.Data, source, origin);
            case ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram
                or ChunkEncoding.HistogramWithStart or ChunkEncoding.FloatHistogramWithStart:
                return new HistogramIterator(chunk.Encoding, chunk.Data, source, origin);
            default:
                throw new CorruptionException(source, origin, $"a chunk of the unknown encoding {(byte)chunk.Encoding}");
        }
    }
}

/// <summary>
/// A counter over the chunks of a series, downsampled ones among them: values that only rise, resets within and between chunks applied;
/// staleness markers and other NaNs left out. Histograms pass as they are.
/// </summary>
public sealed class CounterIterator(IReadOnlyList<Chunk> chunks, string source, long origin) : ChunkIterator
{
    readonly SampleBatch _batch = new();
    ChunkIterator? _samples;
    int _next;
    int _at;
    bool _started;
    long _time = long.MinValue;
    double _last;
    double _total;

    /// <summary>The last true value, as the raw series had it.</summary>
    public double LastValue => _last;

    public override int Append(SampleBatch batch)
    {
        var from = batch.Count;
        while (Fill() && Accepts(batch, _batch.Kind, startTimestamps: false))
        {
            var timestamp = _batch.Timestamps[_at];
            if (_batch.Kind == SampleKind.Histogram)
            {
                if (timestamp > _time)
                {
                    batch.Timestamps[batch.Count] = _time = timestamp;
                    batch.Histograms[batch.Count++] = _batch.Histograms[_at];
                }
            }
            else if (!double.IsNaN(_batch.Values[_at]))
            {
                var value = _batch.Values[_at];
                if (timestamp > _time)
                {
                    _total += _started && value >= _last ? value - _last : value;
                    _started = true;
                    (_time, _last) = (timestamp, value);
                    batch.Timestamps[batch.Count] = timestamp;
                    batch.Values[batch.Count++] = _total;
                }
                else if (timestamp == _time)
                {
                    _last = value;
                }
            }

            _at++;
        }

        return batch.Count - from;
    }

    bool Fill()
    {
        while (_at == _batch.Count)
        {
            _at = 0;
            _batch.Count = 0;
            if (_samples is null || _samples.Append(_batch) == 0)
            {
                if (_next == chunks.Count)
                {
                    return false;
                }

                _samples = ChunkIterators.OpenChunk(chunks[_next++], Aggregate.Counter, source, origin);
            }
        }

        return true;
    }
}
