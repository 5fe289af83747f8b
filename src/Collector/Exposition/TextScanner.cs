using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <summary>
/// The base of the parsers of both text formats: names, label sets, escapes, and the labels of a series that was scanned.
/// </summary>
abstract class TextScanner(ReadOnlyMemory<byte> body) : ExpositionParser
{
    static readonly SearchValues<byte> s_metricName =
        SearchValues.Create("_:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    static readonly SearchValues<byte> s_labelName =
        SearchValues.Create("_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    readonly ReadOnlyMemory<byte> _body = body;
    (int Start, int End) _series;
    (int Start, int End) _name;
    (int Start, int End) _text;
    byte[] _unescaped = [];
    int _unescapedLength = -1;
    (int At, int Line) _counted = (0, 1);

    // Of the labels that were parsed last: those with an empty value, each with a sign and the value that it had before, and those that
    // have several values.
    readonly LabelsBuilder _emptied = new();
    readonly LabelsBuilder _repeated = new();

    public sealed override ReadOnlySpan<byte> Series => _body.Span[_series.Start.._series.End];

    public sealed override ReadOnlySpan<byte> MetricName => _body.Span[_name.Start.._name.End];

    public sealed override ReadOnlySpan<byte> Text =>
        _unescapedLength >= 0 ? _unescaped.AsSpan(0, _unescapedLength) : _body.Span[_text.Start.._text.End];

    /// <summary>The position at which the next entry starts.</summary>
    protected int At { get; set; }

    protected ReadOnlySpan<byte> Body => _body.Span;

    public sealed override void Labels(LabelsBuilder into)
    {
        into.Reset();
        var series = Series;
        var at = SkipBlanks(series, 0);
        var end = at + NameLength(series[at..], s_metricName);
        if (end > at)
        {
            into.Set("__name__"u8, series[at..end]);
        }

        at = series[end..].IndexOf((byte)'{');
        _emptied.Reset();
        _repeated.Reset();
        if (at >= 0)
        {
            SetLabels(into, series, end + at + 1);
        }
    }

    public sealed override bool IsExposedEmpty(ReadOnlySpan<byte> label, out ReadOnlySpan<byte> before)
    {
        if (!_emptied.TryGet(label, out before))
        {
            return false;
        }

        before = before[1..];
        return true;
    }

    public sealed override string? Repeated(LabelsBuilder labels) =>
        _repeated.Count == 0 ? null : _repeated.ToList().FirstOrDefault(label => labels.Has(label.Key)).Key;

    /// <summary>A fault in the line of the entry that was read last.</summary>
    internal ExpositionException FaultHere(string what) => Fault(At - 1, what);

    /// <summary>Skips the rest of a line that has a fault.</summary>
    internal void SkipLine(ExpositionException fault) => At = Math.Min(LineEnd(fault.Offset) + 1, Body.Length);

    protected void SetSeries(int start, int end) => _series = (start, end);

    /// <summary>Sets <see cref="ExpositionParser.Text"/> to a part of the body with its escapes replaced.</summary>
    /// <param name="quotes">Whether <c>\"</c> is an escape, beside <c>\\</c> and <c>\n</c>.</param>
    protected void SetText(int start, int end, bool quotes)
    {
        _text = (start, end);
        _unescapedLength = -1;
        var raw = _body.Span[start..end];
        if (raw.Contains((byte)'\\'))
        {
            if (_unescaped.Length < raw.Length)
            {
                _unescaped = new byte[Math.Max(raw.Length, 256)];
            }

            _unescapedLength = Unescape(raw, _unescaped, quotes);
        }
    }

    /// <summary>
    /// Reads the metric family's name of a metadata line, quoted or not; returns the position behind it, or the same position where there
    /// is no name.
    /// </summary>
    protected int ScanMetadataName(int at)
    {
        var body = Body;
        var end = at < body.Length && body[at] == '"' ? ScanQuoted(at, newlines: true, nulls: false) : at + MetricNameLength(body[at..]);
        _name = end > at && body[at] == '"' ? (at + 1, end - 1) : (at, end);
        return end;
    }

    /// <summary>
    /// Reads the metric's name at the start of a sample's line; returns the position behind it, or the same position where the line begins
    /// with a brace.
    /// </summary>
    protected int ScanMetricName(int start)
    {
        var at = start + MetricNameLength(Body[start..]);
        return at > start || Body[at] == '{' ? at : throw Fault(at, $"expected a valid start token, got {Shown(at)}");
    }

    /// <summary>The length of an unquoted metric name in bytes, 0 where there is none.</summary>
    protected static int MetricNameLength(ReadOnlySpan<byte> text) => NameLength(text, s_metricName);

    /// <summary>Scans a label set from behind its brace to behind the closing one.</summary>
    /// <param name="lenient">Prometheus text: blanks anywhere, commas optional, newlines in values.</param>
    /// <param name="named">Whether the metric's name was found before the brace; set to true where it is found within.</param>
    protected int ScanLabels(int at, bool lenient, ref bool named, bool exemplar = false)
    {
        var body = Body;
        while (true)
        {
            at = lenient ? SkipBlanks(body, at) : at;
            var start = at;
            if (at >= body.Length)
            {
                throw Fault(at, "expected label name, got the end");
            }

            if (body[at] == '}')
            {
                return at + 1;
            }

            var quoted = body[at] == '"';
            at = quoted ? ScanQuoted(at, newlines: !exemplar, nulls: false) : at + NameLength(body[at..], s_labelName);
            if (at == start)
            {
                throw Fault(at, $"expected label name, got {Shown(at)}");
            }

            at = lenient ? SkipBlanks(body, at) : at;
            var next = at < body.Length ? body[at] : (byte)0;
            if (quoted && !exemplar && next is (byte)',' or (byte)'}')
            {
                if (named)
                {
                    throw Fault(at, "metric name already set");
                }

                CheckUtf8(start, at);
                named = true;
                at += next == ',' ? 1 : 0;
                continue;
            }

            if (next != '=')
            {
                throw Fault(at, $"expected equal, got {Shown(at)}");
            }

            at = lenient ? SkipBlanks(body, at + 1) : at + 1;
            if (at >= body.Length || body[at] != '"')
            {
                throw Fault(at, $"expected label value, got {Shown(at)}");
            }

            at = ScanQuoted(at, newlines: lenient, nulls: !exemplar);
            CheckUtf8(start, at);
            at = lenient ? SkipBlanks(body, at) : at;
            if (at < body.Length && body[at] == ',')
            {
                at++;
            }
            else if (!lenient && (at >= body.Length || body[at] != '}'))
            {
                throw Fault(at, $"expected comma or brace close, got {Shown(at)}");
            }
        }
    }

    protected static int SkipBlanks(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length && text[at] is (byte)' ' or (byte)'\t')
        {
            at++;
        }

        return at;
    }

    /// <summary>The end of the line that a position is in: its newline, or the end of the body.</summary>
    protected int LineEnd(int at)
    {
        var length = Body[at..].IndexOf((byte)'\n');
        return length < 0 ? Body.Length : at + length;
    }

    protected void CheckUtf8(int start, int end)
    {
        var text = Body[start..end];
        if (!Ascii.IsValid(text) && !Utf8.IsValid(text))
        {
            throw Fault(start, $"not valid UTF-8: {Shown(start)}");
        }
    }

    protected ExpositionException Fault(int at, string what)
    {
        at = Math.Min(at, Body.Length);
        _counted = at < _counted.At ? (0, 1) : _counted;
        _counted = (at, _counted.Line + Body[_counted.At..at].Count((byte)'\n'));
        return new ExpositionException(_counted.Line, what) { Offset = at };
    }

    /// <summary>The text at a position as an error shows it: the rest of the line, at most 40 bytes.</summary>
    protected string Shown(int at)
    {
        if (at >= Body.Length)
        {
            return "the end";
        }

        var rest = Body[at..];
        var length = rest.IndexOf((byte)'\n');
        rest = length switch { 0 => rest[..1], < 0 => rest, _ => rest[..length] };
        return GoText.Quote(Encoding.UTF8.GetString(rest[..Math.Min(rest.Length, 40)]));
    }

    static int NameLength(ReadOnlySpan<byte> text, SearchValues<byte> letters)
    {
        if (text.IsEmpty || (uint)(text[0] - '0') <= 9)
        {
            return 0;
        }

        var length = text.IndexOfAnyExcept(letters);
        return length < 0 ? text.Length : length;
    }

    /// <summary>Scans from an opening quote to behind the closing quote.</summary>
    int ScanQuoted(int at, bool newlines, bool nulls)
    {
        var body = Body;
        var start = at++;
        while (true)
        {
            var length = body[at..].IndexOfAny((byte)'"', (byte)'\\');
            if (length < 0)
            {
                throw Fault(start, $"quote without end: {Shown(start)}");
            }

            var run = body.Slice(at, length);
            if ((!newlines && run.Contains((byte)'\n')) || (!nulls && run.Contains((byte)0)))
            {
                throw Fault(start, $"quote without end in its line: {Shown(start)}");
            }

            at += length;
            if (body[at] == '"')
            {
                return at + 1;
            }

            if (at + 1 >= body.Length || body[at + 1] == '\n')
            {
                throw Fault(start, $"backslash at the end of a line: {Shown(start)}");
            }

            at += 2;
        }
    }

    void SetLabels(LabelsBuilder into, ReadOnlySpan<byte> series, int at)
    {
        while (true)
        {
            while (at < series.Length && series[at] is (byte)' ' or (byte)'\t' or (byte)',')
            {
                at++;
            }

            if (at >= series.Length || series[at] == '}')
            {
                return;
            }

            var start = at;
            at = series[at] == '"' ? QuoteEnd(series, at) : at + NameLength(series[at..], s_labelName);
            var name = series[start] == '"' ? series[(start + 1)..(at - 1)] : series[start..at];
            at = SkipBlanks(series, at);
            if (series[at] != '=')
            {
                SetLabel(into, "__name__"u8, name);
                continue;
            }

            at = SkipBlanks(series, at + 1);
            start = at;
            at = QuoteEnd(series, at);
            SetLabel(into, name, series[(start + 1)..(at - 1)]);
        }
    }

    void SetLabel(LabelsBuilder into, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        name = Unescaped(name);
        value = Unescaped(value);
        if (_emptied.Count > 0 && _emptied.TryGet(name, out _))
        {
            return;
        }

        if (into.TryGet(name, out var before) && !value.IsEmpty)
        {
            _repeated.Set(name, "1"u8);
            return;
        }

        if (value.IsEmpty)
        {
            _emptied.Set(name, [(byte)'=', .. before]);
            _repeated.Set(name, default);
            into.Set(name, default);
            return;
        }

        // Some instrumentation libraries write "1", others "1.0": the value gets one form, so that both are one series.
        if (((Type == MetricType.Histogram && name.SequenceEqual("le"u8))
            || (Type == MetricType.Summary && name.SequenceEqual("quantile"u8)))
            && GoFloat.TryParseLiteral(value, out var number))
        {
            value = Encoding.UTF8.GetBytes(GoFloat.Canonical(number));
        }

        into.Set(name, value);
    }

    static ReadOnlySpan<byte> Unescaped(ReadOnlySpan<byte> text)
    {
        if (!text.Contains((byte)'\\'))
        {
            return text;
        }

        var unescaped = new byte[text.Length];
        return unescaped.AsSpan(0, Unescape(text, unescaped, quotes: true));
    }

    static int QuoteEnd(ReadOnlySpan<byte> text, int at)
    {
        for (at++; text[at] != '"'; at++)
        {
            at += text[at] == '\\' ? 1 : 0;
        }

        return at + 1;
    }

    static int Unescape(ReadOnlySpan<byte> from, Span<byte> to, bool quotes)
    {
        var length = 0;
        for (var i = 0; i < from.Length; i++)
        {
            var b = from[i];
            if (b == '\\' && i + 1 < from.Length && (from[i + 1] is (byte)'\\' or (byte)'n' || (quotes && from[i + 1] == '"')))
            {
                i++;
                b = from[i] == 'n' ? (byte)'\n' : from[i];
            }

            to[length++] = b;
        }

        return length;
    }
}
