using System.Text;
using CsCheck;
using Observe.Collector.Exposition;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Exposition;

public sealed class ExpositionParserTests
{
    [Theory]
    [InlineData("text/plain", null, typeof(PrometheusTextParser))]
    [InlineData("TEXT/PLAIN; version=0.0.4; charset=utf-8", null, typeof(PrometheusTextParser))]
    [InlineData("text/plain;", null, typeof(PrometheusTextParser))]
    [InlineData("text/plain; version=1.0.0; escaping=allow-utf-8", null, typeof(PrometheusTextParser))]
    [InlineData("text/plain; a=\"b;\\\"c\"", null, typeof(PrometheusTextParser))]
    [InlineData("application/openmetrics-text", "PrometheusText0.0.4", typeof(OpenMetricsParser))]
    [InlineData("text/html", "PrometheusText0.0.4", typeof(PrometheusTextParser))]
    [InlineData(null, "OpenMetricsText1.0.0", typeof(OpenMetricsParser))]
    [InlineData("text/plain; foo", "PrometheusText1.0.0", typeof(PrometheusTextParser))]
    [InlineData("text/html", null, null)]
    [InlineData("", null, null)]
    [InlineData(null, null, null)]
    [InlineData("text/plain; foo", null, null)]
    [InlineData("text/plain;;", null, null)]
    [InlineData("garbage", null, null)]
    public void The_content_type_chooses_the_parser(string? contentType, string? fallback, Type? expected)
    {
        Assert.Equal(expected is not null, ExpositionParser.TryCreate(contentType, fallback, default, out var parser, out var error));
        Assert.Equal(expected, parser?.GetType());
        Assert.Equal(expected is null || parser is PrometheusTextParser && fallback is not null || contentType is null, error is not null);
    }

    [Fact]
    public void A_missing_content_type_is_told_in_Prometheus_words()
    {
        ExpositionParser.TryCreate("text/html", null, default, out _, out var error);
        Assert.Equal("received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target", error);
        ExpositionParser.TryCreate(null, null, default, out _, out error);
        Assert.Equal("non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target", error);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/openmetrics-text")]
    public void A_line_is_read_without_allocation(string contentType)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 2000; i++)
        {
            text.Append("# HELP metric_").Append(i).Append(" a \\\\ text\n# TYPE metric_").Append(i).Append(" gauge\n");
            text.Append("metric_").Append(i).Append("{label=\"value\",other=\"ü\\n\"} 1.25e-3 1700000000\n");
            text.Append("metric_").Append(i).Append(" 12345.678\n");
        }

        var body = Encoding.UTF8.GetBytes(text.Append("# EOF\n").ToString());
        Read(contentType, body);
        Assert.InRange(Read(contentType, body), 0, 4096);
    }

    [Fact]
    public void What_is_printed_is_read_back() =>
        Gen.Select(
            Gen.String[Gen.Char["abc_.é \"\\\n{}=,#"], 1, 8],
            Gen.Dictionary(Gen.String[Gen.Char["xyz_-é\"\\\n"], 1, 4], Gen.String[Gen.Char["abc \"\\\n{}=,#é\U00002603"], 1, 6])[0, 4],
            Gen.Double).Sample((name, labels, value) =>
            {
                var text = "{" + Quoted(name) + string.Concat(labels.Select(l => $",{Quoted(l.Key)}={Quoted(l.Value)}")) + "} "
                    + value.ToString("R", System.Globalization.CultureInfo.InvariantCulture).Replace("Infinity", "Inf", StringComparison.Ordinal) + "\n";
                var builder = new LabelsBuilder();
                foreach (var parser in new ExpositionParser[] { new PrometheusTextParser(Exposed.Bytes(text)), new OpenMetricsParser(Exposed.Bytes(text + "# EOF\n")) })
                {
                    Assert.Equal(ExpositionEntry.Sample, parser.Next());
                    parser.Labels(builder);
                    var expected = labels.Append(KeyValuePair.Create("__name__", name)).OrderBy(l => l.Key, Utf8Order.Instance);
                    Assert.Equal(expected, builder.ToList());
                    Assert.Equal(double.IsNaN(value) ? double.NaN : value, parser.Value);
                    Assert.Equal(ExpositionEntry.End, parser.Next());
                }
            });

    [Fact]
    public void Damage_is_a_fault_or_another_body_and_nothing_else()
    {
        var body = Exposed.Bytes("# HELP a x\\n\n# TYPE a histogram\na_bucket{le=\"1\",b=\"c\\\"\"} 1 1.5 # {t=\"u\"} 0.5 1\n# UNIT a_s s\n{\"a.b\",l=\"v\"} +Inf\n# EOF\n");
        Gen.Select(Gen.Int[0, body.Length - 1], Gen.Byte, Gen.Int[0, body.Length]).Sample((at, value, length) =>
        {
            var damaged = body.ToArray();
            damaged[at] = value;
            foreach (var part in new[] { damaged, damaged[..length] })
            {
                Try(() => Exposed.Samples(new PrometheusTextParser(part)));
                Try(() => Exposed.Samples(new OpenMetricsParser(part)));
                ExpositionCheck.Run(part, ExpositionFormat.OpenMetrics);
                ExpositionCheck.Run(part, ExpositionFormat.Text);
            }
        });

        static void Try(Action action)
        {
            try
            {
                action();
            }
            catch (ExpositionException)
            {
            }
        }
    }

    static long Read(string contentType, byte[] body)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(ExpositionParser.TryCreate(contentType, null, body, out var parser, out _));
        var (samples, bytes) = (0, 0);
        for (var entry = parser.Next(); entry != ExpositionEntry.End; entry = parser.Next())
        {
            samples += entry == ExpositionEntry.Sample ? 1 : 0;
            bytes += entry == ExpositionEntry.Sample ? parser.Series.Length : parser.Text.Length;
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(4000, samples);
        Assert.True(bytes > 0);
        return allocated;
    }

    static string Quoted(string text) => "\"" + text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
        .Replace("\n", "\\n", StringComparison.Ordinal) + "\"";
}
