using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Collector.Exposition;

/// <summary>A sample line of OpenMetrics 1.0, parsed strictly by the grammar.</summary>
/// <param name="Time">Nanoseconds; null where the line has none.</param>
sealed record OpenMetricsLine(string Name, SortedDictionary<string, string> Labels, double Value, Int128? Time, bool HasExemplar)
{
    const int MaxExemplarLength = 128;

    /// <exception cref="FormatException">The message says what the grammar does not allow.</exception>
    public static OpenMetricsLine Parse(string line)
    {
        var at = MetricNameLength(line);
        if (at == 0)
        {
            throw new FormatException($"expected a metric name, got {Shown(line, 0)}");
        }

        var name = line[..at];
        var labels = at < line.Length && line[at] == '{' ? ParseLabels(line, ref at) : [];
        var value = Number(NextWord(line, ref at, "a value"), "value");
        Int128? time = null;
        if (at < line.Length && !line.AsSpan(at).StartsWith(" #"))
        {
            time = ParseTime(NextWord(line, ref at, "a timestamp"));
        }

        var exemplar = at < line.Length;
        if (exemplar)
        {
            ParseExemplar(line, at);
        }

        return new OpenMetricsLine(name, labels, value, time, exemplar);
    }

    /// <summary>The length of the metric name at the start of a text, 0 where there is none.</summary>
    public static int MetricNameLength(ReadOnlySpan<char> text)
    {
        var at = 0;
        while (at < text.Length && (char.IsAsciiLetter(text[at]) || text[at] is '_' or ':' || (at > 0 && char.IsAsciiDigit(text[at]))))
        {
            at++;
        }

        return at;
    }

    /// <summary>A number as the grammar has it: decimal, inf, infinity or nan in any case.</summary>
    public static double Number(string text, string what) =>
        GoFloat.TryParse(Encoding.UTF8.GetBytes(text), out var number)
            ? number
            : throw new FormatException($"invalid {what} {GoText.Quote(text)}");

    static void ParseExemplar(string line, int at)
    {
        if (!line.AsSpan(at).StartsWith(" # {"))
        {
            throw new FormatException($"expected an exemplar, got {Shown(line, at)}");
        }

        at += 3;
        var labels = ParseLabels(line, ref at);
        if (labels.Sum(l => Length(l.Key) + Length(l.Value)) > MaxExemplarLength)
        {
            throw new FormatException($"exemplar labels are longer than {MaxExemplarLength} characters");
        }

        Number(NextWord(line, ref at, "an exemplar value"), "exemplar value");
        if (at < line.Length)
        {
            ParseTime(NextWord(line, ref at, "an exemplar timestamp"));
        }

        if (at < line.Length)
        {
            throw new FormatException($"expected the end of the line, got {Shown(line, at)}");
        }

        static int Length(string text) => text.EnumerateRunes().Count();
    }

    static SortedDictionary<string, string> ParseLabels(string line, ref int at)
    {
        var labels = new SortedDictionary<string, string>(StringComparer.Ordinal);
        at++;
        if (at < line.Length && line[at] == '}')
        {
            at++;
            return labels;
        }

        while (true)
        {
            var start = at;
            while (at < line.Length && (char.IsAsciiLetter(line[at]) || line[at] == '_' || (at > start && char.IsAsciiDigit(line[at]))))
            {
                at++;
            }

            if (at == start)
            {
                throw new FormatException($"expected a label name, got {Shown(line, at)}");
            }

            var name = line[start..at];
            Expect(line, ref at, '=');
            Expect(line, ref at, '"');
            if (!labels.TryAdd(name, ParseValue(line, ref at)))
            {
                throw new FormatException($"label {name} is there twice");
            }

            if (at < line.Length && line[at] == '}')
            {
                at++;
                return labels;
            }

            Expect(line, ref at, ',');
        }
    }

    static string ParseValue(string line, ref int at)
    {
        var value = new StringBuilder();
        for (; at < line.Length; at++)
        {
            switch (line[at])
            {
                case '"':
                    at++;
                    return value.ToString();
                case '\\' when at + 1 < line.Length && line[at + 1] is '\\' or '"' or 'n':
                    at++;
                    value.Append(line[at] == 'n' ? '\n' : line[at]);
                    break;
                default:
                    value.Append(line[at]);
                    break;
            }
        }

        throw new FormatException("a label value has no closing quote");
    }

    static void Expect(string line, ref int at, char expected)
    {
        if (at >= line.Length || line[at] != expected)
        {
            throw new FormatException($"expected {expected}, got {Shown(line, at)}");
        }

        at++;
    }

    /// <summary>Reads one space and the word behind it, up to the next space.</summary>
    static string NextWord(string line, ref int at, string what)
    {
        if (at + 1 >= line.Length || line[at] != ' ' || line[at + 1] == ' ')
        {
            throw new FormatException($"expected one space and {what}, got {Shown(line, at)}");
        }

        var start = at + 1;
        var end = line.IndexOf(' ', start);
        at = end < 0 ? line.Length : end;
        return line[start..at];
    }

    /// <summary>A time in seconds as nanoseconds, exact where it is written without an exponent.</summary>
    static Int128 ParseTime(string text)
    {
        var seconds = Number(text, "timestamp");
        if (!double.IsFinite(seconds))
        {
            throw new FormatException($"invalid timestamp {GoText.Quote(text)}");
        }

        var unsigned = text.AsSpan(text[0] is '-' or '+' ? 1 : 0);
        var point = unsigned.IndexOf('.');
        var whole = point < 0 ? unsigned : unsigned[..point];
        if (whole.Length is 0 or > 18 || unsigned.ContainsAny('e', 'E'))
        {
            return (Int128)(seconds * 1e9);
        }

        var fraction = (point < 0 ? "" : unsigned[(point + 1)..].ToString()).PadRight(9, '0')[..9];
        var nanoseconds = ((Int128)ulong.Parse(whole, System.Globalization.CultureInfo.InvariantCulture) * 1_000_000_000)
            + ulong.Parse(fraction, System.Globalization.CultureInfo.InvariantCulture);
        return text[0] == '-' ? -nanoseconds : nanoseconds;
    }

    static string Shown(string line, int at) =>
        at >= line.Length ? "the end of the line" : GoText.Quote(line[at..Math.Min(line.Length, at + 40)]);
}
