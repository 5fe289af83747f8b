using System.Buffers;
using System.Text.Json;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

/// <summary>Queries as machines write them: thousands of names in a regex, thousands of operators in a row.</summary>
public sealed class LongQueryTests
{
    const int Terms = 2001;

    static readonly MemoryQuerier s_pair = new(
    [
        new TestSeries(Labels.Of(("__name__", "m"), ("i", "1")), (0, 1), (60_000, 2), (120_000, 3)),
        new TestSeries(Labels.Of(("__name__", "m"), ("i", "2")), (0, 1), (60_000, 1), (120_000, 1)),
    ]);

    [Theory]
    [InlineData("+", 2 * 2001.0)]
    [InlineData("-", 2 - (2000 * 2.0))]
    [InlineData("*", double.PositiveInfinity)]
    [InlineData("/", 0.0)]
    [InlineData("%", 0.0)]
    [InlineData("^", double.PositiveInfinity)]
    [InlineData("atan2", null)]
    [InlineData("==", 2.0)]
    [InlineData("!=", double.NaN)]
    [InlineData(">", double.NaN)]
    [InlineData("<", double.NaN)]
    [InlineData(">=", 2.0)]
    [InlineData("<=", 2.0)]
    [InlineData("and", 2.0)]
    [InlineData("or", 2.0)]
    [InlineData("unless", double.NaN)]
    [InlineData("> bool", 0.0)]
    [InlineData("+ on (i) group_left ()", 2 * 2001.0)]
    public async Task A_chain_of_operators_is_evaluated(string op, double? second)
    {
        var text = string.Join($" {op} ", Enumerable.Repeat("m", Terms));
        var result = await RangeAsync(s_pair, text);
        if (second is { } value && !double.IsNaN(value))
        {
            Assert.Equal(2, result.Series.Count);
            Assert.Equal(3, result.Series[0].Values.Length);
            Assert.Equal(value, result.Series[0].Values.Span[1]);
        }
        else
        {
            Assert.Equal(second is null ? 2 : 0, result.Series.Count);
        }
    }

    [Theory]
    [InlineData("time()", " + ")]
    [InlineData("1", " ^ ")]
    [InlineData("1", " == bool ")]
    public async Task A_chain_of_scalars_is_evaluated(string term, string op) =>
        Assert.Equal(3, Assert.Single((await RangeAsync(s_pair, string.Join(op, Enumerable.Repeat(term, Terms)))).Series).Values.Length);

    [Fact]
    public async Task A_chain_with_a_scalar_at_each_level_is_evaluated()
    {
        var result = await RangeAsync(s_pair, "m" + string.Concat(Enumerable.Repeat(" + 1", Terms - 1)));
        Assert.Equal([2001.0, 2002, 2003], result.Series[0].Values.ToArray());
    }

    [Fact]
    public async Task A_chain_of_calls_and_of_aggregations_is_evaluated()
    {
        var text = string.Join(" or ", Enumerable.Range(0, 1500).Select(i => $"label_replace(sum by (i) (rate(m{{i=\"1\"}}[5m])), \"n\", \"{i}\", \"i\", \".*\")"));
        Assert.Equal(1500, (await RangeAsync(s_pair, text)).Series.Count);
    }

    /// <summary>Each level would handle the series of all levels below, were a chain of <c>or</c> not one operator.</summary>
    [Fact]
    public async Task A_chain_of_or_over_other_series_each_holds_no_more_than_its_series()
    {
        var names = Enumerable.Range(0, 2000).Select(i => $"m{i:0000}").ToArray();
        var querier = new MemoryQuerier(names.Select(name => new TestSeries(Labels.Of(("__name__", name), ("n", name)), (0, 1), (60_000, 1), (120_000, 1))));
        using var engine = new PromqlEngine(new EngineOptions { TimeoutMs = 60_000, MaxBytes = 8 << 20 });
        var all = await engine.RangeAsync(querier, new RangeQuery(string.Join(" or ", names), 0, 120_000, 6_000), CancellationToken.None);
        Assert.Equal(names, all.Series.Select(series => series.Labels.Get("n")));
    }

    [Theory]
    [InlineData("a or b or c", "a b c")]
    [InlineData("a or on (x) b or on (x) c", "a b c")]
    [InlineData("a or on () b or on () c", "a b@1 c@2")]
    [InlineData("b or on () a or on () c", "b c@2")]
    [InlineData("c or on () (b or on () a)", "c")]
    [InlineData("a or on () b or c", "a b@1 c")]
    [InlineData("a or b or on () c", "a b c@2")]
    public async Task A_sample_is_hidden_by_one_of_the_same_signature_in_any_input_before(string text, string expected)
    {
        // a at 0, b at 0 and 1, c at all three steps; what is whole has no times behind it.
        var querier = new MemoryQuerier(Enumerable.Range(0, 3).Select(i =>
            new TestSeries(Labels.Of(("__name__", "abc"[i..(i + 1)]), ("x", $"{i}")), [.. Enumerable.Range(0, i + 1).Select(t => (t * 60_000L, 1.0))])));
        using var engine = new PromqlEngine(new EngineOptions { LookbackMs = 1000 });
        var result = await engine.RangeAsync(querier, new RangeQuery(text, 0, 120_000, 60_000), CancellationToken.None);
        Assert.Equal(expected, string.Join(' ', result.Series.Select(series => series.Labels.Get("__name__") is var name && series.Values.Length == name[0] - 'a' + 1
            ? name : $"{name}@{string.Join(',', series.Timestamps.ToArray().Select(t => t / 60_000))}")));
    }

    [Theory]
    [InlineData(1500, "", "")]
    [InlineData(10_000, "", "")]
    [InlineData(1500, "(", ").*")]
    [InlineData(5000, ".?(", ")[0-9]*")]
    public async Task A_regex_of_thousands_of_names_selects_them(int count, string before, string after)
    {
        var names = Enumerable.Range(0, count).Select(i => $"deployment-with-a-long-name-{i:x8}-{i * 7919 % 99_991:x5}").ToArray();
        var querier = new MemoryQuerier(Enumerable.Range(0, count + 100).Select(i =>
            new TestSeries(Labels.Of(("__name__", "m"), ("pod", i < count ? names[i] : $"other-{i}")), (0, i))));
        var text = $"count(m{{pod=~\"{before}{string.Join('|', names)}{after}\"}})";
        Assert.InRange(text.Length, 16 << 10, 1 << 20);
        Assert.All((await RangeAsync(querier, text)).Series[0].Values.ToArray(), value => Assert.Equal(count, value));
        Assert.Equal(text, PromqlParser.Parse(text, ParserOptions.Default).ToString());
    }

    [Fact]
    public async Task Chains_are_printed_and_shown_as_a_tree()
    {
        using var threads = ComputeThreads.ForQueries(1);
        foreach (var op in (string[])["+", "^", "or", "and", "== bool"])
        {
            var text = string.Join($" {op} ", Enumerable.Repeat("m", Terms));
            await threads.RunAsync(
                () =>
                {
                    var expr = PromqlParser.Parse(text, ParserOptions.Default);
                    Assert.Equal(text, expr.ToString());
                    Assert.Equal(text, string.Join(' ', Printer.Pretty(expr).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries)));
                    var json = new ArrayBufferWriter<byte>();
                    using var writer = new Utf8JsonWriter(json, new JsonWriterOptions { MaxDepth = 10_000 });
                    AstJson.Write(writer, expr);
                    writer.Flush();
                    Assert.True(json.WrittenCount > Terms);
                },
                CancellationToken.None);
        }
    }

    /// <summary>The longest chains that are parsed, over all that walks a tree, on the stack that a query has.</summary>
    [Theory]
    [InlineData("m", " + ")]
    [InlineData("m", " ^ ")]
    [InlineData("m", " unless ")]
    [InlineData("m", " > ")]
    [InlineData("m", " or on (i) m or ")]
    [InlineData("-m", " + on (i) group_left () ")]
    public async Task The_longest_chains_within_the_deepest_nesting_fit_the_stack(string term, string op)
    {
        const int Nesting = 50;
        var perLevel = (PromqlParser.MaxOperators / Nesting / 2) - 1;
        var text = term;
        for (var i = 0; i < Nesting; i++)
        {
            text = $"abs(({text}{string.Concat(Enumerable.Repeat(op + term, perLevel))}))";
        }

        await RangeAsync(s_pair, text);
        await RangeAsync(s_pair, string.Join(op, Enumerable.Repeat(term, PromqlParser.MaxOperators / (op.Contains(" m ", StringComparison.Ordinal) ? 2 : 1))));
    }

    static async Task<QueryResult> RangeAsync(IQuerier querier, string text)
    {
        using var engine = new PromqlEngine(new EngineOptions { TimeoutMs = 60_000, MaxBytes = 64 << 20 });
        return await engine.RangeAsync(querier, new RangeQuery(text, 0, 120_000, 60_000), CancellationToken.None);
    }
}
