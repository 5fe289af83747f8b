using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Observe.Store.Api;
using Observe.Store.Api.Wire;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using Series = Observe.Tsdb.Querying.Series;

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

    /// <summary>Thanos's stores announce it beside their own, and no series has it.</summary>
    [Fact]
    public async Task A_set_of_labels_for_old_queriers_is_none()
    {
        Labels[] sets = [Labels.Of(("@thanos_compatibility_store_type", "store")), Labels.Of(("cluster", "dev"))];
        await using var served = await ServedQuerier.StartAsync(
            new MemoryQuerier([]), new StoreDescription("store", sets, TimeRange.All) { Apis = ServedApis.Targets | ServedApis.Query });
        var description = await served.Client.DescribeAsync(default);
        Assert.Equal([Labels.Of(("cluster", "dev"))], description.LabelSets);
        Assert.Equal(ServedApis.Targets | ServedApis.Query, description.Apis);
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
    public async Task What_a_store_sent_before_it_failed_is_read()
    {
        var series = Enumerable.Range(0, 2_000).Select(i => new TestSeries(Labels.Of(("__name__", "up"), ("pod", $"{i:D4}{new string('x', 500)}")), (1, 1)));
        await using var served = await ServedQuerier.StartAsync(
            new BreakingQuerier(new MemoryQuerier([.. series])), new StoreDescription("store", [], TimeRange.All));
        var read = 0;
        var error = await Assert.ThrowsAsync<StoreApiException>(async () =>
        {
            await foreach (var _ in served.SelectAsync(new QueryContext().Select(s_all, s_everything)))
            {
                read++;
            }
        });
        Assert.Equal($"{served.Endpoint}: the disk is gone", error.Message);
        Assert.InRange(read, 1_000, 2_000);
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
            new(Labels.Of(("__name__", "up"), ("z", "2")), (1, 1)) { External = Labels.Of(("a_replica", "1")) },
            new(Labels.Of(("__name__", "up"), ("z", "1")), (1, 2)) { External = Labels.Of(("a_replica", "2")) },
            new(Labels.Of(("__name__", "up"), ("z", "2")), (2, 3)) { External = Labels.Of(("a_replica", "2")) },
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

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Matchers_on_external_labels_alone_find_the_series_of_any_store(bool isThanos)
    {
        var external = Labels.Of(("cluster", "prod"), ("region", "eu"));
        TestSeries[] series =
        [
            new(Labels.Of(("__name__", "up")), (1, 1)) { External = external },
            new(Labels.Of(("nameless", "yes")), (1, 1)) { External = external },
        ];
        await using var served = await ServedQuerier.StartAsync(
            new MemoryQuerier(series), new StoreDescription("sidecar", [external], TimeRange.All), isThanos: isThanos);
        await served.Client.DescribeAsync(default);
        Matcher cluster = new(Observe.Tsdb.Model.MatchType.Equal, "cluster", "prod");
        Matcher region = new(Observe.Tsdb.Model.MatchType.Regex, "region", "e.*");
        foreach (var matchers in new Matcher[][] { [cluster], [region], [cluster, region] })
        {
            var found = new List<string>();
            await foreach (var one in served.SelectAsync(new QueryContext().Select(s_all, matchers)))
            {
                found.Add(one.Labels.Get("__name__"));
            }

            Assert.Equal(isThanos ? ["up"] : ["up", ""], found);
        }

        Matcher other = new(Observe.Tsdb.Model.MatchType.Equal, "cluster", "dev");
        await foreach (var _ in served.SelectAsync(new QueryContext().Select(s_all, [other])))
        {
            Assert.Fail("there is no such cluster");
        }
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

    [Fact]
    public async Task What_an_answer_lacks_arrives_as_data_at_an_asker_of_the_same_make_and_as_text_at_others()
    {
        Missing[] missing =
        [
            new(MissingPart.Source, "10.0.0.1:10901", [Labels.Of(("cluster", "prod"))], new TimeRange(long.MinValue, 7), "it is down"),
            new(MissingPart.Chunk, "bucket/01H", [Labels.Of(("cluster", "dev")), Labels.Empty], new TimeRange(1, 2), "checksum mismatch"),
        ];
        var range = new ServedRange(s_everything, Labels.Of(("cluster", "dev")), new TimeRange(3, 4), 300_000, 0);
        var source = new FailingQuerier(coverage =>
        {
            Array.ForEach(missing, coverage.Add);
            coverage.Add(range);
            coverage.AddWarning("something else");
            coverage.AddInfo("an info");
            coverage.Truncate();
        });
        var there = new Coverage();
        source.Act(there);

        await using var served = await ServedQuerier.StartAsync(source, new StoreDescription("store", [], TimeRange.All));
        foreach (var ask in (Func<Selection, Task>[])[
            async selection => Assert.Empty(await served.SelectAsync(selection).ToListAsync()),
            async selection => Assert.Empty(await served.LabelNamesAsync(selection)),
            async selection => Assert.Empty(await served.LabelValuesAsync("a", selection))])
        {
            var query = new QueryContext();
            await ask(query.Select(s_all, s_everything));
            Assert.Equal(missing.ToHashSet(), query.Coverage.Missing.ToHashSet());
            Assert.Equal([range], query.Coverage.Served);
            Assert.Equal(["something else"], query.Coverage.TextWarnings);
            Assert.True(query.Coverage.IsTruncated);
            Assert.Equal(there.Warnings(), query.Coverage.Warnings());
            Assert.Equal(there.Infos(), query.Coverage.Infos());
        }

        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var thanos = new Observe.Store.Api.Wire.Store.StoreClient(channel);
        var names = await thanos.LabelNamesAsync(new LabelNamesRequest { End = long.MaxValue });
        Assert.Null(names.Hints);
        Assert.Equal(there.Warnings(), names.Warnings);
        using var call = thanos.Series(new SeriesRequest { MaxTime = long.MaxValue });
        var warnings = new List<string>();
        await foreach (var frame in call.ResponseStream.ReadAllAsync())
        {
            Assert.Equal(SeriesResponse.ResultOneofCase.Warning, frame.ResultCase);
            warnings.Add(frame.Warning);
        }

        Assert.Equal(there.Warnings(), warnings);
    }

    [Fact]
    public async Task Chunks_that_were_received_count_as_bytes_of_the_query_until_the_enumerator_is_disposed()
    {
        var series = Enumerable.Range(0, 50).Select(i => new TestSeries(Labels.Of(("__name__", "up"), ("i", $"{i}")), (1, 1), (2, i))).ToList();
        await using var served = await ServedQuerier.StartAsync(new MemoryQuerier(series), new StoreDescription("store", [], TimeRange.All));
        var query = new QueryContext { Bytes = new Budget(5_000, own => $"more than {own.Limit}") };
        await using (var all = served.SelectAsync(query.Select(s_all, s_everything)).GetAsyncEnumerator())
        {
            while (await all.MoveNextAsync())
            {
            }

            Assert.InRange(query.Bytes.Taken, 2_000, 5_000);
            Assert.Equal("more than 5000", (await Assert.ThrowsAsync<LimitException>(async () => await served.SelectAsync(query.Select(s_all, s_everything)).ToListAsync())).Message);
        }

        Assert.Equal(0, query.Bytes.Taken);
    }

    [Theory]
    [InlineData(0, Aggregate.Raw, false, null, null)]
    [InlineData(0, Aggregate.Counter, true, "rate", null)]
    [InlineData(300_000, Aggregate.Counter, true, "rate", null)]
    [InlineData(300_000, Aggregate.Count, false, "count_over_time", null)]
    [InlineData(0, Aggregate.Raw, false, null, "sum by (job,pod)")]
    [InlineData(300_000, Aggregate.Raw, false, null, "topk without (pod)")]
    [InlineData(0, Aggregate.Raw, false, null, "count by ()")]
    public async Task Hints_arrive_as_they_were_sent(long resolution, Aggregate aggregate, bool isCounter, string? function, string? aggregation)
    {
        SelectHints? received = null;
        var source = new HintsQuerier(hints => received = hints, new MemoryQuerier([]));
        await using var served = await ServedQuerier.StartAsync(source, new StoreDescription("store", [], TimeRange.All));
        var sent = new SelectHints
        {
            Range = new TimeRange(5, 700_000),
            StepMs = 15_000,
            WindowMs = function is null ? 0 : 60_000,
            MaxResolutionMs = resolution,
            Aggregate = aggregate,
            IsCounter = isCounter,
            Function = function,
            Aggregation = aggregation?.Split(' ', '(', ')') is [var name, var side, _, var labels, _]
                ? new AggregationHint(name, labels.Split(',', StringSplitOptions.RemoveEmptyEntries), side == "without") : null,
            Limit = 3,
        };
        await LabelsOf(served, sent);
        Assert.Equal(sent, received);
    }

    /// <summary>Thanos names the aggregate of a function though it wants raw samples, and takes what comes as raw for samples.</summary>
    [Theory]
    [InlineData(Aggr.Count, "count_over_time", false)]
    [InlineData(Aggr.Sum, "sum_over_time", false)]
    [InlineData(Aggr.Counter, "xrate", true)]
    public async Task Thanos_gets_raw_samples_where_it_wants_them_whatever_they_are_for(object aggregate, string function, bool isCounter)
    {
        SelectHints? received = null;
        using var folder = new TemporaryFolder();
        var id = TestBlocks.Id(1);
        await TestBlocks.WriteAsync(folder.Path, id, [new TestSeries(Labels.Of(("__name__", "up")), (1, 5), (2, 7), (3, 9))]);
        using var block = Block.Open(Path.Combine(folder.Path, id.ToString()));
        var source = new HintsQuerier(hints => received = hints, new ChunklessQuerier(block));
        await using var served = await ServedQuerier.StartAsync(source, new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint);
        var request = new SeriesRequest
        {
            MaxTime = 10,
            Aggregates = { (Aggr)aggregate },
            QueryHints = new QueryHints { Func = new Func { Name = function }, Grouping = new Grouping(), Range = new Observe.Store.Api.Wire.Range { Millis = 5 } },
        };
        using var call = new Observe.Store.Api.Wire.Store.StoreClient(channel).Series(request);
        Assert.True(await call.ResponseStream.MoveNext(default));
        var raw = WireChunks.Read(Assert.Single(call.ResponseStream.Current.Series.Chunks).ToByteArray(), "peer");
        var samples = new Observe.Tsdb.Chunks.ChunkSeriesIterator([raw], Aggregate.Raw, TimeRange.All, "peer");
        Assert.Equal([(1L, 5.0), (2L, 7.0), (3L, 9.0)], Samples.Floats(samples));
        Assert.Equal((function, null, isCounter), (received!.Function, received.Aggregation, received.IsCounter));
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

    /// <summary>Passes on what it is asked, and says with which hints.</summary>
    sealed class HintsQuerier(Action<SelectHints> received, IQuerier source) : IQuerier
    {
        public IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            received(selection.Hints);
            return source.SelectAsync(selection);
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);
    }

    /// <summary>A source that does something else than answer.</summary>
    sealed class FailingQuerier(Action<Coverage> act) : IQuerier
    {
        public Action<Coverage> Act { get; } = act;

        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await Task.Yield();
            Act(selection.Coverage);
            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
        {
            Act(selection.Coverage);
            return ValueTask.FromResult<IReadOnlyList<string>>([]);
        }

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => LabelNamesAsync(selection);
    }

    /// <summary>Fails once all series were read.</summary>
    sealed class BreakingQuerier(IQuerier source) : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await foreach (var series in source.SelectAsync(selection))
            {
                yield return series;
            }

            throw new IOException("the disk is gone");
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);
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
