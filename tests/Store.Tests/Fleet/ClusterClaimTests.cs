using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Fleet;

public sealed class ClusterClaimTests
{
    static readonly DateTimeOffset s_now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);
    static readonly Labels s_labels = Labels.Of(("cluster", "prod"), ("region", "eu"));

    [Fact]
    public async Task The_first_cluster_has_the_labels_and_the_next_one_learns_whose_they_are()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        Assert.Null(await ClaimAsync(bucket, "kubernetes 1", s_now));
        var other = await ClaimAsync(bucket, "kubernetes 2", s_now.AddMinutes(1));
        Assert.Equal(("kubernetes 1", "node-1"), (other?.ClusterUid, other?.Collector));
        Assert.Null(await ClaimAsync(bucket, "kubernetes 1", s_now.AddMinutes(2)));
        Assert.Null(await ClusterClaim.MakeAsync(
            bucket, Labels.Of(("cluster", "dev"), ("region", "eu")), "kubernetes 2", "node-1", s_now, default));
    }

    [Fact]
    public async Task A_claim_that_is_renewed_holds_and_one_that_nobody_renews_ends()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        var now = s_now;
        Assert.Null(await ClaimAsync(bucket, "kubernetes 1", now));
        for (var i = 0; i < 20; i++)
        {
            now = now.AddMinutes(15);
            Assert.Null(await ClaimAsync(bucket, "kubernetes 1", now));
            Assert.NotNull(await ClaimAsync(bucket, "kubernetes 2", now));
        }

        Assert.NotNull(await ClaimAsync(bucket, "kubernetes 2", now + ClusterClaim.Lifetime - ClusterClaim.RenewedAfter));
        Assert.Null(await ClaimAsync(bucket, "kubernetes 2", now + ClusterClaim.Lifetime));
        Assert.Equal("kubernetes 2", (await ClaimAsync(bucket, "kubernetes 1", now + ClusterClaim.Lifetime))?.ClusterUid);
    }

    [Fact]
    public async Task Of_many_that_claim_at_once_one_cluster_wins()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        var claims = await Task.WhenAll(Enumerable.Range(0, 60).Select(i => Task.Run(
            async () => (Uid: i % 6, Other: await ClaimAsync(bucket, $"kubernetes {i % 6}", s_now)))));
        var winner = Assert.Single(claims.Where(claim => claim.Other is null).Select(claim => claim.Uid).Distinct());
        Assert.Equal(10, claims.Count(claim => claim.Other is null));
        Assert.All(claims.Where(claim => claim.Other is not null), claim => Assert.Equal($"kubernetes {winner}", claim.Other!.ClusterUid));
    }

    [Fact]
    public async Task A_claim_of_a_clock_that_was_far_ahead_does_not_hold_for_ever()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        Assert.Null(await ClaimAsync(bucket, "kubernetes 1", s_now.AddYears(250)));
        Assert.Null(await ClaimAsync(bucket, "kubernetes 2", s_now));
        Assert.Equal("kubernetes 2", (await ClaimAsync(bucket, "kubernetes 1", s_now))?.ClusterUid);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("{\"version\":2}")]
    [InlineData("""{"version":1,"labels":null,"clusterUid":"a","collector":"b","renewedAt":"2026-01-01T00:00:00Z"}""")]
    public async Task An_object_that_is_no_claim_is_replaced(string content)
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        await bucket.PutBytesAsync(ClusterClaim.Key(s_labels), System.Text.Encoding.UTF8.GetBytes(content), PutCondition.None, default);
        Assert.Null(await ClaimAsync(bucket, "kubernetes 1", s_now));
        Assert.NotNull(await ClaimAsync(bucket, "kubernetes 2", s_now));
    }

    [Fact]
    public void Only_live_collectors_of_different_clusters_share_labels()
    {
        KnownCollector Of(string name, string uid, string cluster = "prod") =>
            new("prod", name, Labels.Of(("cluster", cluster)), null, true, []) { ClusterUid = uid };
        Assert.Empty(SharedLabels.Among([Of("a", "1"), Of("b", "1"), Of("c", ""), Of("d", "2", "dev")]));
        var shared = Assert.Single(SharedLabels.Among([Of("b", "1"), Of("a", "1"), Of("c", "2"), Of("e", "")]));
        Assert.Equal(
            "more than one cluster writes under {cluster=\"prod\"}, their series are mixed: collector a runs in \"1\", collector c runs in \"2\"",
            shared.ToString());
    }

    static Task<ClusterClaim?> ClaimAsync(MemoryBucket bucket, string uid, DateTimeOffset now) =>
        ClusterClaim.MakeAsync(bucket, s_labels, uid, "node-1", now, default);
}
