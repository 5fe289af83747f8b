using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <param name="Line">From 1.</param>
public sealed record ExpositionFault(int Line, string What)
{
    public override string ToString() => $"line {Line}: {What}";
}

public enum ExpositionFormat
{
    /// <summary>Prometheus text 0.0.4.</summary>
    Text,

    /// <summary>OpenMetrics text 1.0, by its specification.</summary>
    OpenMetrics,
}

/// <summary>Checks an exposition for its author, more strictly than a scrape does.</summary>
public static class ExpositionCheck
{
    /// <summary>Every fault of an exposition, in order of lines; none when it is right.</summary>
    public static IReadOnlyList<ExpositionFault> Run(ReadOnlyMemory<byte> body, ExpositionFormat format) =>
        [.. (format == ExpositionFormat.OpenMetrics ? OpenMetricsValidator.Validate(body.Span) : CheckText(body)).OrderBy(f => f.Line)];

    /// <summary>Each line must parse; metadata is there once and before its samples, and a series once.</summary>
    static List<ExpositionFault> CheckText(ReadOnlyMemory<byte> body)
    {
        var faults = new List<ExpositionFault>();
        var parser = new PrometheusTextParser(body);
        var metadata = new HashSet<(ExpositionEntry, string)>();
        var sampled = new HashSet<string>();
        var series = new HashSet<Labels>();
        var labels = new LabelsBuilder();
        while (true)
        {
            try
            {
                var entry = parser.Next();
                if (entry == ExpositionEntry.End)
                {
                    return faults;
                }

                if (entry is ExpositionEntry.Type or ExpositionEntry.Help)
                {
                    var name = Encoding.UTF8.GetString(parser.MetricName);
                    if (!metadata.Add((entry, name)))
                    {
                        throw parser.FaultHere($"second {entry.ToString().ToUpperInvariant()} of {name}");
                    }

                    if (entry == ExpositionEntry.Type && sampled.Contains(name))
                    {
                        throw parser.FaultHere($"TYPE of {name} comes after its samples");
                    }
                }
                else if (entry == ExpositionEntry.Sample)
                {
                    parser.Labels(labels);
                    if (parser.Repeated(labels) is { } repeated)
                    {
                        throw parser.FaultHere($"label name {GoText.Quote(repeated)} is not unique: invalid sample");
                    }

                    if (labels.Has(""))
                    {
                        throw parser.FaultHere("invalid metric name or label names: a label name is empty");
                    }

                    if (!labels.Has("__name__"))
                    {
                        throw parser.FaultHere("missing metric name (__name__ label)");
                    }

                    sampled.Add(labels.Get("__name__"));
                    if (!series.Add(labels.Build()))
                    {
                        throw parser.FaultHere($"{labels.Build()} was there before");
                    }
                }
            }
            catch (ExpositionException e)
            {
                faults.Add(new ExpositionFault(e.Line, e.What));
                parser.SkipLine(e);
            }
        }
    }
}
