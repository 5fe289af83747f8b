using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Tests.Promql.Parsing;

public class PromqlParserTests
{
    static Expr Parse(string text) => PromqlParser.Parse(text, ParserOptions.Everything);

    [Theory]
    [InlineData("a + b * c", "a + (b * c)")]
    [InlineData("a - b - c", "(a - b) - c")]
    [InlineData("a ^ b ^ c", "a ^ (b ^ c)")]
    [InlineData("a or b and c", "a or (b and c)")]
    [InlineData("a and b unless c", "(a and b) unless c")]
    [InlineData("a == b + c", "a == (b + c)")]
    [InlineData("a atan2 b * c", "(a atan2 b) * c")]
    [InlineData("-a ^ b", "-(a ^ b)")]
    [InlineData("-a * b", "(-a) * b")]
    [InlineData("a ^ -b * c", "(a ^ (-b)) * c")]
    [InlineData("a </ b + c", "a </ (b + c)")]
    [InlineData("-foo offset 5m", "-(foo offset 5m)")]
    [InlineData("a + foo @ 1", "a + (foo @ 1)")]
    public void Operators_bind_as_in_Prometheus(string text, string grouped) => Assert.Equal(WithoutParens(Parse(grouped)), WithoutParens(Parse(text)));

    [Theory]
    [InlineData("1", 1)]
    [InlineData("+1", 1)]
    [InlineData("-.5", -0.5)]
    [InlineData("5.", 5)]
    [InlineData("1e3", 1000)]
    [InlineData("1E-3", 0.001)]
    [InlineData("0x1F", 31)]
    [InlineData("017", 15)]
    [InlineData("08", 8)]
    [InlineData("1_000_000", 1e6)]
    [InlineData("1_0.5e1_0", 105000000000)]
    [InlineData("iNf", double.PositiveInfinity)]
    [InlineData("-Inf", double.NegativeInfinity)]
    [InlineData("NaN", double.NaN)]
    [InlineData("5m", 300)]
    [InlineData("1h30m5s7ms", 5405.007)]
    [InlineData("9223372036854775808", 9223372036854775808d)]
    public void Numbers_have_Gos_forms_and_durations_are_seconds(string text, double value) =>
        Assert.Equal(value, Assert.IsType<NumberLiteral>(Parse(text)).Value);

    [Theory]
    [InlineData("\"a\\nb\\\"c'\"", "a\nb\"c'")]
    [InlineData("'it\\'s \\x41\\101\\u00e9\\U0001F600'", "it's AAé😀")]
    [InlineData("`raw \\n`", "raw \\n")]
    public void Strings_have_Gos_escapes(string text, string value) => Assert.Equal(value, Assert.IsType<StringLiteral>(Parse(text)).Value);

    [Fact]
    public void A_selector_has_its_name_as_last_matcher()
    {
        var selector = Assert.IsType<VectorSelector>(Parse("foo{a=\"b\", c!~\"d|e\", \"f g\"!=''}"));
        Assert.Equal("foo", selector.Name);
        Assert.Equal(
            [
                new Matcher(MatchType.Equal, "a", "b"), new Matcher(MatchType.NotRegex, "c", "d|e"),
                new Matcher(MatchType.NotEqual, "f g", ""), new Matcher(MatchType.Equal, "__name__", "foo"),
            ],
            selector.Matchers);
    }

    [Fact]
    public void A_quoted_name_in_braces_is_only_a_matcher()
    {
        var selector = Assert.IsType<VectorSelector>(Parse("{\"http.requests\", a=\"b\"}"));
        Assert.Equal("", selector.Name);
        Assert.Equal(new Matcher(MatchType.Equal, "__name__", "http.requests"), selector.Matchers[0]);
    }

    [Fact]
    public void Time_modifiers_come_in_any_order()
    {
        var expected = new TimeModifiers(OffsetMs: -90_000, AtMs: 1_500);
        Assert.Equal(expected, Assert.IsType<VectorSelector>(Parse("foo offset -1m30s @ 1.5")).Time);
        Assert.Equal(expected, Assert.IsType<VectorSelector>(Parse("foo @ 1.5 offset -90")).Time);
        Assert.Equal(expected, Assert.IsType<MatrixSelector>(Parse("foo[5m] @ 1.5 offset -1m30s")).Selector.Time);
        var subquery = Assert.IsType<SubqueryExpr>(Parse("foo[1h:1m] @ end() offset 2s"));
        Assert.Equal((3_600_000, 60_000, new TimeModifiers(2_000, At: AtModifier.End)), (subquery.RangeMs, subquery.StepMs, subquery.Time));
    }

    [Fact]
    public void Duration_expressions_keep_their_tree()
    {
        var matrix = Assert.IsType<MatrixSelector>(Parse("foo[max_of(step(), 5s) * 2] offset -(1m)"));
        var product = Assert.IsType<DurationExpr>(matrix.RangeExpr);
        Assert.Equal((DurationOperator.Mul, DurationOperator.Max), (product.Operator, Assert.IsType<DurationExpr>(product.Left).Operator));
        var offset = Assert.IsType<DurationExpr>(matrix.Selector.Time.OffsetExpr);
        Assert.Equal((DurationOperator.Negate, 0L), (offset.Operator, matrix.Selector.Time.OffsetMs));
    }

    [Theory]
    [InlineData("foo offset 5m + 3m", "foo offset 5m + 3m", typeof(BinaryExpr))]
    [InlineData("foo offset (5m) + 3m", "foo offset (5m) + 3m", typeof(VectorSelector))]
    [InlineData("foo offset -2 ^ 2", "foo offset -2s ^ 2", typeof(BinaryExpr))]
    public void An_offset_ends_after_a_literal(string text, string printed, Type type)
    {
        var expr = Parse(text);
        Assert.Equal((printed, type), (expr.ToString(), expr.GetType()));
    }

    [Fact]
    public void Matching_has_all_its_parts()
    {
        var binary = Assert.IsType<BinaryExpr>(Parse("a * on(x, \"y z\") group_left(v) fill_right(-1) fill_left(2) b"));
        var matching = binary.Matching!;
        Assert.Equal((MatchCardinality.ManyToOne, true, 2d, -1d), (matching.Cardinality, matching.On, matching.FillLeft!.Value, matching.FillRight!.Value));
        Assert.Equal(["x", "y z"], matching.Labels);
        Assert.Equal(["v"], matching.Include);
        Assert.Equal(MatchCardinality.ManyToMany, ((BinaryExpr)Parse("a or b")).Matching!.Cardinality);
        Assert.Null(((BinaryExpr)Parse("a == bool 1")).Matching);
    }

    [Theory]
    [InlineData("sum by (by, on, bool) (sum)")]
    [InlineData("and and and")]
    [InlineData("offset offset 5m")]
    [InlineData("fill + fill")]
    [InlineData("by{sum=\"x\"}")]
    [InlineData("start + end")]
    [InlineData("step + range + max_of")]
    public void Keywords_may_be_names(string text) => Parse(text);

    [Fact]
    public void Positions_are_bytes_of_the_query()
    {
        var call = Assert.IsType<Call>(Parse(" rate(foo{é=\"日\"}[5m] offset 1m )".Replace("é", "\"é\"")));
        Assert.Equal(new Position(1, 37), call.Position);
        Assert.Equal(new Position(6, 35), call.Arguments[0].Position);
    }

    [Theory]
    [InlineData("foo", 1)]
    [InlineData("{__name__=~\".*\"}", 1)]
    [InlineData("{}", 0)]
    [InlineData("foo{a=\"b\",}", 2)]
    public void A_metric_selector_may_match_everything(string text, int matchers) =>
        Assert.Equal(matchers, PromqlParser.ParseMetricSelector(text).Count);

    [Theory]
    [InlineData("foo[5m]", "1:4: parse error: unexpected \"[\"")]
    [InlineData("foo offset 5m", "1:5: parse error: unexpected <offset>")]
    [InlineData("", "unknown position: parse error: unexpected end of input")]
    public void A_metric_selector_has_nothing_else(string text, string error) =>
        Assert.Equal(error, Assert.Throws<ParseException>(() => PromqlParser.ParseMetricSelector(text)).Message);

    static string WithoutParens(Expr expr) => expr switch
    {
        ParenExpr paren => WithoutParens(paren.Inner),
        BinaryExpr binary => $"[{WithoutParens(binary.Left)} {binary.Operator} {WithoutParens(binary.Right)}]",
        UnaryExpr unary => $"[{unary.Operator} {WithoutParens(unary.Inner)}]",
        _ => expr.ToString(),
    };
}
