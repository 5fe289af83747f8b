using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <summary>
/// Prometheus's text format 0.0.4 and 1.0.0, accepting what Prometheus 3 accepts in a scrape: quoted UTF-8 names, blanks anywhere, labels
/// without commas between them, lines without a newline at the end. A name after leading blanks is the name without them.
/// </summary>
/// <remarks>Format: prometheus.io/docs/instrumenting/exposition_formats, "Text-based format".</remarks>
sealed class PrometheusTextParser(ReadOnlyMemory<byte> body) : TextScanner(body)
{
    static readonly SearchValues<byte> s_valueEnd = SearchValues.Create(" \t\n{\0"u8);

    public override ExpositionEntry Next()
    {
        var body = Body;
        while (true)
        {
            var at = SkipBlanks(body, At);
            if (at >= body.Length || body[at] == 0)
            {
                At = body.Length;
                return ExpositionEntry.End;
            }

            if (body[at] == '\n')
            {
                At = at + 1;
                continue;
            }

            return body[at] == '#' ? NextComment(at + 1) : NextSample(at);
        }
    }

    ExpositionEntry NextComment(int at)
    {
        var body = Body;
        var start = SkipBlanks(body, at);
        var end = LineEnd(at);
        if (start == at && body[at..end].Contains((byte)0))
        {
            At = body.Length;
            return ExpositionEntry.End;
        }

        At = Math.Min(end + 1, body.Length);
        var line = body[start..end];
        if (start == at
            || line.Length < 5 || line[4] is not ((byte)' ' or (byte)'\t') || !(line.StartsWith("HELP"u8) || line.StartsWith("TYPE"u8)))
        {
            SetText(at, end, quotes: false);
            return ExpositionEntry.Comment;
        }

        var name = SkipBlanks(body, start + 5);
        var text = ScanMetadataName(name);
        if (text == name)
        {
            throw Fault(name, $"expected metric name after {Encoding.ASCII.GetString(line[..4])}, got {Shown(name)}");
        }

        // A quoted name may hold newlines.
        end = text > end ? LineEnd(text) : end;
        At = Math.Min(end + 1, body.Length);
        text = SkipBlanks(body, text) == end ? end : Math.Min(text + 1, end);
        SetText(text, end, quotes: false);
        if (line[0] == 'H')
        {
            return Utf8.IsValid(body[text..end])
                ? ExpositionEntry.Help
                : throw Fault(text, $"help text {Shown(text)} is not a valid utf8 string");
        }

        Type = body[text..end] switch
        {
            var t when t.SequenceEqual("counter"u8) => MetricType.Counter,
            var t when t.SequenceEqual("gauge"u8) => MetricType.Gauge,
            var t when t.SequenceEqual("histogram"u8) => MetricType.Histogram,
            var t when t.SequenceEqual("summary"u8) => MetricType.Summary,
            var t when t.SequenceEqual("untyped"u8) => MetricType.Unknown,
            var t => throw Fault(text, $"invalid metric type {GoText.Quote(Encoding.UTF8.GetString(t))}"),
        };
        return ExpositionEntry.Type;
    }

    ExpositionEntry NextSample(int start)
    {
        var body = Body;
        var known = Known?.Invoke(body[start..]) ?? 0;
        var end = known > 0 ? start + known : ScanSeries(start);
        SetSeries(start, end);
        var at = SkipBlanks(body, end);
        var length = body[at..].IndexOfAny(s_valueEnd);
        var value = length < 0 ? body[at..] : body.Slice(at, length);
        if (value.IsEmpty)
        {
            throw Fault(at, $"expected value after metric, got {Shown(at)}");
        }

        if (!GoFloat.TryParse(value, out var number))
        {
            throw Fault(at, $"invalid float {GoText.Quote(Encoding.UTF8.GetString(value))} while parsing: {Shown(start)}");
        }

        Value = number;
        Timestamp = null;
        at = SkipBlanks(body, at + value.Length);
        if (at < body.Length && body[at] != '\n')
        {
            at = NextTimestamp(at);
        }

        At = at + 1 < body.Length ? at + 1 : body.Length;
        return ExpositionEntry.Sample;
    }

    /// <summary>Reads name and labels; returns the position behind them.</summary>
    int ScanSeries(int start)
    {
        var body = Body;
        var end = ScanMetricName(start);
        var named = end > start;
        var at = SkipBlanks(body, end);
        if (at < body.Length && body[at] == '{')
        {
            end = ScanLabels(at + 1, lenient: true, ref named);
            if (!named)
            {
                throw Fault(start, $"metric name not set while parsing: {Shown(start)}");
            }
        }

        return end;
    }

    int NextTimestamp(int at)
    {
        var body = Body;
        var start = at;
        long timestamp = 0;
        for (; at < body.Length && (uint)(body[at] - '0') <= 9; at++)
        {
            var digit = body[at] - '0';
            if (timestamp > (long.MaxValue - digit) / 10)
            {
                throw Fault(start, $"timestamp out of range: {Shown(start)}");
            }

            timestamp = (timestamp * 10) + digit;
        }

        if (at == start)
        {
            throw Fault(at, $"expected timestamp or new record, got {Shown(at)}");
        }

        Timestamp = timestamp;
        at = SkipBlanks(body, at);
        return at >= body.Length || body[at] == '\n' ? at : throw Fault(at, $"expected next entry after timestamp, got {Shown(at)}");
    }
}
