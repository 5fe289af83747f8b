using Observe.Collector.Config;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>
/// Turns the labels that a target exposes into those of a series: target labels and metric relabelling. The rules that scrapes share with
/// other ways of ingestion follow after it (<see cref="Rules"/>). Immutable.
/// </summary>
sealed class SampleLabels(ScrapeConfig config, IngestRules rules, Labels target)
{
    public IngestRules Rules => rules;

    public AppendSource Source { get; } = new(AppendOrigin.Scrape, config.JobName);

    /// <summary>Makes the labels of a scraped series of those that were exposed; false when relabelling drops it.</summary>
    /// <param name="series">The series' bytes as they were exposed: the parsed labels no longer show labels with an empty value.</param>
    /// <param name="labels">The exposed labels.</param>
    public bool Apply(ReadOnlySpan<byte> series, LabelsBuilder labels)
    {
        if (config.HonorLabels)
        {
            foreach (var label in target)
            {
                if (!labels.TryGet(label.Name, out _) && !IsExposedEmpty(series, label.Name))
                {
                    labels.Set(label.Name, label.Value);
                }
            }
        }
        else
        {
            SetTargetLabels(labels);
        }

        return RelabelRule.Apply(config.MetricRelabelConfigs, labels);
    }

    /// <summary>The labels of a series that the scraper makes itself, such as <c>up</c>.</summary>
    public Labels OfReport(string name)
    {
        var labels = new LabelsBuilder().Set(Labels.MetricName, name);
        foreach (var label in target)
        {
            labels.Set(label.Name, label.Value);
        }

        rules.YieldToExternal(labels);
        return labels.Build();
    }

    void SetTargetLabels(LabelsBuilder labels)
    {
        List<(string Name, byte[] Value)>? exposed = null;
        foreach (var label in target)
        {
            if (labels.TryGet(label.Name, out var value))
            {
                (exposed ??= []).Add((label.NameText, value.ToArray()));
            }

            labels.Set(label.Name, label.Value);
        }

        foreach (var (name, value) in exposed?.OrderBy(e => e.Name.Length) ?? Enumerable.Empty<(string, byte[])>())
        {
            IngestRules.Export(labels, name, value);
        }
    }

    /// <summary>
    /// Whether the series was exposed with <c>name=""</c>, which under honor_labels means that the series does not get the target's label
    /// of that name: federation exposes series without an instance so. Quotes inside values are escaped, so that these bytes can't be part
    /// of a value.
    /// </summary>
    static bool IsExposedEmpty(ReadOnlySpan<byte> series, ReadOnlySpan<byte> name)
    {
        while (series.IndexOf("=\"\""u8) is >= 0 and var at)
        {
            var before = series[..at].TrimEnd((byte)'"');
            if (before.EndsWith(name)
                && before.Length > name.Length && before[^(name.Length + 1)] is (byte)'{' or (byte)',' or (byte)' ' or (byte)'"')
            {
                return true;
            }

            series = series[(at + 3)..];
        }

        return false;
    }
}
