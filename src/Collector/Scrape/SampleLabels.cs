using Observe.Collector.Config;
using Observe.Collector.Exposition;
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
    /// <param name="exposed">Has parsed the labels.</param>
    /// <param name="labels">The exposed labels.</param>
    public bool Apply(ExpositionParser exposed, LabelsBuilder labels)
    {
        if (config.HonorLabels)
        {
            foreach (var label in target)
            {
                // Federation exposes series without an instance as instance="", so that they do not get the target's.
                if (!labels.TryGet(label.Name, out _) && !exposed.IsExposedEmpty(label.Name, out _))
                {
                    labels.Set(label.Name, label.Value);
                }
            }
        }
        else
        {
            SetTargetLabels(exposed, labels);
        }

        if (config.MetricRelabelConfigs.Count == 0)
        {
            return true;
        }

        labels.Settle();
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

    void SetTargetLabels(ExpositionParser exposed, LabelsBuilder labels)
    {
        List<(string Name, byte[] Value)>? replaced = null;
        foreach (var label in target)
        {
            if (labels.TryGet(label.Name, out var value) || (exposed.IsExposedEmpty(label.Name, out value) && !value.IsEmpty))
            {
                (replaced ??= []).Add((label.NameText, value.ToArray()));
            }

            labels.Set(label.Name, label.Value);
        }

        foreach (var (name, value) in replaced?.OrderBy(e => e.Name.Length) ?? Enumerable.Empty<(string, byte[])>())
        {
            IngestRules.Export(labels, name, value);
        }
    }
}
