using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Tests.Fanout;

/// <summary>
/// A pair of collectors whose targets have series with a label called replica of their own, as Kafka has, and a lone collector:
/// whichever way the series come, only external labels tell replicas apart.
/// </summary>
public sealed class ReplicaLabelsTests : IAsyncDisposable
{
    const long Start = 1_700_006_400_000;
    const int Scrapes = 20;

    static readonly SelectHints s_all = new() { Range = new TimeRange(Start, Start + 3_600_000) };
    static readonly FanoutOptions s_dedup = new() { ReplicaLabels = ["replica"] };

    /// <summary>As texts, the second one's labels would come first.</summary>
    static readonly TestSeries[][] s_collectors =
    [
        Collector(Labels.Of(("cluster", "prod"), ("replica", "a")), 1, 0, "1", "2", "a"),
        Collector(Labels.Of(("cluster", "prod"), ("replica", "a!")), 2, 3_000, "1", "2", "a"),
        Collector(Labels.Of(("cluster", "dev")), 5, 0, "a", "z"),
    ];

    readonly string _folder = Checkout.NewFolder("replica-labels");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(Start + (24 * 3_600_000)));
    readonly List<IAsyncDisposable> _disposed = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var disposed in Enumerable.Reverse(_disposed))
        {
            await disposed.DisposeAsync();
        }

        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("heads")]
    [InlineData("bucket")]
    [InlineData("folder")]
    [InlineData("compacted")]
    [InlineData("head and bucket")]
    [InlineData("heads over gRPC")]
    [InlineData("bucket over gRPC")]
    [InlineData("two hops")]
    public async Task A_series_keeps_its_own_label_and_replicas_are_joined_whichever_way_they_come(string way)
    {
        var querier = new FanoutQuerier(await StoresAsync(way), s_dedup);
        Assert.Equal(
            [
                """{__name__="kafka", cluster="dev", replica="a"} 20 × 5""",
                """{__name__="kafka", cluster="dev", replica="z"} 20 × 5""",
                """{__name__="kafka", cluster="prod", replica="1"} 20 × 1""",
                """{__name__="kafka", cluster="prod", replica="2"} 20 × 1""",
                """{__name__="kafka", cluster="prod", replica="a"} 20 × 1""",
                """{__name__="up", cluster="dev"} 20 × 5""",
                """{__name__="up", cluster="prod"} 20 × 1""",
            ],
            await ReadAsync(querier));
        Assert.Equal(["__name__", "cluster", "replica"], await querier.LabelNamesAsync(new QueryContext().Select(s_all, [])));
        Assert.Equal(["1", "2", "a", "z"], await querier.LabelValuesAsync("replica", new QueryContext().Select(s_all, [])));
        Matcher[] up = [new(MatchType.Equal, "__name__", "up")];
        Assert.Equal(["__name__", "cluster"], await querier.LabelNamesAsync(new QueryContext().Select(s_all, up)));
        Assert.Empty(await querier.LabelValuesAsync("replica", new QueryContext().Select(s_all, up)));

        using var engine = new PromqlEngine(new EngineOptions());
        var sum = await engine.InstantAsync(querier, new InstantQuery("sum(kafka{cluster=\"prod\"})", Start + 150_000), CancellationToken.None);
        Assert.Equal(3, Assert.Single(sum.Series).Values.Span[0]);
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("heads")]
    [InlineData("bucket")]
    [InlineData("folder")]
    [InlineData("compacted")]
    [InlineData("head and bucket")]
    [InlineData("heads over gRPC")]
    [InlineData("two hops")]
    public async Task Matchers_hold_for_the_label_that_a_series_has_itself(string way)
    {
        var querier = new FanoutQuerier(await StoresAsync(way), s_dedup);
        foreach (var (type, value, expected) in ((MatchType, string, string)[])
            [
                (MatchType.Equal, "2", "prod 2"),
                (MatchType.Equal, "a", "dev a, prod a"),
                (MatchType.Equal, "a!", ""),
                (MatchType.Equal, "", ""),
                (MatchType.NotEqual, "a", "dev z, prod 1, prod 2"),
                (MatchType.NotEqual, "", "dev a, dev z, prod 1, prod 2, prod a"),
                (MatchType.Regex, "1|a", "dev a, prod 1, prod a"),
                (MatchType.Regex, "|a!", ""),
                (MatchType.NotRegex, "1|a", "dev z, prod 2"),
                (MatchType.NotRegex, "1|", "dev a, dev z, prod 2, prod a"),
            ])
        {
            Matcher[] matchers = [new(MatchType.Equal, "__name__", "kafka"), new(type, "replica", value)];
            var labels = await querier.SelectAsync(new QueryContext().Select(s_all, matchers))
                .Select(s => $"{s.Labels.Get("cluster")} {s.Labels.Get("replica")}").ToListAsync();
            Assert.Equal((matchers[1].ToString(), expected), (matchers[1].ToString(), string.Join(", ", labels)));
        }
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("heads")]
    [InlineData("bucket")]
    [InlineData("heads over gRPC")]
    public async Task A_limit_counts_replicas_of_a_series_once(string way)
    {
        var (querier, query) = (new FanoutQuerier(await StoresAsync(way), s_dedup), new QueryContext());
        var hints = s_all with { SkipSamples = true, Limit = 6 };
        Assert.Equal(6, await querier.SelectAsync(query.Select(hints, [])).CountAsync());
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());
        query = new QueryContext();
        Assert.Equal(7, await querier.SelectAsync(query.Select(hints with { Limit = 7 }, [])).CountAsync());
        Assert.Empty(query.Coverage.Warnings());
    }

    /// <summary>Of Thanos's series, those of a stream with a replica label have lost their own already.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Of_a_peer_that_cannot_tell_the_labels_that_it_announces_decide(bool together)
    {
        var series = together ? [s_collectors.SelectMany(c => c).ToArray()] : s_collectors;
        var endpoints = new List<string>();
        foreach (var some in series)
        {
            var left = some.DistinctBy(s => (s.External.Has("replica") ? s.Labels.Without("replica") : s.Labels, s.External));
            endpoints.Add(await ServeAsync(new MemoryQuerier(left), some, isThanos: true));
        }

        var querier = new FanoutQuerier(await StoresAtAsync([.. endpoints]), s_dedup);
        Assert.Equal(
            [
                """{__name__="kafka", cluster="dev", replica="a"} 20 × 5""",
                """{__name__="kafka", cluster="dev", replica="z"} 20 × 5""",
                """{__name__="kafka", cluster="prod"} 20 × 1""",
                """{__name__="up", cluster="dev"} 20 × 5""",
                """{__name__="up", cluster="prod"} 20 × 1""",
            ],
            await ReadAsync(querier));
        Assert.Equal(["__name__", "cluster", "replica"], await querier.LabelNamesAsync(new QueryContext().Select(s_all, [])));
        Matcher[] up = [new(MatchType.Equal, "__name__", "up")];
        Assert.Equal(["__name__", "cluster"], await querier.LabelNamesAsync(new QueryContext().Select(s_all, up)));

        // Asked together, an own value that another stream has as its external label cannot be told from it.
        Assert.Equal(together ? ["z"] : ["a", "z"], await querier.LabelValuesAsync("replica", new QueryContext().Select(s_all, [])));
    }

    static TestSeries[] Collector(Labels external, double value, long phase, params string[] replicas)
    {
        var samples = Enumerable.Range(0, Scrapes).Select(i => (Start + phase + (i * 10_000L), value)).ToArray();
        return
        [
            new TestSeries(Labels.Of(("__name__", "up")), samples) { External = external },
            .. replicas.Select(r => new TestSeries(Labels.Of(("__name__", "kafka"), ("replica", r)), samples) { External = external }),
        ];
    }

    async Task<StoreSet> StoresAsync(string way)
    {
        switch (way)
        {
            case "memory":
                return await StoresOfAsync((new MemoryQuerier(s_collectors.SelectMany(c => c)), s_collectors));

            case "heads":
                return await StoresOfAsync([.. s_collectors.Select(c => (Head(c), new[] { c }))]);

            case "bucket" or "folder" or "compacted":
                return await StoresOfAsync((await BucketAsync(s_collectors, way), s_collectors));

            case "head and bucket":
                // The bucket has half of what one of the pair's collectors scraped, its head the rest.
                var (early, late) = (Part(i => i < Scrapes / 2), Part(i => i >= (Scrapes / 2) - 1));
                return await StoresOfAsync(
                    (await BucketAsync([early, s_collectors[2]], "bucket"), [early, s_collectors[2]]),
                    (Head(s_collectors[1]), [s_collectors[1]]),
                    (Head(late), [late]));

            case "heads over gRPC":
                var endpoints = new List<string>();
                foreach (var collector in s_collectors)
                {
                    endpoints.Add(await ServeAsync(Head(collector), collector));
                }

                return await StoresAtAsync([.. endpoints]);

            case "bucket over gRPC":
                return await StoresAtAsync(await ServeAsync(await BucketAsync(s_collectors, "bucket"), [.. s_collectors.SelectMany(c => c)]));

            default:
                var inner = await StoresAsync("heads over gRPC");
                return await StoresAtAsync(
                    await ServeAsync(new FanoutQuerier(inner, s_dedup with { Deduplicate = false }), [.. s_collectors.SelectMany(c => c)]));
        }

        TestSeries[] Part(Func<int, bool> isIn) =>
            [.. s_collectors[0].Select(s => s with { Samples = [.. s.Samples.Where((_, i) => isIn(i))] })];
    }

    static ExternalLabelsQuerier Head(TestSeries[] collector)
    {
        var external = collector[0].External;
        return new ExternalLabelsQuerier(new MemoryQuerier(collector.Select(s => s with { External = Labels.Empty })), () => external);
    }

    /// <summary>A block for each collector, whose pair is one block where the bucket is compacted.</summary>
    async Task<BucketStore> BucketAsync(TestSeries[][] collectors, string way)
    {
        IBucket bucket = way == "folder" ? new FileBucket(Path.Combine(_folder, "bucket"), _time) : new MemoryBucket(_time);
        _disposed.Add(bucket);
        var blocks = new BucketBlocks(bucket);
        for (var i = 0; i < collectors.Length; i++)
        {
            TestSeries[] own = [.. collectors[i].Select(s => s with { External = Labels.Empty })];
            var meta = TestBlocks.Meta(own, [.. collectors[i][0].External.ToDictionary().Select(l => (l.Key, l.Value))]);
            Assert.NotNull(await TestBlocks.WriteAsync(_folder, TestBlocks.Id(i), own, meta));
            await blocks.UploadAsync(Path.Combine(_folder, TestBlocks.Id(i).ToString()), _time.GetUtcNow(), default);
        }

        if (way == "compacted")
        {
            var loop = new CompactLoop(
                bucket,
                new CompactOptions
                {
                    Directory = Path.Combine(_folder, "compact"),
                    Time = _time,
                    Random = new Random(1),
                    ConsistencyDelay = TimeSpan.Zero,
                    ReplicaLabels = ["replica"],
                },
                new CompactMetrics(Metrics.NewCustomRegistry()),
                NullLogger<CompactLoop>.Instance);
            Assert.Equal(1, (await loop.RunOnceAsync(default)).Compactions);
            _time.Advance(TimeSpan.FromHours(49));
            Assert.Equal(2, (await loop.RunOnceAsync(default)).Deleted);
        }

        var store = new BucketStore(
            bucket,
            new BucketStoreOptions { Directory = Path.Combine(_folder, "store"), Time = _time },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()),
            NullLogger.Instance);
        _disposed.Add(store);
        await store.SyncAsync(default);
        return store;
    }

    async Task<string> ServeAsync(IQuerier querier, TestSeries[] series, bool isThanos = false)
    {
        var served = await ServedQuerier.StartAsync(querier, Description(series), isThanos: isThanos);
        _disposed.Add(served);
        return served.Endpoint;
    }

    static StoreDescription Description(IEnumerable<TestSeries> series) =>
        new("store", [.. series.Select(s => s.External).Distinct()], s_all.Range);

    async Task<StoreSet> StoresOfAsync(params (IQuerier Querier, TestSeries[][] Collectors)[] stores)
    {
        var set = new StoreSet(new StoreSetOptions { Time = _time });
        foreach (var (querier, collectors) in stores)
        {
            set.AddLocal("local", querier, () => Description(collectors.SelectMany(c => c)));
        }

        await set.RefreshAsync(default);
        _disposed.Add(set);
        return set;
    }

    async Task<StoreSet> StoresAtAsync(params string[] endpoints)
    {
        var set = new StoreSet(new StoreSetOptions { Endpoints = endpoints, Time = _time });
        _disposed.Add(set);
        await set.RefreshAsync(default);
        return set;
    }

    static async Task<List<string>> ReadAsync(IQuerier querier)
    {
        var read = new List<string>();
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(s_all, [])))
        {
            var values = TestBlocks.Floats(series).ConvertAll(s => s.Value);
            read.Add($"{series.Labels} {values.Count} × {string.Join('/', values.Distinct())}");
        }

        return read;
    }
}
