using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Yaml;

/// <summary>
/// Numbers as Go's YAML reads them: <c>010</c> is octal, <c>0x10</c>, <c>0b11</c>, <c>1_000</c>, <c>+5</c>, <c>1e3</c>; where a whole number is
/// wanted, a fraction is cut off.
/// </summary>
static partial class YamlNumber
{
    public static bool TryParseUnsigned(string text, out ulong value)
    {
        if (TryParseInteger(text, out var integer))
        {
            value = integer >= 0 ? (ulong)integer : 0;
            return integer >= 0;
        }

        var parsed = TryParse(text, out var number) && number is >= 0 and < 18446744073709551616.0;
        value = parsed ? (ulong)number : 0;
        return parsed;
    }

    public static bool TryParse(string text, out double value)
    {
        if (TryParseInteger(text, out var integer))
        {
            value = (double)integer;
            return true;
        }

        switch (text)
        {
            case ".nan" or ".NaN" or ".NAN":
                value = double.NaN;
                return true;
            case ".inf" or ".Inf" or ".INF" or "+.inf" or "+.Inf" or "+.INF":
                value = double.PositiveInfinity;
                return true;
            case "-.inf" or "-.Inf" or "-.INF":
                value = double.NegativeInfinity;
                return true;
        }

        var plain = text.Replace("_", "", StringComparison.Ordinal);
        value = 0;
        return Decimal().IsMatch(plain) && GoFloat.TryParse(Encoding.ASCII.GetBytes(plain), out value);
    }

    static bool TryParseInteger(string text, out Int128 value)
    {
        var plain = text.Replace("_", "", StringComparison.Ordinal).AsSpan();
        var negative = plain.StartsWith('-');
        var digits = negative || plain.StartsWith('+') ? plain[1..] : plain;
        var parsed = digits switch
        {
            ['0', 'x' or 'X', .. var rest] => TryParse(rest, 16, out value),
            ['0', 'b' or 'B', .. var rest] => TryParse(rest, 2, out value),
            ['0', 'o' or 'O', .. var rest] => TryParse(rest, 8, out value),
            ['0', .. { Length: > 0 } rest] => TryParse(rest, 8, out value),
            _ => TryParse(digits, 10, out value),
        };
        value = negative ? -value : value;
        return parsed && value >= long.MinValue && value <= ulong.MaxValue;
    }

    static bool TryParse(ReadOnlySpan<char> digits, int radix, out Int128 value)
    {
        value = 0;
        foreach (var c in digits)
        {
            var digit = char.IsAsciiHexDigit(c) ? int.Parse([c], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) : radix;
            if (digit >= radix || value > ulong.MaxValue)
            {
                return false;
            }

            value = (value * radix) + digit;
        }

        return digits.Length > 0;
    }

    [GeneratedRegex(@"\A[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Decimal();
}
