using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Fleet;

public sealed class FleetStatusTests
{
    static readonly DateTimeOffset s_now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    [Fact]
    public void A_status_is_read_as_it_was_written()
    {
        var status = Status("prod", "node-1") with
        {
            NewestSample = 5,
            Shipped = [new TimeRange(1, 2)],
            Unshipped = [new TimeRange(3, 5)],
            TargetsUp = 2,
            TargetsDown = 1,
            Series = 9,
            ShedBlocks = 1,
            LastError = "bucket is away",
            Stopped = true,
            Rival = "x",
        };
        var read = CollectorStatus.Parse(status.ToJson(), "s");
        Assert.Equal(status.ToJson(), read.ToJson());
        Assert.Equal(status.Unshipped, read.Unshipped);
        Assert.Contains("\"unshipped\":[{\"minTime\":3,\"maxTime\":5}]", System.Text.Encoding.UTF8.GetString(status.ToJson()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("prod", true)]
    [InlineData("0_A.b-c", true)]
    [InlineData("_", true)]
    [InlineData("", false)]
    [InlineData("-a", false)]
    [InlineData(".a", false)]
    [InlineData("a/b", false)]
    [InlineData("a\n", false)]
    [InlineData("ä", false)]
    [InlineData("..", false)]
    public void Names_are_safe_as_keys(string name, bool valid)
    {
        Assert.Equal(valid, FleetName.IsValid(name));
        if (!valid)
        {
            Assert.Throws<ArgumentException>(() => CollectorStatus.Key(name, "c"));
            Assert.Throws<ArgumentException>(() => CollectorStatus.Key("c", name));
        }
    }

    [Fact]
    public void A_name_has_100_characters_at_most()
    {
        Assert.True(FleetName.IsValid(new string('a', 100)));
        Assert.False(FleetName.IsValid(new string('a', 101)));
    }

    [Fact]
    public async Task Collectors_are_grouped_by_cluster_in_order()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        foreach (var (cluster, collector) in new[] { ("prod", "b"), ("dev", "x"), ("prod", "a") })
        {
            await new FleetMember(bucket, cluster, collector).WriteAsync(Status(cluster, collector) with { NewestSample = collector[0] }, default);
        }

        var fleet = await FleetStatus.ReadAsync(bucket, default);
        Assert.Equal(["dev", "prod"], fleet.Clusters.Select(c => c.Cluster));
        Assert.Equal(["a", "b"], fleet.Clusters[1].Collectors.Select(c => c.Collector));
        Assert.Equal('b', fleet.Clusters[1].NewestSample);
        Assert.Empty(fleet.Faults);
    }

    [Theory]
    [InlineData("observe/fleet/prod/bad.json", "{")]
    [InlineData("observe/fleet/prod/bad.json", "null")]
    [InlineData("observe/fleet/prod/bad.json", "{\"version\":1}")]
    [InlineData("observe/fleet/prod/bad.json", "{\"version\":2,\"cluster\":\"prod\",\"collector\":\"bad\",\"instance\":\"i\",\"labels\":{},\"programVersion\":\"\",\"configHash\":\"\",\"startedAt\":\"2026-01-01T00:00:00Z\",\"writtenAt\":\"2026-01-01T00:00:00Z\",\"intervalMs\":1}")]
    [InlineData("observe/fleet/prod/bad.json", "{\"version\":1,\"cluster\":\"prod\",\"collector\":\"other\",\"instance\":\"i\",\"labels\":{},\"programVersion\":\"\",\"configHash\":\"\",\"startedAt\":\"2026-01-01T00:00:00Z\",\"writtenAt\":\"2026-01-01T00:00:00Z\",\"intervalMs\":1}")]
    [InlineData("observe/fleet/prod/bad.json", "{\"version\":1,\"cluster\":null,\"collector\":\"bad\",\"instance\":\"i\",\"labels\":{},\"programVersion\":\"\",\"configHash\":\"\",\"startedAt\":\"2026-01-01T00:00:00Z\",\"writtenAt\":\"2026-01-01T00:00:00Z\",\"intervalMs\":1}")]
    public async Task An_object_that_is_no_status_is_named_and_hides_nobody(string key, string json)
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        await bucket.PutBytesAsync(key, System.Text.Encoding.UTF8.GetBytes(json), PutCondition.None, default);
        await new FleetMember(bucket, "prod", "good").WriteAsync(Status("prod", "good"), default);
        var fleet = await FleetStatus.ReadAsync(bucket, default);
        Assert.Equal("good", Assert.Single(Assert.Single(fleet.Clusters).Collectors).Collector);
        Assert.Contains(key, Assert.Single(fleet.Faults), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_runs_that_live_under_one_name_are_reported()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        var one = new FleetMember(bucket, "prod", "node-1");
        var two = new FleetMember(bucket, "prod", "node-1");
        Assert.Null(await one.WriteAsync(Status("prod", "node-1") with { Instance = "one" }, default));
        Assert.Null(await two.WriteAsync(Status("prod", "node-1") with { Instance = "two" }, default));
        Assert.Equal("two", (await one.WriteAsync(Status("prod", "node-1") with { Instance = "one" }, default))?.Instance);
        Assert.Equal("two", (await FleetStatus.ReadAsync(bucket, default)).Clusters[0].Collectors[0].Rival);
        Assert.Equal("one", (await two.WriteAsync(Status("prod", "node-1") with { Instance = "two" }, default))?.Instance);
        await one.WriteAsync(Status("prod", "node-1") with { Instance = "one" }, default);
        Assert.Null(await one.WriteAsync(Status("prod", "node-1") with { Instance = "one" }, default));
    }

    [Fact]
    public async Task A_restart_is_no_rival()
    {
        await using var bucket = new MemoryBucket(new FakeTimeProvider());
        await new FleetMember(bucket, "prod", "node-1").WriteAsync(Status("prod", "node-1") with { Instance = "before" }, default);
        var after = new FleetMember(bucket, "prod", "node-1");
        Assert.Null(await after.WriteAsync(Status("prod", "node-1") with { Instance = "after" }, default));
        Assert.Null(await after.WriteAsync(Status("prod", "node-1") with { Instance = "after" }, default));
    }

    [Theory]
    [InlineData(0, false, false)]
    [InlineData(-45, false, false)]
    [InlineData(-46, false, true)]
    [InlineData(-4600, true, false)]
    public void A_collector_is_silent_after_three_intervals_unless_it_stopped(int writtenSeconds, bool stopped, bool silent)
    {
        var status = Status("prod", "a") with { WrittenAt = s_now.AddSeconds(writtenSeconds), Stopped = stopped };
        Assert.Equal(silent, FleetStatus.IsSilent(status, s_now));
        Assert.Equal(silent ? 1 : 0, new ClusterStatus("prod", [status]).Silent(s_now).Count);
    }

    [Fact]
    public void A_collector_that_lives_lacks_what_it_has_not_shipped_and_what_it_gathers_on()
    {
        var status = Status("prod", "a") with
        {
            NewestSample = 500, Unshipped = [new TimeRange(100, 199), new TimeRange(200, 299), new TimeRange(400, 500)], LastError = "403",
        };
        Assert.Equal(
            [
                new FleetGap(new TimeRange(100, 299), "not in the bucket yet: 403", 100),
                new FleetGap(new TimeRange(400, long.MaxValue), "not in the bucket yet: 403", 400),
            ],
            Gaps(status));
    }

    [Fact]
    public void A_silent_collector_lacks_everything_since()
    {
        var written = s_now.AddHours(-1);
        var status = Status("prod", "a") with { WrittenAt = written, NewestSample = 1000, Unshipped = [new TimeRange(500, 1000)] };
        Assert.Equal(
            [
                new FleetGap(new TimeRange(500, 1000), "not in the bucket yet", 500),
                new FleetGap(new TimeRange(1001, long.MaxValue), "silent since 2023-11-14T21:13:20Z", written.ToUnixTimeMilliseconds()),
            ],
            Gaps(status));
    }

    [Fact]
    public void A_collector_that_stopped_lacks_what_it_could_not_ship_and_nothing_after()
    {
        var status = Status("prod", "a") with { Stopped = true, NewestSample = 1000 };
        Assert.Empty(Gaps(status));
        Assert.Equal(
            [new FleetGap(new TimeRange(500, 1000), "not in the bucket yet: 403", 500)],
            Gaps(status with { Unshipped = [new TimeRange(500, 1000)], LastError = "403" }));
    }

    /// <summary>However blocks are merged, deduplicated and downsampled, what they have of a collector is in the bucket.</summary>
    [Fact]
    public void Blocks_that_were_made_of_others_have_of_a_collector_what_they_say()
    {
        var (a, b) = (Pair("a"), Pair("b"));
        var merged = Block(0, 1000, "p", "", """{"observe":{"collectors":{"a":[{"minTime":0,"maxTime":300},{"minTime":600,"maxTime":9000}],"b":[]}}}""");
        var known = Fleet(a, b).Known([merged, Block(300, 400, "p", "a", """{"observe":{"collector":"b"}}"""), Block(0, 1000, "q", "", merged)], s_now);
        Assert.Equal([new TimeRange(300, 599), new TimeRange(1000, long.MaxValue)], known[0].Gaps.Select(gap => gap.Range));
        Assert.Equal([new TimeRange(0, long.MaxValue)], known[1].Gaps.Select(gap => gap.Range));

        // One that says nothing of collectors is a collector's where no other one has its labels.
        Assert.Equal([new TimeRange(500, long.MaxValue)], Fleet(a).Known([Block(0, 500, "p", "a", "{}")], s_now)[0].Gaps.Select(gap => gap.Range));
        foreach (var damaged in (string[])["[]", "1", "{\"a\":1}", "{\"a\":[1]}", "{\"a\":[{}]}", "{\"a\":[{\"minTime\":\"0\",\"maxTime\":1e99}]}"])
        {
            Assert.Empty(BlockOrigin.Collectors(Block(0, 500, "p", "a", $"{{\"observe\":{{\"collectors\":{damaged}}}}}")));
        }

        CollectorStatus Pair(string replica) => Status("p", replica) with
        {
            Labels = new Dictionary<string, string> { ["cluster"] = "p", ["replica"] = replica },
            NewestSample = 999,
            Unshipped = [new TimeRange(0, 999)],
        };
    }

    /// <summary>What a collector shed, and what was damaged, is lacking for ever, unless the bucket has it after all.</summary>
    [Fact]
    public void What_was_lost_is_lacking_until_a_collector_is_gone()
    {
        var status = Status("p", "a") with
        {
            NewestSample = 900, Unshipped = [new TimeRange(800, 900)], Lost = [new LostRange(100, 199, "shed", 7), new LostRange(300, 399, "shed", 8)],
        };
        var damaged = Block(500, 700, "p", "", """{"observe":{"collector":"a","lost":[{"minTime":550,"maxTime":560}]}}""");
        BlockMeta[] blocks = [Block(300, 500, "p", "", """{"observe":{"collector":"a"}}"""), damaged];
        var known = Assert.Single(Fleet(status).Known(blocks, s_now));
        Assert.Equal(
            [new TimeRange(100, 199), new TimeRange(550, 559), new TimeRange(800, long.MaxValue)], known.Gaps.Select(gap => gap.Range));
        Assert.Equal([true, true, false], known.Gaps.Select(gap => gap.IsLost));
        Assert.Equal([new TimeRange(300, 549), new TimeRange(560, 699)], known.Has);
        Assert.Equal(
            [new TimeRange(100, 199), new TimeRange(550, 559)],
            Assert.Single(Fleet(status with { Stopped = true, Unshipped = [] }).Known(blocks, s_now)).Gaps.Select(gap => gap.Range));
        Assert.Empty(Assert.Single(Fleet(status with { Acknowledged = s_now }).Known(blocks, s_now)).Gaps);

        // Blocks say it when the status is gone, and when they are joined.
        var joined = Block(300, 700, "p", "", BlockOrigin.Joined(blocks)!.ToJsonString());
        foreach (var meta in (BlockMeta[])[damaged, joined])
        {
            var gone = Assert.Single(Fleet().Known([meta], s_now));
            Assert.Equal(("p", "a", new TimeRange(550, 559)), (gone.Cluster, gone.Collector, Assert.Single(gone.Gaps).Range));
        }

        // Who cut it is added to what was lost.
        Assert.Equal(
            [("b", new TimeRange(550, 559))],
            BlockOrigin.Lost(Block(0, 1, "p", "", new BlockOrigin("b", "1", "h").AddTo(damaged.Thanos!.Extensions).ToJsonString())));
        Assert.Equal([("a", new TimeRange(300, 549)), ("a", new TimeRange(560, 699))], BlockOrigin.Collectors(joined));
        Assert.Empty(Assert.Single(Fleet(status with { Lost = [], Unshipped = [], Stopped = true }).Known(
            [joined, Block(540, 570, "p", "", """{"observe":{"collector":"a"}}""")], s_now)).Gaps);
    }

    static BlockMeta Block(long minTime, long maxTime, string cluster, string replica, BlockMeta like) =>
        Block(minTime, maxTime, cluster, replica, like.Thanos!.Extensions!.ToJsonString());

    static BlockMeta Block(long minTime, long maxTime, string cluster, string replica, string extensions) => new()
    {
        Id = default,
        MinTime = minTime,
        MaxTime = maxTime,
        Thanos = new ThanosSection
        {
            Labels = replica.Length == 0
                ? new Dictionary<string, string> { ["cluster"] = cluster }
                : new Dictionary<string, string> { ["cluster"] = cluster, ["replica"] = replica },
            Extensions = JsonNode.Parse(extensions)!.AsObject(),
        },
    };

    [Fact]
    public async Task A_collector_that_is_silent_can_be_acknowledged_as_gone_until_it_returns()
    {
        await using var bucket = new MemoryBucket(TimeProvider.System);
        var silent = Status("prod", "a") with { WrittenAt = s_now.AddHours(-1), NewestSample = 1000, Unshipped = [new TimeRange(500, 1000)] };
        await new FleetMember(bucket, "prod", "a").WriteAsync(silent, default);
        await new FleetMember(bucket, "prod", "b").WriteAsync(Status("prod", "b"), default);
        Assert.Equal(AcknowledgeResult.Done, await Acknowledgement.WriteAsync(bucket, "prod", "a", s_now, default));
        Assert.Equal(AcknowledgeResult.Alive, await Acknowledgement.WriteAsync(bucket, "prod", "b", s_now, default));
        Assert.Equal(AcknowledgeResult.Unknown, await Acknowledgement.WriteAsync(bucket, "prod", "c", s_now, default));
        var gone = (await FleetStatus.ReadAsync(bucket, default)).Clusters[0].Collectors[0];
        Assert.Empty(Gaps(gone));
        Assert.False(FleetStatus.IsSilent(gone, s_now));

        await new FleetMember(bucket, "prod", "a").WriteAsync(silent with { WrittenAt = s_now }, default);
        Assert.NotEmpty(Gaps((await FleetStatus.ReadAsync(bucket, default)).Clusters[0].Collectors[0]));
    }

    static IReadOnlyList<FleetGap> Gaps(CollectorStatus status) => Assert.Single(Fleet(status).Known([], s_now)).Gaps;

    static FleetStatus Fleet(params CollectorStatus[] collectors) => new([new ClusterStatus("prod", collectors)], []);

    static CollectorStatus Status(string cluster, string collector) => new()
    {
        Cluster = cluster,
        Collector = collector,
        Instance = "i",
        Labels = new Dictionary<string, string> { ["cluster"] = cluster },
        ProgramVersion = "0.1.0",
        ConfigHash = "h",
        StartedAt = s_now.AddDays(-1),
        WrittenAt = s_now,
        IntervalMs = 15_000,
    };
}
