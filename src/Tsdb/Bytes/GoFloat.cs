using System.Globalization;
using System.Numerics;
using System.Text;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// Floats as Prometheus reads them in an exposition: Go's strconv.ParseFloat without hexadecimal digits and underscores. Infinity in
/// three spellings and NaN in any case; a number too large for a double is an error, one too small is zero.
/// </summary>
public static class GoFloat
{
    const int MaxExactPower = 22;

    static readonly double[] s_powers =
    [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];

    /// <summary>NaN comes in the one form in which Prometheus stores it.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out double value)
    {
        var at = 0;
        var negative = false;
        if (text.Length > 0 && text[0] is (byte)'-' or (byte)'+')
        {
            negative = text[0] == '-';
            at = 1;
        }

        // Digits go into a whole number as long as it is exact; where the point stands becomes a power of ten.
        ulong digits = 0;
        var (count, scale, significant) = (0, 0, 0);
        for (; at < text.Length && (uint)(text[at] - '0') <= 9; at++, count++)
        {
            significant += significant > 0 || text[at] != '0' ? 1 : 0;
            digits = (digits * 10) + (uint)(text[at] - '0');
        }

        if (at < text.Length && text[at] == '.')
        {
            for (at++; at < text.Length && (uint)(text[at] - '0') <= 9; at++, count++, scale--)
            {
                significant += significant > 0 || text[at] != '0' ? 1 : 0;
                digits = (digits * 10) + (uint)(text[at] - '0');
            }
        }

        if (count == 0)
        {
            return TrySpecial(text, out value);
        }

        if (at < text.Length)
        {
            if (text[at] is not ((byte)'e' or (byte)'E') || !TryExponent(text[(at + 1)..], ref scale))
            {
                value = 0;
                return false;
            }
        }

        if (significant <= 15 && scale is >= -MaxExactPower and <= MaxExactPower)
        {
            value = scale < 0 ? digits / s_powers[-scale] : digits * s_powers[scale];
            value = negative ? -value : value;
            return true;
        }

        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
    }

    /// <summary>All that Go's strconv.ParseFloat reads: hexadecimal digits with an exponent, and underscores between digits, too.</summary>
    public static bool TryParseLiteral(ReadOnlySpan<byte> text, out double value)
    {
        value = 0;
        var unsigned = text.Length > 0 && text[0] is (byte)'-' or (byte)'+' ? text[1..] : text;
        var hex = unsigned.Length > 2 && unsigned[0] == '0' && (unsigned[1] | 0x20) == 'x';
        if (unsigned.Contains((byte)'_'))
        {
            var digits = new byte[text.Length];
            var length = 0;
            var previous = (byte)0;
            for (var i = 0; i < text.Length; previous = text[i++])
            {
                if (text[i] != '_')
                {
                    digits[length++] = text[i];
                }

                // Between two digits, or behind the prefix that counts as one.
                var afterDigit = IsDigit(previous, hex) || (hex && (previous | 0x20) == 'x');
                if ((text[i] == '_' && !afterDigit) || (previous == '_' && !IsDigit(text[i], hex)))
                {
                    return false;
                }
            }

            return previous != '_' && TryParseLiteral(digits.AsSpan(0, length), out value);
        }

        return hex ? TryHexadecimal(unsigned[2..], text[0] == '-', out value) : TryParse(text, out value);
    }

    static bool IsDigit(byte b, bool hex) => char.IsAsciiDigit((char)b) || (hex && char.IsAsciiHexDigit((char)b));

    static bool TryHexadecimal(ReadOnlySpan<byte> text, bool negative, out double value)
    {
        value = 0;
        BigInteger mantissa = 0;
        var (at, digits, scale, point) = (0, 0, 0, false);
        for (; at < text.Length && (char.IsAsciiHexDigit((char)text[at]) || (text[at] == '.' && !point)); at++)
        {
            if (text[at] == '.')
            {
                point = true;
                continue;
            }

            // What is more than a double can hold only says that there is more.
            var digit = HexValue(text[at]);
            digits++;
            var full = mantissa.GetBitLength() > 64;
            mantissa = full ? mantissa | (digit > 0 ? 1 : 0) : (mantissa << 4) + digit;
            scale += (full ? 4 : 0) - (point ? 4 : 0);
        }

        var exponent = 0;
        if (digits == 0 || at >= text.Length || (text[at] | 0x20) != 'p' || !TryExponent(text[(at + 1)..], ref exponent))
        {
            return false;
        }

        var excess = (int)Math.Max(0, mantissa.GetBitLength() - 53);
        var power = Math.Clamp((long)scale + exponent, -100_000, 100_000);

        // Rounded once, where the double ends: a number below the normal ones ends earlier.
        excess = (int)Math.Min(Math.Max(excess, -1074 - power), 200);
        if (excess > 0)
        {
            var half = BigInteger.One << (excess - 1);
            var rest = mantissa & ((half << 1) - 1);
            mantissa >>= excess;
            mantissa += rest > half || (rest == half && !mantissa.IsEven) ? 1 : 0;
            power += excess;
        }

        value = Math.ScaleB((double)mantissa, (int)power);
        value = negative ? -value : value;
        return double.IsFinite(value);
    }

    static int HexValue(byte digit) => digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;

    /// <summary>
    /// A float as OpenMetrics writes it in the labels le and quantile: Go's shortest %g, with a point or an exponent in any case.
    /// </summary>
    public static string Canonical(double value)
    {
        var text = value == 0 ? "0" : GoText.FloatG(value);
        return double.IsFinite(value) && text.AsSpan().IndexOfAny(".e") < 0 ? text + ".0" : text;
    }

    static bool TryExponent(ReadOnlySpan<byte> text, ref int scale)
    {
        var at = text.Length > 0 && text[0] is (byte)'-' or (byte)'+' ? 1 : 0;
        if (at == text.Length)
        {
            return false;
        }

        var exponent = 0;
        for (var i = at; i < text.Length; i++)
        {
            if ((uint)(text[i] - '0') > 9)
            {
                return false;
            }

            exponent = Math.Min((exponent * 10) + (text[i] - '0'), 100_000);
        }

        scale += text[0] == '-' ? -exponent : exponent;
        return true;
    }

    static bool TrySpecial(ReadOnlySpan<byte> text, out double value)
    {
        value = StaleMarker.NormalNaN;
        if (Ascii.EqualsIgnoreCase(text, "nan"u8))
        {
            return true;
        }

        var signed = text.Length > 0 && text[0] is (byte)'-' or (byte)'+';
        value = signed && text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
        var word = signed ? text[1..] : text;
        return Ascii.EqualsIgnoreCase(word, "inf"u8) || Ascii.EqualsIgnoreCase(word, "infinity"u8);
    }
}
