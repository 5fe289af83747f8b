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
    public async Task A_collector_that_misbehaves_is_a_warning_and_keeps_nobody_else_from_being_shown()
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
            var warnings = query.Coverage.Warnings();
            Assert.Equal(3, warnings.Count);
            Assert.Contains("a part is missing", warnings);
            Assert.Contains(warnings, warning => warning.StartsWith($"store {_served[1].Endpoint}: its answer to MetricMetadata has ", StringComparison.Ordinal));
            Assert.Contains(warnings, warning => warning.StartsWith($"store {_served[3].Endpoint}: ", StringComparison.Ordinal));
            await set.RefreshAsync(default);
            await set.RefreshAsync(default);
        }

        await Assert.ThrowsAsync<PartialResponseException>(
            () => new FanoutTargets(set, s_joined with { PartialResponse = false }).MetadataAsync("", -1, new QueryContext()));
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

    async Task<StoreSet> StoresAsync(params ITargetSource?[] targets)
    {
        foreach (var source in targets)
        {
            _served.Add(await ServedQuerier.StartAsync(new MemoryQuerier([]), new StoreDescription("sidecar", [], TimeRange.All), targets: source));
        }

        _set = new StoreSet(new StoreSetOptions { Endpoints = [.. _served.Select(served => served.Endpoint)] });
        await _set.RefreshAsync(default);
        return _set;
    }
}
