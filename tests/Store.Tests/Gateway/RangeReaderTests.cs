using CsCheck;
using Observe.Testkit;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Gateway;

public class RangeReaderTests
{
    static readonly BucketStoreMetrics s_metrics = new(Metrics.NewCustomRegistry());
    static readonly BlockId s_block = TestBlocks.Id(1);

    static async Task<(MemoryBucket Bucket, byte[] Content)> BucketAsync(int size)
    {
        var content = new byte[size];
        new Random(5).NextBytes(content);
        var bucket = new MemoryBucket(TimeProvider.System);
        await bucket.PutBytesAsync($"{s_block}/chunks/000001", content, PutCondition.None, default);
        return (bucket, content);
    }

    [Fact]
    public async Task All_bytes_that_were_asked_for_are_those_of_the_file()
    {
        const int Size = 5_000_000;
        var (bucket, content) = await BucketAsync(Size);
        Gen.Select(Gen.Int[0, Size - 1], Gen.Int[1, 200_000]).Array[1, 12].Array[1, 3].Sample(
            queries =>
            {
                var reader = new RangeReader(bucket, new PageCache(2 << 20, s_metrics), 4, s_metrics);
                foreach (var query in queries)
                {
                    using var budget = new ByteBudget(new Budget(), 0, new QueryContext(), s_metrics);
                    var ranges = query.Select(q => new ByteRange(q.Item1, q.Item1 + q.Item2)).OrderBy(r => r.Start).ToList();
                    using var bytes = reader.ReadAsync(s_block, 1, Size, ranges, budget, default).GetAwaiter().GetResult();
                    foreach (var range in ranges)
                    {
                        var length = (int)(Math.Min(range.End, Size) - range.Start);
                        Assert.True(bytes.From(range.Start, length).Span.SequenceEqual(content.AsSpan((int)range.Start, length)));
                    }
                }
            },
            iter: 30,
            threads: 1);
    }

    [Fact]
    public async Task Near_ranges_are_one_request_and_far_ones_several()
    {
        var (bucket, _) = await BucketAsync(3_000_000);
        var requests = 0;
        bucket.Fault = (_, _) =>
        {
            Interlocked.Increment(ref requests);
            return null;
        };
        using var budget = new ByteBudget(new Budget(), 0, new QueryContext(), s_metrics);
        var reader = new RangeReader(bucket, new PageCache(0, s_metrics), 4, s_metrics);
        async Task<int> RequestsAsync(params long[] starts)
        {
            requests = 0;
            using var bytes = await reader.ReadAsync(s_block, 1, 3_000_000, [.. starts.Select(s => new ByteRange(s, s + 10))], budget, default);
            return requests;
        }

        Assert.Equal(1, await RequestsAsync(0, 100, 400_000, 800_000));
        Assert.Equal(2, await RequestsAsync(0, 1_000_000));
        Assert.Equal(1, await RequestsAsync(2_999_999));
        Assert.Equal(0, await RequestsAsync(3_000_000, 3_000_001));
        Assert.Equal(1, await RequestsAsync(2_900_000, 3_000_000));
    }

    [Fact]
    public async Task A_file_that_is_shorter_than_its_meta_says_is_corrupt()
    {
        var (bucket, _) = await BucketAsync(1_000);
        using var budget = new ByteBudget(new Budget(), 0, new QueryContext(), s_metrics);
        var reader = new RangeReader(bucket, new PageCache(0, s_metrics), 4, s_metrics);
        var error = await Assert.ThrowsAsync<CorruptionException>(() => reader.ReadAsync(s_block, 1, 2_000, [new(900, 1_100)], budget, default));
        Assert.Contains("chunks/000001 at 1000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_pages_that_were_used_last_are_kept()
    {
        var registry = Metrics.NewCustomRegistry();
        var cache = new PageCache(16 * 4 * 1_000, new BucketStoreMetrics(registry));
        for (var i = 0; i < 1_000; i++)
        {
            cache.Put(new PageKey(s_block, 1, i), new byte[1_000]);
            Assert.NotNull(cache.Get(new PageKey(s_block, 1, 0)));
        }

        var kept = Enumerable.Range(0, 1_000).Count(i => cache.Get(new PageKey(s_block, 1, i)) is not null);
        Assert.InRange(kept, 32, 64);
        Assert.Null(cache.Get(new PageKey(s_block, 2, 0)));
    }

    [Fact]
    public void A_budget_gives_back_what_it_took()
    {
        var pool = new Budget(100);
        using (var budget = new ByteBudget(pool, 50, new QueryContext(), s_metrics))
        {
            budget.ReserveMemory(60);
            Assert.Throws<LimitException>(() => budget.ReserveMemory(50));
            budget.ReturnMemory(20);
            budget.ReserveMemory(50);
            budget.CountFetch(50);
            Assert.Throws<LimitException>(() => budget.CountFetch(1));
        }

        pool.Take(100);
        Assert.Throws<LimitException>(() => pool.Take(1));
    }
}
