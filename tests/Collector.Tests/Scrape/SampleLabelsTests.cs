using System.Text;
using Observe.Collector.Config;
using Observe.Collector.Exposition;
using Observe.Collector.Scrape;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public class SampleLabelsTests
{
    static readonly Labels s_target = Labels.Of(("instance", "h:1"), ("job", "j"));
    static readonly Labels s_external = Labels.Of(("cluster", "prod"), ("replica", "0"));

    static string Of(string line, ScrapeConfig? config = null, LabelConflict conflict = LabelConflict.Exported, Labels? target = null)
    {
        Assert.True(ExpositionParser.TryCreate("text/plain", null, Encoding.UTF8.GetBytes(line + " 1\n"), out var parser, out _));
        Assert.Equal(ExpositionEntry.Sample, parser.Next());
        var builder = new LabelsBuilder();
        parser.Labels(builder);
        var sampleLabels = New(config ?? new ScrapeConfig { JobName = "j" }, conflict, target ?? s_target);
        if (!sampleLabels.Apply(parser, builder))
        {
            return "dropped";
        }

        var labels = sampleLabels.Rules.Admit(builder, out var fault);
        return fault == SeriesFault.None ? labels.ToString() : sampleLabels.Rules.Explain(fault, labels);
    }

    static SampleLabels New(ScrapeConfig config, LabelConflict conflict, Labels target) =>
        new(config, new ScrapeJob(config, conflict, s_external).Rules, target);

    static readonly ScrapeConfig s_honor = new() { JobName = "j", HonorLabels = true };

    [Theory]
    [InlineData("""m{a="b"}""", """{__name__="m", a="b", instance="h:1", job="j"}""")]
    [InlineData("""m{job="x"}""", """{__name__="m", exported_job="x", instance="h:1", job="j"}""")]
    [InlineData("""m{job="x",exported_job="y"}""", """{__name__="m", exported_exported_job="x", exported_job="y", instance="h:1", job="j"}""")]
    [InlineData("""m{job="j"}""", """{__name__="m", exported_job="j", instance="h:1", job="j"}""")]
    [InlineData("""m{job=""}""", """{__name__="m", instance="h:1", job="j"}""")]
    public void Target_labels_win_and_exposed_ones_are_exported(string line, string expected) => Assert.Equal(expected, Of(line));

    [Theory]
    [InlineData("""m{job="x"}""", """{__name__="m", instance="h:1", job="x"}""")]
    [InlineData("""m{job="x",instance="i"}""", """{__name__="m", instance="i", job="x"}""")]
    [InlineData("""m{job="x",instance=""}""", """{__name__="m", job="x"}""")]
    [InlineData("""m{instance=""}""", """{__name__="m", job="j"}""")]
    [InlineData("""m{a="",instance=""}""", """{__name__="m", job="j"}""")]
    [InlineData("""m{"instance"="",a="x"}""", """{__name__="m", a="x", job="j"}""")]
    [InlineData("""m{xinstance=""}""", """{__name__="m", instance="h:1", job="j"}""")]
    [InlineData("""m{a="{instance=\"\""}""", """{__name__="m", a="{instance=\"\"", instance="h:1", job="j"}""")]
    public void Under_honor_labels_exposed_ones_win_even_when_empty(string line, string expected) => Assert.Equal(expected, Of(line, s_honor));

    [Theory]
    [InlineData(LabelConflict.Exported, """m{cluster="dev"}""", """{__name__="m", exported_cluster="dev", instance="h:1", job="j"}""")]
    [InlineData(LabelConflict.Exported, """m{cluster="prod"}""", """{__name__="m", instance="h:1", job="j"}""")]
    [InlineData(LabelConflict.Exported, """m{cluster="dev",exported_cluster="x",replica="0"}""", """{__name__="m", exported_cluster="x", exported_exported_cluster="dev", instance="h:1", job="j"}""")]
    [InlineData(LabelConflict.Overwrite, """m{cluster="dev",replica="7"}""", """{__name__="m", instance="h:1", job="j"}""")]
    [InlineData(LabelConflict.Exported, """m{}""", """{__name__="m", instance="h:1", job="j"}""")]
    public void Labels_of_an_external_labels_name_are_handled_as_configured(LabelConflict conflict, string line, string expected) =>
        Assert.Equal(expected, Of(line, s_honor, conflict));

    [Fact]
    public void A_target_label_of_an_external_labels_name_is_handled_the_same_way()
    {
        var target = Labels.Of(("instance", "h:1"), ("job", "j"), ("cluster", "west"));
        Assert.Equal("""{__name__="m", exported_cluster="west", instance="h:1", job="j"}""", Of("m", target: target));
        Assert.Equal(
            """{__name__="up", exported_cluster="west", instance="h:1", job="j"}""",
            New(s_honor, LabelConflict.Exported, target).OfReport("up").ToString());
    }

    [Fact]
    public void Metric_relabelling_comes_after_target_labels_and_before_external_ones()
    {
        var config = new ScrapeConfig
        {
            JobName = "j",
            MetricRelabelConfigs =
            [
                new RelabelRule { SourceLabels = ["job"], TargetLabel = "cluster", Replacement = "of-$1" },
                new RelabelRule { SourceLabels = ["__name__"], Action = RelabelAction.Drop, Regex = new LabelRegex("go_.*") },
            ],
        };
        Assert.Equal("""{__name__="m", exported_cluster="of-j", instance="h:1", job="j"}""", Of("m", config));
        Assert.Equal("dropped", Of("go_gc", config));
    }

    [Theory]
    [InlineData(4, 0, 0, """m{a="b"}""", null)]
    [InlineData(3, 0, 0, """m{a="b"}""", "label_limit exceeded (metric: m, number of labels: 4, limit: 3)")]
    [InlineData(0, 8, 0, """m{a="b"}""", null)]
    [InlineData(0, 8, 0, """m{abcdefghi="b"}""", "label_name_length_limit exceeded (metric: m, label name: abcdefghi, length: 9, limit: 8)")]
    [InlineData(0, 0, 5, """m{a="123456"}""", "label_value_length_limit exceeded (metric: m, label name: a, value: \"123456\", length: 6, limit: 5)")]
    public void Limits_count_all_labels_of_the_stored_series(int count, int name, int value, string line, string? expected)
    {
        var config = new ScrapeConfig { JobName = "j", LabelLimit = count, LabelNameLengthLimit = name, LabelValueLengthLimit = value };
        Assert.Equal(expected ?? """{__name__="m", a="b", instance="h:1", job="j"}""", Of(line, config));
    }

    [Fact]
    public void A_series_without_a_name_fails_the_scrape()
    {
        var config = new ScrapeConfig { JobName = "j", MetricRelabelConfigs = [new RelabelRule { TargetLabel = "__name__", Replacement = "" }] };
        Assert.Equal("missing metric name (__name__ label)", Of("m", config));
    }

    [Fact]
    public void Legacy_validation_refuses_names_of_UTF8()
    {
        Assert.Equal("""{__name__="a.b", instance="h:1", job="j"}""", Of("""{"a.b"}"""));
        Assert.StartsWith("invalid metric name or label names:", Of("""{"a.b"}""", new ScrapeConfig { JobName = "j", LegacyNames = true }), StringComparison.Ordinal);
    }
}
