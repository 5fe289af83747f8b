using CsCheck;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Query.Fanout;
using Observe.Query.GrpcApi;
using Observe.Query.GrpcApi.Wire;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.GrpcApi;

/// <summary>The engine asked over gRPC as a Thanos querier in distributed mode asks it.</summary>
public sealed class QueryApiServerTests : IAsyncLifetime
{
    static readonly MemoryQuerier s_source = new(
    [
        new TestSeries(Labels.Of(("__name__", "m"), ("i", "0")), (1_000_000, 1), (1_060_000, 2)),
        new TestSeries(Labels.Of(("__name__", "m"), ("i", "1")), (1_000_000, 3), (1_060_000, 4)),
        new TestSeries(Labels.Of(("__name__", "h"))) { Histograms = [(1_000_000, Native())] },
    ]);

    readonly List<FanoutOptions> _asked = [];
    WebApplication? _server;
    GrpcChannel? _channel;

    Observe.Query.GrpcApi.Wire.Query.QueryClient Client => new(_channel!);

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddStoreApi(s_source, () => new StoreDescription("query", [], TimeRange.All));
        builder.Services.AddQueryApi(new PrometheusApiOptions
        {
            Engine = new PromqlEngine(new EngineOptions { MaxSamples = 1_000 }),
            Querier = options =>
            {
                _asked.Add(options);
                return new WarningQuerier(s_source);
            },
            Defaults = new FanoutOptions { ReplicaLabels = ["replica"] },
        });
        _server = builder.Build();
        _server.MapStoreApi();
        _server.MapQueryApi();
        await _server.StartAsync();
        _channel = GrpcChannel.ForAddress(_server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        await _server!.DisposeAsync();
    }

    [Fact]
    public async Task An_instant_query_gives_a_series_for_each_element()
    {
        var (series, warnings) = await ReadAsync(Client.Query(new QueryRequest { Query = "m * 10", TimeSeconds = 1_010, EnableDedup = true }));
        Assert.Equal(["i=0 10@1010000", "i=1 30@1010000"], series);
        Assert.Empty(warnings);
        Assert.Equal(["scalar 5@1010000"], (await ReadAsync(Client.Query(new QueryRequest { Query = "5", TimeSeconds = 1_010 }))).Series);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task A_range_query_gives_samples_of_each_step(long batchSize)
    {
        var request = new QueryRangeRequest
        {
            Query = "m", StartTimeSeconds = 1_000, EndTimeSeconds = 1_060, IntervalSeconds = 60, ResponseBatchSize = batchSize,
        };
        Assert.Equal(
            ["__name__=m,i=0 1@1000000 2@1060000", "__name__=m,i=1 3@1000000 4@1060000"], (await ReadAsync(Client.QueryRange(request))).Series);
    }

    [Fact]
    public async Task Native_histograms_come_with_their_buckets()
    {
        using var call = Client.Query(new QueryRequest { Query = "h", TimeSeconds = 1_010 });
        Assert.True(await call.ResponseStream.MoveNext(default));
        var (sent, got) = (Native(), Assert.Single(call.ResponseStream.Current.Timeseries.Histograms));
        Assert.Equal((sent.Count, sent.Sum, sent.Schema, sent.ZeroCount), (got.CountFloat, got.Sum, got.Schema, got.ZeroCountFloat));
        Assert.Equal(sent.PositiveSpans.Select(span => (span.Offset, span.Length)), got.PositiveSpans.Select(span => (span.Offset, span.Length)));
        Assert.Equal(sent.PositiveBuckets, got.PositiveCounts);
    }

    [Fact]
    public async Task What_the_request_says_of_stores_and_replicas_is_kept()
    {
        await ReadAsync(Client.Query(new QueryRequest
        {
            Query = "m",
            TimeSeconds = 1_010,
            EnableDedup = true,
            EnablePartialResponse = true,
            ReplicaLabels = { "prometheus_replica" },
            StoreMatchers = { new StoreMatchers { LabelMatchers = { new StoreMatcher { Type = 2, Name = "__address__", Value = "10.*" } } } },
        }));
        await ReadAsync(Client.Query(new QueryRequest { Query = "m", TimeSeconds = 1_010 }));
        Assert.Equal([(true, true, "prometheus_replica"), (false, false, "replica")],
            _asked.Select(options => (options.Deduplicate, options.PartialResponse, options.ReplicaLabels.Single())));
        Assert.Equal("10.*", _asked[0].StoreMatchers.Single().Single().Value);
    }

    [Fact]
    public async Task Warnings_come_with_the_answer() =>
        Assert.Equal(["cluster x is missing"], (await ReadAsync(Client.Query(new QueryRequest { Query = "warned", TimeSeconds = 1_010 }))).Warnings);

    [Theory]
    [InlineData("m +", 0, 60, StatusCode.InvalidArgument)]
    [InlineData("'text'", 0, 60, StatusCode.InvalidArgument)]
    [InlineData("m", 0, 0, StatusCode.InvalidArgument)]
    [InlineData("m", 0, -5, StatusCode.InvalidArgument)]
    [InlineData("m", long.MaxValue, 60, StatusCode.InvalidArgument)]
    [InlineData("m", 0, 1, StatusCode.ResourceExhausted)]
    [InlineData("failing", 0, 60, StatusCode.Aborted)]
    [InlineData("label_replace(m, 'i', '', '', '')", 0, 60, StatusCode.Aborted)]
    public async Task A_query_that_can_not_be_answered_is_an_error_with_its_reason(string query, long start, long interval, StatusCode code)
    {
        var request = new QueryRangeRequest { Query = query, StartTimeSeconds = start, EndTimeSeconds = 1_000_000, IntervalSeconds = interval };
        if (start == 0 && interval == 60)
        {
            (request.StartTimeSeconds, request.EndTimeSeconds) = (1_000, 1_060);
        }

        var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(Client.QueryRange(request)));
        Assert.True(code == error.StatusCode, $"{error.StatusCode}: {error.Status.Detail}");
        Assert.NotEmpty(error.Status.Detail);
    }

    [Fact]
    public async Task A_shard_of_a_query_is_refused_by_name()
    {
        var request = new QueryRequest { Query = "m", ShardInfo = new Shard { TotalShards = 2 } };
        var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(Client.Query(request)));
        Assert.Equal((StatusCode.Unimplemented, "a query is evaluated as a whole, not in shards"), (error.StatusCode, error.Status.Detail));
    }

    [Fact]
    public async Task A_batch_ends_with_its_samples_whatever_number_of_series_was_asked_for()
    {
        using var call = Client.QueryRange(new QueryRangeRequest
        {
            Query = "vector(1) or label_replace(vector(2), 'a', 'b', '', '')", EndTimeSeconds = 25_000, IntervalSeconds = 1, ResponseBatchSize = 1_000,
        });
        var sizes = new List<int>();
        await foreach (var response in call.ResponseStream.ReadAllAsync())
        {
            sizes.Add(response.TimeseriesBatch.Series.Single().Samples.Count);
        }

        Assert.Equal([25_001, 25_001], sizes);
    }

    [Fact]
    public Task No_request_is_answered_by_an_error_that_nobody_foresaw()
    {
        var seconds = Gen.Int[0, 11].Select(i => ((long[])
        [
            long.MinValue, long.MinValue / 1_000, -9_223_372_036_854_775, -1, 0, 1, 1_000, 1_060, 86_400_000, 9_223_372_036_854_775, long.MaxValue / 999, long.MaxValue,
        ])[i]);
        var text = Gen.Int[0, 8].Select(i => ((string[])
            ["m", "m[5m]", "rate(m[1y] offset 100y)", "h", "'text'", "m @ end()", "m @ -9e15", "max_over_time(m[1h:1ns])", "\0"])[i]);
        var matchers = Gen.Select(Gen.Int[-1, 5], Gen.Int[0, 3].Select(i => ((string[])["", "10.*", "(", "\uD800"])[i])).Array[0, 2];
        return Gen.Select(text, seconds.Array[7], matchers, Gen.Bool, Gen.Int[0, 2]).SampleAsync(
            async (query, times, sets, isRange, shards) =>
            {
                var set = new StoreMatchers { LabelMatchers = { sets.Select(m => new StoreMatcher { Type = m.Item1, Name = "__address__", Value = m.Item2 }) } };
                var shard = new Shard { TotalShards = shards };
                var call = isRange
                    ? Client.QueryRange(new QueryRangeRequest
                    {
                        Query = query, StartTimeSeconds = times[0], EndTimeSeconds = times[1], IntervalSeconds = times[2], TimeoutSeconds = times[3],
                        MaxResolutionSeconds = times[4], LookbackDeltaSeconds = times[5], ResponseBatchSize = times[6], StoreMatchers = { set }, ShardInfo = shard,
                    })
                    : Client.Query(new QueryRequest
                    {
                        Query = query, TimeSeconds = times[0], TimeoutSeconds = times[3], MaxResolutionSeconds = times[4], LookbackDeltaSeconds = times[5],
                        ResponseBatchSize = times[6], StoreMatchers = { set }, ShardInfo = shard,
                    });
                try
                {
                    await ReadAsync(call);
                }
                catch (RpcException e)
                {
                    Assert.True(
                        e.StatusCode is StatusCode.InvalidArgument or StatusCode.ResourceExhausted or StatusCode.Aborted or StatusCode.Unimplemented
                            or StatusCode.DeadlineExceeded,
                        $"{e.StatusCode}: {e.Status.Detail}");
                }
            },
            iter: 200);
    }

    static Histogram Native() => new()
    {
        Schema = 1, Count = 7, Sum = 12.5, ZeroCount = 1, ZeroThreshold = 0.001, PositiveSpans = [new BucketSpan(1, 2)], PositiveBuckets = [2, 4],
    };

    static async Task<(List<string> Series, List<string> Warnings)> ReadAsync(AsyncServerStreamingCall<QueryResponse> call)
    {
        using var held = call;
        var (series, warnings) = (new List<string>(), new List<string>());
        await foreach (var response in call.ResponseStream.ReadAllAsync())
        {
            if (response.ResultCase == QueryResponse.ResultOneofCase.Warnings)
            {
                warnings.Add(response.Warnings);
            }

            foreach (var one in response.TimeseriesBatch?.Series ?? (IEnumerable<TimeSeries>)(response.Timeseries is { } alone ? [alone] : []))
            {
                var labels = string.Join(',', one.Labels.Select(label => $"{label.Name.ToStringUtf8()}={label.Value.ToStringUtf8()}"));
                series.Add($"{(labels.Length == 0 ? "scalar" : labels)} {string.Join(' ', one.Samples.Select(sample => $"{sample.Value}@{sample.Timestamp}"))}");
            }
        }

        return (series, warnings);
    }

    /// <summary>Warns or fails where it is asked for series of that name.</summary>
    sealed class WarningQuerier(IQuerier source) : IQuerier
    {
        public IAsyncEnumerable<Tsdb.Querying.Series> SelectAsync(Selection selection)
        {
            switch (selection.Matchers.First(matcher => matcher.Name == "__name__").Value)
            {
                case "warned":
                    selection.Coverage.AddWarning("cluster x is missing");
                    break;

                case "failing":
                    throw new IOException("the source is broken");
            }

            return source.SelectAsync(selection);
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);
    }
}
