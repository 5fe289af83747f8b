using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A block's <c>tombstones</c> file: spans of time in which samples of a series are deleted. Readers leave these samples out; a compaction
/// drops them.
/// Magic 0x0130BA30, version 1, then (uvarint series, varint first, varint last) each, CRC-32C of the entries.
/// </summary>
public sealed class Tombstones
{
    public const string FileName = "tombstones";

    const uint Magic = 0x0130BA30;
    const int HeaderSize = 5;

    /// <summary>A larger file is taken for damaged: it holds about a million tombstones.</summary>
    public const int MaxSize = 16 << 20;

    readonly Dictionary<uint, DeletedSpans> _series = [];

    Tombstones()
    {
    }

    Tombstones(List<(uint Series, TimeRange Range)> spans)
    {
        spans.Sort(static (a, b) =>
            a.Series.CompareTo(b.Series) is var order and not 0 ? order : a.Range.MinTime.CompareTo(b.Range.MinTime));
        var all = CollectionsMarshal.AsSpan(spans);
        for (var from = 0; from < all.Length;)
        {
            var to = from + 1;
            while (to < all.Length && all[to].Series == all[from].Series)
            {
                to++;
            }

            _series[all[from].Series] = new DeletedSpans(Union(all[from..to]));
            from = to;
        }
    }

    public static Tombstones None { get; } = new();

    /// <summary>The file that says that nothing is deleted.</summary>
    public static ReadOnlySpan<byte> EmptyFile => [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0];

    public bool IsEmpty => _series.Count == 0;

    /// <summary>The tombstones of a block's folder; none where there is no such file.</summary>
    /// <exception cref="CorruptionException">The file is damaged.</exception>
    public static Tombstones Read(string directory)
    {
        var path = Path.Combine(directory, FileName);
        if (!File.Exists(path))
        {
            return None;
        }

        if (new FileInfo(path).Length > MaxSize)
        {
            CorruptionException.Throw(path, MaxSize, "is larger than any block's tombstones");
        }

        return Parse(File.ReadAllBytes(path), path);
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

        var spans = new List<(uint Series, TimeRange Range)>();
        var reader = new ByteReader(entries, source, HeaderSize);
        while (!reader.AtEnd)
        {
            var series = reader.UVarint();
            var range = new TimeRange(reader.Varint(), reader.Varint());
            if (series > uint.MaxValue || range.IsEmpty)
            {
                reader.Fail("a tombstone is of no series or no time");
            }

            spans.Add(((uint)series, range));
        }

        return spans.Count == 0 ? None : new Tombstones(spans);
    }

    /// <summary>References of series of which something is deleted, rising.</summary>
    public ReadOnlyMemory<uint> Series => _series.Keys.Order().ToArray();

    /// <summary>What is deleted of a series.</summary>
    /// <param name="series">Its reference in the index.</param>
    public DeletedSpans Of(uint series) => _series.GetValueOrDefault(series);

    // Spans that touch become one, so that a chunk is wholly deleted where one span covers it.
    static TimeRange[] Union(ReadOnlySpan<(uint Series, TimeRange Range)> sorted)
    {
        var union = new List<TimeRange>();
        foreach (var (_, range) in sorted)
        {
            if (union.Count > 0 && (union[^1].MaxTime == long.MaxValue || range.MinTime <= union[^1].MaxTime + 1))
            {
                union[^1] = union[^1] with { MaxTime = Math.Max(union[^1].MaxTime, range.MaxTime) };
            }
            else
            {
                union.Add(range);
            }
        }

        return [.. union];
    }
}
