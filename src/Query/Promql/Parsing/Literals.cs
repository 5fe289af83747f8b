using System.Buffers;
using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>The values of numbers and strings as Go's strconv reads them, whose syntax PromQL took.</summary>
static class Literals
{
    /// <summary>
    /// An integer (decimal, 0x…, octal after a leading 0) or, where the text is no integer, a float; underscores between digits.
    /// </summary>
    public static double ParseNumber(string text, out string? error)
    {
        error = null;
        if (TryParseInteger(text, out var integer))
        {
            return integer;
        }

        switch (text.ToUpperInvariant())
        {
            case "INF":
                return double.PositiveInfinity;
            case "NAN":
                return StaleMarker.NormalNaN;
        }

        var digits = UnderscoresAreBetweenDigits(text) ? text.Replace("_", "", StringComparison.Ordinal) : "";
        if (!double.TryParse(
            digits, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var value))
        {
            error = $"strconv.ParseFloat: parsing {GoText.Quote(text)}: invalid syntax";
            return 0;
        }

        if (double.IsInfinity(value))
        {
            error = $"strconv.ParseFloat: parsing {GoText.Quote(text)}: value out of range";
        }

        return value;
    }

    /// <summary>The bytes of a string literal that the lexer has found well-formed.</summary>
    public static byte[] Unquote(string literal)
    {
        var bytes = Encoding.UTF8.GetBytes(literal);
        var inner = bytes.AsSpan(1, bytes.Length - 2);
        if (bytes[0] == '`' || inner.IndexOf((byte)'\\') < 0)
        {
            return inner.ToArray();
        }

        var result = new byte[inner.Length];
        var (at, length) = (0, 0);
        while (at < inner.Length)
        {
            if (inner[at] != '\\')
            {
                result[length++] = inner[at++];
                continue;
            }

            var escape = inner[at + 1];
            at += 2;
            switch ((char)escape)
            {
                case >= '0' and <= '7':
                    result[length++] = (byte)(((escape - '0') << 6) | ((inner[at] - '0') << 3) | (inner[at + 1] - '0'));
                    at += 2;
                    break;
                case 'x':
                    result[length++] = (byte)Hex(inner.Slice(at, 2));
                    at += 2;
                    break;
                case 'u' or 'U':
                    var digits = escape == 'u' ? 4 : 8;
                    length += new Rune(Hex(inner.Slice(at, digits))).EncodeToUtf8(result.AsSpan(length));
                    at += digits;
                    break;
                default:
                    result[length++] = (char)escape switch
                    {
                        'a' => (byte)'\a',
                        'b' => (byte)'\b',
                        'f' => (byte)'\f',
                        'n' => (byte)'\n',
                        'r' => (byte)'\r',
                        't' => (byte)'\t',
                        'v' => (byte)'\v',
                        _ => escape,
                    };
                    break;
            }
        }

        return result[..length];
    }

    /// <summary>
    /// The text of such bytes. A byte that is not UTF-8 (<c>\xff</c>) becomes the lone surrogate U+DC00 + byte, so that it is not taken for
    /// U+FFFD: <see cref="LabelName.IsValid"/> refuses it, <see cref="GoText.Quote"/> prints it as it was.
    /// </summary>
    public static string Text(ReadOnlySpan<byte> utf8)
    {
        if (System.Text.Unicode.Utf8.IsValid(utf8))
        {
            return Encoding.UTF8.GetString(utf8);
        }

        var text = new StringBuilder(utf8.Length);
        while (!utf8.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(utf8, out var rune, out var length) == OperationStatus.Done)
            {
                text.Append(rune.ToString());
                utf8 = utf8[length..];
            }
            else
            {
                text.Append((char)(0xDC00 + utf8[0]));
                utf8 = utf8[1..];
            }
        }

        return text.ToString();
    }

    static uint Hex(ReadOnlySpan<byte> digits) => uint.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    static bool TryParseInteger(string text, out long value)
    {
        value = 0;
        var prefixed = text.Length > 2 && text[0] == '0' && text[1] is 'x' or 'X';
        var radix = prefixed ? 16u : text[0] == '0' ? 8u : 10u;
        ulong sum = 0;
        foreach (var c in text.AsSpan(prefixed ? 2 : 0))
        {
            if (c == '_')
            {
                continue;
            }

            var digit = char.IsAsciiHexDigit(c) ? (ulong)Convert.ToInt32(c.ToString(), 16) : 16;
            if (digit >= radix || sum > (ulong)long.MaxValue / radix)
            {
                return false;
            }

            sum = (sum * radix) + digit;
        }

        value = (long)sum;
        return sum <= long.MaxValue && UnderscoresAreBetweenDigits(text);
    }

    static bool UnderscoresAreBetweenDigits(string text)
    {
        var hex = text.Length >= 2 && text[0] == '0' && text[1] is 'x' or 'X';
        var last = hex ? '0' : ' ';
        foreach (var c in text.AsSpan(hex ? 2 : 0))
        {
            var kind = char.IsAsciiDigit(c) || (hex && char.IsAsciiHexDigit(c)) ? '0' : c == '_' ? '_' : ' ';
            if ((kind == '_' && last != '0') || (kind != '0' && last == '_'))
            {
                return false;
            }

            last = kind;
        }

        return last != '_';
    }
}
