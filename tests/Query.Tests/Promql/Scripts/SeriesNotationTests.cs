using CsCheck;
using Observe.Query.Promql.Scripts;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Query.Tests.Promql.Scripts;

public class SeriesNotationTests
{
    static string Values(string line) => string.Join(' ', SeriesNotation.Parse(line).Values);

    [Theory]
    [InlineData("m 1 2 3", "1 2 3")]
    [InlineData("m 1x3", "1 1 1 1")]
    [InlineData("m 1+2x3", "1 3 5 7")]
    [InlineData("m -1-2x2 0x0", "-1 -3 -5 0")]
    [InlineData("m _ _x2 5", "_ _ _ 5")]
    [InlineData("m Inf -Inf NaN 1e3 .5 1.5e-3", "+Inf -Inf NaN 1000 0.5 0.0015")]
    [InlineData("m  \t 1   2 ", "1 2")]
    [InlineData("m", "")]
    [InlineData("m {{schema:1 sum:3 count:22 buckets:[5 10 7]}}", "{{schema:1 count:22 sum:3 buckets:[5 10 7]}}")]
    [InlineData("m {{offset:-2 buckets:[1] n_offset:3 n_buckets:[4 0 5] z_bucket:6 z_bucket_w:0.5}}x1",
        "{{z_bucket:6 z_bucket_w:0.5 offset:-2 buckets:[1] n_offset:3 n_buckets:[4 0 5]}} {{z_bucket:6 z_bucket_w:0.5 offset:-2 buckets:[1] n_offset:3 n_buckets:[4 0 5]}}")]
    [InlineData("m {{count:1 buckets:[1]}}+{{count:2 buckets:[2]}}x2", "{{count:1 buckets:[1]}} {{count:3 buckets:[3]}} {{count:5 buckets:[5]}}")]
    [InlineData("m {{count:5 buckets:[5]}}-{{count:2 buckets:[2]}}x1", "{{count:5 buckets:[5]}} {{count:3 buckets:[3]}}")]
    [InlineData("m {{schema:-53 custom_values:[1 2.5] buckets:[1 2 3] counter_reset_hint:gauge}}",
        "{{schema:-53 custom_values:[1 2.5] counter_reset_hint:gauge buckets:[1 2 3]}}")]
    public void Values_expand(string line, string values) => Assert.Equal(values, Values(line));

    [Theory]
    [InlineData("{} 1", "{}")]
    [InlineData("a:b 1", "{__name__=\"a:b\"}")]
    [InlineData("m{b=\"1\", a='2',} 1", "{__name__=\"m\", a=\"2\", b=\"1\"}")]
    [InlineData("{\"m n\", \"é\"=\"\\n\"} 1", "{__name__=\"m n\", \"é\"=\"\\n\"}")]
    [InlineData("sum{by=\"x\"} 1", "{__name__=\"sum\", by=\"x\"}")]
    public void Series_have_quoted_and_plain_labels(string line, string labels) => Assert.Equal(labels, SeriesNotation.Parse(line).Labels.ToString());

    [Fact]
    public void Stale_is_the_staleness_marker() => Assert.True(StaleMarker.IsStale(SeriesNotation.Parse("m stale").Values[0].Value));

    [Fact]
    public void A_hint_counts_only_where_it_is_written()
    {
        Assert.False(SeriesNotation.Parse("m {{count:1}}").Values[0].HasHint);
        Assert.True(SeriesNotation.Parse("m {{counter_reset_hint:unknown}}").Values[0].HasHint);
    }

    [Theory]
    [InlineData("m 1+2", "column 6: expected \"x\" and a number of repetitions")]
    [InlineData("m 1 x", "column 5: expected a number, found \"x\"")]
    [InlineData("m 1x", "column 5: expected an integer")]
    [InlineData("m 0x99999999", "a series has more than 1000000 values")]
    [InlineData("m{a=\"b} 1", "column 5: unterminated quoted string")]
    [InlineData("m{a=\"b\" 1", "column 9: unexpected '1', expected \"}\"")]
    [InlineData("m{a=\"b\",a=\"c\"} 1", "column 15: label a is given twice (Parameter 'labels')")]
    [InlineData("m {{sum:1 sum:2}}", "column 14: duplicate key \"sum\" in histogram")]
    [InlineData("m {{nope:1}}", "column 10: bad histogram descriptor found: \"nope\"")]
    [InlineData("m {{schema:2}}+{{schema:1}}x2", "column 29: error combining histograms: cannot merge from schema 1 to 2")]
    public void Faults_say_where(string line, string message) =>
        Assert.Equal(message, Assert.Throws<FormatException>(() => SeriesNotation.Parse(line)).Message);

    [Fact]
    public void Start_times_are_offsets()
    {
        Assert.Equal([null, -30_000, -90_000, -150_000, 0, null, null], SeriesNotation.ParseStartTimes("_ -30s-1mx2 0s _x2"));
        Assert.Equal([0, -60_000, 1, 1], SeriesNotation.ParseStartTimes("0-1mx1 1msx1"));
    }

    [Fact]
    public void Any_text_is_read_or_refused() =>
        Gen.String[Gen.Char["ma1_x{}[]\"=,+-.: estalhNI\\'é"], 0, 40].Sample(line =>
        {
            try
            {
                _ = SeriesNotation.Parse("m " + line);
                _ = SeriesNotation.Parse(line);
            }
            catch (FormatException e)
            {
                Assert.NotEmpty(e.Message);
            }
        });
}
