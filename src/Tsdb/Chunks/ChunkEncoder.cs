using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// Cuts a run of samples into chunks: floats after 120 samples or about 1 KiB, histograms by size; at every change of kind. Samples with
/// start timestamps keep them, in the encodings that can.
/// </summary>
public static class ChunkEncoder
{
    /// <summary>The chunks of all samples of an iterator, made as they are asked for; data is the caller's.</summary>
    public static IEnumerable<Chunk> Encode(ISampleIterator samples)
    {
        var batch = new SampleBatch();
        var open = new OpenChunk();
        while (samples.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                if (open.Append(batch, i) is { } full)
                {
                    yield return full;
                }
            }
        }

        if (open.Cut() is { } last)
        {
            yield return last;
        }
    }

    /// <summary>The one chunk that is being filled, of whichever kind.</summary>
    sealed class OpenChunk
    {
        XorAppender _floats;
        Xor2Appender? _floatsWithStart;
        HistogramAppender? _histograms;
        ChunkEncoding _encoding;
        long _minTime;

        /// <summary>Adds a sample; returns the chunk before it when it needed a new one.</summary>
        public Chunk? Append(SampleBatch batch, int index)
        {
            var timestamp = batch.Timestamps[index];
            var start = batch.HasStartTimestamps ? batch.StartTimestamps[index] : 0;
            if (batch.Kind == SampleKind.Histogram)
            {
                return AppendHistogram(timestamp, batch.Histograms[index], start, batch.HasStartTimestamps);
            }

            var encoding = batch.HasStartTimestamps ? ChunkEncoding.Xor2 : ChunkEncoding.Xor;
            var cut = _encoding != encoding || IsFull() ? Cut() : null;
            if (_encoding == ChunkEncoding.None)
            {
                (_encoding, _minTime) = (encoding, timestamp);
                if (encoding == ChunkEncoding.Xor)
                {
                    _floats = new XorAppender(new byte[256]);
                }
                else
                {
                    _floatsWithStart = new Xor2Appender();
                }
            }

            if (encoding == ChunkEncoding.Xor)
            {
                _floats.Append(timestamp, batch.Values[index]);
            }
            else
            {
                _floatsWithStart!.Append(timestamp, batch.Values[index], start);
            }

            return cut;
        }

        /// <summary>Closes what is open; null when nothing is.</summary>
        public Chunk? Cut()
        {
            Chunk? cut = _encoding switch
            {
                ChunkEncoding.None => null,
                ChunkEncoding.Xor => new Chunk(_minTime, _floats.MaxTime, _encoding, _floats.Written.ToArray()),
                ChunkEncoding.Xor2 => new Chunk(_minTime, _floatsWithStart!.MaxTime, _encoding, _floatsWithStart.Written.ToArray()),
                _ => new Chunk(_minTime, _histograms!.MaxTime, _encoding, _histograms.Written.ToArray()),
            };
            _encoding = ChunkEncoding.None;
            return cut;
        }

        bool IsFull() => _encoding switch
        {
            ChunkEncoding.Xor => _floats.Count >= XorChunk.TargetSamples || _floats.Length > XorChunk.MaxBytesBeforeAppend,
            ChunkEncoding.Xor2 =>
                _floatsWithStart!.Count >= XorChunk.TargetSamples || _floatsWithStart.Length > XorChunk.MaxBytesBeforeAppend,
            ChunkEncoding.None => false,
            _ => _histograms!.IsFull,
        };

        Chunk? AppendHistogram(long timestamp, Histogram histogram, long start, bool hasStarts)
        {
            var encoding = new HistogramForm(histogram.IsInteger, hasStarts).Encoding;
            if (_encoding == encoding && !IsFull() && _histograms!.TryAppend(timestamp, histogram, start))
            {
                return null;
            }

            var previous = _encoding == encoding ? _histograms : null;
            var cut = Cut();
            (_encoding, _minTime) = (encoding, timestamp);
            _histograms = new HistogramAppender(histogram, previous, hasStarts);
            _histograms.TryAppend(timestamp, histogram, start);
            return cut;
        }
    }
}
