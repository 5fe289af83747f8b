using System.Text;
using Observe.Store.Bucket;
using Xunit;

namespace Observe.Testkit;

/// <summary>What every kind of bucket must do. A kind that can't run on this machine skips its tests.</summary>
public abstract class BucketSuite
{
    /// <summary>A new, empty bucket.</summary>
    protected abstract Task<IBucket> NewAsync();

    [Fact]
    public Task An_object_is_read_as_it_was_written() => RunAsync(async bucket =>
    {
        var content = Bytes(100_000);
        Assert.Equal(PutResult.Written, await PutAsync(bucket, "a/b/c", content));
        Assert.Equal(content, await bucket.GetBytesAsync("a/b/c", content.Length, default));
        var attributes = await bucket.AttributesAsync("a/b/c", default);
        Assert.Equal(content.Length, attributes!.Size);
        Assert.True(attributes.LastModified > DateTimeOffset.UnixEpoch);
    });

    [Fact]
    public Task An_empty_object_is_an_object() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "empty", []);
        Assert.Empty(await bucket.GetBytesAsync("empty", 10, default));
        Assert.Equal(0, (await bucket.AttributesAsync("empty", default))!.Size);
        Assert.Equal(0, await bucket.GetRangeAsync("empty", 0, new byte[5], default));
        Assert.Equal("empty", Assert.Single(await ListAsync(bucket, "", true)).Key);
    });

    [Fact]
    public Task A_write_replaces_the_whole_object() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "a", Bytes(1000));
        await PutAsync(bucket, "a", "short"u8.ToArray());
        Assert.Equal("short"u8.ToArray(), await bucket.GetBytesAsync("a", 100, default));
    });

    [Fact]
    public Task A_stream_is_written_from_its_start_wherever_it_stands() => RunAsync(async bucket =>
    {
        using var content = new MemoryStream("0123456789"u8.ToArray()) { Position = 7 };
        await bucket.PutAsync("a", content, PutCondition.None, default);
        Assert.Equal("0123456789"u8.ToArray(), await bucket.GetBytesAsync("a", 100, default));
    });

    [Theory]
    [InlineData(0, 10, 10)]
    [InlineData(3, 4, 4)]
    [InlineData(95, 10, 5)]
    [InlineData(100, 10, 0)]
    [InlineData(1000, 10, 0)]
    [InlineData(0, 200, 100)]
    public Task A_range_is_short_only_where_the_object_ends(int offset, int wanted, int expected) => RunAsync(async bucket =>
    {
        var content = Bytes(100);
        await PutAsync(bucket, "ranged", content);
        var destination = new byte[wanted];
        Assert.Equal(expected, await bucket.GetRangeAsync("ranged", offset, destination, default));
        Assert.Equal(content.Skip(offset).Take(wanted), destination.Take(expected));
    });

    [Fact]
    public Task A_missing_object_is_told_from_a_failure() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "folder/there", [1]);
        foreach (var key in new[] { "missing", "missing/below", "folder" })
        {
            Assert.Null(await bucket.AttributesAsync(key, default));
            var read = await Assert.ThrowsAsync<ObjectNotFoundException>(() => bucket.GetBytesAsync(key, 10, default));
            Assert.Equal(key, read.Key);
            await Assert.ThrowsAsync<ObjectNotFoundException>(() => bucket.GetRangeAsync(key, 0, new byte[1], default).AsTask());
            await bucket.DeleteAsync(key, default);
        }

        Assert.NotNull(await bucket.AttributesAsync("folder/there", default));
    });

    [Fact]
    public Task Listings_are_in_order_of_key_with_and_without_descent() => RunAsync(async bucket =>
    {
        string[] keys = ["a-b", "a/b/c", "a/b/d", "a/z", "a0", "b", "ä/ö", "z/\U0001F600", "z/\uFB01"];
        foreach (var key in keys.Reverse())
        {
            await PutAsync(bucket, key, Encoding.UTF8.GetBytes(key));
        }

        var all = await ListAsync(bucket, "", true);
        Assert.Equal(["a-b", "a/b/c", "a/b/d", "a/z", "a0", "b", "z/\uFB01", "z/\U0001F600", "ä/ö"], all.Select(e => e.Key));
        Assert.All(all, e => Assert.Equal(Encoding.UTF8.GetByteCount(e.Key), e.Size));
        Assert.All(all, e => Assert.False(e.IsFolder));
        Assert.Equal(["a-b", "a/", "a0", "b", "z/", "ä/"], (await ListAsync(bucket, "", false)).Select(e => e.Key));
        Assert.Equal(["a/b/", "a/z"], (await ListAsync(bucket, "a/", false)).Select(e => e.Key));
        Assert.Equal(["a/b/c", "a/b/d", "a/z"], (await ListAsync(bucket, "a/", true)).Select(e => e.Key));
        Assert.Empty(await ListAsync(bucket, "missing/", true));
        Assert.Empty(await ListAsync(bucket, "b/", false));
    });

    [Fact]
    public Task A_folder_vanishes_with_its_last_object() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "a/b/c", [1]);
        await PutAsync(bucket, "a/d", [1]);
        await bucket.DeleteAsync("a/b/c", default);
        Assert.Equal(["a/d"], (await ListAsync(bucket, "a/", false)).Select(e => e.Key));
        await bucket.DeleteAsync("a/d", default);
        Assert.Empty(await ListAsync(bucket, "", false));
        await PutAsync(bucket, "a", [1]);
        Assert.Equal(["a"], (await ListAsync(bucket, "", true)).Select(e => e.Key));
    });

    [Theory]
    [InlineData("")]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData("../a")]
    [InlineData("a/../b")]
    [InlineData("a/./b")]
    [InlineData("a\\b")]
    [InlineData("a\nb")]
    public Task A_key_that_leaves_the_bucket_is_refused(string key) => RunAsync(async bucket =>
    {
        await Assert.ThrowsAnyAsync<ArgumentException>(() => PutAsync(bucket, key, [1]));
        await Assert.ThrowsAnyAsync<ArgumentException>(() => bucket.GetAsync(key, default));
        await Assert.ThrowsAnyAsync<ArgumentException>(() => bucket.GetRangeAsync(key, 0, new byte[1], default).AsTask());
        await Assert.ThrowsAnyAsync<ArgumentException>(() => bucket.AttributesAsync(key, default));
        await Assert.ThrowsAnyAsync<ArgumentException>(() => bucket.DeleteAsync(key, default));
        Assert.Empty(await ListAsync(bucket, "", true));
    });

    [Fact]
    public Task A_prefix_that_is_no_folder_is_refused() => RunAsync(async bucket =>
    {
        foreach (var prefix in new[] { "a", "/", "../", "a//" })
        {
            await Assert.ThrowsAnyAsync<ArgumentException>(() => ListAsync(bucket, prefix, true));
        }
    });

    [Fact]
    public Task A_write_where_nothing_may_be_happens_once() => RunAsync(async bucket =>
    {
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("lock", new byte[] { 1 }, PutCondition.Absent, default));
        Assert.Equal(PutResult.ConditionFailed, await bucket.PutBytesAsync("lock", new byte[] { 2 }, PutCondition.Absent, default));
        Assert.Equal([1], await bucket.GetBytesAsync("lock", 10, default));
    });

    [Fact]
    public Task A_write_over_a_version_needs_that_version() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "state", [1]);
        var first = (await bucket.AttributesAsync("state", default))!.ETag;
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("state", new byte[] { 2 }, PutCondition.Match(first), default));
        Assert.Equal(PutResult.ConditionFailed, await bucket.PutBytesAsync("state", new byte[] { 3 }, PutCondition.Match(first), default));
        Assert.Equal([2], await bucket.GetBytesAsync("state", 10, default));
        await bucket.DeleteAsync("state", default);
        Assert.Equal(PutResult.ConditionFailed, await bucket.PutBytesAsync("state", new byte[] { 4 }, PutCondition.Match(first), default));
    });

    [Fact]
    public Task Of_racing_writers_one_wins() => RunAsync(async bucket =>
    {
        var absent = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() =>
            bucket.PutBytesAsync("race", new[] { (byte)i }, PutCondition.Absent, default))));
        Assert.Single(absent, r => r == PutResult.Written);
        var tag = (await bucket.AttributesAsync("race", default))!.ETag;
        var match = await Task.WhenAll(Enumerable.Range(10, 8).Select(i => Task.Run(() =>
            bucket.PutBytesAsync("race", new[] { (byte)i }, PutCondition.Match(tag), default))));
        Assert.Single(match, r => r == PutResult.Written);
        Assert.Equal(10 + Array.IndexOf(match, PutResult.Written), (await bucket.GetBytesAsync("race", 1, default))[0]);
    });

    [Fact]
    public Task A_reader_keeps_the_version_that_it_opened() => RunAsync(async bucket =>
    {
        var content = Bytes(3_000_000);
        await PutAsync(bucket, "a", content);
        await using var stream = await bucket.GetAsync("a", default);
        var first = new byte[10];
        await stream.ReadExactlyAsync(first);
        await PutAsync(bucket, "b", Bytes(10));
        using var rest = new MemoryStream();
        await stream.CopyToAsync(rest);
        Assert.True(content.AsSpan().SequenceEqual([.. first, .. rest.ToArray()]));
    });

    [Fact]
    public Task What_is_larger_than_its_limit_is_refused() => RunAsync(async bucket =>
    {
        await PutAsync(bucket, "large", Bytes(1001));
        var refused = await Assert.ThrowsAsync<BucketException>(() => bucket.GetBytesAsync("large", 1000, default));
        Assert.Contains("large", refused.Message, StringComparison.Ordinal);
    });

    [Fact]
    public Task Deletes_and_writes_beside_each_other_lose_nothing() => RunAsync(async bucket =>
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
        {
            for (var i = 0; i < 20; i++)
            {
                await PutAsync(bucket, $"shared/folder/{writer}", [(byte)i]);
                await bucket.DeleteAsync($"shared/folder/{writer}", default);
            }

            await PutAsync(bucket, $"shared/folder/{writer}", [42]);
        })));
        Assert.Equal(4, (await ListAsync(bucket, "shared/folder/", true)).Count);
    });

    [Fact]
    public Task What_the_caller_cancels_ends_as_cancelled() => RunAsync(async bucket =>
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            bucket.PutBytesAsync("a", Bytes(10), PutCondition.None, cancelled.Token));
        Assert.Null(await bucket.AttributesAsync("a", default));
    });

    protected static async Task<List<BucketEntry>> ListAsync(IBucket bucket, string prefix, bool recursive)
    {
        var entries = new List<BucketEntry>();
        await foreach (var entry in bucket.ListAsync(prefix, recursive, default))
        {
            entries.Add(entry);
        }

        return entries;
    }

    protected static byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return bytes;
    }

    protected static Task<PutResult> PutAsync(IBucket bucket, string key, byte[] content) =>
        bucket.PutBytesAsync(key, content, PutCondition.None, default);

    async Task RunAsync(Func<IBucket, Task> test)
    {
        await using var bucket = await NewAsync();
        await test(bucket);
    }
}
