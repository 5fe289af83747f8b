using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class ChunkSeriesIteratorTests
{
    [Fact]
    public void Overlapping_chunks_are_merged_by_time_and_the_first_wins() =>
        Gen.Select(Gen.Int[0, 400].Array[1, 200].Array[1, 6], Gen.Int[-10, 410], Gen.Int[-10, 410]).Sample((times, from, to) =>
        {
            var chunks = times.Select((ts, i) => Floats([.. ts.Distinct().Order().Select(t => ((long)t, (double)i))])).OrderBy(c => c.MinTime).ToList();
            var expected = new SortedDictionary<long, double>();
            foreach (var (timestamp, value) in chunks.SelectMany(c => Samples.Floats(new XorIterator(c.Data, "test", 0))))
            {
                expected.TryAdd(timestamp, value);
            }

            var read = Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Raw, new TimeRange(from, to), "test"), capacity: 33);
            Assert.Equal(expected.Where(e => e.Key >= from && e.Key <= to).Select(e => (e.Key, e.Value)), read);
        });

    [Fact]
    public void Batches_are_filled_across_chunks()
    {
        var chunks = Enumerable.Range(0, 4).Select(c => Floats([.. Enumerable.Range(c * 100, 100).Select(i => ((long)i, (double)i))])).ToList();
        var batch = new SampleBatch();
        var iterator = new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, "test");
        Assert.True(iterator.Read(batch));
        Assert.Equal(256, batch.Count);
        Assert.True(iterator.Read(batch));
        Assert.Equal(144, batch.Count);
        Assert.Equal(399, batch.Timestamps[143]);
        Assert.False(iterator.Read(batch));
    }

    [Fact]
    public void Seek_skips_whole_chunks()
    {
        var chunks = Enumerable.Range(0, 4).Select(c => Floats([.. Enumerable.Range(c * 100, 100).Select(i => ((long)i, (double)i))])).ToList();
        chunks[1] = chunks[1] with { Data = new byte[] { 0xff, 0xff, 1 } };
        var iterator = new ChunkSeriesIterator(chunks, Aggregate.Raw, new TimeRange(0, 350), "test");
        iterator.Seek(250);
        Assert.Equal(Enumerable.Range(250, 101).Select(i => ((long)i, (double)i)), Samples.Floats(iterator));
        Assert.Throws<CorruptionException>(() => Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, "test")));
    }

    [Fact]
    public void Kinds_come_in_batches_of_their_own()
    {
        var histogram = new Histogram { Count = 1, Sum = 1 };
        var open = new HistogramAppender(histogram);
        Assert.True(open.TryAppend(10, histogram));
        Assert.True(open.TryAppend(11, histogram));
        List<Chunk> chunks = [Floats([(1, 1), (2, 2)]), new Chunk(10, 11, open.Encoding, open.Written.ToArray()), Floats([(20, 3)])];
        var read = Samples.All(new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, "test"));
        Assert.Equal([1, 2, 10, 11, 20], read.Select(s => s.Timestamp));
        Assert.Equal([false, false, true, true, false], read.Select(s => s.Histogram is not null));
    }

    [Fact]
    public void Counts_of_raw_samples_are_one_and_staleness_is_none()
    {
        List<Chunk> chunks = [Floats([(1, 5), (2, StaleMarker.Value), (3, 7)])];
        Assert.Equal([(1, 1.0), (3, 1.0)], Samples.Floats(new ChunkSeriesIterator(chunks, Aggregate.Count, TimeRange.All, "test")));
    }

    [Fact]
    public void A_counter_aggregate_applies_resets_within_and_between_chunks_and_spans_raw_ones()
    {
        // The last sample, at a timestamp that is there already, is the true last value of the chunk's series.
        var first = Counter([(10, 100), (20, 150), (20, 50)]);
        var second = Counter([(30, 60), (40, 70), (40, 70)]);
        var third = Floats([(50, 5), (60, 6)]);
        Assert.Equal(
            [(10, 100.0), (20, 150.0), (30, 160.0), (40, 170.0), (50, 175.0), (60, 176.0)],
            Samples.Floats(new ChunkSeriesIterator([first, second, third], Aggregate.Counter, TimeRange.All, "test")));
        Assert.Equal(
            [(30, 160.0), (40, 170.0)],
            Samples.Floats(new ChunkSeriesIterator([first, second, third], Aggregate.Counter, new TimeRange(21, 45), "test")));
        Assert.Equal(
            [(50, 5.0), (60, 6.0)],
            Samples.Floats(new ChunkSeriesIterator([third], Aggregate.Counter, TimeRange.All, "test")));
    }

    [Fact]
    public void The_raw_value_of_an_aggregate_is_its_average()
    {
        var chunk = Aggregates(Floats([(10, 2), (20, 4)]), Floats([(10, 3), (20, 10)]), default, default, default);
        Assert.Equal([(10, 1.5), (20, 2.5)], Samples.Floats(new ChunkSeriesIterator([chunk], Aggregate.Raw, TimeRange.All, "test")));
        Assert.Equal([(10, 3.0), (20, 10.0)], Samples.Floats(new ChunkSeriesIterator([chunk], Aggregate.Sum, TimeRange.All, "test")));
        Assert.Empty(Samples.Floats(new ChunkSeriesIterator([chunk], Aggregate.Min, TimeRange.All, "test")));
        var skewed = Aggregates(Floats([(10, 2), (21, 4)]), Floats([(10, 3), (20, 10)]), default, default, default);
        Assert.Throws<CorruptionException>(() => Samples.Floats(new ChunkSeriesIterator([skewed], Aggregate.Raw, TimeRange.All, "test")));
    }

    static Chunk Counter((long, double)[] samples) => Aggregates(default, default, default, default, Floats(samples));

    static Chunk Aggregates(params Chunk[] five)
    {
        var any = five.First(c => c.Encoding != ChunkEncoding.None);
        return new Chunk(any.MinTime, any.MaxTime, ChunkEncoding.Aggregates, AggregatesChunk.Encode(five));
    }

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
