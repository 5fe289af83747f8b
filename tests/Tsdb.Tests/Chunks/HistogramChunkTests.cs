using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class HistogramChunkTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_appended_is_read_back_in_its_buckets(bool hasStarts) => RandomHistograms.Run.Sample(run =>
    {
        var read = Encode(run, hasStarts).SelectMany(c => Samples.All(ChunkIterators.Open(c, Aggregate.Raw, "test", 0))).ToList();
        Assert.Equal(run.Length, read.Count);
        for (var i = 0; i < run.Length; i++)
        {
            Assert.Equal(run[i].Timestamp, read[i].Timestamp);
            Assert.Equal(hasStarts ? Start(i) : 0, read[i].Start);
            AssertSame(run[i].Histogram, read[i].Histogram!);
        }
    });

    [Fact]
    public void Within_a_chunk_no_counter_falls() => RandomHistograms.Run.Sample(run =>
    {
        foreach (var chunk in Encode(run, hasStarts: false))
        {
            Histogram? last = null;
            foreach (var histogram in Samples.All(ChunkIterators.Open(chunk, Aggregate.Raw, "test", 0)).Select(s => s.Histogram!).Where(h => !h.IsStale))
            {
                if (histogram.CounterResetHint == CounterResetHint.NotCounterReset)
                {
                    Assert.False(histogram.WithHint(CounterResetHint.Unknown).DetectReset(last!));
                }

                last = histogram;
            }
        }
    });

    [Fact]
    public void A_flipped_byte_never_throws_anything_but_corruption() =>
        Gen.Select(RandomHistograms.Run, Gen.Int[0, 4000], Gen.Byte[1, 255], Gen.Bool).Sample((run, at, flip, hasStarts) =>
        {
            foreach (var chunk in Encode(run, hasStarts))
            {
                var data = chunk.Data.ToArray();
                data[at % data.Length] ^= flip;
                try
                {
                    _ = Samples.All(ChunkIterators.Open(chunk with { Data = data }, Aggregate.Raw, "test", 0));
                }
                catch (CorruptionException)
                {
                }
            }
        });

    [Fact]
    public void A_reset_a_new_schema_and_the_end_of_staleness_start_new_chunks()
    {
        var first = Simple(10, [5, 5]);
        Assert.Equal(1, Chunks(first, Simple(12, [6, 6])));
        Assert.Equal(2, Chunks(first, Simple(9, [5, 4])));
        Assert.Equal(2, Chunks(first, Simple(12, [4, 8])));
        Assert.Equal(1, Chunks(first, Simple(13, [6, 6, 1])));
        Assert.Equal(2, Chunks(first, new Histogram { IsInteger = true, Schema = 1, Count = 12, PositiveSpans = [new(0, 1)], PositiveBuckets = [12] }));
        Assert.Equal(1, Chunks(first, new Histogram { IsInteger = true, Sum = StaleMarker.Value }));
        Assert.Equal(2, Chunks(first, new Histogram { IsInteger = true, Sum = StaleMarker.Value }, Simple(12, [6, 6])));
        Assert.Equal(2, Chunks(first, Simple(12, [6, 6]).WithHint(CounterResetHint.CounterReset)));
        Assert.Equal(2, Chunks(first, Simple(12, [6, 6]).WithHint(CounterResetHint.Gauge)));

        static int Chunks(params Histogram[] histograms) => Encode([.. histograms.Select((h, i) => (i * 1000L, h))], hasStarts: false).Count;
    }

    [Fact]
    public void The_header_tells_why_a_chunk_was_begun()
    {
        var chunks = Encode([(0, Simple(10, [5, 5])), (1, Simple(9, [5, 4])), (2, Simple(12, [6, 6]).WithHint(CounterResetHint.Gauge))], hasStarts: false);
        Assert.Equal(
            [CounterResetHint.Unknown, CounterResetHint.CounterReset, CounterResetHint.Gauge],
            chunks.Select(c => HistogramForm.Of(c.Encoding).Reset(c.Data.Span)));
    }

    static Histogram Simple(double count, double[] buckets) => new()
    {
        IsInteger = true,
        Schema = 0,
        Count = count,
        Sum = count * 2,
        PositiveSpans = [new BucketSpan(1, (uint)buckets.Length)],
        PositiveBuckets = buckets,
    };

    static long Start(int index) => index < 3 ? 0 : 1_600_000_000_000 + (index / 7 * 1000);

    static List<Chunk> Encode((long Timestamp, Histogram Histogram)[] run, bool hasStarts)
    {
        var batch = new SampleBatch(run.Length) { Kind = SampleKind.Histogram, Count = run.Length, HasStartTimestamps = hasStarts };
        for (var i = 0; i < run.Length; i++)
        {
            (batch.Timestamps[i], batch.Histograms[i]) = run[i];
            if (hasStarts)
            {
                batch.StartTimestamps[i] = Start(i);
            }
        }

        return [.. ChunkEncoder.Encode(new OneBatch(batch))];
    }

    /// <summary>The same counts in the same buckets; a chunk may have given it empty ones.</summary>
    static void AssertSame(Histogram expected, Histogram actual)
    {
        Assert.Equal(expected.IsInteger, actual.IsInteger);
        Assert.Equal(expected.IsStale, actual.IsStale);
        if (!expected.IsStale)
        {
            Assert.Equal(expected.CounterResetHint == CounterResetHint.Gauge, actual.CounterResetHint == CounterResetHint.Gauge);
            Assert.Equal(expected.Copy().Compact(0), actual.Copy().Compact(0));
        }
    }
}
