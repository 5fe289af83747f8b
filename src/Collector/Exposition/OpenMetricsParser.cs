using System.Text;
using System.Text.Unicode;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <summary>
/// OpenMetrics text 0.0.1 and 1.0.0, accepting what Prometheus 3 accepts in a scrape, which is more than the specification allows (<see
/// cref="OpenMetricsValidator"/> is strict). Exemplars are checked and skipped; _created lines are samples like others.
/// </summary>
/// <remarks>Format: prometheus.io/docs/specs/om/open_metrics_spec.</remarks>
sealed class OpenMetricsParser(ReadOnlyMemory<byte> body) : TextScanner(body)
{
    public override ExpositionEntry Next()
    {
        var body = Body;
        var at = At;
        if (at >= body.Length)
        {
            throw Fault(at, "data does not end with # EOF");
        }

        return body[at] == '#' ? NextMetadata(at) : NextSample(at);
    }

    ExpositionEntry NextMetadata(int at)
    {
        var body = Body;
        var line = body[at..];
        if (line.StartsWith("# EOF"u8))
        {
            return line.Length == 5 || (line.Length == 6 && line[5] == '\n')
                ? ExpositionEntry.End
                : throw Fault(at, "unexpected data after # EOF");
        }

        var entry = line.StartsWith("# TYPE "u8) ? ExpositionEntry.Type
            : line.StartsWith("# HELP "u8) ? ExpositionEntry.Help
            : line.StartsWith("# UNIT "u8) ? ExpositionEntry.Unit
            : throw Fault(at, $"expected a valid start token, got {Shown(at)}");
        var name = at + 7;
        var text = ScanMetadataName(name);
        if (text == name)
        {
            throw Fault(name, $"expected metric name after {entry.ToString().ToUpperInvariant()}, got {Shown(name)}");
        }

        var end = LineEnd(text);
        if (end == body.Length || body[text] != ' ')
        {
            throw Fault(text, $"expected text in {entry.ToString().ToUpperInvariant()}, got {Shown(text)}");
        }

        text++;
        SetText(text, end, quotes: true);
        At = end + 1;
        switch (entry)
        {
            case ExpositionEntry.Type:
                Type = TypeOf(text, end);
                break;
            case ExpositionEntry.Help when !Utf8.IsValid(body[text..end]):
                throw Fault(text, $"help text {Shown(text)} is not a valid utf8 string");
            case ExpositionEntry.Unit when end > text && !IsUnitOf(MetricName, body[text..end]):
                throw Fault(text, $"unit {Shown(text)} not a suffix of metric {GoText.Quote(Encoding.UTF8.GetString(MetricName))}");
        }

        return entry;
    }

    MetricType TypeOf(int start, int end) =>
        TypeOf(Body[start..end]) ?? throw Fault(start, $"invalid metric type {GoText.Quote(Encoding.UTF8.GetString(Body[start..end]))}");

    /// <summary>A type by its name in OpenMetrics; null for any other word.</summary>
    internal static MetricType? TypeOf(ReadOnlySpan<byte> text) => text switch
    {
        _ when text.SequenceEqual("counter"u8) => MetricType.Counter,
        _ when text.SequenceEqual("gauge"u8) => MetricType.Gauge,
        _ when text.SequenceEqual("histogram"u8) => MetricType.Histogram,
        _ when text.SequenceEqual("gaugehistogram"u8) => MetricType.GaugeHistogram,
        _ when text.SequenceEqual("summary"u8) => MetricType.Summary,
        _ when text.SequenceEqual("info"u8) => MetricType.Info,
        _ when text.SequenceEqual("stateset"u8) => MetricType.StateSet,
        _ when text.SequenceEqual("unknown"u8) => MetricType.Unknown,
        _ => null,
    };

    static bool IsUnitOf(ReadOnlySpan<byte> name, ReadOnlySpan<byte> unit) =>
        name.Length > unit.Length && name.EndsWith(unit) && name[^(unit.Length + 1)] == '_';

    ExpositionEntry NextSample(int start)
    {
        var body = Body;
        var at = ScanMetricName(start);
        var named = at > start;

        if (at < body.Length && body[at] == '{')
        {
            at = ScanLabels(at + 1, lenient: false, ref named);
            if (!named)
            {
                throw Fault(start, $"metric name not set while parsing: {Shown(start)}");
            }
        }

        SetSeries(start, at);
        at = NextFloat(at, "expected value after metric", out var value);
        Value = value;
        Timestamp = null;
        if (IsTimestamp(at))
        {
            at = NextTimestamp(at, out var timestamp);
            Timestamp = timestamp;
        }

        if (body[at..].StartsWith(" # {"u8))
        {
            at = SkipExemplar(at + 4);
        }

        At = NewLine(at);
        return ExpositionEntry.Sample;
    }

    int SkipExemplar(int at)
    {
        var named = true;
        at = ScanLabels(at, lenient: false, ref named, exemplar: true);
        at = NextFloat(at, "expected value after exemplar labels", out _);
        return IsTimestamp(at) ? NextTimestamp(at, out _) : at;
    }

    bool IsTimestamp(int at) =>
        at + 1 < Body.Length && Body[at] == ' ' && Body[at + 1] is not ((byte)' ' or (byte)'\n') && !Body[at..].StartsWith(" # {"u8);

    int NewLine(int at) =>
        at >= Body.Length ? throw Fault(at, "data does not end with # EOF")
        : Body[at] == '\n' ? at + 1
        : throw Fault(at, $"expected timestamp or new record, got {Shown(at)}");

    int NextTimestamp(int at, out long timestamp)
    {
        var start = at;
        at = NextFloat(at, "expected timestamp", out var seconds);
        if (!double.IsFinite(seconds))
        {
            throw Fault(start, $"invalid timestamp {GoText.Float(seconds)}");
        }

        // A time out of range becomes what x86's conversion makes of it, as in Prometheus.
        var milliseconds = seconds * 1000;
        timestamp = milliseconds is >= -9223372036854775808.0 and < 9223372036854775808.0 ? (long)milliseconds : long.MinValue;
        return at;
    }

    int NextFloat(int at, string expected, out double value)
    {
        var body = Body;
        if (at >= body.Length || body[at] != ' ')
        {
            throw Fault(at, $"{expected}, got {Shown(at)}");
        }

        var length = body[(at + 1)..].IndexOfAny((byte)' ', (byte)'\n');
        var text = length < 0 ? body[(at + 1)..] : body.Slice(at + 1, length);
        if (text.IsEmpty)
        {
            throw Fault(at, $"{expected}, got {Shown(at)}");
        }

        return GoFloat.TryParse(text, out value)
            ? at + 1 + text.Length
            : throw Fault(at, $"invalid float {GoText.Quote(Encoding.UTF8.GetString(text))}");
    }
}
