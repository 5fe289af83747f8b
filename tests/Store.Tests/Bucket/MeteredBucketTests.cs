using System.Text;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Testkit;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Bucket;

public sealed class MeteredBucketTests : BucketSuite
{
    readonly CollectorRegistry _registry = Metrics.NewCustomRegistry();

    protected override Task<IBucket> NewAsync() => Task.FromResult<IBucket>(
        new MeteredBucket(new MemoryBucket(new FakeTimeProvider()), "b", new BucketMetrics(_registry, new FakeTimeProvider())));

    [Fact]
    public async Task Operations_failures_and_bytes_are_counted_under_the_dashboards_names()
    {
        var memory = new MemoryBucket(new FakeTimeProvider());
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));
        await using var bucket = new MeteredBucket(memory, "b", new BucketMetrics(_registry, time));
        await PutAsync(bucket, "a", Bytes(1000));
        await bucket.GetBytesAsync("a", 1000, default);
        await bucket.GetRangeAsync("a", 0, new byte[10], default);
        await Assert.ThrowsAsync<ObjectNotFoundException>(() => bucket.GetAsync("missing", default));
        await ListAsync(bucket, "", true);
        memory.Fault = (_, _) => new BucketException("down");
        await Assert.ThrowsAsync<BucketException>(() => bucket.GetAsync("a", default));
        await Assert.ThrowsAsync<BucketException>(() => ListAsync(bucket, "", true));

        using var text = new MemoryStream();
        await _registry.CollectAndExportAsTextAsync(text);
        var lines = Encoding.UTF8.GetString(text.ToArray()).Split('\n');
        Assert.Contains("thanos_objstore_bucket_operations_total{bucket=\"b\",operation=\"get\"} 3", lines);
        Assert.Contains("thanos_objstore_bucket_operations_total{bucket=\"b\",operation=\"iter\"} 2", lines);
        Assert.Contains("thanos_objstore_bucket_operation_failures_total{bucket=\"b\",operation=\"get\"} 1", lines);
        Assert.Contains("thanos_objstore_bucket_operation_failures_total{bucket=\"b\",operation=\"iter\"} 1", lines);
        Assert.Contains("thanos_objstore_bucket_operation_failures_total{bucket=\"b\",operation=\"upload\"} 0", lines);
        Assert.Contains("thanos_objstore_bucket_operation_fetched_bytes_total{bucket=\"b\",operation=\"get\"} 1000", lines);
        Assert.Contains("thanos_objstore_bucket_operation_fetched_bytes_total{bucket=\"b\",operation=\"get_range\"} 10", lines);
        Assert.Contains("thanos_objstore_bucket_last_successful_upload_time{bucket=\"b\"} 1700000000", lines);
        Assert.Contains("thanos_objstore_bucket_operation_duration_seconds_count{bucket=\"b\",operation=\"upload\"} 1", lines);
    }
}
