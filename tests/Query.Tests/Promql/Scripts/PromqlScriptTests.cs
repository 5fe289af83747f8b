using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Scripts;
using Observe.Testkit;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Promql.Scripts;

public class PromqlScriptTests
{
    [Fact]
    public void Every_shared_script_can_be_read()
    {
        var folder = Required.Shared("promqltest");
        Assert.Equal(1_574, Directory.GetFiles(folder, "*.test").Sum(f => PromqlScript.Parse(File.ReadAllText(f)).Evaluations));
    }

    [Theory]
    [InlineData("load", "line 1: invalid load command. (load[_with_nhcb] <step:duration>)")]
    [InlineData("load 5", "line 1: not a valid duration string: \"5\"")]
    [InlineData("\nload 1m\n  m 1+\n", "line 3: column 5: expected a number, found \"\"")]
    [InlineData("frobnicate", "line 1: invalid command \"frobnicate\"")]
    [InlineData("eval instant at 1x foo", "line 1: unknown unit \"x\" in duration \"1x\"")]
    [InlineData("eval instant at 1m foo\n  {} 1 2", "line 2: expecting multiple values in instant evaluation not allowed. "
        + "consider using 'expect range vector' directive to enable a range vector result for an instant query")]
    [InlineData("eval range from 1m to 0 step 1m foo", "line 1: invalid test definition, end timestamp is before start timestamp")]
    [InlineData("eval instant at 1m foo\n  expect sometimes", "line 2: invalid expect statement, must match `expect <type> <match_type>: <string>` format")]
    [InlineData("eval instant at 1m foo\n  expect warn\n  expect no_warn", "line 3: invalid expect lines, warn and no_warn cannot be used together")]
    [InlineData("load 1m\n  m@st 1m\n", "line 2: @st line has no following sample line")]
    [InlineData("load 1m\n  m@st 1m\n  m 1 2", "line 3: @st line has 1 values but sample line has 2")]
    public void A_fault_in_a_script_is_named_with_its_line(string script, string message) =>
        Assert.Equal(message, Assert.Throws<ScriptException>(() => PromqlScript.Parse(script)).Message);

    [Fact]
    public void Loads_add_up_until_clear()
    {
        var commands = new ScriptReader("load 30s\n  a@st _ -10s\n  a 1 2\n  a{x=\"y\"} _ 5\n\nclear\n# comment\nload_with_nhcb 1m\n"
            + "  h_bucket{le=\"1\"} 3\n  h_bucket{le=\"+Inf\"} 5\n  h_count 5\n  h_sum 7\n").Read();
        var load = Assert.IsType<LoadCommand>(commands[0]);
        Assert.Equal([new ScriptSample(0, 1, null, 0), new ScriptSample(30_000, 2, null, 20_000)], load.Series[0].Samples);
        Assert.Equal([new ScriptSample(30_000, 5, null, 0)], load.Series[1].Samples);
        Assert.IsType<ClearCommand>(commands[1]);
        var native = Assert.IsType<LoadCommand>(commands[2]).Series.Single(s => s.Labels.Get("__name__") == "h");
        Assert.Equal("{{schema:-53 count:5 sum:7 custom_values:[1] buckets:[3 2]}}", native.Samples[0].Histogram!.ToTestExpression());
    }

    [Theory]
    [InlineData("sum(foo + rate(bar[5m]))", "sum(foo @ 60.000 + rate(bar[5m] @ 60.000))", 5)]
    [InlineData("foo @ 5 offset 1m", "foo @ 5.000 offset 1m", 5)]
    [InlineData("max_over_time(foo[5m:1m])", "max_over_time(foo[5m:1m] @ 60.000)", 5)]
    [InlineData("foo @ start()", "foo @ 60.000", 5)]
    [InlineData("timestamp(foo)", null, 0)]
    [InlineData("max_over_time(timestamp(foo)[5m:1m])", "max_over_time(timestamp(foo)[5m:1m] @ 60.000)", 5)]
    public void An_instant_query_has_variants_at_other_times(string query, string? variant, int count)
    {
        var variants = AtVariants.Of(PromqlParser.Parse(query, ParserOptions.Everything), 60_000).ToList();
        Assert.Equal(count, variants.Count);
        Assert.All(variants, v => Assert.Equal(variant, v.Query));
        Assert.Equal(count == 0 ? [] : [-600_000, 0, 12_000, 60_000, 600_000], variants.Select(v => v.TimeMs));
    }

    [Fact]
    public async Task Stored_histograms_say_whether_they_continue()
    {
        var samples = SeriesNotation.Parse("m {{count:1 buckets:[1]}} {{count:2 buckets:[2]}} {{count:1 buckets:[1]}} {{count:1 buckets:[1] counter_reset_hint:gauge}} stale 1")
            .Values.Select((v, i) => new ScriptSample(i, v.Value, v.Histogram, 0)).ToList();
        var storage = new ScriptStorage([new ScriptSeries(Labels.Of(("__name__", "m")), samples)]);
        var hints = new SelectHints { Range = TimeRange.All };
        await foreach (var series in storage.SelectAsync(new QueryContext().Select(hints, [])))
        {
            using var iterator = series.Samples();
            var batch = new SampleBatch();
            Assert.True(iterator.Read(batch));
            Assert.Equal(
                [CounterResetHint.Unknown, CounterResetHint.NotCounterReset, CounterResetHint.Unknown, CounterResetHint.Gauge, CounterResetHint.Unknown],
                batch.Histograms[..batch.Count].Select(h => h.CounterResetHint));
            Assert.True(batch.Histograms[4].IsStale);
            Assert.True(iterator.Read(batch));
            Assert.Equal((SampleKind.Float, 1), (batch.Kind, batch.Count));
            Assert.False(iterator.Read(batch));
        }
    }

    const string Load = "load 1m\n  m{a=\"1\"} 0+1x10\n  m{a=\"2\"} 0+2x10\n\n";

    [Theory]
    [InlineData("eval instant at 5m m\n  m{a=\"1\"} 5\n  m{a=\"2\"} 10", null)]
    [InlineData("eval instant at 5m m\n  m{a=\"1\"} 5\n  m{a=\"2\"} 11", "expected 11 for {__name__=\"m\", a=\"2\"}, got 10")]
    [InlineData("eval instant at 5m m\n  m{a=\"1\"} 5", "unexpected series {__name__=\"m\", a=\"2\"} with value 10")]
    [InlineData("eval instant at 5m sum(m)\n  {} 15", null)]
    [InlineData("eval instant at 5m sort_desc(m)\n  expect ordered\n  m{a=\"1\"} 5\n  m{a=\"2\"} 10", "expected {__name__=\"m\", a=\"2\"} at position 2, but it was at 1")]
    [InlineData("eval range from 1m to 3m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2 3", null)]
    [InlineData("eval range from 1m to 3m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2 4", "expected 4 for {__name__=\"m\", a=\"1\"} at 180000, got 3 (result has 1 @[60000] 2 @[120000] 3 @[180000])")]
    [InlineData("eval instant at 5m m + on () m\n  expect fail", null)]
    [InlineData("eval instant at 5m m + on () m\n  expect fail msg: something else", "expected an error matching message \"something else\", got: ")]
    [InlineData("eval instant at 5m m\n  expect fail", "expected an error, got none")]
    [InlineData("eval instant at 5m m +\n  {} 1", "failed: 1:4: parse error: unexpected end of input")]
    [InlineData("eval instant at 5m quantile(2, m)\n  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\n  {} Inf", null)]
    [InlineData("eval instant at 5m quantile(2, m)\n  expect no_warn\n  {} Inf", "unexpected warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)")]
    [InlineData("eval instant at 5m m{a=\"1\"}\n  expect warn\n  m{a=\"1\"} 5", "expected warning matching pattern \".*\", found: none")]
    [InlineData("eval instant at 5m time()\n  300", null)]
    [InlineData("eval instant at 5m time()\n  301", "expected the scalar 301, got 300")]
    [InlineData("eval instant at 2m m{a=\"1\"}[2m]\n  expect range vector from 1m to 2m step 1m\n  m{a=\"1\"} 1 2", null)]
    public async Task An_evaluation_passes_or_says_why_not(string eval, string? failure)
    {
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var result = Assert.Single(await PromqlScript.Parse(Load + eval).RunAsync(engine, null, CancellationToken.None));
        Assert.Equal(5, result.Line);
        if (failure is null)
        {
            Assert.Null(result.Failure);
        }
        else
        {
            Assert.StartsWith(failure, result.Failure, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Storage_is_opened_once_for_each_state_of_the_data()
    {
        const string Script = Load + "eval instant at 1m count(m)\n  {} 2\n\neval instant at 1m count(m)\n  {} 2\n\nload 1m\n  m 5 5\n\n"
            + "eval instant at 1m count(m)\n  {} 3\n\nclear\n\neval instant at 1m m\n";
        var opened = new List<int>();
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var results = await PromqlScript.Parse(Script).RunAsync(
            engine,
            (series, _) =>
            {
                opened.Add(series.Count);
                return Task.FromResult<IQuerier>(new ScriptStorage(series));
            },
            CancellationToken.None);
        Assert.Equal([null, null, null, null], results.Select(r => r.Failure));
        Assert.Equal([2, 3, 0], opened);
    }

    [Fact]
    public async Task Files_are_summed_up()
    {
        var folder = Checkout.NewFolder("scripts");
        var (good, bad) = (Path.Combine(folder, "good.test"), Path.Combine(folder, "bad.test"));
        await File.WriteAllTextAsync(good, Load + "eval instant at 1m sum(m)\n  {} 3\n");
        await File.WriteAllTextAsync(bad, Load + "eval instant at 1m sum(m)\n  {} 4\n\neval instant at 1m 1\n  1\n");
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var output = new StringWriter { NewLine = "\n" };
        Assert.False(await PromqlScripts.RunFilesAsync([good, bad, folder + "/none"], engine, null, output, true, CancellationToken.None));
        Assert.StartsWith(
            $"{good}: 1 of 1\n{bad}: 1 of 2\n  line 5: sum(m)\n    expected 4 for {{}}, got 3\n{folder}/none: Could not find file", output.ToString(), StringComparison.Ordinal);
        Assert.EndsWith("\n2 of 3 evaluations pass\n", output.ToString(), StringComparison.Ordinal);
        Assert.True(await PromqlScripts.RunFilesAsync([good], engine, null, output, false, CancellationToken.None));
        Directory.Delete(folder, recursive: true);
    }
}
