using Observe.Query.Promql;
using Observe.Query.Promql.Scripts;
using Xunit;

namespace Observe.Query.Tests.Promql.Scripts;

public class ResultComparisonTests
{
    static EvalCommand Command(string script) => Assert.IsType<EvalCommand>(new ScriptReader(script).Read()[0]);

    static ResultSeries Series(string line, long start = 0, long step = 60_000)
    {
        var description = SeriesNotation.Parse(line);
        var points = description.Values.Select((v, i) => (Value: v, Time: start + (i * step))).Where(p => !p.Value.Omitted).ToList();
        var (floats, histograms) = (points.FindAll(p => p.Value.Histogram is null), points.FindAll(p => p.Value.Histogram is not null));
        return new ResultSeries
        {
            Labels = description.Labels,
            Timestamps = floats.Select(p => p.Time).ToArray(),
            Values = floats.Select(p => p.Value.Value).ToArray(),
            HistogramTimestamps = histograms.Select(p => p.Time).ToArray(),
            Histograms = histograms.Select(p => p.Value.Histogram!).ToArray(),
        };
    }

    static string? Compare(string expected, ResultType type, params string[] series) => ResultComparison.Compare(
        Command(expected),
        new QueryResult { Type = type, Series = [.. series.Select(s => Series(s))], Statistics = new QueryStatistics() });

    [Theory]
    [InlineData("a 1", "a 1", null)]
    [InlineData("a 1", "a 1.0000001", null)]
    [InlineData("a 1", "a 1.00001", "expected 1 for {__name__=\"a\"}, got 1.00001")]
    [InlineData("a NaN", "a NaN", null)]
    [InlineData("a 0", "a 1e-300", "expected 0 for {__name__=\"a\"}, got 1e-300")]
    [InlineData("a 1", "b 1", "unexpected series {__name__=\"b\"} with value 1")]
    [InlineData("a {{count:1 buckets:[1 0]}}", "a {{count:1 buckets:[1]}}", null)]
    [InlineData("a {{count:1 buckets:[1]}}", "a {{count:1 offset:1 buckets:[1]}}", "expected {{count:1 buckets:[1]}} for {__name__=\"a\"}, got {{count:1 offset:1 buckets:[1]}}")]
    [InlineData("a {{count:1}}", "a {{count:1 counter_reset_hint:gauge}}", null)]
    [InlineData("a {{count:1 counter_reset_hint:unknown}}", "a {{count:1 counter_reset_hint:gauge}}", "expected {{count:1}} for {__name__=\"a\"}, got {{count:1 counter_reset_hint:gauge}}")]
    [InlineData("a {{count:1}}", "a 1", "expected {{count:1}} for {__name__=\"a\"}, got 1")]
    public void Vectors(string expected, string got, string? fault) =>
        Assert.Equal(fault, Compare($"eval instant at 0 x\n  {expected}", ResultType.Vector, got));

    [Fact]
    public void Missing_series_and_wrong_order_are_faults()
    {
        Assert.Equal("expected {__name__=\"b\"} with 2, not found", Compare("eval instant at 0 x\n  a 1\n  b 2", ResultType.Vector, "a 1"));
        Assert.Null(Compare("eval instant at 0 x\n  a 1\n  b 2", ResultType.Vector, "b 2", "a 1"));
        Assert.Equal(
            "expected {__name__=\"b\"} at position 2, but it was at 1",
            Compare("eval instant at 0 x\n  expect ordered\n  a 1\n  b 2", ResultType.Vector, "b 2", "a 1"));
    }

    [Theory]
    [InlineData("a 1 2 3", "a 1 2 3", null)]
    [InlineData("a 1 _ 3", "a 1 _ 3", null)]
    [InlineData("a 1 {{count:2}} 3", "a 1 {{count:2}} 3", null)]
    [InlineData("a 1 2 3", "a 1 _ 3", "expected 2 for {__name__=\"a\"} at 60000, not found (result has 1 @[0] 3 @[120000])")]
    [InlineData("a 1", "a 1 2", "expected 1 floats and 0 histograms for {__name__=\"a\"} (result has 1 @[0] 2 @[60000])")]
    [InlineData("a 1 2 3 4", "a 1 2 3", "expected 4 points for {__name__=\"a\"}, but the range has not that many (result has 1 @[0] 2 @[60000] 3 @[120000])")]
    public void Matrices(string expected, string got, string? fault) =>
        Assert.Equal(fault, Compare($"eval range from 0 to 2m step 1m x\n  {expected}", ResultType.Matrix, got));

    [Fact]
    public void Scalars_and_strings()
    {
        var statistics = new QueryStatistics();
        Assert.Null(ResultComparison.Compare(Command("eval instant at 0 x\n  -1e3"), new QueryResult { Type = ResultType.Scalar, Scalar = -1000, Statistics = statistics }));
        Assert.Equal(
            "expected the scalar 2, got 1",
            ResultComparison.Compare(Command("eval instant at 0 x\n  2"), new QueryResult { Type = ResultType.Scalar, Scalar = 1, Statistics = statistics }));
        Assert.Equal(
            "expected \"a\", got the string \"b\"",
            ResultComparison.Compare(Command("eval instant at 0 x\n  expect string `a`"), new QueryResult { Type = ResultType.String, Text = "b", Statistics = statistics }));
    }

    [Fact]
    public void Unsorted_matrices_are_a_fault() => Assert.Equal(
        "series are not sorted: {__name__=\"a\"} comes after {__name__=\"b\"}",
        Compare("eval range from 0 to 1m step 1m x\n  a 1\n  b 2", ResultType.Matrix, "b 2", "a 1"));
}
