using Grpc.Health.V1;
using Grpc.Net.Client;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Api;

public sealed class StoreApiSuiteTests : QuerierSuite
{
    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series) =>
        await ServedQuerier.StartAsync(new MemoryQuerier(series), new StoreDescription("sidecar", [], TimeRange.All));
}

public sealed class StoreApiTests
{
    static readonly Matcher[] s_everything = [new(Observe.Tsdb.Model.MatchType.NotEqual, "__name__", "")];

    static readonly SelectHints s_all = new() { Range = TimeRange.All };

    [Fact]
    public async Task A_store_says_what_it_holds()
    {
        Labels[] sets = [Labels.Of(("cluster", "dev")), Labels.Of(("cluster", "prod"), ("replica", "a"))];
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier([]), new StoreDescription("store", sets, new TimeRange(5, 10)));
        var description = await served.Client.DescribeAsync(default);
        Assert.Equal(("store", new TimeRange(5, 10)), (description.Component, description.Range));
        Assert.Equal(sets, description.LabelSets);
    }

    [Fact]
    public async Task Health_is_served()
    {
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier([]), new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var response = await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest());
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, response.Status);
    }

    [Fact]
    public async Task A_store_that_is_gone_fails_with_its_name()
    {
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier([]), new StoreDescription("store", [], TimeRange.All));
        await served.StopAsync();
        var error = await Assert.ThrowsAsync<StoreApiException>(() => served.Client.DescribeAsync(default));
        Assert.StartsWith(served.Endpoint + ": ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_store_that_is_silent_for_too_long_is_given_up()
    {
        var options = new StoreApiClientOptions { ResponseTimeout = TimeSpan.FromMilliseconds(200) };
        await using var served = await ServedQuerier.StartAsync(new SilentQuerier(), new StoreDescription("store", [], TimeRange.All), options);
        var error = await Assert.ThrowsAsync<StoreApiException>(() => LabelsOf(served, s_all));
        Assert.Equal($"{served.Endpoint}: no response in 200ms", error.Message);
    }

    [Fact]
    public async Task Warnings_come_with_the_series_and_a_limit_of_the_store_stays_a_limit()
    {
        var warned = new FailingQuerier(coverage => coverage.AddWarning("cluster x is missing"));
        await using var served = await ServedQuerier.StartAsync(warned, new StoreDescription("store", [], TimeRange.All));
        var query = new QueryContext();
        Assert.Empty(await LabelsOf(served, s_all, query));
        Assert.Equal(["cluster x is missing"], query.Coverage.Warnings());

        var limited = new FailingQuerier(_ => throw new LimitException("too many series (--store.limits.request-series)"));
        await using var refusing = await ServedQuerier.StartAsync(limited, new StoreDescription("store", [], TimeRange.All));
        var error = await Assert.ThrowsAsync<LimitException>(() => LabelsOf(refusing, s_all));
        Assert.EndsWith("too many series (--store.limits.request-series)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_that_wants_no_partial_answer_gets_an_error()
    {
        var warned = new FailingQuerier(coverage => coverage.AddWarning("cluster x is missing"));
        await using var served = await ServedQuerier.StartAsync(warned, new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var store = new Observe.Store.Api.Wire.Store.StoreClient(channel);
        using var call = store.Series(new Observe.Store.Api.Wire.SeriesRequest
        {
            MaxTime = 1,
            PartialResponseStrategy = Observe.Store.Api.Wire.PartialResponseStrategy.Abort,
        });
        var error = await Assert.ThrowsAsync<Grpc.Core.RpcException>(() => call.ResponseStream.MoveNext(default));
        Assert.Equal((Grpc.Core.StatusCode.Aborted, "cluster x is missing"), (error.StatusCode, error.Status.Detail));
    }

    [Fact]
    public async Task Without_replica_labels_series_are_sorted_by_what_remains()
    {
        TestSeries[] series =
        [
            new(Labels.Of(("__name__", "up"), ("a_replica", "1"), ("z", "2")), (1, 1)),
            new(Labels.Of(("__name__", "up"), ("a_replica", "2"), ("z", "1")), (1, 2)),
            new(Labels.Of(("__name__", "up"), ("a_replica", "2"), ("z", "2")), (2, 3)),
        ];
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier(series), new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var request = new Observe.Store.Api.Wire.SeriesRequest { MaxTime = 10, WithoutReplicaLabels = { "a_replica" } };
        using var call = new Observe.Store.Api.Wire.Store.StoreClient(channel).Series(request);
        var labels = new List<string>();
        while (await call.ResponseStream.MoveNext(default))
        {
            labels.Add(string.Concat(call.ResponseStream.Current.Series.Labels.Select(l => l.Value.ToStringUtf8())));
        }

        Assert.Equal(["up1", "up2", "up2"], labels);
    }

    [Fact]
    public async Task Shards_of_a_query_share_its_series()
    {
        var series = Enumerable.Range(0, 100).Select(i => new TestSeries(Labels.Of(("__name__", "up"), ("i", $"{i}")), (1, i)));
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier(series), new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var seen = new List<string>();
        for (var shard = 0; shard < 3; shard++)
        {
            var request = new Observe.Store.Api.Wire.SeriesRequest
            {
                MaxTime = 10,
                SkipChunks = true,
                ShardInfo = new Observe.Store.Api.Wire.ShardInfo { ShardIndex = shard, TotalShards = 3, By = true, Labels = { "i" } },
            };
            using var call = new Observe.Store.Api.Wire.Store.StoreClient(channel).Series(request);
            var before = seen.Count;
            while (await call.ResponseStream.MoveNext(default))
            {
                seen.Add(call.ResponseStream.Current.Series.Labels[1].Value.ToStringUtf8());
            }

            Assert.InRange(seen.Count - before, 10, 60);
        }

        Assert.Equal(100, seen.Distinct().Count());
        Assert.Equal(100, seen.Count);
    }

    [Theory]
    [InlineData(Observe.Store.Api.Wire.LabelMatcher.Types.Type.Re, "a(")]
    [InlineData((Observe.Store.Api.Wire.LabelMatcher.Types.Type)9, "a")]
    internal async Task A_bad_matcher_is_refused(Observe.Store.Api.Wire.LabelMatcher.Types.Type type, string value)
    {
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier([]), new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var request = new Observe.Store.Api.Wire.LabelNamesRequest { Matchers = { new Observe.Store.Api.Wire.LabelMatcher { Type = type, Name = "x", Value = value } } };
        var error = await Assert.ThrowsAsync<Grpc.Core.RpcException>(
            async () => await new Observe.Store.Api.Wire.Store.StoreClient(channel).LabelNamesAsync(request));
        Assert.Equal(Grpc.Core.StatusCode.InvalidArgument, error.StatusCode);
    }

    [Fact]
    public async Task Calls_are_counted_as_gRPC_s_middleware_for_Go_counts_them()
    {
        var registry = Prometheus.Metrics.NewCustomRegistry();
        var metrics = new StoreApiMetrics(Prometheus.Metrics.WithCustomRegistry(registry));
        await using var served = await ServedQuerier.StartAsync(
            new FailingQuerier(_ => throw new LimitException("too many")), new StoreDescription("store", [], TimeRange.All), metrics: metrics);
        await served.Client.DescribeAsync(default);
        await Assert.ThrowsAsync<LimitException>(() => LabelsOf(served, s_all));
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text);
        var exposition = System.Text.Encoding.UTF8.GetString(text.ToArray());
        Assert.Contains("grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Info\",grpc_service=\"thanos.info.Info\",grpc_type=\"unary\"} 1",
            exposition, StringComparison.Ordinal);
        Assert.Contains(
            "grpc_server_handled_total{grpc_code=\"ResourceExhausted\",grpc_method=\"Series\",grpc_service=\"thanos.Store\",grpc_type=\"server_stream\"} 1",
            exposition, StringComparison.Ordinal);
        Assert.Contains("grpc_server_handling_seconds_count{grpc_method=\"Series\"", exposition, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_that_are_not_UTF_8_arrive_as_they_are()
    {
        var odd = new LabelsBuilder().Set("__name__"u8, "up"u8).Set("raw"u8, [0xff, 0xfe]).Build();
        await using var served = await ServedQuerier.StartAsync(
            new MemoryQuerier([new TestSeries(odd, (1, 1))]), new StoreDescription("store", [odd.Without("__name__")], TimeRange.All));
        Assert.Equal([odd], await LabelsOf(served, s_all));
        Assert.Equal([odd.Without("__name__")], (await served.Client.DescribeAsync(default)).LabelSets);
    }

    static async Task<List<Labels>> LabelsOf(ServedQuerier served, SelectHints hints, QueryContext? query = null)
    {
        var all = new List<Labels>();
        await foreach (var series in served.SelectAsync((query ?? new QueryContext()).Select(hints, s_everything)))
        {
            all.Add(series.Labels.Copy());
        }

        return all;
    }

    /// <summary>A source that does something else than answer.</summary>
    sealed class FailingQuerier(Action<Coverage> act) : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await Task.Yield();
            act(selection.Coverage);
            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new IOException();

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new IOException();
    }

    sealed class SilentQuerier : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await new TaskCompletionSource().Task.WaitAsync(selection.CancellationToken);
            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new IOException();

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new IOException();
    }
}
