using System.Diagnostics.CodeAnalysis;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

public enum ExpositionEntry : byte
{
    /// <summary>The body is read to its end.</summary>
    End,

    /// <summary>A sample: <see cref="ExpositionParser.Series"/>, Value, Timestamp.</summary>
    Sample,

    /// <summary>A native histogram: Series, Histogram, Timestamp.</summary>
    Histogram,
    Type,
    Help,
    Unit,
    Comment,
}

/// <summary>
/// Walks an exposition without allocating: Prometheus text 0.0.4, OpenMetrics or protobuf. The bytes that Series, MetricName and Text
/// return lie in the body and are valid until the next call of <see cref="Next"/>. The parser never recurses, whatever the body.
/// </summary>
public abstract class ExpositionParser
{
    /// <summary>
    /// Asked where a sample begins: the length of its series where the parser has scanned these very bytes before, else 0. They are not scanned
    /// again then.
    /// </summary>
    internal KnownSeries? Known { get; set; }

    /// <summary>Advances to the next entry.</summary>
    /// <exception cref="ExpositionException">The body is malformed; names the line.</exception>
    public abstract ExpositionEntry Next();

    /// <summary>
    /// The bytes that name the series, as the target sent them: equal bytes are the same series. A key for caches, not labels.
    /// </summary>
    public abstract ReadOnlySpan<byte> Series { get; }

    /// <summary>
    /// Parses <see cref="Series"/>: the metric's name as __name__, then its labels; the builder is reset first. A label that has an empty
    /// value anywhere is left out, of one that has several values the first one is taken.
    /// </summary>
    public abstract void Labels(LabelsBuilder into);

    /// <summary>Whether the labels that were parsed last have a label with an empty value.</summary>
    /// <param name="before">The value that the same label has before that, if any.</param>
    public abstract bool IsExposedEmpty(ReadOnlySpan<byte> label, out ReadOnlySpan<byte> before);

    /// <summary>A label that has several values among those that were parsed last, and is still there after relabelling; null where there is none.</summary>
    public abstract string? Repeated(LabelsBuilder labels);

    public double Value { get; protected set; }

    /// <summary>Unix milliseconds, where the exposition gives one.</summary>
    public long? Timestamp { get; protected set; }

    /// <summary>When the sample's counter was created, Unix milliseconds, 0 where unknown.</summary>
    public long StartTimestamp { get; protected set; }

    public Histogram? Histogram { get; protected set; }

    /// <summary>The metric family of a Type, Help or Unit entry.</summary>
    public abstract ReadOnlySpan<byte> MetricName { get; }

    public MetricType Type { get; protected set; }

    /// <summary>The unescaped text of a Help or Unit entry.</summary>
    public abstract ReadOnlySpan<byte> Text { get; }

    /// <summary>
    /// The parser for a body, by its Content-Type as Prometheus 3 decides; false where the type is unknown and there is no fallback.
    /// </summary>
    /// <param name="contentType">The header as it came, null when it was missing.</param>
    /// <param name="fallback">A name of <c>scrape_protocols</c> for a missing or unknown type; null for none.</param>
    /// <param name="body">Read in place: it must not change while the parser is in use.</param>
    /// <param name="error">The reason why there is no parser, or why the fallback was taken; else null.</param>
    public static bool TryCreate(
        string? contentType,
        string? fallback, ReadOnlyMemory<byte> body, [NotNullWhen(true)] out ExpositionParser? parser, out string? error)
    {
        var type = contentType is null ? null : MediaType.Parse(contentType);
        parser = type switch
        {
            "text/plain" => new PrometheusTextParser(body),
            "application/openmetrics-text" => new OpenMetricsParser(body),
            _ => null,
        };
        if (parser is not null)
        {
            error = null;
            return true;
        }

        var what = string.IsNullOrEmpty(contentType)
            ? "non-compliant scrape target sending blank Content-Type"
            : $"received unsupported Content-Type {GoText.Quote(contentType)}";
        parser = fallback switch
        {
            "PrometheusText0.0.4" or "PrometheusText1.0.0" => new PrometheusTextParser(body),
            "OpenMetricsText0.0.1" or "OpenMetricsText1.0.0" => new OpenMetricsParser(body),
            _ => null,
        };
        error = parser is null
            ? $"{what} and no fallback_scrape_protocol specified for target"
            : $"{what}, using fallback_scrape_protocol {GoText.Quote(fallback!)}";
        return parser is not null;
    }
}

/// <param name="rest">From the first byte of the series to the end of the body.</param>
delegate int KnownSeries(ReadOnlySpan<byte> rest);

/// <summary>An exposition that breaks its format.</summary>
/// <param name="line">From 1.</param>
public sealed class ExpositionException(int line, string what) : FormatException($"line {line}: {what}")
{
    public int Line { get; } = line;

    public string What { get; } = what;

    /// <summary>The position in the body, in bytes.</summary>
    internal int Offset { get; init; }
}
