using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Compact;

public sealed class DownsamplerTests : IDisposable
{
    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    readonly string _folder = Checkout.NewFolder("downsample");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("01M81NBR49693RP1SN0GD357N3", Downsampler.FiveMinutes, "01M81NBR67YRKMJPBZFV4RV2R3")]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", Downsampler.OneHour, "01M81NBR7PXHQPJ6K6EMKFRVQD")]
    public void A_block_that_thanos_downsampled_comes_out_the_same_to_the_byte(string source, long resolutionMs, string expected)
    {
        var golden = Required.Shared("blocks", "golden");
        using var block = Block.Open(Path.Combine(golden, source));
        var meta = Downsampler.Run(block, _folder, BlockId.New(DateTimeOffset.UnixEpoch, new Random(1)), resolutionMs, default)!;
        using var ours = Block.Open(Path.Combine(_folder, meta.Id.ToString()));
        using var theirs = Block.Open(Path.Combine(golden, expected));
        Assert.Equal((theirs.Meta.MinTime, theirs.Meta.MaxTime, resolutionMs), (meta.MinTime, meta.MaxTime, meta.ResolutionMs));
        Assert.Equal(theirs.Meta.Compaction.Sources, meta.Compaction.Sources);
        var chunks = 0;
        foreach (var (a, b) in All(ours).Zip(All(theirs)))
        {
            Assert.Equal(b.Labels, a.Labels);
            var (mine, other) = (a.Chunks()!.ToList(), b.Chunks()!.ToList());
            Assert.Equal(other.Select(c => (c.MinTime, c.MaxTime)), mine.Select(c => (c.MinTime, c.MaxTime)));
            foreach (var (m, o) in mine.Zip(other))
            {
                foreach (var aggregate in s_aggregates)
                {
                    Assert.True(AggregatesChunk.TryGet(m, aggregate, "ours", 0, out var ourPart));
                    Assert.True(AggregatesChunk.TryGet(o, aggregate, "theirs", 0, out var theirPart));
                    Assert.True(ourPart.Data.Span.SequenceEqual(theirPart.Data.Span), $"{aggregate} of {a.Labels} at {m.MinTime}");
                }

                Assert.True(m.Data.Span.SequenceEqual(o.Data.Span));
                chunks++;
            }
        }

        Assert.True(chunks > 10);
        Assert.Equal(All(theirs).Count(), All(ours).Count());
    }

    [Fact]
    public void Windows_hold_count_sum_min_max_and_a_counter_that_never_falls()
    {
        var samples = new (long, double)[] { (0, 10), (60_000, 20), (120_000, 5), (310_000, 7), (320_000, double.NaN), (700_000, StaleMarker.Value), (1_000_000, 1) };
        var chunk = Assert.Single(Downsampler.OfRaw([Floats(samples)], Downsampler.FiveMinutes, "test"));
        Assert.Equal((299_999, 1_000_000), (chunk.MinTime, chunk.MaxTime));
        Assert.Equal("299999:3 599999:1 1000000:1", Text(chunk, Aggregate.Count));
        Assert.Equal("299999:35 599999:7 1000000:1", Text(chunk, Aggregate.Sum));
        Assert.Equal("299999:5 599999:7 1000000:1", Text(chunk, Aggregate.Min));
        Assert.Equal("299999:20 599999:7 1000000:1", Text(chunk, Aggregate.Max));
        Assert.Equal("0:10 299999:25 599999:27 1000000:28", Text(chunk, Aggregate.Counter));
    }

    [Fact]
    public void What_a_counter_gained_is_the_same_at_every_resolution()
    {
        var random = new Random(3);
        var (value, gained) = (100.0, 0.0);
        var samples = new List<(long, double)>();
        for (var i = 0; i < 5_000; i++)
        {
            var step = random.Next(100);
            gained += i == 0 ? 0 : step;
            value = random.Next(200) == 0 ? step : value + step;
            samples.Add((i * 60_000, value));
        }

        var raw = samples.Chunk(120).Select(c => Floats(c)).ToList();
        var fine = Downsampler.OfRaw(raw, Downsampler.FiveMinutes, "test").ToList();
        var coarse = Downsampler.OfAggregates(fine, Downsampler.FiveMinutes, Downsampler.OneHour, "test").ToList();
        Assert.True(fine.Count > 3);
        foreach (var chunks in new[] { fine, coarse })
        {
            var counter = Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Counter, TimeRange.All, "test"));
            Assert.Equal(gained, counter[^1].Value - counter[0].Value, 6);
            Assert.Equal(5_000, Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Count, TimeRange.All, "test")).Sum(s => s.Value));
            Assert.Equal(samples.Sum(s => s.Item2), Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Sum, TimeRange.All, "test")).Sum(s => s.Value), 3);
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Histograms_keep_their_counts_and_what_they_gained(bool custom, bool gauge)
    {
        var random = new Random(5);
        var batch = new SampleBatch(3_000) { Kind = SampleKind.Histogram, Count = 3_000 };
        double[] counts = [0, 0, 0];
        var gained = 0.0;
        for (var i = 0; i < batch.Count; i++)
        {
            if (random.Next(300) == 0)
            {
                counts = [0, 0, 0];
            }

            var before = counts.Sum();
            counts = [.. counts.Select(c => c + random.Next(4))];
            gained += i == 0 ? 0 : counts.Sum() < before ? counts.Sum() : counts.Sum() - before;
            batch.Timestamps[i] = i * 60_000L;
            batch.Histograms[i] = new Histogram
            {
                IsInteger = true,
                CounterResetHint = gauge ? CounterResetHint.Gauge : CounterResetHint.Unknown,
                Schema = custom ? Histogram.CustomBucketsSchema : gauge && i > 1000 ? 1 : 2,
                CustomValues = custom ? [1, 2] : null,
                Count = counts.Sum(),
                Sum = counts.Sum() * 2,
                PositiveSpans = [new(0, 3)],
                PositiveBuckets = [.. counts],
            };
        }

        var total = Enumerable.Range(0, batch.Count).Sum(i => batch.Histograms[i].Count);
        var raw = ChunkEncoder.Encode(new OneBatch(batch)).ToList();
        var fine = Downsampler.OfRaw(raw, Downsampler.FiveMinutes, "test").ToList();
        var coarse = Downsampler.OfAggregates(fine, Downsampler.FiveMinutes, Downsampler.OneHour, "test").ToList();
        foreach (var (chunks, windows) in new[] { (fine, 600), (coarse, 50) })
        {
            Assert.All(chunks, c => Assert.True(AggregatesChunk.IsHistogram(c, "test", 0)));
            var sums = Samples.All(new ChunkSeriesIterator(chunks, Aggregate.Sum, TimeRange.All, "test"));
            Assert.Equal(total, sums.Sum(s => s.Histogram!.Count));
            Assert.InRange(sums.Count, windows, windows + chunks.Count);
            Assert.Equal(3_000, Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Count, TimeRange.All, "test")).Sum(s => s.Value));
            var average = Samples.All(new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, "test"));
            Assert.Equal(sums.Count, average.Count);
            if (!gauge)
            {
                var counter = Samples.All(new ChunkSeriesIterator(chunks, Aggregate.Counter, TimeRange.All, "test"));
                Assert.Equal(gained, counter[^1].Histogram!.Count - counter[0].Histogram!.Count);
                Assert.Equal(batch.Histograms[batch.Count - 1].Count, counter[^1].Histogram!.Count);
                Assert.Equal(counter.Select(s => s.Histogram!.Count).Order(), counter.Select(s => s.Histogram!.Count));
            }
        }
    }

    static IEnumerable<Series> All(Block block) => block.Select(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, []));

    static string Text(Chunk chunk, Aggregate aggregate) => string.Join(
        ' ', Samples.Floats(ChunkIterators.Open(chunk, aggregate, "test", 0)).Select(s => $"{s.Timestamp}:{s.Value}"));

    static Chunk Floats((long Timestamp, double Value)[] samples)
    {
        var open = new XorAppender(new byte[32]);
        foreach (var (timestamp, value) in samples)
        {
            open.Append(timestamp, value);
        }

        return new Chunk(samples[0].Timestamp, samples[^1].Timestamp, ChunkEncoding.Xor, open.Written.ToArray());
    }
}
