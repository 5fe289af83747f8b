using System.Globalization;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Tests.Head;
using Xunit;

namespace Observe.Tsdb.Tests.Ingest;

public sealed class RuledAppenderTests : IAsyncDisposable
{
    static readonly AppendSource s_source = new(AppendOrigin.Receiver, "r");

    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    async Task<RuledAppender> NewAsync(IngestRules rules)
    {
        var appender = new RuledAppender((await _test.OpenAsync()).Appender());
        appender.Begin(s_source, rules, now: 0);
        return appender;
    }

    [Theory]
    [InlineData("""m{a="b"}""", SeriesFault.None, """{__name__="m", a="b"}""")]
    [InlineData("""m{cluster="dev"}""", SeriesFault.None, """{__name__="m", exported_cluster="dev"}""")]
    [InlineData("""m{cluster="prod"}""", SeriesFault.None, """{__name__="m"}""")]
    [InlineData("""{a="b"}""", SeriesFault.NoMetricName, "missing metric name (__name__ label)")]
    [InlineData("""m{a="1",b="2",c="3"}""", SeriesFault.LabelLimit, "label_limit exceeded (metric: m, number of labels: 4, limit: 3)")]
    [InlineData("""m{abcdefghijklmnopq="1"}""", SeriesFault.LabelNameLengthLimit, "label_name_length_limit exceeded (metric: m, label name: abcdefghijklmnopq, length: 17, limit: 16)")]
    [InlineData("""m{a="123456789"}""", SeriesFault.LabelValueLengthLimit, "label_value_length_limit exceeded (metric: m, label name: a, value: \"123456789\", length: 9, limit: 8)")]
    [InlineData("""m{a.b="1"}""", SeriesFault.InvalidLabels, "invalid metric name or label names: {__name__=\"m\", \"a.b\"=\"1\"}")]
    public async Task Whoever_appends_is_held_to_the_rules_of_labels(string series, SeriesFault expected, string text)
    {
        var rules = new IngestRules
        {
            External = Labels.Of(("cluster", "prod")),
            LegacyNames = true,
            LabelLimit = 3,
            LabelNameLengthLimit = 16,
            LabelValueLengthLimit = 8,
        };
        using var appender = await NewAsync(rules);
        var reference = appender.GetOrAdd(Parse(series), out var fault);
        Assert.Equal((expected, expected != SeriesFault.None), (fault, reference.IsNone));
        var admitted = rules.Admit(new LabelsBuilder(Parse(series)), out _);
        Assert.Equal(text, fault == SeriesFault.None ? admitted.ToString() : rules.Explain(fault, admitted));
    }

    [Fact]
    public async Task More_labels_than_the_head_holds_are_refused()
    {
        using var appender = await NewAsync(new IngestRules());
        var labels = new LabelsBuilder().Set("__name__", "m");
        for (var i = 0; i < 40_000; i++)
        {
            labels.Set("l" + i.ToString(CultureInfo.InvariantCulture), "1");
        }

        Assert.True(appender.GetOrAdd(labels.Build(), out var fault).IsNone);
        Assert.Equal(SeriesFault.TooManyLabels, fault);
        Assert.Equal(AppendResult.UnknownSeries, appender.Append(default, 1, 1));
    }

    [Fact]
    public async Task Samples_beyond_the_limit_or_too_far_ahead_are_refused_in_each_append_anew()
    {
        using var appender = await NewAsync(new IngestRules { SampleLimit = 2 });
        for (var time = 1; time < 30; time += 10)
        {
            var series = appender.GetOrAdd(Parse("m{}"), out _);
            Assert.Equal(AppendResult.Appended, appender.Append(series, time, 1));
            Assert.Equal(AppendResult.OutOfBounds, appender.Append(series, 10 * 60_000 + 1, 1));
            Assert.Equal(AppendResult.OverSampleLimit, appender.Append(series, time + 1, 1));
            await appender.Commit().DurableAsync(default);
        }
    }

    static Labels Parse(string series)
    {
        var brace = series.IndexOf('{', StringComparison.Ordinal);
        var labels = new LabelsBuilder().Set("__name__", series[..brace]);
        foreach (var label in series[(brace + 1)..^1].Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            labels.Set(label.Split('=')[0], label.Split('=')[1].Trim('"'));
        }

        return labels.Build();
    }
}
