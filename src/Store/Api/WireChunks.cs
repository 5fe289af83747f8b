using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Chunk = Observe.Tsdb.Chunks.Chunk;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Api;

/// <summary>Chunks as fields of a series on the wire, which knows three encodings and has a field for each aggregate.</summary>
sealed class WireChunks
{
    /// <summary>A chunk's field of a series.</summary>
    public const byte ChunkTag = (2 << 3) | 2;

    const byte MinTimeTag = 1 << 3;
    const byte MaxTimeTag = 2 << 3;

    /// <summary>The field of raw data; that of an aggregate is as much above it as the aggregate's number.</summary>
    const int RawField = 3;

    const byte EncodingTag = 1 << 3;
    const byte DataTag = (2 << 3) | 2;

    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    readonly (Aggregate Aggregate, bool IsForHistograms)[] _wanted;
    readonly Aggregate _only;

    public WireChunks(SeriesRequest request)
    {
        // Averages are made of sums and counts, and in the place of the maximum a counter of histograms has its last value.
        var (isRaw, isCounter) = (request.Aggregates.Contains(Aggr.Raw), request.Aggregates.Contains(Aggr.Counter));
        _wanted =
        [
            .. s_aggregates.Where(aggregate => request.Aggregates.Contains((Aggr)aggregate)
                || (isRaw && aggregate is (Aggregate.Count or Aggregate.Sum)) || (isCounter && aggregate == Aggregate.Max))
                .Select(aggregate => (aggregate, aggregate == Aggregate.Max && !request.Aggregates.Contains(Aggr.Max))),
        ];
        _only = AggregateOf(request);
    }

    /// <summary>
    /// The aggregate of downsampled windows, of which samples are made where series have no chunks; Raw: the average, which goes out as a
    /// raw sample.
    /// </summary>
    public static Aggregate AggregateOf(SeriesRequest request) => request.Aggregates is [var only] ? (Aggregate)only : Aggregate.Raw;

    /// <summary>
    /// The chunks of a series that the wire can carry: its own, and its samples encoded where it has no chunks or has them in an encoding
    /// that the wire lacks.
    /// </summary>
    public OpenedChunks Open(Series series)
    {
        if (series.OpenChunks() is not { } opened)
        {
            using var samples = new WithoutStarts(series.Samples());
            return new OpenedChunks(ChunkEncoder.Encode(samples).Select(chunk => samples.AreOfWindows ? OfWindows(chunk) : chunk).ToArray());
        }

        foreach (var chunk in opened.All)
        {
            if (!IsCarried(chunk.Encoding))
            {
                using (opened)
                {
                    return new OpenedChunks(opened.All.SelectMany(one => IsCarried(one.Encoding) ? [one with { Data = one.Data.ToArray() }] : Encoded(one)).ToArray());
                }
            }
        }

        return opened;
    }

    /// <summary>Bytes of a chunk as a field; 0 where it has nothing that is wanted.</summary>
    public int Size(Chunk chunk) => ContentSize(chunk) is > 0 and var size ? 1 + Sized(size) : 0;

    /// <summary>Writes chunks as fields of a series.</summary>
    public void Write(ByteWriter to, ReadOnlySpan<Chunk> chunks)
    {
        foreach (var chunk in chunks)
        {
            if (ContentSize(chunk) is not (> 0 and var size))
            {
                continue;
            }

            to.Byte(ChunkTag);
            to.UVarint((ulong)size);
            WriteTime(to, MinTimeTag, chunk.MinTime);
            WriteTime(to, MaxTimeTag, chunk.MaxTime);
            if (chunk.Encoding != ChunkEncoding.Aggregates)
            {
                WritePart(to, Aggregate.Raw, chunk);
                continue;
            }

            foreach (var wanted in _wanted)
            {
                if (TryGet(chunk, wanted, out var part))
                {
                    WritePart(to, wanted.Aggregate, part);
                }
            }
        }
    }

    int ContentSize(Chunk chunk)
    {
        var size = 0;
        if (chunk.Encoding != ChunkEncoding.Aggregates)
        {
            size = 1 + Sized(PartSize(chunk));
        }
        else
        {
            foreach (var wanted in _wanted)
            {
                size += TryGet(chunk, wanted, out var part) ? 1 + Sized(PartSize(part)) : 0;
            }
        }

        return size == 0 ? 0 : size + TimeSize(chunk.MinTime) + TimeSize(chunk.MaxTime);
    }

    static bool TryGet(Chunk chunk, (Aggregate Aggregate, bool IsForHistograms) wanted, out Chunk part) =>
        AggregatesChunk.TryGet(chunk, wanted.Aggregate, "chunk", 0, out part) && part.Encoding != ChunkEncoding.Aggregates
        && IsCarried(part.Encoding) && !(wanted.IsForHistograms && part.Encoding == ChunkEncoding.Xor);

    static int TimeSize(long time) => time == 0 ? 0 : 1 + Varint.SizeUnsigned((ulong)time);

    static void WriteTime(ByteWriter to, byte tag, long time)
    {
        if (time != 0)
        {
            to.Byte(tag);
            to.UVarint((ulong)time);
        }
    }

    static int PartSize(Chunk part) => (part.Encoding == ChunkEncoding.Xor ? 0 : 2) + 1 + Sized(part.Data.Length);

    static void WritePart(ByteWriter to, Aggregate aggregate, Chunk part)
    {
        to.Byte((byte)(((RawField + (int)aggregate) << 3) | 2));
        to.UVarint((ulong)PartSize(part));
        if (part.Encoding != ChunkEncoding.Xor)
        {
            to.Byte(EncodingTag);
            to.Byte((byte)(part.Encoding - 1));
        }

        to.Byte(DataTag);
        to.LengthPrefixed(part.Data.Span);
    }

    static int Sized(int length) => Varint.SizeUnsigned((ulong)length) + length;

    static bool IsCarried(ChunkEncoding encoding) =>
        encoding is ChunkEncoding.Xor or ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram or ChunkEncoding.Aggregates;

    // Encoded samples of the aggregate that was asked for, as a chunk that has nothing else.
    Chunk OfWindows(Chunk encoded)
    {
        if (_only == Aggregate.Raw)
        {
            return encoded;
        }

        var parts = new Chunk[s_aggregates.Length];
        parts[Array.IndexOf(s_aggregates, _only)] = encoded;
        return encoded with { Encoding = ChunkEncoding.Aggregates, Data = AggregatesChunk.Encode(parts) };
    }

    static List<Chunk> Encoded(Chunk chunk)
    {
        using var samples = new WithoutStarts(ChunkIterators.Open(chunk, Aggregate.Raw, "chunk", 0));
        return [.. ChunkEncoder.Encode(samples)];
    }

    /// <summary>Checks a chunk that was received: its encodings are known, and it has data.</summary>
    /// <exception cref="CorruptionException">It is damaged.</exception>
    public static void Check(ReadOnlySpan<byte> content, string endpoint)
    {
        Span<Place> parts = stackalloc Place[1 + s_aggregates.Length];
        Parse(content, endpoint, parts, out _, out _);
    }

    /// <summary>The chunk of a field: raw data as they are, aggregates in the form they have in a block. Shares the memory.</summary>
    /// <exception cref="CorruptionException">It is damaged.</exception>
    public static Chunk Read(ReadOnlyMemory<byte> content, string endpoint)
    {
        Span<Place> places = stackalloc Place[1 + s_aggregates.Length];
        Parse(content.Span, endpoint, places, out var minTime, out var maxTime);
        if (places[0].IsPresent)
        {
            return places[0].ChunkOf(content, minTime, maxTime);
        }

        var parts = new Chunk[s_aggregates.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            parts[i] = places[1 + i].IsPresent ? places[1 + i].ChunkOf(content, minTime, maxTime) : default;
        }

        return new Chunk(minTime, maxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(parts));
    }

    /// <param name="parts">Gets where raw data and the aggregates lie.</param>
    static void Parse(ReadOnlySpan<byte> content, string endpoint, Span<Place> parts, out long minTime, out long maxTime)
    {
        (minTime, maxTime) = (0, 0);
        var hasData = false;
        var reader = new ByteReader(content, endpoint);
        while (!reader.AtEnd)
        {
            var tag = reader.UVarint();
            switch (tag)
            {
                case MinTimeTag:
                    minTime = (long)reader.UVarint();
                    break;

                case MaxTimeTag:
                    maxTime = (long)reader.UVarint();
                    break;

                case var _ when tag >> 3 is >= RawField and var field && field - RawField < (ulong)parts.Length && (tag & 7) == 2:
                    var part = reader.LengthPrefixed();
                    parts[(int)field - RawField] = Place.Parse(part, reader.Position - part.Length, endpoint);
                    hasData = true;
                    break;

                default:
                    WireFields.Skip(ref reader, tag);
                    break;
            }
        }

        if (!hasData)
        {
            CorruptionException.Throw(endpoint, 0, "a chunk without data");
        }
    }

    /// <summary>Where the data of a chunk lies in its field.</summary>
    readonly record struct Place(ChunkEncoding Encoding, int Start, int Length)
    {
        public bool IsPresent => Encoding != ChunkEncoding.None;

        public Chunk ChunkOf(ReadOnlyMemory<byte> content, long minTime, long maxTime) =>
            new(minTime, maxTime, Encoding, content.Slice(Start, Length));

        public static Place Parse(ReadOnlySpan<byte> part, int at, string endpoint)
        {
            var (type, place) = (0UL, new Place(ChunkEncoding.Xor, at, 0));
            var reader = new ByteReader(part, endpoint);
            while (!reader.AtEnd)
            {
                switch (reader.UVarint())
                {
                    case EncodingTag:
                        type = reader.UVarint();
                        break;

                    case DataTag:
                        var data = reader.LengthPrefixed();
                        place = new Place(ChunkEncoding.Xor, at + reader.Position - data.Length, data.Length);
                        break;

                    case var tag:
                        WireFields.Skip(ref reader, tag);
                        break;
                }
            }

            if (type > (ulong)Wire.Chunk.Types.Encoding.FloatHistogram)
            {
                CorruptionException.Throw(endpoint, 0, $"unknown chunk encoding {type}");
            }

            return place with { Encoding = (ChunkEncoding)(type + 1) };
        }
    }

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
