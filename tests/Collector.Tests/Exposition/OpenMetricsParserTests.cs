using System.Text;
using Observe.Collector.Exposition;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Exposition;

/// <summary>The rows are what Prometheus 3.5 made of each body when it scraped it.</summary>
public sealed class OpenMetricsParserTests
{
    [Theory]
    [InlineData("# EOF\n", "")]
    [InlineData("a 1\n# EOF", "a{} 1")]
    [InlineData("a 1 # {a=\"b\"} 1\n# EOF\n", "a{} 1")]
    [InlineData("a 1 # {} 1\n# EOF\n", "a{} 1")]
    [InlineData("a{b=\"c\",} 1\n# EOF\n", "a{b=c} 1")]
    [InlineData("{\"a.b\",l=\"v\"} 1\n# EOF\n", "a.b{l=v} 1")]
    [InlineData("# HELP a \n# EOF\n", "")]
    [InlineData("# UNIT a_s s\n# EOF\n", "")]
    [InlineData("# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n", "a_bucket{le=1.0} 1")]
    [InlineData("{\"a\nb\"} 1\n# EOF\n", "a\nb{} 1")]
    [InlineData("a{\"a\nb\"=\"c\"} 1\n# EOF\n", "a{a\nb=c} 1")]
    [InlineData("a 1 # {\"a\"=\"b\"} 1\n# EOF\n", "a{} 1")]
    [InlineData("a{} 1\n# EOF\n", "a{} 1")]
    [InlineData("a_total 1\na_created 5\n# EOF\n", "a_created{} 5 | a_total{} 1")]
    [InlineData("# TYPE a counter\na_total 1\na_created 5\n# EOF\n", "a_created{} 5 | a_total{} 1")]
    [InlineData("a{b=\"\u0000\"} 1\n# EOF\n", "a{b=\u0000} 1")]
    [InlineData("# HELP a b\\n\\\"\\\\\n# EOF\n", "")]
    public void What_Prometheus_takes_is_taken(string body, string expected) => Assert.Equal(expected, Exposed.Samples(new OpenMetricsParser(Encoding.Latin1.GetBytes(body))));

    [Theory]
    [InlineData("a 1\n")]
    [InlineData("a  1\n# EOF\n")]
    [InlineData(" a 1\n# EOF\n")]
    [InlineData("a 1 \n# EOF\n")]
    [InlineData("a 1 #{} 1\n# EOF\n")]
    [InlineData("a{b=\"c\"d=\"e\"} 1\n# EOF\n")]
    [InlineData("# TYPE a untyped\n# EOF\n")]
    [InlineData("# HELP a\n# EOF\n")]
    [InlineData("# UNIT a s\n# EOF\n")]
    [InlineData("# EOF\n\n")]
    [InlineData("# EOF\n ")]
    [InlineData("#EOF\n")]
    [InlineData("# x\n# EOF\n")]
    [InlineData("a{b=\"x\ny\"} 1\n# EOF\n")]
    [InlineData("a 1 # {\"a\"} 1\n# EOF\n")]
    [InlineData("a 1 # {a=\"b\",} 1 NaN\n# EOF\n")]
    [InlineData("a 1 x\n# EOF\n")]
    [InlineData("a 1 1 1\n# EOF\n")]
    [InlineData("a 1 # {a=\"b\"} \n# EOF\n")]
    [InlineData("a {} 1\n# EOF\n")]
    [InlineData("a{b=\"c\"}1\n# EOF\n")]
    [InlineData("\n# EOF\n")]
    [InlineData("a{b=\"1\", c=\"2\"} 1\n# EOF\n")]
    [InlineData("a 1 # {b=\"\u0000\"} 1\n# EOF\n")]
    public void What_Prometheus_refuses_is_refused(string body) =>
        Assert.Throws<ExpositionException>(() => Exposed.Samples(new OpenMetricsParser(Encoding.Latin1.GetBytes(body))));

    [Theory]
    [InlineData("a 1 1.5\n", 1500)]
    [InlineData("a 1 -1.5\n", -1500)]
    [InlineData("a 1 1 # {a=\"b\"} 1 1\n", 1000)]
    [InlineData("a 1 1700000000.1239\n", 1_700_000_000_123)]
    [InlineData("a 1 1e300\n", long.MinValue)]
    public void A_timestamp_is_in_seconds(string line, long expected)
    {
        var parser = new OpenMetricsParser(Encoding.UTF8.GetBytes(line + "# EOF\n"));
        parser.Next();
        Assert.Equal(expected, parser.Timestamp);
        Assert.Equal(ExpositionEntry.End, parser.Next());
    }

    [Fact]
    public void Metadata_comes_with_its_text_unescaped()
    {
        var parser = new OpenMetricsParser("# HELP a_s \\\"q\\\"\\n\n# TYPE a_s gaugehistogram\n# UNIT a_s s\n# EOF"u8.ToArray());
        Assert.Equal(ExpositionEntry.Help, parser.Next());
        Assert.Equal("\"q\"\n", Encoding.UTF8.GetString(parser.Text));
        Assert.Equal(ExpositionEntry.Type, parser.Next());
        Assert.Equal(MetricType.GaugeHistogram, parser.Type);
        Assert.Equal(ExpositionEntry.Unit, parser.Next());
        Assert.Equal("s", Encoding.UTF8.GetString(parser.Text));
        Assert.Equal("a_s", Encoding.UTF8.GetString(parser.MetricName));
        Assert.Equal(ExpositionEntry.End, parser.Next());
    }

    [Fact]
    public void Exemplars_are_passed_over()
    {
        var parser = new OpenMetricsParser("a_bucket{le=\"1\"} 3 # {trace=\"x # {\"} 0.5 1\n# EOF\n"u8.ToArray());
        Assert.Equal(ExpositionEntry.Sample, parser.Next());
        Assert.Equal("a_bucket{le=\"1\"}", Encoding.UTF8.GetString(parser.Series));
        Assert.Equal(3, parser.Value);
        Assert.Equal(ExpositionEntry.End, parser.Next());
    }
}
