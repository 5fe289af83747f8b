namespace Observe.Tsdb.Chunks;

/// <summary>How a chunk's bytes are to be read: Prometheus's encoding ids, and Thanos's for downsampled data.</summary>
public enum ChunkEncoding : byte
{
    None = 0,
    Xor = 1,
    Histogram = 2,
    FloatHistogram = 3,
    Xor2 = 4,
    HistogramWithStart = 5,
    FloatHistogramWithStart = 6,
    Aggregates = 0xff,
}

/// <summary>One encoded chunk.</summary>
/// <param name="MinTime">Timestamp of the first sample, Unix milliseconds.</param>
/// <param name="MaxTime">Timestamp of the last sample, inclusive.</param>
/// <param name="Data">
/// The chunk's payload: without length, encoding byte or checksum. Owned by whoever gave it; see there how long it lives.
/// </param>
public readonly record struct Chunk(long MinTime, long MaxTime, ChunkEncoding Encoding, ReadOnlyMemory<byte> Data);

/// <summary>Where a chunk lies and what it spans, as a block's index has it.</summary>
/// <param name="Ref">In a block: segment index from 0 in the upper 32 bits, offset in the segment file in the lower.</param>
public readonly record struct ChunkMeta(long MinTime, long MaxTime, ulong Ref);
