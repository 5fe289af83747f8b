using System.Buffers;
using System.Globalization;
using System.Text;

namespace Observe.Tsdb.Bytes;

/// <summary>Text as Go prints it, which is what clients of Prometheus expect: floats, quoted strings, times.</summary>
public static class GoText
{
    /// <summary><c>strconv.FormatFloat(v, 'f', -1, 64)</c>: shortest digits that read back, no exponent; NaN, +Inf, -Inf.</summary>
    public static string Float(double value) => Format(value, exponent: false);

    /// <summary>
    /// <c>strconv.FormatFloat(v, 'g', -1, 64)</c>, which is <c>%v</c>: an exponent, of two digits at least, below 1e-4 and from 1e6.
    /// </summary>
    public static string FloatG(double value)
    {
        var magnitude = Math.Abs(value);
        return Format(value, exponent: magnitude is not 0 and (< 1e-4 or >= 1e6));
    }

    /// <summary><c>strconv.FormatFloat(v, 'e', -1, 64)</c>.</summary>
    public static string Exponent(double value) => Format(value, exponent: true);

    /// <summary>
    /// <c>strconv.Quote</c>: double quotes, backslash escapes, unprintable characters as \x, \u or \U. A lone surrogate U+DC80..U+DCFF
    /// stands for a byte that was not UTF-8.
    /// </summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        for (var at = 0; at < text.Length;)
        {
            if (Rune.DecodeFromUtf16(text.AsSpan(at), out var rune, out var length) != OperationStatus.Done
                && text[at] is >= '\udc80' and <= '\udcff')
            {
                quoted.Append(CultureInfo.InvariantCulture, $"\\x{text[at++] - 0xDC00:x2}");
                continue;
            }

            at += length;
            _ = rune.Value switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\a' => quoted.Append("\\a"),
                '\b' => quoted.Append("\\b"),
                '\f' => quoted.Append("\\f"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                '\v' => quoted.Append("\\v"),
                < 0x20 or 0x7f => quoted.Append(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}"),
                < 0x7f => quoted.Append((char)rune.Value),
                _ when IsPrintable(rune) => quoted.Append(rune.ToString()),
                <= 0xffff => quoted.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"),
                _ => quoted.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}"),
            };
        }

        return quoted.Append('"').ToString();
    }

    /// <summary><c>strconv.QuoteRune</c>: a code point in single quotes; what is none, such as -1, as U+FFFD.</summary>
    public static string QuoteRune(int codePoint)
    {
        var rune = Rune.IsValid(codePoint) ? new Rune(codePoint) : Rune.ReplacementChar;
        return rune.Value switch
        {
            '\'' => "'\\''",
            '"' => "'\"'",
            _ => $"'{Quote(rune.ToString())[1..^1]}'",
        };
    }

    /// <summary><c>%#U</c>: <c>U+0041 'A'</c>, without the quoted part where it can't be printed.</summary>
    public static string CodePoint(int codePoint)
    {
        var number = string.Create(CultureInfo.InvariantCulture, $"U+{codePoint:X4}");
        return Rune.IsValid(codePoint)
            && (codePoint == ' ' || IsPrintable(new Rune(codePoint))) ? $"{number} '{new Rune(codePoint)}'" : number;
    }

    /// <summary><c>time.RFC3339</c> of Unix milliseconds, in UTC: to the second.</summary>
    public static string Rfc3339(long milliseconds) => Utc(milliseconds, "yyyy-MM-dd'T'HH:mm:ss'Z'");

    /// <summary><c>time.RFC3339Nano</c> of Unix milliseconds, in UTC: with as many decimals as needed.</summary>
    public static string Rfc3339Nano(long milliseconds) => Utc(milliseconds, "yyyy-MM-dd'T'HH:mm:ss.FFF'Z'");

    static string Utc(long milliseconds, string format) =>
        DateTimeOffset.FromUnixTimeMilliseconds(milliseconds).UtcDateTime.ToString(format, CultureInfo.InvariantCulture);

    static string Format(double value, bool exponent)
    {
        Span<byte> text = stackalloc byte[GoNumber.MaxLength];
        return Encoding.ASCII.GetString(text[..GoNumber.Format(value, exponent, text)]);
    }

    static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
