using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Compact;

/// <summary>Replicas that were downsampled each for itself, deduplicated afterwards.</summary>
public sealed class WindowMergeTests : IDisposable
{
    const long Start = 1_700_006_400_000;
    const long Interval = 15_000;
    const int Scrapes = 20_000;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, Downsampler.FiveMinutes)]
    [InlineData(2, Downsampler.FiveMinutes)]
    [InlineData(3, Downsampler.OneHour)]
    [InlineData(4, Downsampler.OneHour)]
    public async Task Each_window_is_the_first_replicas_that_has_it_and_counters_count_once(int seed, long resolution)
    {
        var random = new Random(seed);
        var resets = new[] { long.MinValue, Start + random.Next(100_000_000), Start + 100_000_000 + random.Next(100_000_000) };
        var replicas = Enumerable.Range(0, 2).Select(_ => Replica(random, resets, resolution)).ToArray();
        using var a = await BlockAsync(1, "a", replicas[0], resolution);
        using var b = await BlockAsync(2, "b", replicas[1], resolution);
        var merge = new BlockMerge([(b, Labels.Of(("replica", "b"))), (a, Labels.Of(("replica", "a")))]);
        var (_, chunks) = Assert.Single(merge.Series(default).Select(s => (s.Labels, s.Chunks.ToArray())));
        Assert.All(chunks.Zip(chunks.Skip(1)), pair => Assert.True(pair.Second.MinTime > pair.First.MaxTime));
        Assert.True(chunks[^1].MaxTime <= replicas.Max(r => r[^1].Time));

        // Counts, sums and extremes are those of one replica's samples.
        var windows = replicas.Select(r => r.GroupBy(s => Downsampler.WindowEnd(s.Time, resolution)).ToDictionary(g => g.Key, g => g.ToArray())).ToArray();
        var ends = windows.SelectMany(w => w.Keys).Distinct().Order().ToArray();
        foreach (var (aggregate, of) in ((Aggregate, Func<(long Time, double Value)[], double>)[])
            [(Aggregate.Count, w => w.Length), (Aggregate.Sum, w => w.Sum(s => s.Value)), (Aggregate.Min, w => w.Min(s => s.Value)), (Aggregate.Max, w => w.Max(s => s.Value))])
        {
            Assert.Equal(
                ends.Select(end => (end, of(windows[0].GetValueOrDefault(end) ?? windows[1][end]))),
                Read(aggregate).Select(s => (Downsampler.WindowEnd(s.Timestamp, resolution), s.Value)));
        }

        // What is counted between two windows is what the target counted, but for the distance of samples from the windows' ends, and for what
        // nobody saw before a reset.
        var counted = Read(Aggregate.Counter).Where(s => (s.Timestamp + 1) % resolution == 0).ToArray();
        Assert.Equal(counted.Select(s => s.Value).Order(), counted.Select(s => s.Value));
        foreach (var (before, after) in counted.Zip(counted.Skip(1)))
        {
            var (gained, truth) = (after.Value - before.Value, (after.Timestamp - before.Timestamp) / 1000.0);
            var isReset = Array.Exists(resets, r => r >= before.Timestamp - resolution && r <= after.Timestamp + resolution);
            Assert.InRange(gained, isReset ? 0 : truth - (resolution / 1000.0), truth + (resolution / 1000.0));
        }

        var all = counted[^1].Value - counted[0].Value;
        var span = (counted[^1].Timestamp - counted[0].Timestamp) / 1000.0;
        Assert.InRange(all, span * 0.95, span * 1.01);

        List<(long Timestamp, double Value)> Read(Aggregate aggregate) =>
            Samples.Floats(new ChunkSeriesIterator(chunks, aggregate, TimeRange.All, "test"));
    }

    /// <summary>Native histograms, whose buckets gain as a counter does, and whose windows are merged as those of a counter are.</summary>
    [Theory]
    [InlineData(1, Downsampler.FiveMinutes, 2)]
    [InlineData(2, Downsampler.FiveMinutes, Histogram.CustomBucketsSchema)]
    [InlineData(3, Downsampler.OneHour, 2)]
    [InlineData(4, Downsampler.OneHour, Histogram.CustomBucketsSchema)]
    [InlineData(5, Downsampler.OneHour, 2)]
    public async Task Windows_of_native_histograms_are_the_first_replicas_and_count_once(int seed, long resolution, int schema)
    {
        var random = new Random(seed);
        var resets = new[] { long.MinValue, Start + random.Next(100_000_000), Start + 100_000_000 + random.Next(100_000_000) };
        var replicas = Enumerable.Range(0, 2).Select(_ => Replica(random, resets, resolution)).ToArray();
        using var floatsA = await BlockAsync(1, "a", replicas[0], resolution);
        using var floatsB = await BlockAsync(2, "b", replicas[1], resolution);
        var floats = Merged(floatsA, floatsB);
        using var a = await BlockAsync(3, "a", replicas[0], resolution, schema);
        using var b = await BlockAsync(4, "b", replicas[1], resolution, schema);
        var chunks = Merged(a, b);

        // Each bucket is a counter: windows, what they count and what the series had last are as of floats.
        Assert.Equal(Read(floats, Aggregate.Count), Read(chunks, Aggregate.Count));
        var (counter, histogram) = (Read(floats, Aggregate.Counter), Read(chunks, Aggregate.Counter));
        Assert.Equal(counter.Select(s => s.Timestamp), histogram.Select(s => s.Timestamp));
        Assert.All(counter.Zip(histogram), pair => Assert.Equal(pair.First.Value, pair.Second.Value, 1e-6 * Math.Abs(pair.First.Value)));
        Assert.Equal(Read(floats, Aggregate.Sum).Select(s => s.Value), Read(chunks, Aggregate.Sum).Select(s => s.Value));
        var last = AggregatesChunk.LastOfCounter(chunks[^1], "test", 0);
        var raw = new[] { replicas[0], replicas[1] }.Select(r => r[^1]).First(s => Downsampler.WindowEnd(s.Time, resolution) == Downsampler.WindowEnd(chunks[^1].MaxTime, resolution));
        Assert.Equal(raw.Value, last?.Count ?? histogram[^1].Value, 1e-6 * Math.Abs(raw.Value));

        static Chunk[] Merged(Block a, Block b) => Assert.Single(
            new BlockMerge([(b, Labels.Of(("replica", "b"))), (a, Labels.Of(("replica", "a")))]).Series(default).Select(s => s.Chunks.ToArray()));

        static List<(long Timestamp, double Value)> Read(Chunk[] chunks, Aggregate aggregate)
        {
            var read = new List<(long, double)>();
            var samples = new ChunkSeriesIterator(chunks, aggregate, TimeRange.All, "test");
            var batch = new SampleBatch();
            while (samples.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    read.Add((batch.Timestamps[i], batch.Kind == SampleKind.Float ? batch.Values[i] : batch.Histograms[i].Count));
                    if (batch.Kind == SampleKind.Histogram)
                    {
                        Assert.Equal(batch.Histograms[i].Count, batch.Histograms[i].PositiveBuckets.Sum(), 1e-6 * Math.Max(1, batch.Histograms[i].Count));
                    }
                }
            }

            return read;
        }
    }

    /// <summary>A counter that gains one a second; gaps of minutes and of hours.</summary>
    static (long Time, double Value)[] Replica(Random random, long[] resets, long resolution)
    {
        var phase = random.Next((int)Interval);
        var gaps = Enumerable.Range(0, 12).Select(_ => Start + random.NextInt64(Scrapes * Interval))
            .Select(from => (From: from, To: from + random.NextInt64(random.Next(2) == 0 ? resolution / 4 : 12 * resolution))).ToArray();
        return
        [
            .. Enumerable.Range(0, Scrapes).Select(i => Start + phase + (i * Interval)).Where(time => !Array.Exists(gaps, g => time >= g.From && time < g.To))
                .Select(time => (time, (double)((time - Math.Max(Start - 1_000_000, resets.Last(r => r <= time))) / 1000))),
        ];
    }

    /// <param name="schema">Of native histograms with as many observations as the samples say; null: the samples themselves.</param>
    async Task<Block> BlockAsync(int number, string replica, (long Time, double Value)[] samples, long resolution, int? schema = null)
    {
        TestSeries[] series = [new(Labels.Of(("__name__", "c_total")), samples)];
        if (schema is null)
        {
            await TestBlocks.WriteAsync(_folder.Path, TestBlocks.Id(number), series, TestBlocks.Meta(series, ("replica", replica)));
        }
        else
        {
            var batch = new SampleBatch(samples.Length) { Kind = SampleKind.Histogram };
            foreach (var (time, value) in samples)
            {
                batch.Timestamps[batch.Count] = time;
                batch.Histograms[batch.Count++] = new Histogram
                {
                    IsInteger = true,
                    Schema = schema.Value,
                    CustomValues = schema == Histogram.CustomBucketsSchema ? [1, 2, 3] : null,
                    Count = value,
                    Sum = value,
                    PositiveSpans = [new BucketSpan(0, 2)],
                    PositiveBuckets = [Math.Floor(value / 3), value - Math.Floor(value / 3)],
                };
            }

            using var writer = BlockWriter.Create(_folder.Path, TestBlocks.Id(number));
            writer.Add(series[0].Labels, ChunkEncoder.Encode(new OneBatch(batch)));
            writer.Finish(TestBlocks.Meta(series, ("replica", replica)) with { Id = TestBlocks.Id(number) });
        }

        for (var (from, to) = (number, Downsampler.FiveMinutes); ; (from, to) = (from + 10, Downsampler.OneHour))
        {
            using (var block = Block.Open(Path.Combine(_folder.Path, TestBlocks.Id(from).ToString())))
            {
                Assert.NotNull(Downsampler.Run(block, _folder.Path, TestBlocks.Id(from + 10), to, default));
            }

            if (to == resolution)
            {
                return Block.Open(Path.Combine(_folder.Path, TestBlocks.Id(from + 10).ToString()));
            }
        }
    }
}
