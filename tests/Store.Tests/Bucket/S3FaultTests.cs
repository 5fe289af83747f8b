using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Bucket;

/// <summary>An S3 server behind a network that breaks everything: what is read is right, or the failure is a <see cref="BucketException"/>.</summary>
[Collection(S3Server.Collection)]
public sealed class S3FaultTests(S3Server server)
{
    static readonly HttpFault[] s_faults = Enum.GetValues<HttpFault>();

    public static TheoryData<int> Seeds => [1, 2, 3, 4];

    static S3Config Impatient(S3Config config, string endpoint, int retries = 4) => config with
    {
        Endpoint = endpoint,
        MaxRetries = retries,
        RetryDelay = TimeSpan.FromMilliseconds(1),
        Http = config.Http with { ResponseHeaderTimeout = TimeSpan.FromMilliseconds(700) },
    };

    // What plain HTTP has no checksum for is left as it is: the bodies of ranges and listings, the headers that are all of a HEAD's answer.
    static HttpFault Detectable(string request, HttpFault fault) => fault switch
    {
        HttpFault.FlipBody when request.Contains("\r\nRange:", StringComparison.OrdinalIgnoreCase) || request.Contains("list-type=", StringComparison.Ordinal) =>
            HttpFault.ShortBody,
        HttpFault.FlipHeader or HttpFault.WrongETag when request.StartsWith("HEAD ", StringComparison.Ordinal) => HttpFault.Reset,
        _ => fault,
    };

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task What_is_read_is_what_was_written_or_a_bucket_exception(int seed)
    {
        var config = await server.NewBucketAsync();
        var random = new Random(seed);
        await using var proxy = new FaultProxy(config.Endpoint, seed, request =>
            Detectable(request, random.Next(4) == 0 ? s_faults[random.Next(s_faults.Length)] : HttpFault.None));
        await using var bucket = new S3Bucket(Impatient(config, proxy.Endpoint), TimeProvider.System);
        await using var direct = new S3Bucket(config, TimeProvider.System);
        var choice = new Random(seed);

        // What each object may be: a write that failed may have happened. Null: not there.
        var objects = new Dictionary<string, List<byte[]?>>();
        var (answered, failed) = (0, 0);
        for (var i = 0; i < 150; i++)
        {
            var key = $"folder/{choice.Next(4)}";
            if (!objects.TryGetValue(key, out var may))
            {
                objects[key] = may = [null];
            }

            var content = new byte[choice.Next(3) switch { 0 => choice.Next(10), 1 => choice.Next(2_000), _ => choice.Next(200_000) }];
            choice.NextBytes(content);
            var operation = choice.Next(8);
            try
            {
                switch (operation)
                {
                    case 0 or 1:
                        may.Add(content);
                        await bucket.PutBytesAsync(key, content, PutCondition.None, default);
                        may.RemoveAll(m => m != content);
                        break;
                    case 2:
                        may.Add(content);
                        if (await bucket.PutBytesAsync(key, content, PutCondition.Absent, default) == PutResult.Written)
                        {
                            Assert.Contains(null, may);
                            may.RemoveAll(m => m != content);
                        }
                        else
                        {
                            may.Remove(content);
                            may.Remove(null);
                            Assert.NotEmpty(may);
                        }

                        break;
                    case 3:
                        may.Add(null);
                        await bucket.DeleteAsync(key, default);
                        may.RemoveAll(m => m is not null);
                        break;
                    case 4:
                        var attributes = await bucket.AttributesAsync(key, default);
                        Assert.Contains(may, m => m?.Length == attributes?.Size);
                        break;
                    case 5:
                        var listed = new List<BucketEntry>();
                        await foreach (var entry in bucket.ListAsync("folder/", recursive: true, default))
                        {
                            listed.Add(entry);
                        }

                        foreach (var (name, contents) in objects)
                        {
                            var found = listed.Where(e => e.Key == name).Select(e => (long?)e.Size).FirstOrDefault();
                            Assert.Contains(contents, m => m?.Length == found);
                        }

                        break;
                    case 6:
                        var offset = choice.Next(100_000);
                        var range = new byte[choice.Next(1, 100_000)];
                        var count = await bucket.GetRangeAsync(key, offset, range, default);
                        Assert.Contains(may, m => m is not null && m.AsSpan(Math.Min(offset, m.Length), Math.Min(range.Length, Math.Max(0, m.Length - offset)))
                            .SequenceEqual(range.AsSpan(0, count)));
                        break;
                    default:
                        var read = await bucket.GetBytesAsync(key, 1 << 20, default);
                        Assert.Contains(may, m => m is not null && m.AsSpan().SequenceEqual(read));
                        break;
                }

                answered++;
            }
            catch (ObjectNotFoundException)
            {
                Assert.Contains(null, may);
                answered++;
            }
            catch (BucketException)
            {
                failed++;
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}, step {i}, operation {operation}: {e}");
            }
            catch (Xunit.Sdk.XunitException e)
            {
                throw new Xunit.Sdk.XunitException($"seed {seed}, step {i}, operation {operation}, {key}: {e.Message}");
            }
        }

        Assert.True(answered > failed * 4, $"{answered} operations were answered and {failed} failed");
        foreach (var (key, may) in objects)
        {
            var there = await direct.AttributesAsync(key, default) is null ? null : await direct.GetBytesAsync(key, 1 << 20, default);
            Assert.Contains(may, m => (m is null && there is null) || (m is not null && m.AsSpan().SequenceEqual(there)));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_bit_of_a_block_that_flips_on_its_way_is_not_noticed(int seed)
    {
        var config = await server.NewBucketAsync();
        await using var fixture = new Gateway.StoreFixture();
        TestSeries[] series = [.. Enumerable.Range(0, 200).Select(i => new TestSeries(Labels.Of(("__name__", "x"), ("i", $"{i:000}")), [(1_000, i), (2_000, i + 1)]))];
        await TestBlocks.WriteAsync(fixture.Folder, TestBlocks.Id(1), series, TestBlocks.Meta(series, ("cluster", "a")));
        await using (var direct = new S3Bucket(config, TimeProvider.System))
        {
            await new BucketBlocks(direct).UploadAsync(Path.Combine(fixture.Folder, $"{TestBlocks.Id(1)}"), DateTimeOffset.UnixEpoch, default);
        }

        // Each range is damaged when it is asked for first.
        var ranges = new HashSet<string>();
        await using var proxy = new FaultProxy(config.Endpoint, seed, request =>
            request.Split("\r\n").FirstOrDefault(line => line.StartsWith("Range:", StringComparison.OrdinalIgnoreCase)) is { } range
            && ranges.Add(request.Split(' ')[1] + range) ? HttpFault.FlipBody : HttpFault.None);
        await using var bucket = new S3Bucket(Impatient(config, proxy.Endpoint), TimeProvider.System);
        await using var store = new BucketStore(
            bucket, new BucketStoreOptions { Directory = fixture.Folder, Time = TimeProvider.System }, new BucketStoreMetrics(fixture.Registry), NullLogger.Instance);
        await store.SyncAsync(default);
        var query = new QueryContext();
        var read = await Gateway.StoreFixture.ReadAsync(store, null, query);
        Assert.Equal(series.Select(s => s.Samples), read.Select(s => s.Samples.ToArray()));
        Assert.Empty(query.Coverage.Missing);
        Assert.NotEmpty(ranges);
    }

    public static TheoryData<HttpFault> Faults => new(s_faults.Where(fault => fault is not (HttpFault.None or HttpFault.Redirect)));

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_fault_that_comes_once_is_not_noticed(HttpFault fault)
    {
        var config = await server.NewBucketAsync();
        var next = HttpFault.None;
        await using var proxy = new FaultProxy(config.Endpoint, 1, request =>
        {
            var now = Detectable(request, next);
            next = HttpFault.None;
            return now;
        });
        await using var bucket = new S3Bucket(Impatient(config, proxy.Endpoint), TimeProvider.System);
        var content = new byte[50_000];
        new Random(1).NextBytes(content);
        next = fault;
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("a", content, PutCondition.None, default));
        next = fault;
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("b", content, PutCondition.Absent, default));
        next = fault;
        Assert.Equal(PutResult.ConditionFailed, await bucket.PutBytesAsync("b", content, PutCondition.Absent, default));
        next = fault;
        var etag = (await bucket.AttributesAsync("b", default))!.ETag;
        next = fault;
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("b", content, PutCondition.Match(etag), default));
        next = fault;
        Assert.Equal(content, await bucket.GetBytesAsync("a", content.Length, default));
        next = fault;
        var range = new byte[40_000];
        Assert.Equal(30_000, await bucket.GetRangeAsync("a", 20_000, range, default));
        Assert.Equal(content[20_000..], range[..30_000]);
        next = fault;
        Assert.Equal(content.Length, (await bucket.AttributesAsync("a", default))!.Size);
        next = fault;
        var keys = new List<string>();
        await foreach (var entry in bucket.ListAsync("", recursive: true, default))
        {
            keys.Add(entry.Key);
        }

        Assert.Equal(["a", "b"], keys);
        next = fault;
        await bucket.DeleteAsync("a", default);
        Assert.Null(await bucket.AttributesAsync("a", default));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_fault_that_stays_is_a_bucket_exception(HttpFault fault)
    {
        var config = await server.NewBucketAsync();
        var content = new byte[5_000];
        new Random(1).NextBytes(content);
        await using (var direct = new S3Bucket(config, TimeProvider.System))
        {
            await direct.PutBytesAsync("a", content, PutCondition.None, default);
        }

        await using var proxy = new FaultProxy(config.Endpoint, 1, _ => fault);
        await using var bucket = new S3Bucket(Impatient(config, proxy.Endpoint, retries: 1), TimeProvider.System);
        var failed = await Assert.ThrowsAnyAsync<BucketException>(() => bucket.GetBytesAsync("a", content.Length, default));
        Assert.Contains(failed.Failure, new[] { BucketFailure.Unavailable, BucketFailure.Damaged, fault == HttpFault.Redirect ? BucketFailure.Refused : BucketFailure.Damaged });
        Assert.StartsWith($"{bucket.Name}: ", failed.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(S3Server.SecretKey, failed.ToString(), StringComparison.Ordinal);
    }
}
