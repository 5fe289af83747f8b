using System.Globalization;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Live;
using Xunit;

namespace Observe.Store.Tests.Live;

/// <summary>Samples go from slice to block, and whoever reads finds each once, or is told that it is missing.</summary>
public sealed class HandOverTests
{
    static bool IsSlice(string key) => key.StartsWith(SliceKey.Folder, StringComparison.Ordinal);

    /// <summary>So many random courses (HANDOVER_COURSES), from a seed on (HANDOVER_SEED).</summary>
    [Fact]
    public async Task No_sample_is_lost_or_doubled_on_its_way_from_slice_to_block_and_what_is_missing_is_told()
    {
        static int Setting(string name, int usual) =>
            Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : usual;
        var first = Setting("HANDOVER_SEED", 1);
        for (var seed = first; seed < first + Setting("HANDOVER_COURSES", 6); seed++)
        {
            var random = new Random(seed);
            try
            {
                await RunAsync([.. Enumerable.Range(0, random.Next(40, 250)).Select(_ => (random.Next(100), random.Next(10)))]);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"HANDOVER_SEED={seed}", e);
            }
        }
    }

    [Fact]
    public async Task What_was_sent_is_there_and_is_complete_and_stays_when_its_block_takes_over()
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
        var bucket = new MemoryBucket(time);
        await using var collector = new LiveCollector(bucket, time, "one", "a");
        await collector.OpenAsync();
        await using var reader = new LiveReader(bucket, time);
        for (var i = 0; i < 200; i++)
        {
            collector.Scrape();
            time.Advance(TimeSpan.FromSeconds(1));
            Assert.True(await collector.SendAsync());
            if (i % 7 == 0)
            {
                Assert.True(await collector.ShipAsync());
            }

            if (i % 2 == 0)
            {
                await reader.SyncAsync();
            }

            await reader.PollAsync();
            time.Advance(TimeSpan.FromSeconds(14));
            await reader.PollAsync();
            Assert.Equal(collector.Ledger, new SortedDictionary<(string, long), double>(await reader.ReadAsync(collector.External)));
            Assert.Empty(Assert.Single(reader.Known()).Gaps);
        }

        Assert.InRange(bucket.Keys.Count(IsSlice), 1, 160);
    }

    [Fact]
    public async Task No_number_is_left_out_while_labels_are_refused()
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
        var bucket = new MemoryBucket(time);
        await using var collector = new LiveCollector(bucket, time, "one", "a");
        await collector.OpenAsync();
        for (var i = 0; i < 6; i++)
        {
            collector.Scrape();
            time.Advance(TimeSpan.FromSeconds(15));
            collector.IsRefused = i is > 0 and < 4;
            if (collector.IsRefused)
            {
                await Assert.ThrowsAsync<IOException>(collector.SendAsync);
            }
            else
            {
                Assert.True(await collector.SendAsync());
            }
        }

        Assert.Equal(Enumerable.Range(1, 6), bucket.Keys.Where(IsSlice).Select(key => int.Parse(key.AsSpan(key.LastIndexOf('/') + 1), CultureInfo.InvariantCulture)));
    }

    static async Task RunAsync((int What, int How)[] course)
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
        var bucket = new MemoryBucket(time);
        await using var one = new LiveCollector(bucket, time, "one", "a");
        await using var two = new LiveCollector(bucket, time, "two", "a");
        LiveCollector[] collectors = [one, two];
        var reader = new LiveReader(bucket, time);
        var seen = new HashSet<(string, long)>[] { [], [] };
        await reader.SyncAsync();
        var hidden = new Dictionary<string, byte[]>();
        foreach (var collector in collectors)
        {
            await collector.OpenAsync();
        }

        foreach (var (what, how) in course)
        {
            var collector = collectors[how % 2];
            switch (what)
            {
                case < 40:
                    time.Advance(TimeSpan.FromSeconds(1 + (how * 2)));
                    collectors[0].Scrape();
                    collectors[1].Scrape();
                    break;
                case < 60:
                    await collector.SendAsync();
                    break;
                case < 70:
                    await reader.Live.PollAsync(default);
                    await CheckSeenAsync();
                    break;
                case < 76:
                    await reader.SyncAsync();
                    break;
                case < 82:
                    await collector.ShipAsync();
                    break;
                case < 85:
                    time.Advance(TimeSpan.FromMilliseconds(LiveCollector.Range / 4));
                    break;
                case < 88:
                    await collector.KillAsync();
                    break;
                case < 90:
                    await reader.DisposeAsync();
                    reader = new LiveReader(bucket, time);
                    await reader.SyncAsync();
                    seen = [[], []];
                    break;
                case < 93:
                    // What fails may have happened.
                    var late = how % 2 == 0;
                    bucket.Fault = late ? null : (operation, key) => operation == BucketOperation.Put && IsSlice(key) ? new BucketException("a fault") : null;
                    bucket.LateFault = !late ? null : (operation, key) => operation == BucketOperation.Put && IsSlice(key) ? new BucketException("a fault") : null;
                    break;
                case < 96:
                    (bucket.Fault, bucket.LateFault) = (null, null);
                    break;
                case < 98 when bucket.Keys.LastOrDefault(IsSlice) is { } key:
                    hidden[key] = await bucket.GetBytesAsync(key, Slice.MaxSize, default);
                    await bucket.DeleteAsync(key, default);
                    break;
                default:
                    await UncoverAsync();
                    break;
            }
        }

        (bucket.Fault, bucket.LateFault) = (null, null);
        await CheckAllAsync();
        await UncoverAsync();
        await CheckAllAsync();
        await reader.DisposeAsync();
        reader = new LiveReader(bucket, time);
        await CheckAllAsync();
        await reader.DisposeAsync();

        async Task UncoverAsync()
        {
            (bucket.Fault, bucket.LateFault) = (null, null);
            foreach (var (key, bytes) in hidden)
            {
                await bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
            }

            hidden.Clear();
        }

        // What was there once is there until the reader starts anew.
        async Task CheckSeenAsync()
        {
            foreach (var (collector, known) in collectors.Zip(seen))
            {
                var read = await reader.ReadAsync(collector.External);
                Assert.Empty(known.Where(sample => collector.Ledger.ContainsKey(sample) && !read.ContainsKey(sample)).Take(3));
                known.UnionWith(read.Keys);
            }
        }

        async Task CheckAllAsync()
        {
            foreach (var collector in collectors)
            {
                await collector.SendAsync();
            }

            for (var i = 0; i < 4; i++)
            {
                await reader.SyncAsync();
                await reader.PollAsync();
                time.Advance(TimeSpan.FromSeconds(10));
            }

            await CheckSeenAsync();
            foreach (var (collector, known) in collectors.Zip(reader.Known()))
            {
                var read = await reader.ReadAsync(collector.External);
                var own = collector.Ledger.Where(sample => !known.Gaps.Any(gap => gap.Range.Contains(sample.Key.Time))).ToList();
                Assert.Equal(own, own.Where(sample => read.TryGetValue(sample.Key, out var value) && value.Equals(sample.Value)));
                Assert.All(read, sample => Assert.Contains(collectors, c => c.Ledger.ContainsKey(sample.Key)));
            }
        }
    }
}
