using Google.Protobuf;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Series = Observe.Tsdb.Querying.Series;
using Chunk = Observe.Tsdb.Chunks.Chunk;

namespace Observe.Store.Api;

/// <summary>Chunks between the store and the wire, which knows three encodings and has a field for each aggregate.</summary>
static class WireChunks
{
    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    /// <summary>
    /// The fields to send of a series: its chunks where it has them, and its samples encoded as raw chunks where it has no chunks or has
    /// them in an encoding that the wire lacks. The fields share the chunks' memory.
    /// </summary>
    /// <param name="aggregate">
    /// What the samples of a series without chunks are where they are those of downsampled windows, all of them or none: an average goes
    /// out as a raw sample.
    /// </param>
    public static IEnumerable<AggrChunk> Of(Series series, IReadOnlyCollection<Aggr> aggregates, Aggregate aggregate)
    {
        if (series.Chunks() is not { } chunks)
        {
            using var samples = new WithoutStarts(series.Samples());
            foreach (var encoded in ChunkEncoder.Encode(samples))
            {
                yield return ToWire(encoded, samples.AreOfWindows ? aggregate : Aggregate.Raw);
            }

            yield break;
        }

        foreach (var chunk in chunks)
        {
            if (ToWire(chunk, aggregates) is { } field)
            {
                yield return field;
                continue;
            }

            foreach (var encoded in Encoded(ChunkIterators.Open(chunk, Aggregate.Raw, "chunk", 0)))
            {
                yield return ToWire(encoded, aggregates)!;
            }
        }
    }

    /// <summary>Bytes of the data in a field.</summary>
    public static int Size(AggrChunk field) =>
        Length(field.Raw) + Length(field.Count) + Length(field.Sum) + Length(field.Min) + Length(field.Max) + Length(field.Counter);

    /// <summary>The chunk as a field that shares its memory; null when the protocol lacks the chunk's encoding.</summary>
    public static AggrChunk? ToWire(Chunk chunk, IReadOnlyCollection<Aggr> aggregates)
    {
        var field = new AggrChunk { MinTime = chunk.MinTime, MaxTime = chunk.MaxTime };
        if (chunk.Encoding != ChunkEncoding.Aggregates)
        {
            field.Raw = Payload(chunk.Encoding, chunk.Data);
            return field.Raw is null ? null : field;
        }

        foreach (var aggregate in s_aggregates)
        {
            if (!AggregatesChunk.TryGet(chunk, aggregate, "chunk", 0, out var part))
            {
                continue;
            }

            // Averages are made of sums and counts, and in the place of the maximum a counter of histograms has its last value.
            var isWanted = aggregates.Contains((Aggr)aggregate)
                || (aggregate is Aggregate.Count or Aggregate.Sum && aggregates.Contains(Aggr.Raw))
                || (aggregate is Aggregate.Max && part.Encoding != ChunkEncoding.Xor && aggregates.Contains(Aggr.Counter));
            if (!isWanted)
            {
                continue;
            }

            Set(field, aggregate, Payload(part.Encoding, part.Data));
        }

        return field;
    }

    // Samples of an aggregate that are encoded.
    static AggrChunk ToWire(Chunk encoded, Aggregate aggregate)
    {
        var field = new AggrChunk { MinTime = encoded.MinTime, MaxTime = encoded.MaxTime };
        Set(field, aggregate, Payload(encoded.Encoding, encoded.Data));
        return field;
    }

    static void Set(AggrChunk field, Aggregate aggregate, Wire.Chunk? payload)
    {
        switch (aggregate)
        {
            case Aggregate.Raw: field.Raw = payload; break;
            case Aggregate.Count: field.Count = payload; break;
            case Aggregate.Sum: field.Sum = payload; break;
            case Aggregate.Min: field.Min = payload; break;
            case Aggregate.Max: field.Max = payload; break;
            case Aggregate.Counter: field.Counter = payload; break;
        }
    }

    /// <summary>The chunk of a field: raw data as they are, aggregates in the form they have in a block.</summary>
    /// <exception cref="CorruptionException">An encoding that the protocol does not have, or no data at all.</exception>
    public static Chunk FromWire(AggrChunk field, string endpoint)
    {
        if (field.Raw is { } raw)
        {
            return new Chunk(field.MinTime, field.MaxTime, Encoding(raw, endpoint), raw.Data.Memory);
        }

        ReadOnlySpan<Chunk> parts =
        [
            Part(field, field.Count, endpoint), Part(field, field.Sum, endpoint), Part(field, field.Min, endpoint),
            Part(field, field.Max, endpoint), Part(field, field.Counter, endpoint),
        ];
        if (parts.IndexOfAnyExcept(default(Chunk)) < 0)
        {
            CorruptionException.Throw(endpoint, 0, "a chunk without data");
        }

        return new Chunk(field.MinTime, field.MaxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(parts));
    }

    static Chunk Part(AggrChunk field, Wire.Chunk? part, string endpoint) =>
        part is null ? default : new Chunk(field.MinTime, field.MaxTime, Encoding(part, endpoint), part.Data.Memory);

    static IEnumerable<Chunk> Encoded(ISampleIterator samples)
    {
        using (samples)
        {
            foreach (var chunk in ChunkEncoder.Encode(new WithoutStarts(samples)))
            {
                yield return chunk;
            }
        }
    }

    static int Length(Wire.Chunk? chunk) => chunk?.Data.Length ?? 0;

    static ChunkEncoding Encoding(Wire.Chunk chunk, string endpoint)
    {
        if (chunk.Type is < Wire.Chunk.Types.Encoding.Xor or > Wire.Chunk.Types.Encoding.FloatHistogram)
        {
            CorruptionException.Throw(endpoint, 0, $"unknown chunk encoding {(int)chunk.Type}");
        }

        return (ChunkEncoding)((int)chunk.Type + 1);
    }

    static Wire.Chunk? Payload(ChunkEncoding encoding, ReadOnlyMemory<byte> data) =>
        encoding is ChunkEncoding.Xor or ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram
            ? new Wire.Chunk { Type = (Wire.Chunk.Types.Encoding)((int)encoding - 1), Data = UnsafeByteOperations.UnsafeWrap(data) }
            : null;

    /// <summary>Samples without their start timestamps, for which the wire has no encoding.</summary>
    sealed class WithoutStarts(ISampleIterator samples) : ISampleIterator
    {
        /// <summary>Whether the samples that were read last are those of downsampled windows.</summary>
        public bool AreOfWindows { get; private set; }

        public bool Read(SampleBatch batch)
        {
            var more = samples.Read(batch);
            (batch.HasStartTimestamps, AreOfWindows) = (false, batch.ResolutionMs > 0);
            return more;
        }

        public void Seek(long timestamp) => samples.Seek(timestamp);

        public void Dispose() => samples.Dispose();
    }
}
