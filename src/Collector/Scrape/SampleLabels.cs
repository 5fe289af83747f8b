using System.Text;
using System.Text.Unicode;
using Observe.Collector.Config;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>
/// Turns the labels that a target exposes into those of a stored series: target labels, metric relabelling, external labels' names, limits.
/// Immutable.
/// </summary>
sealed class SampleLabels(ScrapeConfig config, LabelConflict onConflict, Labels external, Labels target)
{
    const string ExportedPrefix = "exported_";

    /// <summary>The labels of a scraped series; empty when relabelling drops it, or when <paramref name="error"/> fails the whole scrape.</summary>
    /// <param name="series">The series as it was exposed: there, and only there, labels with an empty value can be seen.</param>
    /// <param name="labels">The exposed labels; used up.</param>
    public Labels Of(ReadOnlySpan<byte> series, LabelsBuilder labels, out string? error)
    {
        error = null;
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

        if (!RelabelRule.Apply(config.MetricRelabelConfigs, labels))
        {
            return default;
        }

        YieldToExternal(labels);
        var built = labels.Build();
        error = built.IsEmpty ? null : Fault(built);
        return error is null ? built : default;
    }

    /// <summary>The labels of a series that the scraper makes itself, such as <c>up</c>.</summary>
    public Labels OfReport(string name)
    {
        var labels = new LabelsBuilder().Set(Labels.MetricName, name);
        foreach (var label in target)
        {
            labels.Set(label.Name, label.Value);
        }

        YieldToExternal(labels);
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
            Export(labels, name, value);
        }
    }

    /// <summary>What becomes of labels that have the name of an external label. The external label itself is never stored in the series.</summary>
    void YieldToExternal(LabelsBuilder labels)
    {
        foreach (var label in external)
        {
            if (!labels.TryGet(label.Name, out var value))
            {
                continue;
            }

            var own = onConflict == LabelConflict.Exported && !value.SequenceEqual(label.Value) ? value.ToArray() : null;
            labels.Set(label.Name, default);
            if (own is not null)
            {
                Export(labels, label.NameText, own);
            }
        }
    }

    static void Export(LabelsBuilder labels, string name, byte[] value)
    {
        do
        {
            name = ExportedPrefix + name;
        }
        while (labels.Has(name));

        labels.Set(Encoding.UTF8.GetBytes(name), value);
    }

    /// <summary>
    /// Whether the series was exposed with <c>name=""</c>, which under honor_labels says that it has no such label: federation
    /// does so for series without an instance. Quotes inside values are escaped, so these bytes stand for nothing else.
    /// </summary>
    static bool IsExposedEmpty(ReadOnlySpan<byte> series, ReadOnlySpan<byte> name)
    {
        while (series.IndexOf("=\"\""u8) is >= 0 and var at)
        {
            var before = series[..at].TrimEnd((byte)'"');
            if (before.EndsWith(name) && before.Length > name.Length && before[^(name.Length + 1)] is (byte)'{' or (byte)',' or (byte)' ' or (byte)'"')
            {
                return true;
            }

            series = series[(at + 3)..];
        }

        return false;
    }

    string? Fault(Labels labels)
    {
        if (!labels.TryGet("__name__"u8, out var metric))
        {
            return "missing metric name (__name__ label)";
        }

        var legacyMetric = config.LegacyNames && !LabelName.IsLegacyMetricValid(Encoding.UTF8.GetString(metric));
        var count = 0;
        foreach (var label in labels)
        {
            count++;
            var validName = label.Name.Length > 0 && (config.LegacyNames ? LabelName.IsLegacyValid(label.NameText) : Utf8.IsValid(label.Name));
            if (legacyMetric || !validName || !Utf8.IsValid(label.Value))
            {
                return $"invalid metric name or label names: {labels}";
            }
        }

        if (config.LabelLimit > 0 && count > config.LabelLimit)
        {
            return $"label_limit exceeded (metric: {Short(metric)}, number of labels: {count}, limit: {config.LabelLimit})";
        }

        if (config.LabelNameLengthLimit == 0 && config.LabelValueLengthLimit == 0)
        {
            return null;
        }

        foreach (var label in labels)
        {
            if (config.LabelNameLengthLimit > 0 && label.Name.Length > config.LabelNameLengthLimit)
            {
                return $"label_name_length_limit exceeded (metric: {Short(metric)}, label name: {Short(label.Name)}, length: {label.Name.Length}, limit: {config.LabelNameLengthLimit})";
            }

            if (config.LabelValueLengthLimit > 0 && label.Value.Length > config.LabelValueLengthLimit)
            {
                return $"label_value_length_limit exceeded (metric: {Short(metric)}, label name: {Short(label.Name)}, value: {GoText.Quote(Short(label.Value))}, length: {label.Value.Length}, limit: {config.LabelValueLengthLimit})";
            }
        }

        return null;
    }

    static string Short(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text.Length > 50 ? text[..50] : text);
}
