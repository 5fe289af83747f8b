using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Live;
using Observe.Testkit;
using Xunit;

namespace Observe.Store.Tests.Live;

/// <summary>Objects of a bucket are damaged at random: no reader fails, no value is one that nobody wrote, and what is whole is read.</summary>
public sealed class LiveFuzzTests
{
    const int Slices = 12;

    static int Setting(string name, int usual) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : usual;

    /// <summary>So many random buckets (LIVE_FUZZ_CASES), from a seed on (LIVE_FUZZ_SEED).</summary>
    [Fact]
    public async Task Whatever_happens_to_objects_what_is_whole_is_read_and_the_rest_is_told()
    {
        var first = Setting("LIVE_FUZZ_SEED", 1);
        for (var seed = first; seed < first + Setting("LIVE_FUZZ_CASES", 40); seed++)
        {
            try
            {
                await RunAsync(new Random(seed));
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"LIVE_FUZZ_SEED={seed}", e);
            }
        }
    }

    static async Task RunAsync(Random random)
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
        await using var bucket = new MemoryBucket(time);
        WrittenSlices[] collectors = [.. Enumerable.Range(0, 3).Select(n => new WrittenSlices(bucket, time, $"n{n}") { Series = 3 })];
        for (var i = 0; i < Slices; i++)
        {
            foreach (var collector in collectors)
            {
                await collector.WriteAsync();
            }

            time.Advance(TimeSpan.FromMilliseconds(WrittenSlices.IntervalMs));
        }

        // Of the last collector nothing is touched.
        var damaged = new Dictionary<int, HashSet<int>> { [0] = [], [1] = [], [2] = [] };
        for (var i = random.Next(1, 6); i > 0; i--)
        {
            var (collector, number) = (random.Next(2), random.Next(1, Slices + 1));
            damaged[collector].Add(number);
            await DamageAsync(bucket, collectors[collector].Key(number), collectors[random.Next(3)].Key(random.Next(1, Slices + 1)), random);
        }

        using var reader = new WatchedReader(bucket, time);
        for (var i = 0; i < 6; i++)
        {
            await reader.LookAsync([.. collectors.Select(collector => collector.Status())]);
            await reader.PollAsync(TimeSpan.FromSeconds(20));
        }

        Assert.Equal(0, await reader.MetricAsync("observe_live_read_failures_total"));
        foreach (var (n, collector) in collectors.Index())
        {
            var (values, covered) = (await collector.ReadAsync(reader.Live), reader.Live.Covered("c", $"n{n}"));
            for (var number = 1; number <= Slices; number++)
            {
                if (!damaged[n].Contains(number))
                {
                    Assert.Contains(number, values);
                }
                else if (!values.Contains(number))
                {
                    Assert.DoesNotContain(covered, range => range.Contains(collector.Times[number - 1]));
                }
            }

            Assert.All(values, value => Assert.InRange(value, 1, Slices));
        }
    }

    static async Task DamageAsync(MemoryBucket bucket, string key, string other, Random random)
    {
        if (!bucket.Keys.Contains(key) || !bucket.Keys.Contains(other))
        {
            return;
        }

        var (bytes, more) = (await bucket.GetBytesAsync(key, Slice.MaxSize, default), await bucket.GetBytesAsync(other, Slice.MaxSize, default));
        if (bytes.Length < 2 * SliceHeader.HashSize)
        {
            return; // It was cut before.
        }

        switch (random.Next(10))
        {
            case 0:
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                bytes = bytes[..random.Next(bytes.Length)];
                break;
            case 2:
                bytes = more;
                break;
            case 3:
                bytes = [.. bytes, .. bytes];
                break;
            case 4:
                bytes = [.. bytes, .. more];
                break;
            case 5:
                await bucket.DeleteAsync(key, default);
                return;
            case 6:
                // A future version.
                bytes[4] = (byte)random.Next(2, 256);
                Rehash(bytes);
                break;
            case 7:
                bytes[5] = (byte)random.Next(1, 256); // Claims gigabytes.
                break;
            case 8:
                random.NextBytes(bytes);
                break;
            default:
                // A right hash, and whatever header and sections make of it.
                for (var i = random.Next(1, 5); i > 0; i--)
                {
                    bytes[random.Next(9, bytes.Length - SliceHeader.HashSize)] = (byte)random.Next(256);
                }

                Rehash(bytes);
                if (IsRead(bytes))
                {
                    return; // Whoever has the right hash may say what he likes.
                }

                break;
        }

        await bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
    }

    static bool IsRead(byte[] bytes)
    {
        try
        {
            using var samples = Slice.Parse(bytes, "slice").Single().Unpack();
            return true;
        }
        catch (Tsdb.Bytes.CorruptionException)
        {
            return false;
        }
    }

    static void Rehash(byte[] slice) => SHA256.HashData(slice.AsSpan(0, slice.Length - SliceHeader.HashSize), slice.AsSpan(slice.Length - SliceHeader.HashSize));

    /// <summary>So many random documents (LIVE_FUZZ_CASES), from a seed on (LIVE_FUZZ_SEED).</summary>
    [Fact]
    public async Task Whatever_a_status_or_a_claim_says_readers_and_writers_go_on()
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
        await using var bucket = new MemoryBucket(time);
        var (sound, whole) = (new WrittenSlices(bucket, time, "a"), new WrittenSlices(bucket, time, "b"));
        await sound.WriteAsync();
        await whole.WriteAsync();
        var labels = Tsdb.Model.Labels.Of(("cluster", "c"), ("region", "eu"));
        await new FleetMember(bucket, "c", "b").WriteAsync(whole.Status(), default);
        Assert.Null(await ClusterClaim.MakeAsync(bucket, labels, "uid", "b", time.GetUtcNow(), default));
        var claim = await bucket.GetBytesAsync(ClusterClaim.Key(labels), ClusterClaim.MaxSize, default);
        var status = (sound.Status(new LiveWindow(SliceKey.Window(time.GetUtcNow(), 9), 3, 5, 1, 4, "d")) with
        {
            Shipped = [new Tsdb.Model.TimeRange(1, 2)],
            LastErrorSince = time.GetUtcNow(),
        }).ToJson();
        var first = Setting("LIVE_FUZZ_SEED", 1);
        for (var seed = first; seed < first + (25 * Setting("LIVE_FUZZ_CASES", 40)); seed++)
        {
            var random = new Random(seed);
            try
            {
                await bucket.PutBytesAsync(CollectorStatus.Key("c", "a"), Damaged(status, random), PutCondition.None, default);
                using var reader = new WatchedReader(bucket, time);
                var fleet = await FleetStatus.ReadAsync(bucket, default);
                await reader.Live.UpdateAsync(fleet, [], default);
                for (var i = 0; i < 3; i++)
                {
                    await reader.Live.PollAsync(default);
                }

                Assert.Equal([1], await whole.ReadAsync(reader.Live));
                _ = fleet.Known([], time.GetUtcNow(), reader.Live.Covered);
                await bucket.PutBytesAsync(ClusterClaim.Key(labels), Damaged(claim, random), PutCondition.None, default);
                _ = await ClusterClaim.MakeAsync(bucket, labels, "other", "b", time.GetUtcNow(), default);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"LIVE_FUZZ_SEED={seed}", e);
            }
        }
    }

    static byte[] Damaged(byte[] json, Random random) => random.Next(30) switch
    {
        0 => "null"u8.ToArray(),
        1 => "[]"u8.ToArray(),
        2 => System.Text.Encoding.UTF8.GetBytes(new string('[', 100_000)),
        3 => [.. "{\"labels\":"u8, .. System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 5_000)))],
        4 => new byte[CollectorStatus.MaxSize + 1],
        5 => [.. "{\"instance\":\""u8, .. new byte[500_000].Select(_ => (byte)'x'), .. "\"}"u8],
        _ => JsonDamage.Of(json, random),
    };
}
