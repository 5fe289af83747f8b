using Observe.Query.Promql.Parsing;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

public class PrinterTests
{
    [Theory]
    [InlineData("sum(foo)by(a,\"b c\")", "sum by (a, \"b c\") (foo)")]
    [InlineData("sum(foo)by()", "sum(foo)")]
    [InlineData("sum without()(foo)", "sum without () (foo)")]
    [InlineData("foo{b='1',a!~`x`}", "foo{a!~\"x\",b=\"1\"}")]
    [InlineData("{\"foo\"}", "{__name__=\"foo\"}")]
    [InlineData("a*on()group_left()b", "a * on () group_left () b")]
    [InlineData("a*ignoring()b", "a * b")]
    [InlineData("a>bool 1e6", "a > bool 1000000")]
    [InlineData("-5m", "-5m")]
    [InlineData("90m", "1h30m")]
    [InlineData("foo[90]offset-60 @1.5", "foo[1m30s] @ 1.500 offset -1m")]
    [InlineData("foo[1h:]@end()", "foo[1h:] @ end()")]
    [InlineData("foo[5m]smoothed @ start()", "foo[5m] smoothed @ start()")]
    [InlineData("foo[(step()*2)]offset -(5m)", "foo[(step() * 2)] offset -(5m)")]
    [InlineData("a+fill(1e-5)b", "a + fill (1e-05) b")]
    [InlineData("a+fill_right(Inf)b", "a + fill_right (+Inf) b")]
    [InlineData("'\\xff\\u00e9\\xc3\\xa9'", "\"\\xffé\u00e9\"")]
    [InlineData("label_replace(a,'b',\"c\\n\",'','é')", "label_replace(a, \"b\", \"c\\n\", \"\", \"é\")")]
    public void One_line_is_Prometheuss(string text, string printed) =>
        Assert.Equal(printed, PromqlParser.Parse(text, ParserOptions.Everything).ToString());

    [Fact]
    public void Long_expressions_break_at_their_parts()
    {
        const string Text = "histogram_quantile(0.99, sum by (le, cluster) (rate(http_request_duration_seconds_bucket{job=\"api\", code!~\"5..\", method=\"GET\"}[5m]))) "
            + "/ on (cluster) group_left (region) topk(5, cluster_info{environment=\"production\"} * 1000000000000000000000000000000000000000000)";
        const string Pretty = """
              histogram_quantile(
                0.99,
                sum by (le, cluster) (
                  rate(http_request_duration_seconds_bucket{code!~"5..",job="api",method="GET"}[5m])
                )
              )
            / on (cluster) group_left (region)
              topk(5, cluster_info{environment="production"} * 1000000000000000000000000000000000000000000)
            """;
        Assert.Equal(Pretty, Printer.Pretty(PromqlParser.Parse(Text, ParserOptions.Default)));
    }
}
