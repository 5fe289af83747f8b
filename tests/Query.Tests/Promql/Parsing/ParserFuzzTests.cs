using System.Diagnostics;
using System.Text.RegularExpressions;
using CsCheck;
using Observe.Query.Promql.Parsing;
using Observe.Store.Model;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

public partial class ParserFuzzTests
{
    static readonly string[] s_words =
    [
        "(", ")", "{", "}", "[", "]", ",", "\"x\"", "'", "`", "=", "==", "!=", "=~", "!~", "<", "</", ">=", "+", "-", "*", "/", "%", "^", "@",
        " offset ", " by (a) ", " without ", " on(a) ", " ignoring () ", " group_left ", " bool ", "sum", "topk", "rate(foo[5m])", "foo", "a:b",
        "5m", "1.5", "0x1F", "Inf", "[5m]", "[5m:1m]", "start()", "step()", " and ", " or ", "#", "\n", " ", ":", "é", "\\", "{a=\"b\"}", "fill(0)",
        "max_of(1s, 2s)", " anchored ", "-1", "label_replace(", "(1)", ";", "\ud800",
    ];

    [Fact]
    public void Any_text_is_parsed_or_refused_in_time() =>
        Pick(s_words).Array[0, 60].Sample(
            words =>
            {
                var start = Stopwatch.GetTimestamp();
                try
                {
                    _ = Printer.Pretty(PromqlParser.Parse(string.Concat(words), ParserOptions.Everything));
                }
                catch (ParseException e)
                {
                    Assert.NotEmpty(e.Message);
                }

                return Stopwatch.GetElapsedTime(start).TotalMilliseconds < 500;
            },
            iter: 20_000);

    [Fact]
    public void What_is_printed_parses_to_the_same_tree() =>
        Exprs(3).Sample(
            text =>
            {
                var expr = PromqlParser.Parse(text, ParserOptions.Everything);
                CheckRoundTrip(expr, expr.ToString());
                CheckRoundTrip(expr, Printer.Pretty(expr));
            },
            iter: 3_000);

    /// <summary>The printer sorts matchers, so the trees are compared by their print and by the size of all that they say.</summary>
    static void CheckRoundTrip(Expr expr, string text)
    {
        var back = PromqlParser.Parse(text, ParserOptions.Everything);
        Assert.Equal(expr.ToString(), back.ToString());
        Assert.True(AstJsonTests.Json(expr).Length == AstJsonTests.Json(back).Length, $"{expr}\n{AstJsonTests.Json(expr)}\n{AstJsonTests.Json(back)}");
    }

    /// <summary>Instant vectors with every construct of the language.</summary>
    static Gen<string> Exprs(int depth)
    {
        var label = Pick("a", "job", "\"b c\"", "\"é\"", "by");
        var duration = Gen.OneOf(
            Gen.Int[1, 1_000_000].Select(ms => $"{ms}ms"),
            Pick("5m", "1h30m", "300", "1.5", "step()", "step() * 2", "(5m + 1s) * 2 ^ 2", "max_of(range(), 5m)", "-5m + 10m"));
        var at = Pick("", "", " @ 1.5", " @ -3", " @ start()", " @ end()");
        var offset = Pick("", "", " offset 5m", " offset -1h30m", " offset step()", " offset -(5m)", " offset -max_of(1s, 2s)");
        var matcher = Gen.Select(label, Pick("=", "!=", "=~", "!~"), Pick("x", "é", "a\\\\.b|c", "\\\"", "\\n"))
            .Select((l, op, v) => $"{l}{op}\"{v}\"");
        var selector = Gen.Select(Pick("foo", "a:b", "sum", "on_call"), matcher.Array[0, 3])
            .Select((name, matchers) => name + (matchers.Length > 0 ? "{" + string.Join(',', matchers) + "}" : ""));
        var instant = Gen.Select(selector, at, offset).Select((s, a, o) => s + a + o);
        if (depth == 0)
        {
            return instant;
        }

        var inner = Exprs(depth - 1);
        var matrix = Gen.OneOf(
            Gen.Select(selector, duration, Pick("", " anchored", " smoothed"), at, offset).Select((s, d, e, a, o) => $"{s}[{d}]{e}{a}{o}"),
            Gen.Select(inner, Pick("5m", "90", "1m * step()"), Pick("", "1m", "step()"), at, offset).Select((s, d, step, a, o) => $"({s})[{d}:{step}]{a}{o}"));
        var grouping = Gen.Select(Pick("", " by ", " without "), label.Array[0, 3])
            .Select((by, labels) => by.Length == 0 ? "" : $"{by}({string.Join(", ", labels)})");
        var matching = Gen.Select(Pick("", " on ", " ignoring "), Pick("", " group_left(v)", " group_right()"), Pick("", " fill(1)", " fill_left(-Inf) fill_right(0x10)"))
            .Select((on, group, fill) => on.Length == 0 ? fill : $"{on}(a, \"b c\"){group}{fill}");
        return Gen.OneOf(
            instant,
            inner.Select(e => $"({e})"),
            inner.Select(e => $"-({e})"),
            matrix.Select(m => $"rate({m})"),
            inner.Select(e => $"label_replace({e}, \"a\", \"$1\", 'b', `(.*)\\n`)"),
            Gen.Select(inner, grouping).Select((e, g) => $"sum{g}({e})"),
            Gen.Select(inner, grouping).Select((e, g) => $"quantile(0.5, {e}){g}"),
            Gen.Select(inner, Pick("+", "-", "*", "/", "%", "^", "atan2", "==", "> bool", "</"), matching, inner)
                .Select((l, op, m, r) => $"{l} {op}{m} {r}"),
            Gen.Select(inner, Pick("and", "or", "unless"), inner).Select((l, op, r) => $"{l} {op} on (a) {r}"),
            Gen.Select(inner, Gen.Double[-1e30, 1e30]).Select((l, n) => $"({l} * {GoText.Float(n)})"));
    }

    static Gen<string> Pick(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);

    /// <summary>The expressions of the shared promqltest files: all that they expect to evaluate parses, and prints as it parses.</summary>
    [Fact]
    public void Every_expression_of_the_shared_scripts_round_trips()
    {
        var folder = Checkout.SharedPath("promqltest");
        if (folder is null)
        {
            return;
        }

        var count = 0;
        foreach (var line in Directory.GetFiles(folder, "*.test").SelectMany(File.ReadLines))
        {
            var match = EvalLine().Match(line);
            if (!match.Success)
            {
                continue;
            }

            try
            {
                var expr = PromqlParser.Parse(match.Groups[1].Value, ParserOptions.Everything);
                CheckRoundTrip(expr, expr.ToString());
                count++;
            }
            catch (ParseException)
            {
                // Scripts also hold queries that must fail.
            }
        }

        Assert.InRange(count, 1_500, 10_000);
    }

    [GeneratedRegex(@"^\s*eval(?:_ordered|_warn|_info)? (?:instant at \S+|range from \S+ to \S+ step \S+)\s+(.*)$")]
    private static partial Regex EvalLine();
}
