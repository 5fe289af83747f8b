using Google.Protobuf;
using Observe.Store.Api.Wire;
using Observe.Store.Bytes;
using Observe.Store.Chunks;
using Chunk = Observe.Store.Chunks.Chunk;

namespace Observe.Store.Api;

/// <summary>Chunks between the store and the wire, which knows three encodings and has a field for each aggregate.</summary>
static class WireChunks
{
    const int AggregateKinds = 5;

    /// <summary>
    /// What to send of a series: its chunks where it has them, and samples encoded as raw chunks where it has none or in an encoding
    /// that the wire lacks. The fields share the chunks' memory.
    /// </summary>
    public static IEnumerable<AggrChunk> Of(Querying.Series series, IReadOnlyCollection<Aggr> aggregates)
    {
        foreach (var chunk in series.Chunks() ?? throw new NotImplementedException())
        {
            yield return ToWire(chunk, aggregates) ?? throw new NotImplementedException();
        }
    }

    /// <summary>Bytes of the data in a field.</summary>
    public static int Size(AggrChunk field) =>
        Length(field.Raw) + Length(field.Count) + Length(field.Sum) + Length(field.Min) + Length(field.Max) + Length(field.Counter);

    /// <summary>The chunk as a field that shares its memory; null when the wire has no word for its encoding.</summary>
    public static AggrChunk? ToWire(Chunk chunk, IReadOnlyCollection<Aggr> aggregates)
    {
        var field = new AggrChunk { MinTime = chunk.MinTime, MaxTime = chunk.MaxTime };
        if (chunk.Encoding != ChunkEncoding.Aggregates)
        {
            field.Raw = Payload(chunk.Encoding, chunk.Data);
            return field.Raw is null ? null : field;
        }

        var at = 0;
        for (var kind = 0; kind < AggregateKinds; kind++)
        {
            var part = Take(chunk.Data, ref at);
            if (part.IsEmpty || !(aggregates.Contains((Aggr)(kind + 1)) || (kind <= 1 && aggregates.Contains(Aggr.Raw))))
            {
                continue;
            }

            var payload = Payload((ChunkEncoding)part.Span[0], part[1..]);
            if (payload is null)
            {
                return null;
            }

            switch (kind)
            {
                case 0: field.Count = payload; break;
                case 1: field.Sum = payload; break;
                case 2: field.Min = payload; break;
                case 3: field.Max = payload; break;
                case 4: field.Counter = payload; break;
            }
        }

        return field;
    }

    /// <summary>The chunk of a field: raw data as they are, aggregates in the form they have in a block.</summary>
    /// <exception cref="CorruptionException">An encoding that the protocol does not have, or no data at all.</exception>
    public static Chunk FromWire(AggrChunk field, string endpoint)
    {
        if (field.Raw is { } raw)
        {
            return new Chunk(field.MinTime, field.MaxTime, Encoding(raw, endpoint), raw.Data.Memory);
        }

        ReadOnlySpan<Wire.Chunk?> parts = [field.Count, field.Sum, field.Min, field.Max, field.Counter];
        var size = 0;
        foreach (var part in parts)
        {
            size += part is null ? 1 : Varint.SizeUnsigned((ulong)part.Data.Length) + 1 + part.Data.Length;
        }

        if (size == AggregateKinds)
        {
            CorruptionException.Throw(endpoint, 0, "a chunk without data");
        }

        var data = new byte[size];
        var at = 0;
        foreach (var part in parts)
        {
            if (part is null)
            {
                data[at++] = 0;
                continue;
            }

            at += Varint.WriteUnsigned(data.AsSpan(at), (ulong)part.Data.Length);
            data[at++] = (byte)Encoding(part, endpoint);
            part.Data.CopyTo(data, at);
            at += part.Data.Length;
        }

        return new Chunk(field.MinTime, field.MaxTime, ChunkEncoding.Aggregates, data);
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

    static ReadOnlyMemory<byte> Take(ReadOnlyMemory<byte> aggregates, ref int at)
    {
        var length = Varint.ReadUnsigned(aggregates.Span[at..], out var size);
        if (size == 0 || length >= (ulong)(aggregates.Length - at - size))
        {
            if (size == 1 && length == 0)
            {
                at++;
                return default;
            }

            CorruptionException.Throw("aggregate chunk", at, "invalid length");
        }

        at += size;
        if (length == 0)
        {
            return default;
        }

        var part = aggregates.Slice(at, (int)length + 1);
        at += part.Length;
        return part;
    }
}
