using Grpc.Core;
using Grpc.Net.Client;
using Observe.Store.Api;
using Observe.Store.Api.StatusWire;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Api;

/// <summary>Targets and metadata between processes, read by Observe's client and by one that was generated from the protocol.</summary>
public sealed class TargetsApiTests
{
    static readonly ApiTargets s_targets = new(
        ["idle", "node"],
        [
            new ApiTarget(
                "node", Labels.Of(("__address__", "a:9100")), Labels.Of(("instance", "a:9100"), ("job", "node")), "http://a:9100/metrics", "up", "",
                1_700_000_000_123, 0.25, "15s", "10s")
            {
                GlobalUrl = "http://host:9100/metrics", Cluster = "dev", Collector = "c-0",
            },
            new ApiTarget(
                "node", Labels.Of(("__address__", "b:9100")), Labels.Of(("instance", "b:9100"), ("job", "node")), "http://b:9100/metrics", "down",
                "connection refused", 0, 0, "15s", "10s"),
        ],
        [new ApiDroppedTarget("node", Labels.Of(("__address__", "c:1")))],
        new Dictionary<string, int> { ["node"] = 7 });

    static readonly ApiMetadata[] s_metadata =
    [
        new("a_total", "counter", "Help of a.", ""), new("b", "gauge", "One.", "seconds"), new("b", "gauge", "Another.", "seconds"),
        new("c", "histogram", "", ""),
    ];

    [Fact]
    public async Task Targets_arrive_as_they_were_sent()
    {
        await using var served = await StartAsync(new KnownTargets(s_targets, s_metadata));
        Assert.Equal(ServedApis.Targets | ServedApis.Metadata, (await served.Client.DescribeAsync(default)).Apis);
        var query = new QueryContext();
        var targets = await served.Client.TargetsAsync(query);
        Assert.Equal(s_targets.Active.Select(Text), targets.Active.Select(Text));
        Assert.Equal(s_targets.Dropped, targets.Dropped);
        Assert.Equal(s_targets.DroppedCounts, targets.DroppedCounts);
        Assert.Empty(query.Coverage.Warnings());
    }

    /// <summary>Exemplars and rules are neither kept nor announced: a Thanos querier that asks for them all the same is told so.</summary>
    [Theory]
    [InlineData("/thanos.Exemplars/Exemplars")]
    [InlineData("/thanos.Rules/Rules")]
    public async Task What_is_not_served_is_unimplemented(string path)
    {
        await using var served = await StartAsync(new KnownTargets(s_targets, s_metadata));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var method = new Method<byte[], byte[]>(
            MethodType.ServerStreaming, path.Split('/')[1], path.Split('/')[2], Marshallers.Create(b => b, b => b), Marshallers.Create(b => b, b => b));
        using var call = channel.CreateCallInvoker().AsyncServerStreamingCall(method, null, new CallOptions(), []);
        var refused = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(default));
        Assert.Equal(StatusCode.Unimplemented, refused.StatusCode);
        var info = await new Observe.Store.Api.Wire.Info.InfoClient(channel).InfoAsync(new Observe.Store.Api.Wire.InfoRequest());
        Assert.True(info.Exemplars is null && info.Rules is null && info.Targets is not null);
    }

    [Theory]
    [InlineData("", -1, "a_total b b c")]
    [InlineData("", 2, "a_total b b")]
    [InlineData("", 0, "")]
    [InlineData("b", -1, "b b")]
    [InlineData("b", 5, "b b")]
    [InlineData("none", -1, "")]
    public async Task Metadata_arrives_for_the_metrics_that_are_wanted(string metric, int limit, string expected)
    {
        await using var served = await StartAsync(new KnownTargets(s_targets, s_metadata));
        var metadata = await served.Client.MetadataAsync(metric, limit, new QueryContext());
        Assert.Equal(expected, string.Join(' ', metadata.Select(one => one.Metric)));
        Assert.Equal(s_metadata.Where(metadata.Contains), metadata);
    }

    [Fact]
    public async Task A_peer_of_another_make_gets_what_it_asks_for()
    {
        await using var served = await StartAsync(new KnownTargets(s_targets, s_metadata, "collector c-1 is missing"));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var client = new Targets.TargetsClient(channel);
        foreach (var (state, active, dropped) in ((TargetsRequest.Types.State, int, int)[])
            [(TargetsRequest.Types.State.Any, 2, 1), (TargetsRequest.Types.State.Active, 2, 0), (TargetsRequest.Types.State.Dropped, 0, 1)])
        {
            var all = await client.Targets(new TargetsRequest { State = state }).ResponseStream.ReadAllAsync().ToListAsync();
            Assert.Equal((active, dropped), (all.Sum(one => one.Targets?.ActiveTargets.Count ?? 0), all.Sum(one => one.Targets?.DroppedTargets.Count ?? 0)));
            Assert.Equal(["collector c-1 is missing"], all.Select(one => one.Warning).Where(warning => warning.Length > 0));
        }

        var metadata = await new Observe.Store.Api.StatusWire.Metadata.MetadataClient(channel)
            .MetricMetadata(new MetricMetadataRequest { Limit = -1 }).ResponseStream.ReadAllAsync().ToListAsync();
        Assert.Equal(["One.", "Another."], metadata[0].Metadata.Metadata["b"].Metas.Select(meta => meta.Help));
        var refused = await Assert.ThrowsAsync<RpcException>(() => client.Targets(
            new TargetsRequest { PartialResponseStrategy = Observe.Store.Api.Wire.PartialResponseStrategy.Abort }).ResponseStream.MoveNext(default));
        Assert.Equal((StatusCode.Aborted, "collector c-1 is missing"), (refused.StatusCode, refused.Status.Detail));
    }

    [Fact]
    public async Task An_entry_that_is_too_long_is_a_fault_of_the_peer()
    {
        await using var served = await StartAsync(new KnownTargets(s_targets, [new ApiMetadata("m", "gauge", new string('h', 2 << 20), "")]));
        var error = await Assert.ThrowsAsync<StoreApiException>(() => served.Client.MetadataAsync("", -1, new QueryContext()));
        Assert.StartsWith($"{served.Endpoint}: its answer to MetricMetadata has ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_process_without_targets_announces_and_serves_none()
    {
        await using var served = await StartAsync(null);
        Assert.Equal(ServedApis.None, (await served.Client.DescribeAsync(default)).Apis);
        await Assert.ThrowsAsync<StoreApiException>(() => served.Client.TargetsAsync(new QueryContext()));
    }

    static string Text(ApiTarget target) => $"{target with { Metadata = [], DiscoveredLabels = default, Labels = default }} {target.DiscoveredLabels} {target.Labels}";

    static Task<ServedQuerier> StartAsync(ITargetSource? targets) => ServedQuerier.StartAsync(
        new MemoryQuerier([]), new StoreDescription("sidecar", [], TimeRange.All), targets: targets);
}
