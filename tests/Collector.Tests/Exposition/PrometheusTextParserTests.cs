using System.Text;
using Observe.Collector.Exposition;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Exposition;

/// <summary>The rows are what Prometheus 3.5 made of each body when it scraped it.</summary>
public sealed class PrometheusTextParserTests
{
    [Theory]
    [InlineData(" a 1\n", "a{} 1")]
    [InlineData("a 1", "a{} 1")]
    [InlineData("a 1\n\u0000garbage", "a{} 1")]
    [InlineData("\n\n a 1\n", "a{} 1")]
    [InlineData("a{b=\"c\"d=\"e\"} 1\n", "a{b=c,d=e} 1")]
    [InlineData("a{b=\"c\",} 1\n", "a{b=c} 1")]
    [InlineData("a{} 1\n", "a{} 1")]
    [InlineData("a+1\n", "a{} 1")]
    [InlineData("a{b=\"x\ny\"} 1\n", "a{b=x\ny} 1")]
    [InlineData("{\"a.b\",l=\"v\"} 1\n", "a.b{l=v} 1")]
    [InlineData("{l=\"v\",\"a.b\"} 1\n", "a.b{l=v} 1")]
    [InlineData("{\"a.b\"} 1\n", "a.b{} 1")]
    [InlineData("a{\"b.c\"=\"d\"} 1\n", "a{b.c=d} 1")]
    [InlineData("a Infinity\n", "a{} +Inf")]
    [InlineData("a nan\n", "a{} NaN")]
    [InlineData("a -iNf\n", "a{} -Inf")]
    [InlineData("# TYPE a-counter\n", "")]
    [InlineData("# TYPE a counter\n# TYPE a gauge\na 1\n", "a{} 1")]
    [InlineData("# HELP a\n", "")]
    [InlineData("# HELP a \n", "")]
    [InlineData("# HELP\n", "")]
    [InlineData("#x\n# \na 1\n", "a{} 1")]
    [InlineData("# TYPE a histogram\na_bucket{le=\"1000000\"} 1\na_bucket{le=\"10000000000000000000000\"} 1\na_bucket{le=\"123456789\"} 1\na_bucket{le=\"0.00001\"} 1\na_bucket{le=\"+Inf\"} 1\na_bucket{le=\"100000\"} 2\na_bucket{le=\"-0\"} 2\n", "a_bucket{le=+Inf} 1 | a_bucket{le=0.0} 2 | a_bucket{le=1.23456789e+08} 1 | a_bucket{le=100000.0} 2 | a_bucket{le=1e+06} 1 | a_bucket{le=1e+22} 1 | a_bucket{le=1e-05} 1")]
    [InlineData("a{b=\"\\q\\n\\\\\"} 1\n", "a{b=\\q\n\\} 1")]
    [InlineData("a{b=\"\"} 1\n", "a{} 1")]
    [InlineData("a{b = \"c\" , d=\"e\" } 1\n", "a{b=c,d=e} 1")]
    [InlineData("a {b=\"c\"} 1\n", "a{b=c} 1")]
    [InlineData("a\t1\t\n", "a{} 1")]
    [InlineData("a:b 1\n", "a:b{} 1")]
    [InlineData(":a 1\n", ":a{} 1")]
    [InlineData("a .5\n", "a{} 0.5")]
    [InlineData("a 5.\n", "a{} 5")]
    [InlineData("#\u0000\na 1\n", "")]
    [InlineData("a{b=\"\u0000\"} 1\n", "a{b=\u0000} 1")]
    [InlineData("{\"a\\nb\"} 1\n", "a\nb{} 1")]
    [InlineData("# TYPE \"a.b\" counter\n{\"a.b\"} 1\n", "a.b{} 1")]
    [InlineData("# HELP \"a.b\"\n{\"a.b\"} 1\n", "a.b{} 1")]
    [InlineData("a 1 ", "a{} 1")]
    public void What_Prometheus_takes_is_taken(string body, string expected) => Assert.Equal(expected, Exposed.Samples(new PrometheusTextParser(Encoding.Latin1.GetBytes(body))));

    [Theory]
    [InlineData("a{,} 1\n")]
    [InlineData("a 1 -1\n")]
    [InlineData("a 1 1.5\n")]
    [InlineData("{l=\"v\"} 1\n")]
    [InlineData("a 0x1p-2\n")]
    [InlineData("a 1_0\n")]
    [InlineData("a 1e999\n")]
    [InlineData("a +NaN\n")]
    [InlineData("# TYPE a counter \na 1\n")]
    [InlineData("# TYPE a  counter\na 1\n")]
    [InlineData("a{b=\"1\",b=\"2\"} 1\n")]
    [InlineData("{\"\"} 1\n")]
    [InlineData("a 1\r\n")]
    [InlineData("# TYPE a counter\r\na 1\n")]
    [InlineData("a{b=\"\u00ff\"} 1\n")]
    [InlineData("a{b:c=\"d\"} 1\n")]
    [InlineData("0a 1\n")]
    [InlineData("a 1 99999999999999999999\n")]
    [InlineData("a{b=\"x\\\ny\"} 1\n")]
    [InlineData("a .\n")]
    [InlineData("a 1e\n")]
    [InlineData("a{b='c'} 1\n")]
    [InlineData("a 1 # x\n")]
    [InlineData("a{b=\"c\"}{} 1\n")]
    [InlineData("# HELP a \u00ff\na 1\n")]
    [InlineData("{\"a\",\"b\"} 1\n")]
    [InlineData("a 1\n\u000b\n")]
    [InlineData("a{b=\"c\"")]
    [InlineData("a{b=\"c")]
    [InlineData("a{")]
    [InlineData("a")]
    [InlineData("a ")]
    [InlineData("a{a=\"b\"} ")]
    public void What_Prometheus_refuses_is_refused(string body) =>
        Assert.Throws<ExpositionException>(() => Exposed.Samples(new PrometheusTextParser(Encoding.Latin1.GetBytes(body))));

    [Fact]
    public void Metadata_comes_with_its_text_unescaped()
    {
        var parser = new PrometheusTextParser("# HELP a first\\\\second\\nthird \\\"q\\\"\n# TYPE a summary\n#note\n# HELP \"b.c\"\n"u8.ToArray());
        Assert.Equal(ExpositionEntry.Help, parser.Next());
        Assert.Equal("a", Encoding.UTF8.GetString(parser.MetricName));
        Assert.Equal("first\\second\nthird \\\"q\\\"", Encoding.UTF8.GetString(parser.Text));
        Assert.Equal(ExpositionEntry.Type, parser.Next());
        Assert.Equal(MetricType.Summary, parser.Type);
        Assert.Equal(ExpositionEntry.Comment, parser.Next());
        Assert.Equal("note", Encoding.UTF8.GetString(parser.Text));
        Assert.Equal(ExpositionEntry.Help, parser.Next());
        Assert.Equal("b.c", Encoding.UTF8.GetString(parser.MetricName));
        Assert.Equal(0, parser.Text.Length);
        Assert.Equal(ExpositionEntry.End, parser.Next());
        Assert.Equal(ExpositionEntry.End, parser.Next());
    }

    [Fact]
    public void A_timestamp_is_in_milliseconds()
    {
        var parser = new PrometheusTextParser("a{b=\"c\"} 1 1700000000123\na 2\n"u8.ToArray());
        parser.Next();
        Assert.Equal(1_700_000_000_123, parser.Timestamp);
        Assert.Equal("a{b=\"c\"}", Encoding.UTF8.GetString(parser.Series));
        parser.Next();
        Assert.Null(parser.Timestamp);
    }

    [Fact]
    public void A_fault_names_its_line()
    {
        var parser = new PrometheusTextParser("a 1\n\nb{ 1\n"u8.ToArray());
        parser.Next();
        Assert.Equal("line 3: expected label name, got \"1\"", Assert.Throws<ExpositionException>(() => parser.Next()).Message);
    }

    [Fact]
    public void NaN_has_one_form()
    {
        var parser = new PrometheusTextParser("a NaN\n"u8.ToArray());
        parser.Next();
        Assert.Equal(StaleMarker.NormalNaNBits, BitConverter.DoubleToUInt64Bits(parser.Value));
    }
}
