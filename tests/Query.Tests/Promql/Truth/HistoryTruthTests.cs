using System.Globalization;
using Observe.Query.Promql;
using Observe.Query.Promql.Execution;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using static Observe.Query.Tests.Promql.Truth.BucketHistory;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>Queries over what is left in a bucket, held against the truth: what the raw samples would have answered.</summary>
public sealed class HistoryTruthTests : IClassFixture<BucketHistory>
{
    readonly BucketHistory _history;

    public HistoryTruthTests(BucketHistory history) => _history = history;

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
        foreach (var (name, tolerance) in ((string, double)[])[
            ("all", 0), ("recent", fromHours), ("mixed", fromHours), ("minutes", fromMinutes), ("hours", fromHours)])
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

    [Theory]
    [InlineData("recent")]
    [InlineData("mixed")]
    [InlineData("minutes")]
    [InlineData("hours")]
    public async Task An_average_is_that_of_raw_samples(string store)
    {
        foreach (var query in (string[])["avg_over_time(g[6h])", "avg_over_time(late[6h])", "avg_over_time(ended[21h])"])
        {
            foreach (var isRemote in (bool[])[false, true])
            {
                var expected = await AskAsync(_history.Truth, query);
                var answer = await AskAsync(_history.Store(store, isRemote), query);
                Assert.Equal(expected.Keys, answer.Keys);
                Assert.All(answer, a => Assert.Equal(expected[a.Key], a.Value, 9));
            }
        }
    }

    /// <summary>A series that ends within a window, or with the data, ends where its raw samples do, whatever is left.</summary>
    [Theory]
    [InlineData("all")]
    [InlineData("minutes")]
    [InlineData("recent")]
    [InlineData("mixed")]
    [InlineData("hours")]
    public async Task A_series_ends_where_its_raw_samples_end(string store)
    {
        foreach (var querier in (IQuerier[])[_history.Truth, _history.Store(store, false), _history.Store(store, true)])
        {
            var (ended, last, stands) = (Ended, End - Interval + (7 * Second), 5 * Minute);
            Assert.Single((await InstantAsync(querier, "ended", ended + stands - 1)).Series);
            Assert.Empty((await InstantAsync(querier, "ended", ended + stands)).Series);
            var over = await RangeAsync(querier, "ended", Start + (15 * Hour), End, Minute);
            Assert.Equal(ended - (ended % Minute) + stands, over.Series[0].Timestamps.Span[^1]);
            Assert.Single((await InstantAsync(querier, "g", last + stands - 1)).Series);
            Assert.Empty((await InstantAsync(querier, "g", last + stands)).Series);
        }
    }

    /// <summary>
    /// A series that ends and returns has a gap where windows are missing; one that is shorter, or a part of one, they cannot show. A series begins
    /// when its first window has ended.
    /// </summary>
    [Theory]
    [InlineData("minutes", 5 * Minute)]
    [InlineData("mixed", Hour)]
    [InlineData("recent", Hour)]
    [InlineData("hours", Hour)]
    public async Task A_series_that_returns_is_there_when_its_raw_samples_are_but_for_a_window(string store, long resolution)
    {
        var expected = Times(await RangeAsync(_history.Truth, "restarts", Start, End, Minute));
        foreach (var isRemote in (bool[])[false, true])
        {
            var answer = Times(await RangeAsync(_history.Store(store, isRemote), "restarts", Start, End, Minute));
            Assert.All(answer.Except(expected), time => Assert.Contains(expected, other => Math.Abs(other - time) <= resolution));
            Assert.All(expected.Except(answer), time => Assert.False(expected.Contains(time - resolution) && expected.Contains(time - (5 * Minute))));
        }

        static HashSet<long> Times(QueryResult result) => [.. result.Series.SelectMany(series => series.Timestamps.ToArray())];
    }

    /// <summary>Stores of another make know no margin for windows: they are asked for a longer range.</summary>
    [Theory]
    [InlineData("g")]
    [InlineData("max(g)")]
    [InlineData("count_over_time(g[6h])")]
    [InlineData("increase(c_total[6h])")]
    public async Task A_store_of_another_make_gives_windows_enough(string query)
    {
        await using var thanos = await ServedQuerier.StartAsync(
            _history.Store("hours", false), new StoreDescription("store", [], TimeRange.All), isThanos: true);
        for (var time = Start + (9 * Hour); time < End; time += (7 * Hour) + (13 * Minute))
        {
            var expected = await InstantAsync(_history.Store("hours", false), query, time, Hour);
            var answer = await InstantAsync(thanos, query, time, Hour);
            Assert.Equal(expected.Series.Select(series => series.Values.Span[0]), answer.Series.Select(series => series.Values.Span[0]));
            Assert.Single(answer.Series);
        }
    }

    [Theory]
    [InlineData("all", "rate(k_total[5m])")]
    [InlineData("minutes", "rate(k_total[30m])")]
    [InlineData("minutes", "rate(k_total[1h])")]
    [InlineData("recent", "rate(k_total[3h])")]
    [InlineData("mixed", "rate(k_total[3h])")]
    [InlineData("hours", "rate(k_total[3h])")]
    [InlineData("hours", "rate(k_total[6h])")]
    public async Task A_constant_rate_has_no_dip_at_an_edge(string store, string query)
    {
        var result = await RangeAsync(_history.Store(store, false), query, Start + (7 * Hour), End - Hour, 7 * Minute);
        Assert.Equal((int)((End - Hour - Start - (7 * Hour)) / (7 * Minute)) + 1, result.Series[0].Timestamps.Length);
        Assert.All(result.Series[0].Values.ToArray(), rate => Assert.InRange(rate, 0.99, 1.01));
    }

    /// <summary>Where a chunk of hours is cut since finer windows take over, nothing that a counter gained is lost or told twice.</summary>
    [Fact]
    public async Task A_constant_rate_has_no_dip_where_finer_windows_take_over()
    {
        var result = await RangeAsync(_history.Store("mixed", true), "rate(k_total[30m])", Start + (19 * Hour), Start + (22 * Hour), Minute);
        Assert.Equal(181, result.Series[0].Timestamps.Length);
        Assert.All(result.Series[0].Values.ToArray(), rate => Assert.InRange(rate, 0.99, 1.01));
    }

    [Theory]
    [InlineData("all")]
    [InlineData("recent")]
    [InlineData("mixed")]
    [InlineData("minutes")]
    [InlineData("hours")]
    public async Task An_instant_selector_has_no_gap_where_samples_are(string store)
    {
        foreach (var query in (string[])["g", "max(g)", "sum(k_total)"])
        {
            var result = await RangeAsync(_history.Store(store, false), query, Start + Hour, End, 23 * Minute);
            Assert.Equal(((End - Start - Hour) / (23 * Minute)) + 1, result.Series[0].Timestamps.Length);
            // Around the edges between blocks and chunks, and of windows.
            foreach (var edge in (long[])[Middle, Start + (20 * Hour), Start + (61 * Hour)])
            {
                for (var time = edge - Hour - (2 * Minute); time < edge + Hour + (2 * Minute); time += 331 * Second)
                {
                    Assert.NotEmpty((await InstantAsync(_history.Store(store, time % 2 == 0), query, time)).Series);
                }

                result = await RangeAsync(_history.Store(store, false), query, edge - (2 * Hour), edge + (2 * Hour), 7 * Second);
                Assert.Equal((4 * Hour / (7 * Second)) + 1, result.Series[0].Timestamps.Length);
            }

        }
    }

    [Fact]
    public async Task The_highest_and_the_lowest_of_a_plain_selector_are_those_of_the_window()
    {
        foreach (var (query, extreme) in ((string, string)[])
            [("max(g)", "max_over_time(g[1h])"), ("min(g)", "min_over_time(g[1h])"), ("topk(1, g)", "max_over_time(g[1h])"),
            ("bottomk(1, g)", "min_over_time(g[1h])")])
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
    [InlineData("timestamp(g)")]
    [InlineData("stddev by (job) (g)")]
    [InlineData("stdvar(g)")]
    [InlineData("quantile(0.9, g)")]
    [InlineData("count_values without () (\"v\", g)")]
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
            Assert.StartsWith(query[..query.AsSpan().IndexOfAny('(', ' ')] + " needs raw samples", warning, StringComparison.Ordinal);
            Assert.EndsWith("every 1h", warning, StringComparison.Ordinal);
        }

        Assert.Empty((await InstantAsync(_history.Store("all", false), query, Middle)).Warnings);
    }

    /// <summary>Functions that read the same series are named each.</summary>
    [Fact]
    public async Task A_shared_selection_warns_of_each_function_that_needs_raw_samples()
    {
        foreach (var isRemote in (bool[])[false, true])
        {
            var result = await InstantAsync(
                _history.Store("hours", isRemote), "stddev_over_time(g[6h]) + quantile_over_time(0.5, g[6h]) + avg_over_time(g[6h])", Middle);
            Assert.Equal(["quantile_over_time", "stddev_over_time"], result.Warnings.Select(w => w[..w.IndexOf(' ', StringComparison.Ordinal)]));
            Assert.Single(result.Infos);
            Assert.Empty((await InstantAsync(_history.Store("hours", isRemote), "avg_over_time(g[6h]) + count(g)", Middle)).Warnings);
        }
    }

    /// <summary>Selector by selector: what it wants, and what there was.</summary>
    [Fact]
    public async Task An_explanation_says_which_resolution_answered_each_selector()
    {
        using var engine = new PromqlEngine(new EngineOptions());
        foreach (var isRemote in (bool[])[false, true])
        {
            using var result = await engine.RangeAsync(
                _history.Store("mixed", isRemote),
                new RangeQuery("stddev_over_time(g[1h]) + max(g) - increase(c_total[6h])", Start + (6 * Hour), End, 6 * Hour)
                {
                    MaxResolutionMs = null,
                    Explain = true,
                },
                CancellationToken.None);
            Assert.Equal(
                [
                    "{__name__=\"g\"} up to 0s Raw, stddev_over_time: 1h 5-20, 5m 20-40",
                    "{__name__=\"g\"} up to 1h12m Max: 1h 6-40",
                    "{__name__=\"c_total\"} up to 1h12m Counter: 1h 0-40",
                ],
                Reads(result.Explanation!));
        }

        static IEnumerable<string> Reads(ExplainedOperator top) => top.Reads.Select(read =>
            $"{read.Selector} up to {Duration.Format(read.MaxResolutionMs)} {string.Join(", ", [$"{read.Aggregate}", .. read.NeedRaw])}: "
            + string.Join(", ", read.Windows.Select(w =>
                $"{Duration.Format(w.ResolutionMs)} {Hours(w.Range.MinTime)}-{Hours(w.Range.MaxTime)}"))).Concat(top.Inputs.SelectMany(Reads));

        static long Hours(long time) => (time - Start + (30 * Minute)) / Hour;
    }

    /// <summary>A window's minimum shows a reset; where two are in one window, or in two that follow, one is seen.</summary>
    [Fact]
    public async Task Resets_are_found_in_windows_and_never_more_than_there_were()
    {
        var expected = await AskAsync(_history.Truth, "resets(c_total[12h])");
        foreach (var (store, least) in ((string, double)[])[("minutes", 0.9), ("hours", 0.5)])
        {
            var answer = await AskAsync(_history.Store(store, true), "resets(c_total[12h])");
            Assert.All(answer, a => Assert.True(a.Value <= expected[a.Key], $"{a.Value} of {expected[a.Key]}"));
            Assert.InRange(answer.Values.Sum(), least * expected.Values.Sum(), expected.Values.Sum());
        }
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

    static async Task<QueryResult> InstantAsync(IQuerier querier, string query, long time, long? asked = 0)
    {
        using var engine = new PromqlEngine(new EngineOptions());
        return await engine.InstantAsync(querier, new InstantQuery(query, time) { MaxResolutionMs = asked }, CancellationToken.None);
    }
}
