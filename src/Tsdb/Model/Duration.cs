using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>Prometheus's durations: <c>1y2w3d4h5m6s7ms</c>, each unit once and in this order, or <c>0</c>.</summary>
public static class Duration
{
    static readonly (string Unit, long Ms, bool Exact)[] s_units =
    [
        ("y", 365 * 86_400_000L, true), ("w", 7 * 86_400_000L, true), ("d", 86_400_000L, false),
        ("h", 3_600_000, false), ("m", 60_000, false), ("s", 1_000, false), ("ms", 1, false),
    ];

    /// <summary>Milliseconds of a duration; false with the reason in Prometheus's words when it is none.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out long milliseconds, [NotNullWhen(false)] out string? error)
    {
        milliseconds = 0;
        error = null;
        if (text.IsEmpty)
        {
            error = "empty duration string";
            return false;
        }

        if (text is "0")
        {
            return true;
        }

        var (at, next) = (0, 0);
        while (at < text.Length)
        {
            var digits = at;
            while (at < text.Length && char.IsAsciiDigit(text[at]))
            {
                at++;
            }

            var unitStart = at;
            while (at < text.Length && !char.IsAsciiDigit(text[at]))
            {
                at++;
            }

            if (at == unitStart
                || !ulong.TryParse(text[digits..unitStart], NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                error = $"not a valid duration string: {GoText.Quote(text.ToString())}";
                return false;
            }

            var index = -1;
            for (var i = 0; i < s_units.Length; i++)
            {
                if (text[unitStart..at].SequenceEqual(s_units[i].Unit))
                {
                    index = i;
                }
            }

            if (index < next)
            {
                error = index < 0
                    ? $"unknown unit {GoText.Quote(text[unitStart..at].ToString())} in duration {GoText.Quote(text.ToString())}"
                    : $"not a valid duration string: {GoText.Quote(text.ToString())}";
                return false;
            }

            next = index + 1;
            var unit = s_units[index].Ms;
            // Prometheus counts in nanoseconds of an int64: what does not fit there is out of range.
            if (number > (ulong)(long.MaxValue / 1_000_000 / unit) || (milliseconds += (long)number * unit) > long.MaxValue / 1_000_000)
            {
                milliseconds = 0;
                error = "duration out of range";
                return false;
            }
        }

        return true;
    }

    public static long ParseMilliseconds(string text) =>
        TryParse(text, out var milliseconds, out var error) ? milliseconds : throw new FormatException(error);

    public static TimeSpan Parse(string text) => TimeSpan.FromMilliseconds(ParseMilliseconds(text));

    /// <summary>As Prometheus prints a duration; years and weeks only where nothing is left over.</summary>
    public static string Format(long milliseconds)
    {
        if (milliseconds == 0)
        {
            return "0s";
        }

        var text = new StringBuilder(milliseconds < 0 ? "-" : "");
        var rest = Math.Abs(milliseconds);
        foreach (var (unit, ms, exact) in s_units)
        {
            if (exact && rest % ms != 0)
            {
                continue;
            }

            if (rest / ms > 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"{rest / ms}{unit}");
                rest %= ms;
            }
        }

        return text.ToString();
    }

    public static string Format(TimeSpan span) => Format((long)span.TotalMilliseconds);
}
