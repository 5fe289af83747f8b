using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Tests.Fanout;

/// <summary>One query of ten selectors over blocks of a bucket, a head and two remote stores: what it may use, it may use once.</summary>
public sealed class OneQueryTests : IAsyncLifetime
{
    const int Selectors = 10;
    const int SeriesOfEach = 20;
    const long Start = 1_700_000_000_000;

    static readonly SelectHints s_hints = new() { Range = new TimeRange(Start, Start + 3_600_000) };
    readonly string _folder = Checkout.NewFolder("one-query");
    readonly RecordingQuerier _north = new(new MemoryQuerier(Series("north")));
    readonly RecordingQuerier _south = new(new MemoryQuerier(Series("south")));
    readonly FakeTimeProvider _clock = new();
    readonly List<IAsyncDisposable> _disposed = [];
    FanoutQuerier? _all;

    MemoryBucket Bucket => _disposed.OfType<MemoryBucket>().Single();

    public async ValueTask InitializeAsync()
    {
        _disposed.Add(new MemoryBucket(TimeProvider.System));
        var head = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = Path.Combine(_folder, "head"), Time = TimeProvider.System, BlockRangeMs = 1L << 50 }, default);
        _disposed.Add(head);
        using (var appender = head.Appender())
        {
            foreach (var series in Series("head"))
            {
                var reference = appender.GetOrAdd(series.Labels);
                Array.ForEach(series.Samples, sample => appender.Append(reference, sample.Time, sample.Value));
            }

            appender.Commit();
        }

        var block = new BlockId((UInt128)Start << 80);
        var series1 = Series("blocks");
        await TestBlocks.WriteAsync(_folder, block, series1, TestBlocks.Meta(series1, ("cluster", "blocks")));
        await new BucketBlocks(Bucket).UploadAsync(Path.Combine(_folder, block.ToString()), DateTimeOffset.UnixEpoch, default);
        _all = await OpenAsync(head, fetchLimit: 0);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var disposed in Enumerable.Reverse(_disposed))
        {
            await disposed.DisposeAsync();
        }
    }

    [Fact]
    public async Task Has_one_byte_budget()
    {
        var one = new QueryContext();
        await using (var opened = new Opened())
        {
            await opened.AddAsync(_all!, one, 0);
            Assert.InRange(one.Bytes.Taken, SeriesOfEach, int.MaxValue);
        }

        Assert.Equal(0, one.Bytes.Taken);

        // Ten queries of one selector each have enough, one of ten has not.
        var limit = 0L;
        await using (var opened = new Opened())
        {
            await opened.AddAsync(_all!, one, 0);
            limit = one.Bytes.Taken * 5;
        }

        await using (var opened = new Opened())
        {
            for (var i = 0; i < Selectors; i++)
            {
                await opened.AddAsync(_all!, Limited(), i);
            }
        }

        var query = Limited();
        await using (var opened = new Opened())
        {
            var refused = await Assert.ThrowsAsync<LimitException>(async () =>
            {
                for (var i = 0; i < Selectors; i++)
                {
                    await opened.AddAsync(_all!, query, i);
                }
            });
            Assert.Equal($"no more than {limit}", refused.Message);
        }

        Assert.Equal(0, query.Bytes.Taken);

        QueryContext Limited() => new() { Bytes = new Budget(limit, own => $"no more than {own.Limit}") };
    }

    [Fact]
    public async Task Has_one_limit_of_what_is_fetched()
    {
        var one = new QueryContext();
        await using (var opened = new Opened())
        {
            await opened.AddAsync(_all!, one, 0);
        }

        Assert.InRange(one.Fetched.Taken, 1, int.MaxValue);
        var limited = await OpenAsync(null, fetchLimit: one.Fetched.Taken * 5);
        for (var i = 0; i < Selectors; i++)
        {
            await using var opened = new Opened();
            await opened.AddAsync(limited, new QueryContext(), i);
        }

        var query = new QueryContext();
        var refused = await Assert.ThrowsAsync<LimitException>(async () =>
        {
            for (var i = 0; i < Selectors; i++)
            {
                await using var opened = new Opened();
                await opened.AddAsync(limited, query, i);
            }
        });
        Assert.EndsWith("(--store.grpc.downloaded-bytes-limit)", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4 * SeriesOfEach * 5, 0, "--query.max-series")]
    [InlineData(0, 4 * SeriesOfEach * 5, "--query.max-samples")]
    public async Task Has_one_budget_of_series_and_one_of_samples(long maxSeries, long maxSamples, string flag)
    {
        using var engine = new PromqlEngine(new EngineOptions { MaxSeries = maxSeries, MaxSamples = maxSamples });
        for (var i = 0; i < Selectors; i++)
        {
            Assert.Equal(4 * SeriesOfEach, (await engine.InstantAsync(_all!, new InstantQuery($"m{i}", Start), CancellationToken.None)).Series.Count);
        }

        var all = string.Join(" or ", Enumerable.Range(0, Selectors).Select(i => $"m{i}"));
        var refused = await Assert.ThrowsAsync<LimitException>(() => engine.InstantAsync(_all!, new InstantQuery(all, Start), CancellationToken.None));
        Assert.EndsWith($"({flag})", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Has_one_deadline()
    {
        var query = new QueryContext { Deadline = Deadline.After(TimeSpan.FromSeconds(60), _clock, "a test") };
        for (var i = 0; i < Selectors; i++)
        {
            await using var opened = new Opened();
            await opened.AddAsync(_all!, query, i);
            _clock.Advance(TimeSpan.FromSeconds(5));
        }

        // The stores' clocks are real, and some of the time went by on the way.
        foreach (var left in (IReadOnlyList<TimeSpan?>[])[_north.TimeLeft, _south.TimeLeft])
        {
            Assert.Equal(Selectors, left.Count);
            for (var i = 0; i < Selectors; i++)
            {
                Assert.InRange(left[i]!.Value.TotalSeconds, 60 - (5 * i) - 4, 60 - (5 * i));
            }
        }

        _clock.Advance(TimeSpan.FromSeconds(11));
        await using var late = new Opened();
        await Assert.ThrowsAsync<DeadlineException>(() => late.AddAsync(_all!, query, 0));
    }

    [Fact]
    public async Task Has_one_place_for_what_is_missing_and_it_is_data()
    {
        var stores = await StoresAsync(null, 0);
        var silent = new ServedQuerier[2];
        for (var i = 0; i < silent.Length; i++)
        {
            silent[i] = await ServedQuerier.StartAsync(_north, new StoreDescription("sidecar", [Labels.Of(("cluster", $"silent{i}"))], s_hints.Range));
            _disposed.Add(silent[i]);
        }

        var set = new StoreSet(new StoreSetOptions { Endpoints = [.. silent.Select(s => s.Endpoint)], Time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(Start + 7_200_000)) });
        _disposed.Add(set);
        stores.ForEach(store => set.AddLocal(store.Name, store.Querier, store.Describe));
        await set.RefreshAsync(default);
        foreach (var store in silent)
        {
            await store.StopAsync();
        }

        using var engine = new PromqlEngine(new EngineOptions());
        var context = engine.Begin(null, [], CancellationToken.None);
        using var result = await engine.InstantAsync(
            new FanoutQuerier(set, new FanoutOptions()), new InstantQuery(string.Join(" or ", Enumerable.Range(0, Selectors).Select(i => $"m{i}")), Start + 1_000), context);
        Assert.Same(context.Coverage, result.Coverage);
        Assert.Equal(3 * SeriesOfEach, result.Series.Count);
        Assert.Equal(
            silent.Select((store, i) => (store.Endpoint, $"{{cluster=\"silent{i}\"}}", MissingPart.Source)).Order(),
            result.Coverage.Missing.Select(missing => (missing.Name, Assert.Single(missing.LabelSets).ToString(), missing.Part)).Distinct().Order());
        Assert.All(result.Coverage.Missing, missing => Assert.True(s_hints.Range.MinTime <= missing.Range.MinTime && missing.Range.MaxTime <= Start + 1_000));
    }

    [Fact]
    public async Task Sees_nowhere_what_it_may_not_see()
    {
        using var engine = new PromqlEngine(new EngineOptions());
        foreach (var cluster in (string[])["blocks", "head", "north", "south"])
        {
            var query = engine.Begin(null, [new Matcher(MatchType.Equal, "cluster", cluster)], CancellationToken.None);
            Assert.Equal([cluster], await _all!.LabelValuesAsync("cluster", query.Select(s_hints, [])));
            Assert.Equal([cluster], await _all!.LabelValuesAsync("cluster", query.Select(s_hints, [new Matcher(MatchType.Regex, "cluster", ".+")])));
            Assert.Equal(Selectors * SeriesOfEach, await _all!.SelectAsync(query.Select(s_hints with { SkipSamples = true }, [])).CountAsync());
            using var result = await engine.InstantAsync(_all!, new InstantQuery("count by (cluster) ({__name__=~\"m.*\"} or {cluster=~\".+\"})", Start), query);
            Assert.Equal($"{{cluster=\"{cluster}\"}}", Assert.Single(result.Series).Labels.ToString());
        }
    }

    static List<TestSeries> Series(string cluster) =>
    [
        .. from m in Enumerable.Range(0, Selectors)
           from i in Enumerable.Range(0, SeriesOfEach)
           select new TestSeries(
               cluster is "head" or "blocks"
                   ? Labels.Of(("__name__", $"m{m}"), ("i", $"{i}"))
                   : Labels.Of(("__name__", $"m{m}"), ("cluster", cluster), ("i", $"{i}")),
               (Start, i), (Start + 15_000, i + m)),
    ];

    async Task<FanoutQuerier> OpenAsync(HeadBlock? head, long fetchLimit)
    {
        var set = new StoreSet(new StoreSetOptions());
        _disposed.Add(set);
        (await StoresAsync(head, fetchLimit)).ForEach(store => set.AddLocal(store.Name, store.Querier, store.Describe));
        return new FanoutQuerier(set, new FanoutOptions());
    }

    async Task<List<(string Name, IQuerier Querier, Func<StoreDescription> Describe)>> StoresAsync(HeadBlock? head, long fetchLimit)
    {
        var store = new BucketStore(
            Bucket,
            new BucketStoreOptions
            {
                Directory = Path.Combine(_folder, $"cache-{_disposed.Count}"),
                Time = TimeProvider.System,
                CacheBytes = 0,
                MaxBytesPerQuery = fetchLimit,
            },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()),
            NullLogger.Instance);
        _disposed.Add(store);
        await store.SyncAsync(default);
        var stores = new List<(string, IQuerier, Func<StoreDescription>)> { ("bucket", store, Describe("blocks")) };
        if (head is not null)
        {
            stores.Add(("head", new ExternalLabelsQuerier(head, () => Labels.Of(("cluster", "head"))), Describe("head")));
        }

        foreach (var (name, querier) in ((string, IQuerier)[])[("north", _north), ("south", _south)])
        {
            var served = await ServedQuerier.StartAsync(querier, Describe(name)());
            _disposed.Add(served);
            stores.Add((name, served, Describe(name)));
        }

        return stores;
    }

    static Func<StoreDescription> Describe(string cluster) => () => new StoreDescription("store", [Labels.Of(("cluster", cluster))], TimeRange.All);

    /// <summary>Selections whose series are read and whose enumerators stay open, as those of a query that is evaluated.</summary>
    sealed class Opened : IAsyncDisposable
    {
        readonly List<IAsyncEnumerator<Series>> _open = [];

        public async Task AddAsync(IQuerier querier, QueryContext query, int selector)
        {
            var all = querier.SelectAsync(query.Select(s_hints, [new Matcher(MatchType.Equal, "__name__", $"m{selector}")])).GetAsyncEnumerator();
            _open.Add(all);
            var count = 0;
            while (await all.MoveNextAsync())
            {
                Assert.Equal(2, TestBlocks.Floats(all.Current).Count);
                count++;
            }

            Assert.InRange(count, 3 * SeriesOfEach, 4 * SeriesOfEach);
            Assert.Empty(query.Coverage.Warnings());
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var all in _open)
            {
                await all.DisposeAsync();
            }
        }
    }

    /// <summary>Passes everything on, and remembers how long it was given.</summary>
    sealed class RecordingQuerier(IQuerier inner) : IQuerier
    {
        public List<TimeSpan?> TimeLeft { get; } = [];

        public IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            lock (TimeLeft)
            {
                TimeLeft.Add(selection.Query.Deadline.TimeLeft);
            }

            return inner.SelectAsync(selection);
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => inner.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => inner.LabelValuesAsync(name, selection);
    }
}
