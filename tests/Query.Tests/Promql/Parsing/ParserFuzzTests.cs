using System.Globalization;
using System.Text.RegularExpressions;
using CsCheck;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
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

    /// <summary>The longest query that is accepted.</summary>
    const int MaxLength = 16 * 1024;

    /// <summary>FUZZ_PARSER makes a campaign of it: how many times as many texts.</summary>
    static int Effort { get; } = int.TryParse(Environment.GetEnvironmentVariable("FUZZ_PARSER"), CultureInfo.InvariantCulture, out var effort) ? effort : 1;

    [Fact]
    public void Any_text_is_parsed_or_refused_in_time() =>
        Pick(s_words).Array[0, 60].Sample(
            words =>
            {
                CheckText(string.Concat(words));
            },
            iter: 20_000 * Effort);

    [Fact]
    public void Long_texts_are_parsed_or_refused_in_time() =>
        Gen.Select(Pick(s_words).Array[1, 4], Pick(s_words).Array[0, 4], Gen.Int[1, 4_000]).Sample(
            (repeated, rest, times) =>
            {
                var text = string.Concat(Enumerable.Repeat(string.Concat(repeated), times)) + string.Concat(rest);
                CheckText(text.Length > MaxLength ? text[..MaxLength] : text);
            },
            iter: 500 * Effort);

    [Fact]
    public void A_changed_expression_is_parsed_or_refused_and_what_parses_round_trips() =>
        Gen.Select(Exprs(2), Gen.Int[0, 1_000], Gen.Int[0, 3], Pick(s_words)).Sample(
            (text, place, length, word) =>
            {
                var at = place % (text.Length + 1);
                CheckText(string.Concat(text.AsSpan(0, at), word, text.AsSpan(Math.Min(at + length, text.Length))));
            },
            iter: 3_000 * Effort);

    /// <summary>
    /// Parses, or is refused, within 100 ms of the thread (at the third try, for collections may fall into one); what parses prints as text that parses to the same. How long
    /// the pretty text takes is not measured: of a chain it is as long as the square of the chain.
    /// </summary>
    static void CheckText(string text)
    {
        var best = double.MaxValue;
        for (var i = 0; i < 3 && best > 100; i++)
        {
            var start = ThreadTime.Now;
            try
            {
                var expr = PromqlParser.Parse(text, ParserOptions.Everything);
                var line = expr.ToString();
                best = Math.Min(best, (ThreadTime.Now - start).TotalMilliseconds);
                if (!NoFixedPoint().IsMatch(text) && !NoFixedPoint().IsMatch(line))
                {
                    CheckRoundTrip(expr, line);
                    if (Pretty(expr) is { } pretty)
                    {
                        CheckRoundTrip(expr, pretty);
                    }
                }
            }
            catch (ParseException e)
            {
                best = Math.Min(best, (ThreadTime.Now - start).TotalMilliseconds);
                Assert.NotEmpty(e.Message);
            }
        }

        Assert.True(best <= 100, $"{best} ms: {text}");
    }

    [Fact]
    public void What_is_printed_parses_to_the_same_tree() =>
        Exprs(3).Sample(
            text =>
            {
                var expr = PromqlParser.Parse(text, ParserOptions.Everything);
                CheckRoundTrip(expr, expr.ToString());
                CheckRoundTrip(expr, Printer.Pretty(expr));
            },
            iter: 3_000 * Effort);

    /// <summary>What Prometheus too prints as text that means something else: signs before infinities and in offsets, milliseconds in arithmetic.</summary>
    [GeneratedRegex(@"Inf\s*\^|offset\s*[-+]\s*[-+]|\dms\s*[-+*/%^]|[-+*/%^(,]\s*([0-9]+[a-z])*[0-9]+ms")]
    private static partial Regex NoFixedPoint();

    /// <summary>The printer sorts matchers, so the trees are compared by their print and by the size of all that they say.</summary>
    /// <summary>Null: it would be too long.</summary>
    static string? Pretty(Expr expr)
    {
        try
        {
            return Printer.Pretty(expr) is { Length: < 1 << 20 } pretty ? pretty : null;
        }
        catch (QueryException e)
        {
            Assert.StartsWith("the formatted query is longer than", e.Message, StringComparison.Ordinal);
            return null;
        }
    }

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
        var folder = Required.Shared("promqltest");
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
