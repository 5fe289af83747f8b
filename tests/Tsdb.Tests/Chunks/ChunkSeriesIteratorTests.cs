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
    public void An_aggregate_is_one_of_windows_and_raw_samples_stay_as_they_are()
    {
        const long Window = 300_000;
        List<Chunk> chunks =
        [
            Aggregates(Floats([(Window - 1, 20), ((2 * Window) - 1, 19)]), default, default, default, default), Floats([((2 * Window) + 5, 7)]),
        ];
        var (batch, read) = (new SampleBatch(), new List<(long, double, long)>());
        using var samples = new ChunkSeriesIterator(chunks, Aggregate.Count, TimeRange.All, "test");
        while (samples.Read(batch))
        {
            read.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Values[i], batch.ResolutionMs)));
        }

        Assert.Equal([(Window - 1, 20.0, Window), ((2 * Window) - 1, 19.0, Window), ((2 * Window) + 5, 7.0, 0L)], read);
    }

    [Fact]
    public void A_counter_aggregate_applies_resets_within_and_between_chunks_and_ends_with_the_true_value()
    {
        // The last sample, at a timestamp that is there already, is the true last value of the chunk's series. The second chunk's first one is
        // a raw sample within the window that ends with the next.
        var first = Counter([(10, 100), (20, 150), (20, 50)]);
        var second = Counter([(30, 60), (40, 70), (40, 70)]);
        var third = Floats([(50, 5), (60, 6)]);
        Assert.Equal(
            [(10, 0.0), (20, 50.0), (40, 70.0), (50, 5.0), (60, 6.0)],
            Samples.Floats(new ChunkSeriesIterator([first, second, third], Aggregate.Counter, TimeRange.All, "test")));
        Assert.Equal(
            [(5, -146.0), (20, 0.0), (40, 40.0)],
            Samples.Floats(new ChunkSeriesIterator([Floats([(5, 4)]), Counter([(10, 100), (20, 150), (20, 150)]), Counter([(30, 20), (40, 40), (40, 40)])], Aggregate.Counter, TimeRange.All, "test")));
        Assert.Equal(
            [(40, 70.0)],
            Samples.Floats(new ChunkSeriesIterator([first, second, third], Aggregate.Counter, new TimeRange(21, 45), "test")));
        Assert.Equal(
            [(50, 5.0), (60, 6.0)],
            Samples.Floats(new ChunkSeriesIterator([third], Aggregate.Counter, TimeRange.All, "test")));
    }

    [Theory]
    [InlineData(Aggregate.Counter)]
    [InlineData(Aggregate.Max)]
    public void A_batch_has_the_resolution_of_its_own_chunks(Aggregate aggregate)
    {
        const long Window = 300_000;
        const long Hour = 12 * Window;
        var hours = Floats([(Hour - 1, 1), ((2 * Hour) - 1, 2)]);
        var minutes = Floats([((2 * Hour) + Window - 1, 3), ((2 * Hour) + (2 * Window) - 1, 4)]);
        List<Chunk> chunks = [Aggregates(hours, hours, hours, hours, hours), Aggregates(minutes, minutes, minutes, minutes, minutes)];
        var (batch, resolutions) = (new SampleBatch(), new List<(long, int)>());
        using var samples = new ChunkSeriesIterator(chunks, aggregate, TimeRange.All, "test");
        while (samples.Read(batch))
        {
            resolutions.Add((batch.ResolutionMs, batch.Count));
        }

        Assert.Equal([(Hour, 2), (Window, 2)], resolutions);
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
