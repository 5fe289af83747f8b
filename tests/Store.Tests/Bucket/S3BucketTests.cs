using Observe.Store.Bucket;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Bucket;

[CollectionDefinition(S3Server.Collection)]
public sealed class S3ServerTests : ICollectionFixture<S3Server>;

[Collection(S3Server.Collection)]
public sealed class S3BucketTests(S3Server server) : BucketSuite
{
    protected override async Task<IBucket> NewAsync() =>
        new S3Bucket(await server.NewBucketAsync(), TimeProvider.System);

    [Fact]
    public async Task A_wrong_secret_is_refused_by_name_and_never_told()
    {
        var config = await server.NewBucketAsync();
        await using var bucket = new S3Bucket(config with { SecretKey = new Secret("wrong-and-private") }, TimeProvider.System);
        var refused = await Assert.ThrowsAsync<BucketException>(() => PutAsync(bucket, "a", Bytes(10)));
        Assert.Contains("refused the signature", refused.Message, StringComparison.Ordinal);
        Assert.Contains(S3Server.AccessKey, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong-and-private", refused.ToString(), StringComparison.Ordinal);
        var head = await Assert.ThrowsAsync<BucketException>(() => bucket.AttributesAsync("a", default));
        Assert.Contains("403", head.Message, StringComparison.Ordinal);
        var list = await Assert.ThrowsAsync<BucketException>(() => ListAsync(bucket, "", true));
        Assert.Contains(S3Server.AccessKey, list.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_access_key_and_a_missing_bucket_are_told_apart()
    {
        var config = await server.NewBucketAsync();
        await using (var stranger = new S3Bucket(config with { AccessKey = "stranger" }, TimeProvider.System))
        {
            var refused = await Assert.ThrowsAsync<BucketException>(() => ListAsync(stranger, "", true));
            Assert.Contains("does not know access key id stranger", refused.Message, StringComparison.Ordinal);
        }

        await using var nowhere = new S3Bucket(config with { Bucket = "nowhere" }, TimeProvider.System);
        var missing = await Assert.ThrowsAsync<BucketException>(() => ListAsync(nowhere, "", true));
        Assert.Contains("no bucket nowhere", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endpoint_that_nobody_listens_on_is_named()
    {
        var config = new S3Config { Bucket = "b", Endpoint = "127.0.0.1:1", Insecure = true, AccessKey = "a", SecretKey = new Secret("s"), MaxRetries = 1, RetryDelay = TimeSpan.FromMilliseconds(1) };
        await using var bucket = new S3Bucket(config, TimeProvider.System);
        var failed = await Assert.ThrowsAsync<BucketException>(() => bucket.GetAsync("a", default));
        Assert.Contains("127.0.0.1:1 can't be reached", failed.Message, StringComparison.Ordinal);
        Assert.StartsWith("s3://b: can't read a: ", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData((5 << 20) + 1)]
    [InlineData(12_000_000)]
    public async Task A_large_object_goes_up_in_parts(int size)
    {
        var config = await server.NewBucketAsync();
        await using var bucket = new S3Bucket(config with { SendContentMd5 = true }, TimeProvider.System);
        var content = Bytes(size);
        await PutAsync(bucket, "large", content);
        Assert.Equal(content, await bucket.GetBytesAsync("large", size, default));
        var attributes = await bucket.AttributesAsync("large", default);
        Assert.Equal(size, attributes!.Size);
        Assert.EndsWith($"-{(size + (5 << 20) - 1) / (5 << 20)}\"", attributes.ETag, StringComparison.Ordinal);
        var parts = await server.Client.ListMultipartUploadsAsync(new Amazon.S3.Model.ListMultipartUploadsRequest { BucketName = config.Bucket });
        Assert.Empty(parts.MultipartUploads ?? []);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Listings_go_on_over_pages(bool version1)
    {
        var config = await server.NewBucketAsync();
        await using var bucket = new S3Bucket(config with { ListVersion1 = version1 }, TimeProvider.System);
        await Parallel.ForAsync(0, 1100, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
            await PutAsync(bucket, $"folder-{i:0000}/object", [1]));
        var expected = Enumerable.Range(0, 1100).Select(i => $"folder-{i:0000}/");
        Assert.Equal(expected, (await ListAsync(bucket, "", false)).Select(e => e.Key));
        Assert.Equal(expected.Select(f => f + "object"), (await ListAsync(bucket, "", true)).Select(e => e.Key));
    }

    [Fact]
    public async Task An_object_that_breaks_off_is_read_on_from_there()
    {
        var config = await server.NewBucketAsync();
        await using var direct = new S3Bucket(config, TimeProvider.System);
        var content = Bytes(3_000_000);
        await PutAsync(direct, "a", content);
        await using var proxy = new FlakyProxy(config.Endpoint, 1_000_000, 500_000, 100);
        await using var bucket = new S3Bucket(config with { Endpoint = proxy.Endpoint, RetryDelay = TimeSpan.FromMilliseconds(10) }, TimeProvider.System);
        var read = await bucket.GetBytesAsync("a", content.Length, default);
        Assert.True(content.AsSpan().SequenceEqual(read));
        Assert.Equal(4, proxy.Connections);
    }

    [Fact]
    public async Task A_range_that_breaks_off_is_asked_for_again()
    {
        var config = await server.NewBucketAsync();
        await using var direct = new S3Bucket(config, TimeProvider.System);
        var content = Bytes(300_000);
        await PutAsync(direct, "a", content);
        await using var proxy = new FlakyProxy(config.Endpoint, 50_000, 0);
        await using var bucket = new S3Bucket(config with { Endpoint = proxy.Endpoint, RetryDelay = TimeSpan.FromMilliseconds(10) }, TimeProvider.System);
        var range = new byte[200_000];
        Assert.Equal(range.Length, await bucket.GetRangeAsync("a", 100_000, range, default));
        Assert.True(content.AsSpan(100_000).SequenceEqual(range));
        Assert.Equal(3, proxy.Connections);
    }

    [Fact]
    public async Task A_conditional_write_whose_answer_was_lost_knows_itself_again()
    {
        var config = await server.NewBucketAsync();
        await using var proxy = new FlakyProxy(config.Endpoint, 0);
        await using var bucket = new S3Bucket(config with { Endpoint = proxy.Endpoint, RetryDelay = TimeSpan.FromMilliseconds(500) }, TimeProvider.System);
        Assert.Equal(PutResult.Written, await bucket.PutBytesAsync("lock", new byte[] { 1 }, PutCondition.Absent, default));

        await using var other = new FlakyProxy(config.Endpoint, 0);
        await using var late = new S3Bucket(config with { Endpoint = other.Endpoint, RetryDelay = TimeSpan.FromMilliseconds(500) }, TimeProvider.System);
        Assert.Equal(PutResult.ConditionFailed, await late.PutBytesAsync("lock", new byte[] { 2 }, PutCondition.Absent, default));
        Assert.Equal([1], await bucket.GetBytesAsync("lock", 1, default));
    }

    [Fact]
    public async Task A_multipart_upload_whose_last_answer_was_lost_is_whole()
    {
        var config = await server.NewBucketAsync();
        // The start and two parts are answered in some 1500 bytes; then the answer of the completion breaks off.
        foreach (var limit in new[] { 300L, 900, 1500, 1700, 1900, 2100 })
        {
            await using var proxy = new FlakyProxy(config.Endpoint, limit);
            await using var bucket = new S3Bucket(config with { Endpoint = proxy.Endpoint, RetryDelay = TimeSpan.FromMilliseconds(100) }, TimeProvider.System);
            var content = Bytes(5_300_000);
            await PutAsync(bucket, "large", content);
            var read = await bucket.GetBytesAsync("large", content.Length, default);
            Assert.True(content.AsSpan().SequenceEqual(read));
        }
    }

    [Fact]
    public async Task What_fails_for_good_fails_after_its_retries()
    {
        var config = await server.NewBucketAsync();
        // HttpClient by itself tries again where a connection gave nothing, a few times for each of ours.
        await using var proxy = new FlakyProxy(config.Endpoint, new long[50]);
        await using var bucket = new S3Bucket(config with { Endpoint = proxy.Endpoint, MaxRetries = 2, RetryDelay = TimeSpan.FromMilliseconds(10) }, TimeProvider.System);
        var failed = await Assert.ThrowsAsync<BucketException>(() => bucket.AttributesAsync("a", default));
        Assert.Matches($"^s3://{config.Bucket}: can't read the attributes of a: (the connection to )?{proxy.Endpoint} (broke|can't be reached): ", failed.Message);
        Assert.InRange(proxy.Connections, 3, 20);
    }

    [Fact]
    public async Task Credentials_come_from_the_environment_where_the_configuration_has_none()
    {
        var config = await server.NewBucketAsync();
        Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", S3Server.AccessKey);
        Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", S3Server.SecretKey);
        try
        {
            await using var bucket = new S3Bucket(config with { AccessKey = "", SecretKey = null }, TimeProvider.System);
            await PutAsync(bucket, "a", [1]);
            Assert.Equal([1], await bucket.GetBytesAsync("a", 1, default));
        }
        finally
        {
            Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", null);
            Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", null);
        }
    }
}
