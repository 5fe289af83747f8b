using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>Iterators over chunks of every encoding.</summary>
public static class ChunkIterators
{
    /// <summary>
    /// The samples of one chunk. Of downsampled data: the aggregate that is wanted, Raw being the average. Of raw data: the samples,
    /// whichever aggregate is wanted.
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
            return OpenWindows(chunk, aggregate, source, origin)
                ?? (ChunkIterator)new XorIterator(new byte[XorChunk.HeaderSize], source, origin);
        }

        return OpenEncoded(chunk, source, origin);
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

    // Null where the chunk lacks the aggregate.
    static WindowEndIterator? OpenWindows(Chunk chunk, Aggregate aggregate, string source, long origin)
    {
        var isAverage = aggregate == Aggregate.Raw;
        if (!AggregatesChunk.TryGet(chunk, isAverage ? Aggregate.Sum : aggregate, source, origin, out var found)
            || (aggregate is Aggregate.Min or Aggregate.Max && found.Encoding != ChunkEncoding.Xor))
        {
            return null;
        }

        var windows = OpenEncoded(found, source, origin);
        if (isAverage)
        {
            if (!AggregatesChunk.TryGet(chunk, Aggregate.Count, source, origin, out var counts))
            {
                return null;
            }

            windows = new AverageIterator(windows, OpenEncoded(counts, source, origin), source, origin);
        }

        return new WindowEndIterator(windows, AggregatesChunk.ResolutionMs(chunk, OpenEncoded(found, source, origin), source, origin));
    }

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
/// staleness markers and other NaNs left out. What it gives counts as windows, that of raw chunks too.
/// </summary>
public sealed class CounterIterator(IReadOnlyList<Chunk> chunks, string source, long origin) : ChunkIterator
{
    readonly SampleBatch _batch = new();
    ChunkIterator? _samples;
    int _next;
    int _at;
    bool _isFirst;
    bool _started;
    long _resolutionMs;
    long _time = long.MinValue;
    double _last;
    double _total;
    Histogram? _lastHistogram;

    // Of histograms: what the resets before add; null while that is nothing. And what the chunk at hand says of its last value.
    Histogram? _offset;
    Histogram? _lastOfChunk;

    /// <summary>The last true value, as the raw series had it.</summary>
    public double LastValue => _last;

    /// <summary>
    /// Gives what raw samples may follow: the last value is the true one, and those before it are less by the resets between, below zero
    /// perhaps. The raw sample that a chunk begins with is left out, while its gain counts, unless no window ends within a resolution
    /// before: among samples at a resolution's distance it would make an edge between chunks look like denser samples.
    /// </summary>
    public bool IsContinued { get; init; }

    public override int Append(SampleBatch batch)
    {
        var from = batch.Count;
        if (IsContinued && _next == 0)
        {
            var whole = new CounterIterator(chunks, source, origin);
            var read = new SampleBatch();
            while (whole.Read(read))
            {
            }

            _total = whole._last - whole._total;
            _offset = whole._offset?.Copy().Mul(-1);
        }

        while (Fill() && Accepts(batch, _batch.Kind, startTimestamps: false, _resolutionMs))
        {
            var timestamp = IsContinued ? WindowEnd() : _batch.Timestamps[_at];
            if (_batch.Kind == SampleKind.Histogram)
            {
                if (!double.IsNaN(_batch.Histograms[_at].Sum) && timestamp > _time)
                {
                    var counter = Counted(_batch.Histograms[_at]);
                    if (!(_isFirst && _started && IsBeforeWindowEnd()))
                    {
                        batch.Timestamps[batch.Count] = _time = timestamp;
                        batch.Histograms[batch.Count++] = counter;
                        _started = true;
                    }
                }
            }
            else if (!double.IsNaN(_batch.Values[_at]))
            {
                var value = _batch.Values[_at];
                if (_isFirst && _started && IsBeforeWindowEnd() && timestamp - _time <= _batch.ResolutionMs)
                {
                    _total += value >= _last ? value - _last : value;
                    _last = value;
                }
                else if (timestamp > _time)
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

            _isFirst = false;
            _at++;
        }

        return batch.Count - from;
    }

    Histogram Counted(Histogram histogram)
    {
        if (histogram.CounterResetHint == CounterResetHint.Gauge)
        {
            return histogram;
        }

        if (_lastHistogram is not null)
        {
            if (_lastHistogram.UsesCustomBuckets != histogram.UsesCustomBuckets)
            {
                _offset = null;
            }
            else if (histogram.DetectReset(_lastHistogram))
            {
                Advance(_lastHistogram);
            }
        }

        _lastHistogram = histogram;
        if (_offset is null || _offset.UsesCustomBuckets != histogram.UsesCustomBuckets)
        {
            return histogram;
        }

        var counter = histogram.Copy();
        counter.Add(_offset);
        counter.CounterResetHint = CounterResetHint.Unknown;
        return counter;
    }

    void Advance(Histogram by)
    {
        var offset = by.Copy();
        if (_offset is not null)
        {
            offset.Add(_offset);
        }

        _offset = offset;
    }

    // That of the chunk; of one that is raw, or has a single window and may not show how long that is, that of the chunk before, and where
    // there is none, the coarser of the first two that have windows.
    long ResolutionOf(int number, ChunkIterator samples) =>
        samples is WindowEndIterator windows && ChunkIterators.Count(chunks[number], source, origin) > 1 ? windows.ResolutionMs
            : _resolutionMs > 0 ? _resolutionMs
            : chunks.Where(chunk => chunk.Encoding == ChunkEncoding.Aggregates)
                .Select(chunk => ChunkIterators.OpenChunk(chunk, Aggregate.Counter, source, origin))
                .OfType<WindowEndIterator>().Take(2).Select(first => first.ResolutionMs).DefaultIfEmpty().Max();

    // A chunk's last window has the time of its last sample, but its value counts for the window's end, as those of other windows do, where
    // another chunk follows.
    long WindowEnd()
    {
        var timestamp = _batch.Timestamps[_at];
        var resolution = _batch.ResolutionMs;
        if (resolution == 0 || _next == chunks.Count || timestamp != _batch.Timestamps[_batch.Count - 1])
        {
            return timestamp;
        }

        var end = timestamp - (timestamp % resolution) + resolution - 1;
        return chunks[_next].MinTime > end ? end : timestamp;
    }

    // Whether the sample at hand is a chunk's first raw one: its window's end follows.
    bool IsBeforeWindowEnd() => IsContinued && _batch.ResolutionMs > 0 && (_batch.Timestamps[_at] + 1) % _batch.ResolutionMs != 0
        && _at + 1 < _batch.Count && _batch.Timestamps[_at + 1] > _batch.Timestamps[_at];

    bool Fill()
    {
        while (_at == _batch.Count)
        {
            _at = 0;
            _batch.Clear();
            if (_samples is null || _samples.Append(_batch) == 0)
            {
                if (_lastOfChunk is { } last && _lastHistogram is not null)
                {
                    var ahead = _lastHistogram.Copy();
                    ahead.Sub(last);
                    Advance(ahead);
                    _lastHistogram = last;
                }

                _lastOfChunk = null;
                if (_next == chunks.Count)
                {
                    return false;
                }

                _isFirst = true;
                _lastOfChunk = chunks[_next].Encoding == ChunkEncoding.Aggregates
                    ? AggregatesChunk.LastOfCounter(chunks[_next], source, origin) : null;
                _samples = ChunkIterators.OpenChunk(chunks[_next], Aggregate.Counter, source, origin);
                _resolutionMs = ResolutionOf(_next++, _samples);
            }
        }

        return true;
    }
}
