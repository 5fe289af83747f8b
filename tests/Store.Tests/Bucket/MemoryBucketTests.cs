using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Testkit;
using Xunit;

namespace Observe.Store.Tests.Bucket;

public sealed class MemoryBucketTests : BucketSuite
{
    protected override Task<IBucket> NewAsync() => Task.FromResult<IBucket>(new MemoryBucket(new FakeTimeProvider()));

    [Fact]
    public async Task A_fault_is_thrown_before_or_after_the_write()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        bucket.Fault = (operation, key) => operation == BucketOperation.Put && key == "a" ? new BucketException("before") : null;
        await Assert.ThrowsAsync<BucketException>(() => PutAsync(bucket, "a", [1]));
        Assert.Empty(bucket.Keys);
        bucket.Fault = null;
        bucket.LateFault = (_, _) => new BucketException("after");
        await Assert.ThrowsAsync<BucketException>(() => PutAsync(bucket, "a", [1]));
        Assert.Equal(["a"], bucket.Keys);
    }

    [Fact]
    public async Task A_key_is_not_an_object_and_a_folder()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        await PutAsync(bucket, "a/b", [1]);
        await Assert.ThrowsAsync<BucketException>(() => PutAsync(bucket, "a", [1]));
        await Assert.ThrowsAsync<BucketException>(() => PutAsync(bucket, "a/b/c", [1]));
    }
}

public sealed class PrefixBucketTests : BucketSuite
{
    protected override async Task<IBucket> NewAsync()
    {
        var inner = new MemoryBucket(new FakeTimeProvider());
        await PutAsync(inner, "team/other", [1]);
        await PutAsync(inner, "team-x/other", [1]);
        return new PrefixBucket(inner, "/team/x/");
    }

    [Fact]
    public async Task Keys_are_below_the_prefix_in_the_bucket_beneath()
    {
        await using var inner = new MemoryBucket(new FakeTimeProvider());
        await using var bucket = new PrefixBucket(inner, "team/x");
        await PutAsync(bucket, "a/b", [1]);
        Assert.Equal(["team/x/a/b"], inner.Keys);
        Assert.Equal("memory://team/x", bucket.Name);
    }
}
