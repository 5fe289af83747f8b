using System.Buffers.Binary;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A block's <c>tombstones</c> file: spans of time in which samples of a series count as deleted, until a compaction drops them.
/// Magic 0x0130BA30, version 1, then (uvarint series, varint first, varint last) each, CRC-32C of the entries.
/// </summary>
public sealed class Tombstones
{
    public const string FileName = "tombstones";

    const uint Magic = 0x0130BA30;
    const int HeaderSize = 5;

    readonly Dictionary<uint, List<TimeRange>> _series = [];

    public static Tombstones None { get; } = new();

    public int Count { get; private set; }

    /// <summary>The tombstones of a block's folder; none where there is no such file.</summary>
    /// <exception cref="CorruptionException">The file is damaged.</exception>
    public static Tombstones Read(string directory)
    {
        var path = Path.Combine(directory, FileName);
        return File.Exists(path) ? Parse(File.ReadAllBytes(path), path) : None;
    }

    public static Tombstones Parse(ReadOnlySpan<byte> bytes, string source)
    {
        if (bytes.Length < HeaderSize + 4 || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic || bytes[4] != 1)
        {
            CorruptionException.Throw(source, 0, "is no tombstones file of version 1");
        }

        var entries = bytes[HeaderSize..^4];
        if (Crc32C.Of(entries) != BinaryPrimitives.ReadUInt32BigEndian(bytes[^4..]))
        {
            CorruptionException.ThrowChecksum(source, bytes.Length - 4);
        }

        var tombstones = new Tombstones();
        var reader = new ByteReader(entries, source, HeaderSize);
        while (!reader.AtEnd)
        {
            var series = reader.UVarint();
            var range = new TimeRange(reader.Varint(), reader.Varint());
            if (series > uint.MaxValue || range.IsEmpty)
            {
                reader.Fail("a tombstone is of no series or no time");
            }

            tombstones.Add((uint)series, range);
        }

        return tombstones;
    }

    /// <summary>Deleted spans of a series in order of time, not touching; empty where nothing is deleted.</summary>
    public IReadOnlyList<TimeRange> Of(uint series) => _series.TryGetValue(series, out var ranges) ? ranges : [];

    void Add(uint series, TimeRange range)
    {
        Count++;
        if (!_series.TryGetValue(series, out var ranges))
        {
            _series[series] = ranges = [];
        }

        var merged = new List<TimeRange>(ranges.Count + 1);
        foreach (var other in ranges)
        {
            var touches = range.MinTime <= Next(other.MaxTime) && other.MinTime <= Next(range.MaxTime);
            if (touches)
            {
                range = new TimeRange(Math.Min(range.MinTime, other.MinTime), Math.Max(range.MaxTime, other.MaxTime));
            }
            else
            {
                merged.Add(other);
            }
        }

        merged.Add(range);
        merged.Sort((a, b) => a.MinTime.CompareTo(b.MinTime));
        _series[series] = merged;
    }

    static long Next(long timestamp) => timestamp == long.MaxValue ? timestamp : timestamp + 1;
}

/// <summary>Leaves out the samples in given spans of time.</summary>
/// <param name="deleted">In order of time, not touching.</param>
sealed class UndeletedIterator(ISampleIterator samples, IReadOnlyList<TimeRange> deleted) : ISampleIterator
{
    int _next;

    public bool Read(SampleBatch batch)
    {
        while (samples.Read(batch))
        {
            var kept = 0;
            for (var i = 0; i < batch.Count; i++)
            {
                if (IsDeleted(batch.Timestamps[i]))
                {
                    continue;
                }

                if (kept != i)
                {
                    Move(batch, i, kept);
                }

                kept++;
            }

            batch.Count = kept;
            if (kept > 0)
            {
                return true;
            }
        }

        return false;
    }

    public void Seek(long timestamp) => samples.Seek(timestamp);

    public void Dispose() => samples.Dispose();

    static void Move(SampleBatch batch, int from, int to)
    {
        batch.Timestamps[to] = batch.Timestamps[from];
        if (batch.Kind == SampleKind.Float)
        {
            batch.Values[to] = batch.Values[from];
        }
        else
        {
            batch.Histograms[to] = batch.Histograms[from];
        }

        if (batch.HasStartTimestamps)
        {
            batch.StartTimestamps[to] = batch.StartTimestamps[from];
        }
    }

    bool IsDeleted(long timestamp)
    {
        while (_next < deleted.Count && deleted[_next].MaxTime < timestamp)
        {
            _next++;
        }

        return _next < deleted.Count && deleted[_next].MinTime <= timestamp;
    }
}
