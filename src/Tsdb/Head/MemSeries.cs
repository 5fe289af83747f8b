using Observe.Tsdb.Chunks;

namespace Observe.Tsdb.Head;

/// <summary>
/// What a head holds of one series: a struct in an array, and bytes in <see cref="ByteArena"/> and <see cref="ChunkFiles"/>.
/// </summary>
struct MemSeries
{
    /// <summary>0 where the slot is free.</summary>
    public uint Ref;

    public uint Hash;

    /// <summary>The next slot of the same hash bucket, or of the free ones; plus one.</summary>
    public int Next;

    /// <summary>Numbers of names and values in the symbol pool, as uvarints.</summary>
    public uint Labels;

    public ushort LabelsLength;

    public SeriesFlags Flags;

    /// <summary>Bits still free in the open chunk's last byte.</summary>
    public byte FreeBits;

    /// <summary>How many samples appenders hold that are not committed yet.</summary>
    public int Pending;

    /// <summary>The newest of the closed chunks, plus one.</summary>
    public int Closed;

    /// <summary>The first piece of the open chunk, 0 when there is none. The first two bytes, the sample count, are not set yet.</summary>
    public uint Open;

    public uint OpenLast;

    public int OpenLength;

    public long OpenMinTime;

    /// <summary>The open chunk ends before this time.</summary>
    public long NextAt;

    public XorState Xor;

    /// <summary>The newest sample's time; long.MinValue while there is none.</summary>
    public long MaxTime;
}

[Flags]
enum SeriesFlags : byte
{
    None = 0,

    /// <summary>A series record is in the log.</summary>
    Logged = 1,

    /// <summary>The newest sample is a histogram, and so is the open chunk.</summary>
    Histogram = 2,

    /// <summary>It had no sample at the last truncation either.</summary>
    Unused = 4,

    /// <summary>The series is being dropped: nothing is appended to it, and samples with its labels go to a new series.</summary>
    Dropped = 8,

    /// <summary>The open chunk is one of floats with start timestamps.</summary>
    StartTimestamps = 16,
}

/// <summary>A chunk to which nothing is appended any more: where it is, and what it spans.</summary>
struct ClosedChunk
{
    public long MinTime;
    public long MaxTime;
    public long At;
    public int Length;

    /// <summary>The next older one of the series, or the next free one; plus one.</summary>
    public int Next;

    public ChunkEncoding Encoding;
}
