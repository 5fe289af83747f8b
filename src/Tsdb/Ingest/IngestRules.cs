using System.Text;
using System.Text.Unicode;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Ingest;

/// <summary>What a series' own label becomes when an external label has its name.</summary>
public enum LabelConflict : byte
{
    /// <summary>A different value moves to <c>exported_&lt;name&gt;</c>; an equal one is simply the external label.</summary>
    Exported,

    /// <summary>The external label wins; the series' own value is lost.</summary>
    Overwrite,
}

/// <summary>Why a series was refused.</summary>
public enum SeriesFault : byte
{
    None,
    NoMetricName,

    /// <summary>A name that is none in the scheme, or text that is no UTF-8.</summary>
    InvalidLabels,
    LabelLimit,
    LabelNameLengthLimit,
    LabelValueLengthLimit,

    /// <summary>More than the head can hold: tens of thousands.</summary>
    TooManyLabels,
}

/// <summary>
/// What every way in obeys, whoever appends: the names of external labels are not a series' own, names are names, and limits are kept.
/// Limits are 0 where there is none.
/// </summary>
public sealed record IngestRules
{
    const string ExportedPrefix = "exported_";

    // As in Prometheus: one sample from the far future would make the head refuse all that follow.
    const long MaxAheadMs = 10 * 60_000;

    /// <summary>Labels of the whole stream; no series stores them.</summary>
    public Labels External { get; init; }

    public LabelConflict OnConflict { get; init; }

    /// <summary>Names must be legacy names, not any UTF-8.</summary>
    public bool LegacyNames { get; init; }

    public long LabelLimit { get; init; }

    /// <summary>Bytes, as <see cref="LabelValueLengthLimit"/>.</summary>
    public long LabelNameLengthLimit { get; init; }

    public long LabelValueLengthLimit { get; init; }

    /// <summary>Samples of one append.</summary>
    public long SampleLimit { get; init; }

    /// <summary>The newest timestamp that is taken at a moment; both Unix milliseconds.</summary>
    public static long LatestTime(long now) => now + MaxAheadMs;

    /// <summary>Labels as they are stored.</summary>
    /// <param name="labels">Used up.</param>
    public Labels Admit(LabelsBuilder labels, out SeriesFault fault)
    {
        YieldToExternal(labels);
        var built = labels.Build();
        fault = Fault(built);
        return built;
    }

    /// <summary>
    /// What becomes of labels that have the name of an external label. The external label itself is never stored in the series.
    /// </summary>
    public void YieldToExternal(LabelsBuilder labels)
    {
        foreach (var label in External)
        {
            if (!labels.TryGet(label.Name, out var value))
            {
                continue;
            }

            var own = OnConflict == LabelConflict.Exported && !value.SequenceEqual(label.Value) ? value.ToArray() : null;
            labels.Set(label.Name, default);
            if (own is not null)
            {
                Export(labels, label.NameText, own);
            }
        }
    }

    /// <summary>
    /// Keeps a value whose name another label takes: under the first name of <c>exported_</c>, <c>exported_exported_</c>… that is free.
    /// </summary>
    public static void Export(LabelsBuilder labels, string name, byte[] value)
    {
        do
        {
            name = ExportedPrefix + name;
        }
        while (labels.Has(name));

        labels.Set(Encoding.UTF8.GetBytes(name), value);
    }

    /// <summary>A refusal in words.</summary>
    /// <param name="labels">Those that were refused.</param>
    public string Explain(SeriesFault fault, Labels labels)
    {
        var metric = Short(labels.Value("__name__"u8));
        switch (fault)
        {
            case SeriesFault.NoMetricName:
                return "missing metric name (__name__ label)";
            case SeriesFault.LabelLimit:
                return $"label_limit exceeded (metric: {metric}, number of labels: {labels.Count}, limit: {LabelLimit})";
            case SeriesFault.TooManyLabels:
                return $"a series has {labels.Count} labels, which is more than can be stored";
            case SeriesFault.InvalidLabels:
                return $"invalid metric name or label names: {labels}";
        }

        foreach (var label in labels)
        {
            if (IsTooLong(label, out var name))
            {
                return name
                    ? $"label_name_length_limit exceeded (metric: {metric}, label name: {Short(label.Name)}, length: {label.Name.Length}, limit: {LabelNameLengthLimit})"
                    : $"label_value_length_limit exceeded (metric: {metric}, label name: {Short(label.Name)}, value: {GoText.Quote(Short(label.Value))}, length: {label.Value.Length}, limit: {LabelValueLengthLimit})";
            }
        }

        return "";
    }

    SeriesFault Fault(Labels labels)
    {
        if (!labels.TryGet("__name__"u8, out var metric))
        {
            return SeriesFault.NoMetricName;
        }

        if (LegacyNames && !LabelName.IsLegacyMetricValid(Encoding.UTF8.GetString(metric)))
        {
            return SeriesFault.InvalidLabels;
        }

        var (count, tooLong) = (0, SeriesFault.None);
        foreach (var label in labels)
        {
            count++;
            var validName = label.Name.Length > 0
                && (LegacyNames ? LabelName.IsLegacyValid(Encoding.UTF8.GetString(label.Name)) : Utf8.IsValid(label.Name));
            if (!validName || !Utf8.IsValid(label.Value))
            {
                return SeriesFault.InvalidLabels;
            }

            if (tooLong == SeriesFault.None && IsTooLong(label, out var name))
            {
                tooLong = name ? SeriesFault.LabelNameLengthLimit : SeriesFault.LabelValueLengthLimit;
            }
        }

        return LabelLimit > 0 && count > LabelLimit ? SeriesFault.LabelLimit : tooLong;
    }

    bool IsTooLong(Labels.Label label, out bool name)
    {
        name = LabelNameLengthLimit > 0 && label.Name.Length > LabelNameLengthLimit;
        return name || (LabelValueLengthLimit > 0 && label.Value.Length > LabelValueLengthLimit);
    }

    static string Short(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text.Length > 50 ? text[..50] : text);
}
