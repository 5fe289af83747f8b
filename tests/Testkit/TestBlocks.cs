using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Testkit;

/// <summary>Blocks of series that a test writes down.</summary>
public static class TestBlocks
{
    public static BlockId Id(int number) => new(((UInt128)1_700_000_000_000UL << 80) + (UInt128)number);

    /// <summary>A block meta around series: times from the samples, external labels as given.</summary>
    public static BlockMeta Meta(IReadOnlyList<TestSeries> series, params (string, string)[] external) => new()
    {
        Id = default,
        MinTime = Times(series).DefaultIfEmpty().Min(),
        MaxTime = Times(series).DefaultIfEmpty().Max() + 1,
        Thanos = new ThanosSection { Labels = external.ToDictionary(l => l.Item1, l => l.Item2), Source = "sidecar" },
    };

    public static async Task<BlockMeta?> WriteAsync(string parent, BlockId id, IReadOnlyList<TestSeries> series, BlockMeta? meta = null)
    {
        using var writer = BlockWriter.Create(parent, id);
        var hints = new SelectHints { Range = TimeRange.All };
        await foreach (var one in new MemoryQuerier(series).SelectAsync(new QueryContext().Select(hints, [])))
        {
            using var samples = one.Samples();
            writer.Add(one.Labels, ChunkEncoder.Encode(samples));
        }

        return writer.Finish(meta ?? Meta(series));
    }

    /// <summary>A tombstones file.</summary>
    public static byte[] Tombstones(params (uint Series, long First, long Last)[] entries)
    {
        using var file = new ByteWriter();
        file.UInt32(0x0130BA30);
        file.Byte(1);
        foreach (var (series, first, last) in entries)
        {
            file.UVarint(series);
            file.Varint(first);
            file.Varint(last);
        }

        file.UInt32(Crc32C.Of(file.Written[5..]));
        return file.Written.ToArray();
    }

    /// <summary>Deletes samples of a block in a folder.</summary>
    /// <param name="deleted">The spans of each series, in any order.</param>
    public static void WriteTombstones(string directory, Func<Labels, IReadOnlyList<TimeRange>> deleted)
    {
        var entries = new List<(uint, long, long)>();
        using (var index = new IndexReader(Path.Combine(directory, "index")))
        {
            var reader = index.Series();
            for (var postings = index.Select([]); postings.Next();)
            {
                reader.Read(postings.Current);
                entries.AddRange(deleted(reader.Labels).Select(span => (postings.Current, span.MinTime, span.MaxTime)));
            }
        }

        File.WriteAllBytes(Path.Combine(directory, Tsdb.Blocks.Tombstones.FileName), Tombstones([.. entries]));
    }

    public static List<(Labels Labels, List<(long Time, double Value)> Samples)> Read(
        Block block, SelectHints? hints = null, params Matcher[] matchers)
    {
        var read = new List<(Labels, List<(long, double)>)>();
        foreach (var series in block.Select(new QueryContext().Select(hints ?? new SelectHints { Range = TimeRange.All }, matchers)))
        {
            read.Add((series.Labels, Floats(series)));
        }

        return read;
    }

    public static List<(long Time, double Value)> Floats(Series series)
    {
        var floats = new List<(long, double)>();
        var batch = new SampleBatch();
        using var samples = series.Samples();
        while (samples.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                floats.Add((batch.Timestamps[i], batch.Values[i]));
            }
        }

        return floats;
    }

    static IEnumerable<long> Times(IReadOnlyList<TestSeries> series) =>
        series.SelectMany(s => s.Samples.Select(x => x.Time).Concat(s.Histograms.Select(h => h.Time)));
}
