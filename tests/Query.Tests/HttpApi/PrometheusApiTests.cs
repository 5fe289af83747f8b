using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Microsoft.Extensions.Logging;
using Observe.Query.Fanout;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Query.Tests.HttpApi;

/// <summary>What Observe's API does of its own, or as Thanos does.</summary>
public sealed class PrometheusApiTests
{
    static readonly MemoryQuerier s_source = new(
        Enumerable.Range(0, 500).Select(i => new TestSeries(Labels.Of(("__name__", "m"), ("i", $"{i:000}")), (1_000_000, i), (1_060_000, i + 0.5))));

    [Fact]
    public async Task Without_an_origin_there_are_no_CORS_headers()
    {
        await using var api = await ServedApi.StartAsync(s_source);
        using var answer = await Ask(api, "query?query=1", ("Origin", "https://grafana.example"));
        Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
        Assert.False(answer.Headers.Contains("Access-Control-Allow-Methods"));
    }

    [Theory]
    [InlineData("https://.*\\.example", "https://grafana.example", "https://grafana.example")]
    [InlineData("https://.*\\.example", "https://grafana.example.org", null)]
    [InlineData(".*", "https://grafana.example", "*")]
    public async Task An_origin_that_matches_may_ask_from_a_browser(string pattern, string origin, string? allowed)
    {
        await using var api = await ServedApi.StartAsync(s_source, options => options with { CorsOrigin = pattern });
        using var answer = await Ask(api, "query?query=1", ("Origin", origin));
        Assert.Equal(allowed, answer.Headers.TryGetValues("Access-Control-Allow-Origin", out var values) ? values.Single() : null);
        Assert.Equal(["GET, POST, OPTIONS"], answer.Headers.GetValues("Access-Control-Allow-Methods"));
        Assert.Equal(["Accept, Authorization, Content-Type, Origin"], answer.Headers.GetValues("Access-Control-Allow-Headers"));
        Assert.Contains("Origin", answer.Headers.Vary);
        using var preflight = await api.Client.SendAsync(new HttpRequestMessage(HttpMethod.Options, "api/v1/query"));
        Assert.Equal(HttpStatusCode.NoContent, preflight.StatusCode);
    }

    [Theory]
    [InlineData("gzip", true)]
    [InlineData("br, gzip;q=0.5", true)]
    [InlineData("zstd, br, deflate", false)]
    [InlineData("gzip;q=0", false)]
    public async Task Long_answers_are_streamed_whole_and_compressed_only_with_gzip(string accepted, bool compressed)
    {
        await using var api = await ServedApi.StartAsync(s_source);
        using var answer = await Ask(api, "query_range?query=m&start=1000&end=1060&step=1", ("Accept-Encoding", accepted));
        Assert.Equal(compressed, answer.Content.Headers.ContentEncoding.Contains("gzip"));
        await using var body = await answer.Content.ReadAsStreamAsync();
        await using var plain = compressed ? new GZipStream(body, CompressionMode.Decompress) : body;
        var series = (await JsonNode.ParseAsync(plain))!["data"]!["result"]!.AsArray();
        Assert.Equal(500, series.Count);
        Assert.All(series, s => Assert.Equal(61, s!["values"]!.AsArray().Count));
    }

    [Theory]
    [InlineData("series?match[]=m", "--query.max-series")]
    [InlineData("series?match[]=m", "--query.max-bytes")]
    [InlineData("series?match[]={i=~\"0.*\"}&match[]={i=~\"1.*\"}&match[]={i=~\"2.*\"}", "--query.max-series")]
    [InlineData("series?match[]={i=~\"0.*\"}&match[]={i=~\"1.*\"}&match[]={i=~\"2.*\"}", "--query.max-bytes")]
    [InlineData("label/i/values", "--query.max-bytes")]
    [InlineData("label/i/values?match[]={i=~\"0.*\"}&match[]={i=~\"1.*\"}&match[]={i=~\"2.*\"}", "--query.max-bytes")]
    public async Task A_search_is_held_to_the_budgets_of_a_query_over_all_that_it_looks_for(string request, string flag)
    {
        using var engine = new PromqlEngine(new EngineOptions
        {
            MaxSeries = flag == "--query.max-series" ? 200 : 0,
            MaxBytes = flag == "--query.max-bytes" ? 200 * 64 : 0,
            MaxTotalBytes = 4 * 200 * 64,
        });
        await using var api = await ServedApi.StartAsync(s_source, options => options with { Engine = engine });
        for (var i = 0; i < 5; i++)
        {
            // What was refused or answered before holds nothing any more.
            using var refused = await Ask(api, request);
            Assert.Equal(HttpStatusCode.UnprocessableEntity, refused.StatusCode);
            Assert.Contains(flag, (await Json(refused))["error"]!.GetValue<string>(), StringComparison.Ordinal);
            using var small = await Ask(api, "series?match[]={i=~\"0.*\"}");
            Assert.Equal(100, (await Json(small))["data"]!.AsArray().Count);
        }
    }

    [Fact]
    public async Task Warnings_are_given_and_forbid_caching()
    {
        var set = new StoreSet(new StoreSetOptions());
        set.AddLocal("head", s_source, () => new StoreDescription("sidecar", [], TimeRange.All));
        set.AddLocal("bucket", new BrokenQuerier(), () => new StoreDescription("store", [Labels.Of(("cluster", "prod"))], TimeRange.All));
        await using var api = await ServedApi.StartAsync(
            s_source, options => options with { Querier = fanout => new FanoutQuerier(set, fanout), Stores = () => set.Stores });
        foreach (var request in (string[])["query?query=count(m)&time=1000", "series?match[]=m&start=1&end=2000", "labels?start=1&end=2000"])
        {
            using var answer = await Ask(api, request);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.True(answer.Headers.CacheControl!.NoStore);
            var warning = (await Json(answer))["warnings"]!.AsArray().Single()!.GetValue<string>();
            Assert.StartsWith("cluster \"prod\" is missing from ", warning, StringComparison.Ordinal);
            Assert.EndsWith(": store bucket gave no answer: disk on fire", warning, StringComparison.Ordinal);

            using var refused = await Ask(api, request + "&partial_response=false");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            var error = await Json(refused);
            Assert.Equal(("error", "unavailable"), (error["status"]!.GetValue<string>(), error["errorType"]!.GetValue<string>()));
            Assert.Null(error["data"]);
        }

        using var whole = await Ask(api, "query?query=count(m)&time=1000&storeMatch[]=%7B__address__%3D%22head%22%7D");
        var text = await whole.Content.ReadAsStringAsync();
        Assert.Equal("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1000,\"500\"]}]}}", text);
        Assert.Null(whole.Headers.CacheControl);
    }

    [Theory]
    [InlineData("dedup=false&dedup=false", false, true, "a,b")]
    [InlineData("dedup=1&partial_response=0&replicaLabels[]=x&replicaLabels[]=y", true, false, "x,y")]
    [InlineData("", true, true, "a,b")]
    public async Task Thanos_s_parameters_reach_the_fan_out(string parameters, bool dedup, bool partial, string replicas)
    {
        FanoutOptions? seen = null;
        await using var api = await ServedApi.StartAsync(s_source, options => options with
        {
            Defaults = new FanoutOptions { ReplicaLabels = ["a", "b"] },
            Querier = fanout =>
            {
                seen = fanout;
                return s_source;
            },
        });
        using var answer = await Ask(api, "query?query=m&" + parameters);
        Assert.Equal((dedup, partial, replicas), (seen!.Deduplicate, seen.PartialResponse, string.Join(',', seen.ReplicaLabels)));
    }

    [Theory]
    [InlineData("query_range?query=m&start=0&end=86400&step=3600&max_source_resolution=auto", 720_000)]
    [InlineData("query_range?query=m&start=0&end=86400&step=3600", 0)]
    [InlineData("query_range?query=m&start=0&end=86400&step=3600&max_source_resolution=1h", 3_600_000)]
    [InlineData("query_range?query=m&start=0&end=86400&step=3600&max_source_resolution=0s", 0)]
    [InlineData("query?query=m&time=0&max_source_resolution=5m", 300_000)]
    [InlineData("query?query=m&time=0&max_source_resolution=auto", 0)]
    public async Task The_resolution_is_what_is_asked_for_or_a_fifth_of_the_step(string request, long expected)
    {
        var source = new HintsQuerier();
        await using var api = await ServedApi.StartAsync(source);
        (await Ask(api, request)).Dispose();
        Assert.Equal(expected, source.Hints!.MaxResolutionMs);
    }

    [Theory]
    [InlineData("query?query=m&dedup=maybe", "'dedup' parameter: strconv.ParseBool: parsing \"maybe\": invalid syntax")]
    [InlineData("query?query=m&partial_response=maybe", "'partial_response' parameter: strconv.ParseBool: parsing \"maybe\": invalid syntax")]
    [InlineData("query?query=m&max_source_resolution=-1", "negative 'max_source_resolution' is not accepted. Try a positive integer")]
    [InlineData("query?query=m&max_source_resolution=x", "'max_source_resolution' parameter: cannot parse \"x\" to a valid duration")]
    [InlineData("query?query=m&storeMatch[]=%7B", "1:2: parse error: unexpected end of input inside braces")]
    public async Task Faults_in_them_are_told(string request, string expected)
    {
        await using var api = await ServedApi.StartAsync(s_source);
        using var answer = await Ask(api, request);
        Assert.Equal((HttpStatusCode.BadRequest, expected), (answer.StatusCode, (await Json(answer))["error"]!.GetValue<string>()));
    }

    [Fact]
    public async Task A_range_query_without_a_step_gets_one()
    {
        await using var api = await ServedApi.StartAsync(s_source);
        using var answer = await Ask(api, "query_range?query=1&start=0&end=5000");
        Assert.Equal(251, (await Json(answer))["data"]!["result"]![0]!["values"]!.AsArray().Count);
    }

    [Fact]
    public async Task Queries_and_bodies_that_are_too_long_are_refused()
    {
        await using var api = await ServedApi.StartAsync(s_source, options => options with { MaxBodyBytes = 2_000_000 });
        foreach (var (endpoint, length, status) in new[]
        {
            ("query", 1_048_577, HttpStatusCode.UnprocessableEntity), ("format_query", 1_048_577, HttpStatusCode.UnprocessableEntity),
            ("query", 2_000_001, HttpStatusCode.BadRequest),
        })
        {
            using var form = new StringContent("query=" + new string('1', length), Encoding.UTF8, "application/x-www-form-urlencoded");
            using var answer = await api.Client.PostAsync("api/v1/" + endpoint, form);
            Assert.Equal(status, answer.StatusCode);
            Assert.Equal("error", (await Json(answer))["status"]!.GetValue<string>());
        }
    }

    [Fact]
    public async Task Statistics_are_given_when_asked_for()
    {
        await using var api = await ServedApi.StartAsync(s_source, options => options with { PerStepStatistics = true });
        using var plain = await Ask(api, "query?query=m&time=1000");
        Assert.Null((await Json(plain))["data"]!["stats"]);
        using var all = await Ask(api, "query_range?query=m&start=1000&end=1060&step=60&stats=all");
        var statistics = (await Json(all))["data"]!["stats"]!;
        Assert.Equal(1000, statistics["samples"]!["totalQueryableSamples"]!.GetValue<long>());
        Assert.True(statistics["timings"]!["evalTotalTime"]!.GetValue<double>() > 0);
        Assert.Equal("[[1000,500],[1060,500]]", statistics["samples"]!["totalQueryableSamplesPerStep"]!.ToJsonString());
    }

    [Fact]
    public async Task A_query_is_explained_when_asked_for()
    {
        await using var api = await ServedApi.StartAsync(s_source);
        using var plain = await Ask(api, "query?query=sum(m)&time=1000");
        Assert.Null((await Json(plain))["data"]!["explanation"]);
        using var explained = await Ask(api, "query_range?query=sum(m)&start=1000&end=1060&step=60&explain=true");
        var top = (await Json(explained))["data"]!["explanation"]!;
        Assert.Equal(1, top["series"]!.GetValue<int>());
        Assert.Equal(2, top["steps"]!.GetValue<int>());
        Assert.NotEmpty(top["inputs"]!.AsArray());
    }

    [Fact]
    public async Task An_explanation_says_which_replica_gave_which_range()
    {
        TestSeries Replica(string name, params (long, double)[] samples) =>
            new(Labels.Of(("__name__", "x"), ("cluster", "c")), samples) { External = Labels.Of(("replica", name)) };
        await using var api = await ServedApi.StartAsync(new DedupQuerier(
            new MemoryQuerier([Replica("a", (10_000, 1), (20_000, 2), (30_000, 3)), Replica("b", (16_000, 1), (26_000, 2), (36_000, 3), (46_000, 4), (56_000, 5))]),
            ["replica"]));
        using var explained = await Ask(api, "query?query=sum(count_over_time(x[1m]))&time=60&explain=true");
        var operation = (await Json(explained))["data"]!["explanation"]!;
        while (operation["reads"] is null)
        {
            operation = operation["inputs"]![0]!;
        }

        Assert.Equal(
            ["{cluster=\"c\", replica=\"a\"} 10-30", "{cluster=\"c\", replica=\"b\"} 36-56"],
            operation["reads"]![0]!["replicas"]!.AsArray().Select(range => $"{range!["labels"]} {range["start"]}-{range["end"]}"));
    }

    [Fact]
    public async Task Requests_are_counted_under_the_names_that_dashboards_know()
    {
        var registry = Metrics.NewCustomRegistry();
        await using var api = await ServedApi.StartAsync(s_source, options => options with { Metrics = new QueryMetrics(Metrics.WithCustomRegistry(registry)) });
        (await Ask(api, "query?query=1")).Dispose();
        (await Ask(api, "query?query=")).Dispose();
        (await Ask(api, "label/i/values")).Dispose();
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text);
        var exposition = Encoding.UTF8.GetString(text.ToArray());
        Assert.Contains("http_requests_total{code=\"200\",handler=\"query\",method=\"get\"} 1", exposition, StringComparison.Ordinal);
        Assert.Contains("http_requests_total{code=\"400\",handler=\"query\",method=\"get\"} 1", exposition, StringComparison.Ordinal);
        Assert.Contains("thanos_query_concurrent_gate_queries_max 20", exposition, StringComparison.Ordinal);
        Assert.Contains("thanos_query_concurrent_gate_queries_in_flight 0", exposition, StringComparison.Ordinal);
        Assert.Contains("prometheus_engine_query_duration_seconds_count{slice=\"inner_eval\"} 1", exposition, StringComparison.Ordinal);
        Assert.Contains("http_request_duration_seconds_count{code=\"200\",handler=\"label_values\",method=\"get\"} 1", exposition, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_slow_query_is_logged_with_the_panel_that_asked()
    {
        var log = new ListLogger();
        await using var api = await ServedApi.StartAsync(s_source, options => options with { SlowQuery = TimeSpan.FromTicks(1), Logging = log });
        (await Ask(api, "query?query=count(m)", ("X-Dashboard-Uid", "abc"), ("X-Panel-Id", "7"), ("X-Grafana-User", "eva"))).Dispose();
        var line = Assert.Single(log.Lines);
        Assert.StartsWith("slow query query=count(m) seconds=", line, StringComparison.Ordinal);
        Assert.Contains(" dashboard=abc panel=7 user=eva remote=127.0.0.1", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_process_says_what_it_is()
    {
        await using var api = await ServedApi.StartAsync(s_source, options => options with
        {
            Build = new BuildDescription("1.2.3", "abc"),
            Flags = new Dictionary<string, string> { ["b"] = "2", ["a"] = "<1>" },
            Configuration = () => "global: {}\n",
            Runtime = () => new RuntimeDescription(1_700_000_000_000, LastConfigTime: 1_700_000_000_500, StorageRetention: "15d"),
            Tsdb = limit => new TsdbStatus(3, 4, 5, 6, 7) { SeriesByMetric = [("up", 2), ("m", 1)] },
        });
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post])
        {
            using var build = await api.Client.SendAsync(new HttpRequestMessage(method, "api/v1/status/buildinfo"));
            var data = (await Json(build))["data"]!.AsObject();
            Assert.Equal("1.2.3", data["version"]!.GetValue<string>());
            Assert.Equal(["version", "revision", "branch", "buildUser", "buildDate", "goVersion"], data.Select(p => p.Key));
            Assert.All(data, p => Assert.Equal(System.Text.Json.JsonValueKind.String, p.Value!.GetValueKind()));
        }

        Assert.Equal("{\"status\":\"success\",\"data\":{\"a\":\"\\u003c1\\u003e\",\"b\":\"2\"}}", await api.Client.GetStringAsync("api/v1/status/flags"));
        Assert.Equal("{\"status\":\"success\",\"data\":{\"yaml\":\"global: {}\\n\"}}", await api.Client.GetStringAsync("api/v1/status/config"));
        using var runtime = await Ask(api, "status/runtimeinfo");
        Assert.Equal("2023-11-14T22:13:20.5Z", (await Json(runtime))["data"]!["lastConfigTime"]!.GetValue<string>());
        using var tsdb = await Ask(api, "status/tsdb?limit=1");
        Assert.Equal("[{\"name\":\"up\",\"value\":2}]", (await Json(tsdb))["data"]!["seriesCountByMetricName"]!.ToJsonString());
        using var refused = await Ask(api, "status/tsdb?limit=0");
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
    }

    [Fact]
    public async Task Targets_and_their_metadata_are_listed()
    {
        var target = new ApiTarget(
            "node", Labels.Of(("__address__", "a:1")), Labels.Of(("instance", "a:1"), ("job", "node")), "http://a:1/metrics", "up", "", 1_700_000_000_123, 0.25,
            "15s", "10s")
        {
            Metadata = [new ApiMetadata("m", "gauge", "Help <of> m.", "seconds")],
        };
        var snapshot = new ApiTargets(
            ["node", "idle"], [target], [new ApiDroppedTarget("node", Labels.Of(("__address__", "b:1")))], new Dictionary<string, int> { ["node"] = 1, ["idle"] = 0 });
        await using var api = await ServedApi.StartAsync(s_source, options => options with { Targets = _ => new KnownTargets(snapshot, snapshot.Active[0].Metadata) });
        Assert.Equal(
            "{\"status\":\"success\",\"data\":{\"activeTargets\":[{\"discoveredLabels\":{\"__address__\":\"a:1\"},\"labels\":{\"instance\":\"a:1\",\"job\":\"node\"},"
            + "\"scrapePool\":\"node\",\"scrapeUrl\":\"http://a:1/metrics\",\"globalUrl\":\"http://a:1/metrics\",\"lastError\":\"\","
            + "\"lastScrape\":\"2023-11-14T22:13:20.123Z\",\"lastScrapeDuration\":0.25,\"health\":\"up\",\"scrapeInterval\":\"15s\",\"scrapeTimeout\":\"10s\"}],"
            + "\"droppedTargets\":[{\"discoveredLabels\":{\"__address__\":\"b:1\"},\"scrapePool\":\"node\"}],\"droppedTargetCounts\":{\"idle\":0,\"node\":1}}}",
            await api.Client.GetStringAsync("api/v1/targets"));
        Assert.Equal("{\"status\":\"success\",\"data\":{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":null}}",
            await api.Client.GetStringAsync("api/v1/targets?state=none"));
        Assert.Equal("{\"status\":\"success\",\"data\":{\"scrapePools\":[\"idle\",\"node\"]}}", await api.Client.GetStringAsync("api/v1/scrape_pools"));
        Assert.Equal("{\"status\":\"success\",\"data\":{\"m\":[{\"type\":\"gauge\",\"unit\":\"seconds\",\"help\":\"Help \\u003cof\\u003e m.\"}]}}",
            await api.Client.GetStringAsync("api/v1/metadata"));
        Assert.Equal("{\"status\":\"success\",\"data\":[{\"target\":{\"instance\":\"a:1\",\"job\":\"node\"},\"type\":\"gauge\",\"help\":\"Help \\u003cof\\u003e m.\",\"unit\":\"seconds\"}]}",
            await api.Client.GetStringAsync("api/v1/targets/metadata?metric=m&match_target=%7Bjob%3D%22node%22%7D"));
        Assert.Equal("{\"status\":\"success\",\"data\":[]}", await api.Client.GetStringAsync("api/v1/targets/metadata?match_target=%7Bjob%3D%22x%22%7D"));
    }

    [Fact]
    public async Task Whatever_is_asked_is_answered_with_JSON_and_never_with_an_internal_error()
    {
        await using var api = await ServedApi.StartAsync(s_source);
        string[] endpoints =
        [
            "query", "query_range", "series", "labels", "label/i/values", "query_exemplars", "format_query", "parse_query", "metadata", "rules",
            "targets/metadata", "status/tsdb",
        ];
        string[] names = ["query", "time", "start", "end", "step", "match[]", "limit", "timeout", "lookback_delta", "dedup", "stats", "max_source_resolution", "type"];
        string[] values =
        [
            "m", "sum(m)", "m[5m]", "{", "1", "0", "-1", "NaN", "Inf", "-Inf", "1e308", "-1e308", "9223372036854775807", "1e-9", "5m", "1y", "", "\0", "\ud83d\ude00",
            "m @ 1e20", "m offset 1000000y", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "-292273086-05-16T16:47:06Z", "auto", "all", "true", "%", "U__", "m[1ms:1ms]",
        ];
        var requests = Gen.Select(
            Gen.Int[0, endpoints.Length - 1].Select(i => endpoints[i]), Gen.Select(Gen.Int[0, names.Length - 1].Select(i => names[i]), Gen.Int[0, values.Length - 1].Select(i => values[i])).Array[0, 6],
            (endpoint, parameters) => endpoint + "?" + string.Join('&', parameters.Select(p => $"{Uri.EscapeDataString(p.Item1)}={Uri.EscapeDataString(p.Item2)}")));
        await requests.SampleAsync(
            async request =>
            {
                using var answer = await Ask(api, request);
                var json = await Json(answer);
                Assert.True(answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity or HttpStatusCode.ServiceUnavailable,
                    $"{answer.StatusCode}: {json}");
                Assert.Equal(answer.IsSuccessStatusCode ? "success" : "error", json["status"]!.GetValue<string>());
            },
            iter: 2_000,
            threads: 2);
    }

    [Fact]
    public async Task Stores_are_listed_by_component()
    {
        var set = new StoreSet(new StoreSetOptions());
        set.AddLocal("bucket", s_source, () => new StoreDescription("store", [Labels.Of(("cluster", "prod"))], new TimeRange(5, 10)));
        await using var api = await ServedApi.StartAsync(s_source, options => options with { Stores = () => set.Stores });
        using var answer = await Ask(api, "stores");
        var store = (await Json(answer))["data"]!["store"]![0]!.AsObject();
        Assert.Equal(["name", "lastCheck", "lastError", "labelSets", "minTime", "maxTime"], store.Select(p => p.Key));
        Assert.Equal(("bucket", "[{\"cluster\":\"prod\"}]", 5, 10), (
            store["name"]!.GetValue<string>(), store["labelSets"]!.ToJsonString(), store["minTime"]!.GetValue<long>(), store["maxTime"]!.GetValue<long>()));
    }

    static async Task<HttpResponseMessage> Ask(ServedApi api, string request, params (string Name, string Value)[] headers)
    {
        using var ask = new HttpRequestMessage(HttpMethod.Get, "api/v1/" + request);
        foreach (var (name, value) in headers)
        {
            ask.Headers.TryAddWithoutValidation(name, value);
        }

        return await api.Client.SendAsync(ask);
    }

    static async Task<JsonNode> Json(HttpResponseMessage answer) => (await JsonNode.ParseAsync(await answer.Content.ReadAsStreamAsync()))!;

    sealed class BrokenQuerier : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await Task.Yield();
            if (selection.CancellationToken.CanBeCanceled)
            {
                throw new IOException("disk on fire");
            }

            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new IOException("disk on fire");

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new IOException("disk on fire");
    }

    /// <summary>Has nothing, and remembers what it was asked.</summary>
    sealed class HintsQuerier : IQuerier
    {
        readonly MemoryQuerier _empty = new([]);

        public SelectHints? Hints { get; private set; }

        public IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            Hints = selection.Hints;
            return _empty.SelectAsync(selection);
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
            _empty.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            _empty.LabelValuesAsync(name, selection);
    }

    sealed class ListLogger : ILoggerFactory, ILogger
    {
        public List<string> Lines { get; } = [];

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception));
    }
}
