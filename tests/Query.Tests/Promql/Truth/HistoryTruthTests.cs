using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>Queries over what is left in a bucket, held against the truth: what the raw samples would have answered.</summary>
public sealed class HistoryTruthTests : IClassFixture<HistoryTruthTests.History>
{
    const long Second = 1_000;
    const long Minute = 60 * Second;
    const long Hour = 60 * Minute;
    const long Interval = 30 * Second;

    /// <summary>The beginning of an hour.</summary>
    const long Start = 1_699_999_200_000;

    /// <summary>Where one block ends and the next begins.</summary>
    const long Middle = Start + (40 * Hour);

    const long End = Start + (80 * Hour);

    readonly History _history;

    public HistoryTruthTests(History history) => _history = history;

    /// <summary>How far an answer may be from the truth, as a part of it, from 5 minutes and from an hour.</summary>
    public static TheoryData<string, double, double> Functions => new()
    {
        { "count_over_time(g[6h])", 0, 0 },
        { "count_over_time(c_total[6h])", 0, 0 },
        { "sum_over_time(g[6h])", 1e-9, 1e-9 },
        { "min_over_time(g[6h])", 0, 0 },
        { "max_over_time(g[6h])", 0, 0 },
        { "present_over_time(g[6h])", 0, 0 },
        { "sum by (job) (count_over_time(g[6h]))", 0, 0 },
        // A window's ends are seen at the resolution's distance: what the counter did there is extrapolated.
        { "increase(c_total[6h])", 0.02, 0.1 },
        { "rate(c_total[6h])", 0.02, 0.1 },
        { "rate(k_total[6h])", 0.002, 0.002 },
    };

    [Theory]
    [MemberData(nameof(Functions))]
    public async Task A_function_over_aligned_windows_is_what_raw_samples_give(string query, double fromMinutes, double fromHours)
    {
        foreach (var (name, tolerance) in ((string, double)[])[("all", 0), ("recent", fromHours), ("minutes", fromMinutes), ("hours", fromHours)])
        {
            foreach (var isRemote in (bool[])[false, true])
            {
                var expected = await AskAsync(_history.Truth, query);
                var answer = await AskAsync(_history.Store(name, isRemote), query);
                Assert.Equal(expected.Keys, answer.Keys);
                Assert.All(answer, a => Assert.True(
                    Math.Abs(a.Value - expected[a.Key]) <= tolerance * Math.Abs(expected[a.Key]),
                    $"{query} of {name}, remote {isRemote}: {a.Value} instead of {expected[a.Key]} at {(a.Key.Time - Start) / (double)Hour} h"));
            }
        }
    }

    /// <summary>Where a window has averages and raw samples, each weighs alike; beside that averages of as many samples each are exact.</summary>
    [Theory]
    [InlineData("minutes")]
    [InlineData("hours")]
    public async Task An_average_is_that_of_raw_samples(string store)
    {
        var expected = await AskAsync(_history.Truth, "avg_over_time(g[6h])");
        var answer = await AskAsync(_history.Store(store, false), "avg_over_time(g[6h])");
        Assert.Equal(expected.Keys, answer.Keys);
        Assert.All(answer, a => Assert.Equal(expected[a.Key], a.Value, 9));
    }

    [Theory]
    [InlineData("all", "rate(k_total[5m])")]
    [InlineData("minutes", "rate(k_total[30m])")]
    [InlineData("minutes", "rate(k_total[1h])")]
    [InlineData("recent", "rate(k_total[3h])")]
    [InlineData("hours", "rate(k_total[3h])")]
    [InlineData("hours", "rate(k_total[6h])")]
    public async Task A_constant_rate_has_no_dip_at_an_edge(string store, string query)
    {
        var result = await RangeAsync(_history.Store(store, false), query, Start + (7 * Hour), End - Hour, 7 * Minute);
        Assert.Equal((int)((End - Hour - Start - (7 * Hour)) / (7 * Minute)) + 1, result.Series[0].Timestamps.Length);
        Assert.All(result.Series[0].Values.ToArray(), rate => Assert.InRange(rate, 0.99, 1.01));
    }

    [Theory]
    [InlineData("all")]
    [InlineData("recent")]
    [InlineData("minutes")]
    [InlineData("hours")]
    public async Task An_instant_selector_has_no_gap_where_samples_are(string store)
    {
        foreach (var query in (string[])["g", "max(g)", "sum(k_total)"])
        {
            var result = await RangeAsync(_history.Store(store, false), query, Start + Hour, End, 23 * Minute);
            Assert.Equal(((End - Start - Hour) / (23 * Minute)) + 1, result.Series[0].Timestamps.Length);
            for (var time = Start + (2 * Hour); time < End; time += 5 * Hour + (17 * Minute) + 3)
            {
                Assert.NotEmpty((await InstantAsync(_history.Store(store, true), query, time)).Series);
            }

            // A series that ended is not carried on for longer than the lookback and a window.
            Assert.Empty((await InstantAsync(_history.Store(store, true), query, End + Hour + (5 * Minute))).Series);
        }
    }

    [Fact]
    public async Task The_highest_and_the_lowest_of_a_plain_selector_are_those_of_the_window()
    {
        foreach (var (query, extreme) in ((string, string)[])[("max(g)", "max_over_time(g[1h])"), ("min(g)", "min_over_time(g[1h])")])
        {
            var expected = await AskAsync(_history.Truth, extreme);
            var answer = await AskAsync(_history.Store("hours", false), query);
            Assert.Equal(expected.Select(e => (e.Key.Time, e.Value)), answer.Select(a => (a.Key.Time, a.Value)));
        }
    }

    [Theory]
    [InlineData("stddev_over_time(g[6h])")]
    [InlineData("quantile_over_time(0.9, g[6h])")]
    [InlineData("changes(g[6h])")]
    [InlineData("resets(c_total[6h])")]
    [InlineData("irate(c_total[6h])")]
    [InlineData("delta(g[6h])")]
    [InlineData("last_over_time(g[6h])")]
    public async Task What_no_window_can_answer_comes_from_raw_samples_or_with_a_warning(string query)
    {
        foreach (long? asked in (long?[])[null, 0, 5 * Minute, Hour])
        {
            Assert.Equal(await AskAsync(_history.Truth, query), await AskAsync(_history.Store("all", true), query, asked));
        }

        foreach (var isRemote in (bool[])[false, true])
        {
            var result = await InstantAsync(_history.Store("hours", isRemote), query, Middle);
            var warning = Assert.Single(result.Warnings);
            Assert.StartsWith(query[..query.IndexOf('(', StringComparison.Ordinal)] + " needs raw samples", warning, StringComparison.Ordinal);
            Assert.EndsWith("every 1h", warning, StringComparison.Ordinal);
        }

        Assert.Empty((await InstantAsync(_history.Store("all", false), query, Middle)).Warnings);
    }

    [Theory]
    [InlineData("rate(c_total[5m])", 30 * Minute)]
    [InlineData("max_over_time(g[10m])", 6 * Hour)]
    [InlineData("max_over_time(rate(c_total[5m])[1h:1m])", 6 * Hour)]
    [InlineData("avg_over_time(g[5m:1m])", 6 * Hour)]
    public async Task A_resolution_of_which_a_window_has_few_samples_is_not_chosen(string query, long step)
    {
        var expected = await RangeAsync(_history.Truth, query, Start + (6 * Hour), End - Hour, step);
        var answer = await RangeAsync(_history.Store("all", false), query, Start + (6 * Hour), End - Hour, step, asked: null);
        Assert.NotEmpty(expected.Series);
        Assert.Equal(Text(expected), Text(answer));
    }

    static async Task<SortedDictionary<(long Time, string Labels), double>> AskAsync(IQuerier querier, string query, long? asked = 0)
    {
        var result = await RangeAsync(querier, query, Start + (12 * Hour), End, Hour, asked);
        var values = new SortedDictionary<(long, string), double>();
        foreach (var series in result.Series)
        {
            for (var i = 0; i < series.Timestamps.Length; i++)
            {
                values[(series.Timestamps.Span[i], series.Labels.Without("cluster").ToString())] = series.Values.Span[i];
            }
        }

        Assert.NotEmpty(values);
        return values;
    }

    static string Text(QueryResult result) => string.Join('\n', result.Series.Select(s => string.Join(
        ' ', s.Timestamps.ToArray().Zip(s.Values.ToArray(), (t, v) => $"{t}:{v.ToString("R", CultureInfo.InvariantCulture)}"))));

    static async Task<QueryResult> RangeAsync(IQuerier querier, string query, long from, long to, long step, long? asked = 0)
    {
        using var engine = new PromqlEngine(new EngineOptions());
        return await engine.RangeAsync(querier, new RangeQuery(query, from, to, step) { MaxResolutionMs = asked }, CancellationToken.None);
    }

    static async Task<QueryResult> InstantAsync(IQuerier querier, string query, long time)
    {
        using var engine = new PromqlEngine(new EngineOptions());
        return await engine.InstantAsync(querier, new InstantQuery(query, time), CancellationToken.None);
    }

    /// <summary>
    /// Two blocks of 40 hours at each resolution, and buckets with what is left of them: all, raw ones only of the second block, 5 minutes and
    /// an hour, an hour alone.
    /// </summary>
    public sealed class History : IAsyncLifetime
    {
        readonly TemporaryFolder _folder = new();
        readonly Dictionary<string, (MemoryBucket Bucket, BucketStore Store, ServedQuerier Served)> _stores = [];

        public IQuerier Truth { get; } = new MemoryQuerier(Series());

        public IQuerier Store(string name, bool isRemote) => isRemote ? _stores[name].Served : _stores[name].Store;

        public async ValueTask InitializeAsync()
        {
            var number = 0;
            var folders = new Dictionary<(int Half, long Resolution), string>();
            for (var half = 0; half < 2; half++)
            {
                TestSeries[] series = [.. Series().Select(s => s with { Samples = [.. s.Samples.Where(x => x.Time < Middle == (half == 0))] })];
                await TestBlocks.WriteAsync(_folder.Path, TestBlocks.Id(++number), series, TestBlocks.Meta(series, ("cluster", "a")));
                folders[(half, 0)] = Folder(number);
                foreach (var (from, to) in ((long, long)[])[(0, Downsampler.FiveMinutes), (Downsampler.FiveMinutes, Downsampler.OneHour)])
                {
                    using var block = Block.Open(folders[(half, from)]);
                    Assert.NotNull(Downsampler.Run(block, _folder.Path, TestBlocks.Id(++number), to, default));
                    folders[(half, to)] = Folder(number);
                }
            }

            await OpenAsync("all", folders.Values);
            await OpenAsync("recent", folders.Where(f => f.Key is { Half: 0, Resolution: Hour } or { Half: 1, Resolution: 0 }).Select(f => f.Value));
            await OpenAsync("minutes", folders.Where(f => f.Key.Resolution > 0).Select(f => f.Value));
            await OpenAsync("hours", folders.Where(f => f.Key.Resolution == Hour).Select(f => f.Value));
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var (bucket, store, served) in _stores.Values)
            {
                await served.DisposeAsync();
                await store.DisposeAsync();
                await bucket.DisposeAsync();
            }

            _folder.Dispose();
        }

        string Folder(int number) => Path.Combine(_folder.Path, TestBlocks.Id(number).ToString());

        async Task OpenAsync(string name, IEnumerable<string> folders)
        {
            var bucket = new MemoryBucket(TimeProvider.System);
            foreach (var folder in folders)
            {
                await new BucketBlocks(bucket).UploadAsync(folder, DateTimeOffset.UnixEpoch, default);
            }

            var options = new BucketStoreOptions { Directory = Path.Combine(_folder.Path, name), Time = TimeProvider.System };
            var store = new BucketStore(bucket, options, new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
            await store.SyncAsync(default);
            _stores[name] = (bucket, store, await ServedQuerier.StartAsync(store, new StoreDescription("store", [], TimeRange.All)));
        }

        /// <summary>A gauge, a counter that is reset, also where no sample of the block's edge shows it, and one of a constant rate.</summary>
        static IEnumerable<TestSeries> Series()
        {
            var random = new Random(11);
            var (gauge, counter, constant) = (new List<(long, double)>(), new List<(long, double)>(), new List<(long, double)>());
            var value = 0.0;
            for (var time = Start + (7 * Second); time < End; time += Interval)
            {
                gauge.Add((time, Math.Round((100 * Math.Sin(time / 5e6)) + (10 * random.NextDouble()), 3)));
                value = random.Next(500) == 0 ? random.Next(10) : value + random.Next(10);
                counter.Add((time, value));
                constant.Add((time, (time - Start) / Second));
            }

            return
            [
                new TestSeries(Labels.Of(("__name__", "c_total"), ("job", "x")), [.. counter]),
                new TestSeries(Labels.Of(("__name__", "g"), ("job", "x")), [.. gauge]),
                new TestSeries(Labels.Of(("__name__", "k_total"), ("job", "x")), [.. constant]),
            ];
        }
    }
}
