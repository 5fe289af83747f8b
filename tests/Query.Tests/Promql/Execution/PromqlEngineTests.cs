using System.Diagnostics;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

public class PromqlEngineTests
{
    static readonly MemoryQuerier s_data = new(
    [
        new TestSeries(Labels.Of(("__name__", "m_total"), ("job", "a"), ("instance", "1")), Every15Seconds(i => i * 15)),
        new TestSeries(Labels.Of(("__name__", "m_total"), ("job", "a"), ("instance", "2")), Every15Seconds(i => i * 30)),
        new TestSeries(Labels.Of(("__name__", "m_total"), ("job", "b"), ("instance", "1")), Every15Seconds(i => i * 45)),
        new TestSeries(Labels.Of(("__name__", "gauge"), ("job", "a")), Every15Seconds(i => i % 7)),
    ]);

    [Fact]
    public async Task A_search_has_the_threads_and_the_time_of_a_query_and_places_that_queries_do_not_take()
    {
        var clock = new FakeTimeProvider();
        using var engine = new PromqlEngine(new EngineOptions { TimeoutMs = 200, MaxConcurrency = 1, Clock = clock });
        Assert.Equal(2, engine.Options.MaxSearches);
        var forever = new TaskCompletionSource<int>();
        var query = engine.InstantAsync(new StuckQuerier(), new InstantQuery("m", 0), CancellationToken.None);
        var stopped = Search(turn => forever.Task.WaitAsync(turn.CancellationToken));
        Assert.False(await Search(_ => Task.FromResult(Thread.CurrentThread.IsThreadPoolThread)));
        var second = Search(turn => forever.Task.WaitAsync(turn.CancellationToken));
        var waiting = Search(_ => Task.FromResult(1), 100);
        clock.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal("query timed out in query queue after 100ms (the request's timeout)", await Refusal(waiting));
        clock.Advance(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAsync<QueryTimeoutException>(() => query);
        Assert.Equal("query timed out in reading series after 200ms (--query.timeout)", await Refusal(stopped));
        Assert.Equal("query timed out in reading series after 200ms (--query.timeout)", await Refusal(second));
        Assert.Equal(1, await Search(_ => Task.FromResult(1)));

        Task<T> Search<T>(Func<QueryContext, Task<T>> read, long? timeoutMs = null) =>
            engine.ReadAsync(engine.Begin(timeoutMs, [], CancellationToken.None), read, mayRunInline: false);

        static async Task<string> Refusal(Task search) => (await Assert.ThrowsAsync<QueryTimeoutException>(() => search)).Message;
    }

    [Fact]
    public async Task A_range_query_gives_a_sorted_matrix_on_its_steps()
    {
        var result = await RangeAsync("sum by (job) (rate(m_total[1m]))", 600_000, 660_000, 30_000);
        Assert.Equal(ResultType.Matrix, result.Type);
        Assert.Equal(["{job=\"a\"}", "{job=\"b\"}"], result.Series.Select(s => s.Labels.ToString()));
        Assert.Equal([600_000L, 630_000L, 660_000L], result.Series[0].Timestamps.ToArray());
        Assert.All(result.Series[0].Values.ToArray(), v => Assert.Equal(3, v, 1e-12));
    }

    [Theory]
    [InlineData("1 + 1", ResultType.Scalar)]
    [InlineData("\"text\"", ResultType.String)]
    [InlineData("m_total", ResultType.Vector)]
    [InlineData("m_total[1m]", ResultType.Matrix)]
    [InlineData("m_total[5m:1m]", ResultType.Matrix)]
    public async Task An_instant_query_gives_what_its_expression_is(string query, ResultType type) =>
        Assert.Equal(type, (await InstantAsync(query, 600_000)).Type);

    [Fact]
    public async Task Samples_are_counted_as_Prometheus_counts_them()
    {
        var statistics = (await RangeAsync("sum(rate(m_total[1m]))", 600_000, 690_000, 30_000)).Statistics;
        // Three series, four steps, four samples in each window, of which two are new from the second step on.
        Assert.Equal((48, 30), (statistics.TotalSamples, statistics.SamplesRead));
        Assert.Equal([12L, 12L, 12L, 12L], statistics.SamplesPerStep!.Select(s => s.Samples));
        Assert.InRange(statistics.PeakSamples, 12, 20);
    }

    [Theory]
    [InlineData("m_total[50m] + ", typeof(ParseException))]
    [InlineData("rate(m_total[5m]) / on () gauge / on (job) m_total", typeof(QueryException))]
    [InlineData("label_replace(m_total, \"x\", \"y\", \"job\", \"(\")", typeof(QueryException))]
    [InlineData("topk(NaN, m_total) + topk(1e300, m_total)", typeof(QueryException))]
    public async Task What_is_wrong_is_told_by_the_exception(string query, Type expected) =>
        Assert.IsType(expected, await Record.ExceptionAsync(() => InstantAsync(query, 600_000)));

    [Theory]
    [InlineData("m_total", "samples", "--query.max-samples")]
    [InlineData("m_total", "series", "--query.max-series")]
    [InlineData("sum(m_total)", "bytes", "--query.max-bytes")]
    [InlineData("sum(m_total)", "total bytes", "--query.max-total-bytes")]
    [InlineData("count_values(\"v\", m_total)", "total bytes", "--query.max-total-bytes")]
    [InlineData("m_total", "length", "--query.max-query-length")]
    [InlineData("m_total", "steps", "--query.max-steps")]
    [InlineData("max_over_time(m_total[1h:1s])", "subquery", "--query.max-steps")]
    public async Task A_query_beyond_a_limit_is_refused_by_name(string query, string limit, string flag)
    {
        var options = limit switch
        {
            "samples" => new EngineOptions { MaxSamples = 5 },
            "series" => new EngineOptions { MaxSeries = 2 },
            "bytes" => new EngineOptions { MaxBytes = 500 },
            "total bytes" => new EngineOptions { MaxTotalBytes = 2_000 },
            "length" => new EngineOptions { MaxQueryLength = 3 },
            "steps" => new EngineOptions { MaxSteps = 10 },
            _ => new EngineOptions { MaxSteps = 100 },
        };
        using var engine = new PromqlEngine(options);
        var refused = await Assert.ThrowsAsync<LimitException>(
            () => engine.RangeAsync(s_data, new RangeQuery(query, 600_000, 1_200_000, 15_000), CancellationToken.None));
        Assert.Contains(flag, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_subquery_at_the_top_has_limits_too()
    {
        using var engine = new PromqlEngine(new EngineOptions());
        await Assert.ThrowsAsync<LimitException>(
            () => engine.InstantAsync(s_data, new InstantQuery("vector(1)[1000d:1ms]", 600_000), CancellationToken.None));
    }

    [Fact]
    public async Task Memory_is_given_back_when_a_query_is_over()
    {
        using var engine = new PromqlEngine(new EngineOptions { MaxTotalBytes = 100_000 });
        for (var i = 0; i < 100; i++)
        {
            using var result = await engine.RangeAsync(s_data, new RangeQuery("sum(m_total)", 600_000, 1_200_000, 15_000), CancellationToken.None);
        }
    }

    [Fact]
    public async Task A_result_counts_among_the_queries_until_it_is_disposed()
    {
        using var engine = new PromqlEngine(new EngineOptions { MaxTotalBytes = 20_000 });
        var query = new RangeQuery("sum(m_total)", 600_000, 6_000_000, 15_000);
        var first = await engine.RangeAsync(s_data, query, CancellationToken.None);
        var refused = await Assert.ThrowsAsync<LimitException>(async () =>
        {
            using var second = await engine.RangeAsync(s_data, query, CancellationToken.None);
            using var third = await engine.RangeAsync(s_data, query, CancellationToken.None);
        });
        Assert.Contains("--query.max-total-bytes", refused.Message, StringComparison.Ordinal);
        first.Dispose();
        first.Dispose();
        (await engine.RangeAsync(s_data, query, CancellationToken.None)).Dispose();
    }

    [Fact]
    public async Task A_query_that_takes_too_long_is_stopped_by_the_clock()
    {
        var clock = new FakeTimeProvider();
        using var engine = new PromqlEngine(new EngineOptions { Clock = clock, TimeoutMs = 60_000 });
        var query = engine.InstantAsync(new StuckQuerier(), new InstantQuery("m", 0), engine.Begin(1_000, [], CancellationToken.None));
        clock.Advance(TimeSpan.FromMilliseconds(1_000));
        var stopped = await Assert.ThrowsAsync<QueryTimeoutException>(() => query);
        Assert.Equal("query timed out in expression evaluation after 1s (the request's timeout)", stopped.Message);
    }

    [Fact]
    public async Task A_query_beyond_the_gate_waits_and_its_waiting_counts()
    {
        var clock = new FakeTimeProvider();
        using var engine = new PromqlEngine(new EngineOptions { Clock = clock, MaxConcurrency = 1, TimeoutMs = 5_000 });
        using var first = new CancellationTokenSource();
        var running = engine.InstantAsync(new StuckQuerier(), new InstantQuery("m", 0), first.Token);
        var waiting = engine.InstantAsync(s_data, new InstantQuery("m", 0), engine.Begin(1_000, [], CancellationToken.None));
        var patient = engine.InstantAsync(s_data, new InstantQuery("1", 0), CancellationToken.None);
        clock.Advance(TimeSpan.FromMilliseconds(1_000));
        await Assert.ThrowsAsync<QueryTimeoutException>(() => waiting);
        await first.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal(1, (await patient).Scalar);
    }

    public static TheoryData<string> LongQueries() => new(
        "quantile_over_time(0.5, stddev_over_time(vector(1)[2d:1s])[2d:1s])",
        "sum_over_time(sum_over_time((gauge @ 600)[2d:1s])[2d:1s])",
        $"label_replace(label_replace(vector(1), \"x\", \"{new string('a', 14_000)}\", \"\", \"\"), \"y\", \"$1\", \"x\", \"((.?){{900}}x?)*\")",
        $"m{{{string.Join(',', Enumerable.Repeat("l=~\"(abcdefghij){1000}x*\"", 600))}}}");

    [Theory]
    [MemberData(nameof(LongQueries))]
    public async Task A_cancelled_query_stops_at_once_in_the_midst_of_computing(string query)
    {
        using var engine = new PromqlEngine(new EngineOptions { MaxSamples = 0, MaxBytes = 0 });
        using var source = new CancellationTokenSource();
        var running = Task.Run(() => engine.InstantAsync(s_data, new InstantQuery(query, 100_000_000), source.Token));
        await Task.WhenAny(running, Task.Delay(200, CancellationToken.None));
        Assert.False(running.IsCompleted, "the query is too easy for this test");
        var cancelled = Stopwatch.StartNew();
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.InRange(cancelled.ElapsedMilliseconds, 0, 1_000); // 50 ms on a machine that has nothing else to do
    }

    [Fact]
    public async Task A_source_hears_what_its_series_are_wanted_for()
    {
        var source = new RecordingQuerier(s_data);
        using var engine = new PromqlEngine(new EngineOptions());
        await engine.RangeAsync(
            source,
            new RangeQuery("sum(rate(m_total[5m] offset 1m)) + count_over_time(gauge[1h])", 3_600_000, 7_200_000, 60_000) { MaxResolutionMs = 300_000 },
            CancellationToken.None);
        var hints = source.Asked.OrderBy(h => h.Function, StringComparer.Ordinal).ToList();
        Assert.Equal(["count_over_time", "rate"], hints.Select(h => h.Function));
        Assert.Equal([Aggregate.Count, Aggregate.Counter], hints.Select(h => h.Aggregate));
        Assert.Equal(new TimeRange(3_600_000 - 60_000 - 300_000 + 1, 7_200_000 - 60_000), hints[1].Range);
        Assert.Equal((60_000, 300_000, 300_000), (hints[1].StepMs, hints[1].WindowMs, hints[1].MaxResolutionMs));
        Assert.Equal([false, true], hints.Select(h => h.IsCounter));
    }

    [Theory]
    [InlineData("sum by (i, job) (gauge)", "sum by (i,job)")]
    [InlineData("topk without (i) (2, (gauge))", "topk without (i)")]
    [InlineData("count(gauge @ 600)", "count by ()")]
    [InlineData("sum(gauge) + sum(gauge)", "sum by ()")]
    [InlineData("gauge == 1", "")]
    [InlineData("sum(gauge + 1)", "")]
    [InlineData("sum by (i) (rate(gauge[5m]))", "rate")]

    // One selection, of which nothing is said that holds for one of its users only.
    [InlineData("gauge == 1 or sum by (i) (gauge)", "")]
    [InlineData("sum by (i) (gauge) / count by (i) (gauge)", "")]
    [InlineData("m_total - gauge - sum(gauge) - gauge", ", ")]
    [InlineData("rate(m_total[5m]) / increase(m_total[5m])", "")]
    public async Task A_source_hears_who_wants_its_series_where_all_of_them_are_alike(string text, string expected)
    {
        var source = new RecordingQuerier(s_data);
        using var engine = new PromqlEngine(new EngineOptions());
        await engine.RangeAsync(source, new RangeQuery(text, 600_000, 900_000, 60_000), CancellationToken.None);
        Assert.Equal(expected, string.Join(", ", source.Asked.Select(h => h.Function
            ?? (h.Aggregation is { } a ? $"{a.Name} {(a.Without ? "without" : "by")} ({string.Join(',', a.Labels)})" : ""))));
    }

    [Fact]
    public async Task What_stands_in_a_query_twice_is_read_once()
    {
        var source = new RecordingQuerier(s_data);
        using var engine = new PromqlEngine(new EngineOptions());
        var result = await engine.RangeAsync(
            source, new RangeQuery("sum(rate(m_total[5m])) / sum(rate(m_total[5m]))", 600_000, 900_000, 60_000), CancellationToken.None);
        Assert.Single(source.Asked);
        Assert.Equal(3 * 6 * 20, result.Statistics.TotalSamples);
        Assert.All(result.Series[0].Values.ToArray(), v => Assert.Equal(1, v));
    }

    [Fact]
    public async Task An_explained_query_tells_what_each_operator_did()
    {
        using var engine = new PromqlEngine(new EngineOptions());
        var query = new RangeQuery("sum by (job) (rate(m_total[1m])) * 2 + vector(1)", 600_000, 660_000, 30_000) { Explain = true };
        var sum = (await engine.RangeAsync(s_data, query, CancellationToken.None)).Explanation!;
        Assert.Equal("Add OneToOne ignoring ()", sum.Operation);
        Assert.Equal(["Mul", "once"], sum.Inputs.Select(i => i.Operation));
        var aggregation = sum.Inputs[0].Inputs[0];
        Assert.Equal(("Sum by (\"job\")", 2, 3), (aggregation.Operation, aggregation.Series, aggregation.Steps));
        var rate = Assert.Single(aggregation.Inputs);
        Assert.Equal(("rate({__name__=\"m_total\"}[60000ms])", 3, 9L), (rate.Operation, rate.Series, rate.Samples));
        Assert.True(aggregation.Time >= rate.Time && aggregation.Bytes > 0);
    }

    [Fact]
    public async Task Warnings_of_sources_and_of_the_language_come_together()
    {
        var result = await InstantAsync("rate(gauge[1m])", 600_000);
        Assert.Equal(
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"gauge\" (1:6)",
            Assert.Single(result.Infos));
        using var engine = new PromqlEngine(new EngineOptions());
        var warned = await engine.InstantAsync(new RecordingQuerier(s_data, "cluster x is silent"), new InstantQuery("m_total", 0), CancellationToken.None);
        Assert.Equal("cluster x is silent", Assert.Single(warned.Warnings));
    }

    /// <summary>Sums are added in the order of the series, so that they do not depend on which core was faster.</summary>
    [Fact]
    public async Task A_sum_of_many_series_comes_out_the_same_each_time()
    {
        var random = new Random(7);
        var many = new MemoryQuerier(Enumerable.Range(0, 300).Select(i => new TestSeries(
            Labels.Of(("__name__", "m"), ("i", i.ToString("d4", System.Globalization.CultureInfo.InvariantCulture))),
            Every15Seconds(_ => (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(0, 18))))));
        using var engine = new PromqlEngine(new EngineOptions());
        var query = new RangeQuery("sum(m)", 0, 3_600_000, 15_000);
        var first = await engine.RangeAsync(many, query, CancellationToken.None);
        for (var i = 0; i < 5; i++)
        {
            var again = await engine.RangeAsync(many, query, CancellationToken.None);
            Assert.Equal(first.Series[0].Values.ToArray(), again.Series[0].Values.ToArray());
        }
    }

    static (long, double)[] Every15Seconds(Func<int, double> value) => [.. Enumerable.Range(0, 241).Select(i => (i * 15_000L, value(i)))];

    static Task<QueryResult> InstantAsync(string query, long time)
    {
        var engine = new PromqlEngine(new EngineOptions());
        return engine.InstantAsync(s_data, new InstantQuery(query, time), CancellationToken.None);
    }

    static Task<QueryResult> RangeAsync(string query, long start, long end, long step)
    {
        var engine = new PromqlEngine(new EngineOptions());
        return engine.RangeAsync(s_data, new RangeQuery(query, start, end, step) { PerStepStatistics = true }, CancellationToken.None);
    }

    /// <summary>A source that never answers.</summary>
    sealed class StuckQuerier : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await Task.Delay(Timeout.Infinite, selection.CancellationToken);
            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new NotSupportedException();

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new NotSupportedException();
    }

    /// <summary>Passes on what it is asked, and remembers it.</summary>
    sealed class RecordingQuerier(IQuerier inner, string? warning = null) : IQuerier
    {
        public List<SelectHints> Asked { get; } = [];

        public IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            lock (Asked)
            {
                Asked.Add(selection.Hints);
            }

            if (warning is not null)
            {
                selection.Coverage.AddWarning(warning);
            }

            return inner.SelectAsync(selection);
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new NotSupportedException();

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new NotSupportedException();
    }
}
