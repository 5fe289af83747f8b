using Observe.Query.Fanout;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Fanout;

/// <summary>Targets and metadata of several collectors, asked over the wire.</summary>
public sealed class FanoutTargetsTests : IAsyncDisposable
{
    static readonly FanoutOptions s_joined = new() { ReplicaLabels = ["replica"] };

    readonly List<ServedQuerier> _served = [];
    StoreSet? _set;

    public async ValueTask DisposeAsync()
    {
        if (_set is not null)
        {
            await _set.DisposeAsync();
        }

        foreach (var served in _served)
        {
            await served.DisposeAsync();
        }
    }

    [Fact]
    public async Task Targets_of_all_collectors_are_shown_and_those_of_replicas_once()
    {
        var set = await StoresAsync(
            Collector("dev", "", Target("a", "up", 5)),
            Collector("prod", "a", Target("a", "down", 9), Target("b", "up", 1)),
            Collector("prod", "b", Target("a", "up", 5), Target("b", "up", 2)),
            null);
        var query = new QueryContext();
        var targets = await new FanoutTargets(set, s_joined).TargetsAsync(query);
        Assert.Empty(query.Coverage.Warnings());
        Assert.Equal(["dev a up 5", "prod a up 5", "prod b up 2"], targets.Active.Select(Text).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(targets.Active, target => target.Labels.Has("replica") || target.DiscoveredLabels.Has("replica"));
        Assert.Equal(5, (await new FanoutTargets(set, s_joined with { Deduplicate = false }).TargetsAsync(query)).Active.Count);
        Assert.Equal(2, targets.Dropped.Count);
        Assert.Equal(3, targets.DroppedCounts["node"]);
    }

    [Fact]
    public async Task Metadata_is_merged_and_the_limit_holds_for_the_whole()
    {
        var set = await StoresAsync(
            new KnownTargets(ApiTargets.Empty, [new("b", "gauge", "B.", ""), new("c", "gauge", "C.", "")]),
            new KnownTargets(ApiTargets.Empty, [new("a", "counter", "A.", ""), new("b", "gauge", "B.", ""), new("b", "gauge", "Other.", "")]));
        Assert.Equal(["a A.", "b B.", "b Other.", "c C."], await MetadataAsync(set, "", -1));
        Assert.Equal(["a A.", "b B.", "b Other."], await MetadataAsync(set, "", 2));
        Assert.Equal(["c C."], await MetadataAsync(set, "c", -1));
    }

    [Fact]
    public async Task A_collector_that_misbehaves_is_missing_and_keeps_nobody_else_from_being_shown()
    {
        var set = await StoresAsync(
            new KnownTargets(ApiTargets.Empty, [new("good", "gauge", "Good.", "")]),
            new KnownTargets(ApiTargets.Empty, [new("long", "gauge", new string('x', 2 << 20), "")]),
            new KnownTargets(ApiTargets.Empty, [new("warned", "gauge", "Warned.", "")], "a part is missing"),
            new KnownTargets(ApiTargets.Empty, [new("gone", "gauge", "Gone.", "")]));
        await _served[3].StopAsync();
        foreach (var isSilent in (bool[])[false, true])
        {
            var query = new QueryContext();
            Assert.Equal(["good Good.", "warned Warned."], await MetadataAsync(set, "", -1, query));
            Assert.Equal(["a part is missing"], query.Coverage.TextWarnings);
            Assert.Equal(
                _served.Skip(1).Where((_, i) => i != 1).Select(one => (MissingPart.Source, one.Endpoint, TimeRange.All)).Order(),
                query.Coverage.Missing.Select(missing => (missing.Part, missing.Name, missing.Range)).Order());
            Assert.Contains(query.Coverage.Warnings(), warning => warning.Contains(
                $"what store {_served[1].Endpoint} holds is missing: store {_served[1].Endpoint} gave no answer: its answer to MetricMetadata has ",
                StringComparison.Ordinal));
            await set.RefreshAsync(default);
            await set.RefreshAsync(default);
        }

        await Assert.ThrowsAsync<PartialResponseException>(
            () => new FanoutTargets(set, s_joined with { PartialResponse = false }).MetadataAsync("", -1, new QueryContext()));
    }

    /// <summary>Replicas scrape the same targets, whenever each of them began.</summary>
    [Fact]
    public async Task A_replica_that_gives_no_answer_is_missing_only_where_the_other_one_gives_none()
    {
        Labels Replica(string cluster, string name) => Labels.Of(("cluster", cluster), ("replica", name));
        var nothing = new KnownTargets(ApiTargets.Empty, []);
        var set = await StoresAsync(
            (new StoreDescription("sidecar", [Replica("dev", "a")], new TimeRange(100, long.MaxValue)), nothing),
            (new StoreDescription("sidecar", [Replica("prod", "a")], new TimeRange(100, long.MaxValue)), nothing),
            (new StoreDescription("sidecar", [Replica("prod", "b")], new TimeRange(200, long.MaxValue)), nothing),
            (new StoreDescription("store", [Replica("dev", "a"), Replica("prod", "a")], TimeRange.All), null));
        await _served[0].StopAsync();
        await _served[1].StopAsync();
        Assert.Equal([Replica("dev", "a")], await MissingAsync(s_joined));
        Assert.Equal([Replica("dev", "a"), Replica("prod", "a")], await MissingAsync(s_joined with { Deduplicate = false }));
        await _served[2].StopAsync();
        Assert.Equal([Replica("dev", "a"), Replica("prod", "a"), Replica("prod", "b")], await MissingAsync(s_joined));

        async Task<IEnumerable<Labels>> MissingAsync(FanoutOptions options)
        {
            var query = new QueryContext();
            await new FanoutTargets(set, options).TargetsAsync(query);
            return query.Coverage.Missing.SelectMany(missing => missing.LabelSets).Order();
        }
    }

    static async Task<IEnumerable<string>> MetadataAsync(StoreSet set, string metric, int limit, QueryContext? query = null) =>
        (await new FanoutTargets(set, s_joined).MetadataAsync(metric, limit, query ?? new QueryContext())).Select(one => $"{one.Metric} {one.Help}");

    static KnownTargets Collector(string cluster, string replica, params ApiTarget[] targets)
    {
        var dropped = new ApiDroppedTarget("node", Labels.Of(("__address__", "x")));
        return new KnownTargets(
            new ApiTargets(["node"], targets, [dropped], new Dictionary<string, int> { ["node"] = 1 })
                .With(Labels.Of(("cluster", cluster), ("replica", replica))), []);
    }

    static ApiTarget Target(string name, string health, long lastScrape) => new(
        "node", Labels.Of(("__address__", name)), Labels.Of(("instance", name)), $"http://{name}/metrics", health, "", lastScrape, 0, "15s", "10s");

    static string Text(ApiTarget target) => $"{target.Labels.Get("cluster")} {target.Labels.Get("instance")} {target.Health} {target.LastScrape}";

    Task<StoreSet> StoresAsync(params ITargetSource?[] targets) =>
        StoresAsync([.. targets.Select(source => (new StoreDescription("sidecar", [], TimeRange.All), source))]);

    async Task<StoreSet> StoresAsync(params (StoreDescription Description, ITargetSource? Targets)[] stores)
    {
        foreach (var (description, targets) in stores)
        {
            _served.Add(await ServedQuerier.StartAsync(new MemoryQuerier([]), description, targets: targets));
        }

        _set = new StoreSet(new StoreSetOptions { Endpoints = [.. _served.Select(served => served.Endpoint)], PollTimeout = TimeSpan.FromMinutes(1) });
        await _set.RefreshAsync(default);
        return _set;
    }
}
