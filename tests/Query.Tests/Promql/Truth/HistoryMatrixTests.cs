using System.Globalization;
using Observe.Query.Promql;
using Xunit;
using static Observe.Query.Tests.Promql.Truth.BucketHistory;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>Functions × ranges × steps × what is left × where the bucket is, and ways to write the same.</summary>
public sealed class HistoryMatrixTests(BucketHistory history) : IClassFixture<BucketHistory>
{
    static readonly string[] s_queries =
    [
        "rate(c_total[R])", "increase(c_total[R])", "count_over_time(g[R])", "sum_over_time(g[R])", "avg_over_time(g[R])",
        "max_over_time(g[R])", "min_over_time(late[R])", "stddev_over_time(g[R])", "resets(c_total[R])", "changes(ended[R])",
        "last_over_time(late[R])", "absent_over_time(ended[R])", "present_over_time(ended[R])", "g", "max(g)", "min by (job) (ended)",
        "quantile(0.5, {job=\"x\"})", "topk(2, {job=\"x\"})", "timestamp(late)", "count(ended)", "g offset 3h", "max_over_time(g[R] offset 90m)",
        "sum_over_time(g[R] @ end())", "max_over_time(rate(c_total[R])[2h:10m])", "sum(rate(c_total[R])) + sum(increase(c_total[R]))",
        "avg_over_time(g[R]) + stddev_over_time(g[R])",
    ];

    /// <summary>A bucket inside a query and one behind the store API give the same samples, warnings and infos, instant and over a range.</summary>
    [Theory]
    [InlineData("all")]
    [InlineData("recent")]
    [InlineData("mixed")]
    [InlineData("minutes")]
    [InlineData("hours")]
    public async Task A_store_behind_the_store_api_answers_as_the_bucket_inside(string store)
    {
        using var engine = new PromqlEngine(new EngineOptions().WithAllFeatures());
        (string, long, long?)[] uses = [("5m", 7 * Minute, 0), ("1h", Hour, null), ("6h", 47 * Minute, 5 * Minute), ("3h", 6 * Hour, Hour)];
        foreach (var (query, number) in s_queries.Select((query, i) => (query, i)))
        {
            foreach (var (range, step, asked) in uses.Where((_, i) => i % 2 == number % 2))
            {
                var text = query.Replace("R]", range + "]", StringComparison.Ordinal);
                var over = new RangeQuery(text, Start + (10 * Hour), End + (2 * Hour), step) { MaxResolutionMs = asked };
                Assert.Equal(
                    Text(await engine.RangeAsync(history.Store(store, false), over, CancellationToken.None)),
                    Text(await engine.RangeAsync(history.Store(store, true), over, CancellationToken.None)));
                var at = new InstantQuery(text, Ended + (30 * Minute)) { MaxResolutionMs = asked };
                Assert.Equal(
                    Text(await engine.InstantAsync(history.Store(store, false), at, CancellationToken.None)),
                    Text(await engine.InstantAsync(history.Store(store, true), at, CancellationToken.None)));
            }
        }
    }

    /// <summary>Whatever may be answered from windows: what is said in one way is what is said in another.</summary>
    [Theory]
    [InlineData("sum_over_time(g[6h] offset 1h)", "sum_over_time(g[6h])", Hour)]
    [InlineData("rate(c_total[6h] offset 2h)", "rate(c_total[6h])", 2 * Hour)]
    [InlineData("g offset 7h", "g", 7 * Hour)]
    [InlineData("max(g offset 7h)", "max(g)", 7 * Hour)]
    public async Task An_offset_is_the_same_query_at_another_time(string query, string same, long offset)
    {
        using var engine = new PromqlEngine(new EngineOptions());
        foreach (var store in (string[])["all", "recent", "mixed", "minutes", "hours"])
        {
            foreach (long? asked in (long?[])[0, null])
            {
                var from = Start + (20 * Hour);
                var moved = await engine.RangeAsync(
                    history.Store(store, true), new RangeQuery(query, from, End, 2 * Hour) { MaxResolutionMs = asked }, CancellationToken.None);
                var plain = await engine.RangeAsync(
                    history.Store(store, true), new RangeQuery(same, from - offset, End - offset, 2 * Hour) { MaxResolutionMs = asked },
                    CancellationToken.None);
                Assert.Equal(plain.Series[0].Values.ToArray(), moved.Series[0].Values.ToArray());
            }
        }
    }

    /// <summary>A point of a range is what an instant query gives at its time: wherever a request begins and ends.</summary>
    [Fact]
    public async Task A_point_of_a_range_is_an_instant()
    {
        using var engine = new PromqlEngine(new EngineOptions());
        foreach (var store in (string[])["recent", "mixed", "minutes", "hours"])
        {
            foreach (var query in (string[])
                ["g", "ended", "late", "max(g)", "rate(c_total[3h])", "increase(c_total[1h])", "count_over_time(g[2h])", "avg_over_time(g[3h])"])
            {
                var over = await engine.RangeAsync(
                    history.Store(store, false), new RangeQuery(query, Start + (7 * Minute), End + (2 * Hour), 83 * Minute), CancellationToken.None);
                var points = over.Series.SelectMany(s => s.Timestamps.ToArray().Zip(s.Values.ToArray())).ToDictionary(p => p.First, p => p.Second);
                for (var time = Start + (7 * Minute); time <= End + (2 * Hour); time += 83 * Minute)
                {
                    var at = await engine.InstantAsync(history.Store(store, true), new InstantQuery(query, time), CancellationToken.None);
                    var isThere = points.TryGetValue(time, out var value);
                    Assert.True(
                        at.Series.Count == (isThere ? 1 : 0)
                            && (!isThere || Math.Abs(at.Series[0].Values.Span[0] - value) <= 1e-9 * Math.Abs(value)),
                        $"{query} of {store} at {(time - Start) / (double)Hour} h: {(isThere ? value : null)} in a range, "
                            + $"{(at.Series.Count > 0 ? at.Series[0].Values.Span[0] : null)} at once");
                }
            }
        }
    }

    static string Text(QueryResult result) => string.Join('\n', result.Series.Select(s => s.Labels + " " + string.Join(
            ' ', s.Timestamps.ToArray().Zip(s.Values.ToArray(), (t, v) => $"{t}:{v.ToString("R", CultureInfo.InvariantCulture)}"))))
        + "\nwarnings " + string.Join('\n', result.Warnings) + "\ninfos " + string.Join('\n', result.Infos);
}
