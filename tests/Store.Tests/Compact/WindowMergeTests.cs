using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
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

    async Task<Block> BlockAsync(int number, string replica, (long, double)[] samples, long resolution)
    {
        TestSeries[] series = [new(Labels.Of(("__name__", "c_total")), samples)];
        await TestBlocks.WriteAsync(_folder.Path, TestBlocks.Id(number), series, TestBlocks.Meta(series, ("replica", replica)));
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
