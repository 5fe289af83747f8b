using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Parsing;

/// <summary>Strings, numbers and durations.</summary>
sealed partial class Lexer
{
    const string DecimalDigits = "0123456789";
    const string HexDigits = "0123456789abcdefABCDEF";

    Token QuotedString(int quote)
    {
        while (true)
        {
            var c = Read();
            if (c == quote)
            {
                return Emit(TokenKind.String);
            }

            switch (c)
            {
                case ReplacementCharacter:
                    return Fail("invalid UTF-8 rune");
                case EndOfText or '\n':
                    return Fail("unterminated quoted string");
                case '\\' when Escape(quote) is { } fault:
                    return Fail(fault);
            }
        }
    }

    /// <summary>Reads the escape after a backslash; returns its error, or null.</summary>
    string? Escape(int quote)
    {
        var c = Read();
        if (c == quote || c is 'a' or 'b' or 'f' or 'n' or 'r' or 't' or 'v' or '\\')
        {
            return null;
        }

        var (digits, radix, max) = c switch
        {
            >= '0' and <= '7' => (3, 8u, 255u),
            'x' => (2, 16u, 255u),
            'u' => (4, 16u, 0x10FFFFu),
            'U' => (8, 16u, 0x10FFFFu),
            _ => (0, 0u, 0u),
        };
        if (digits == 0)
        {
            return c == EndOfText ? "escape sequence not terminated" : $"unknown escape sequence {CodePoint(c)}";
        }

        if (radix == 16)
        {
            c = Read();
        }

        uint value = 0;
        while (true)
        {
            var digit = c is >= 0 and < 128 && char.IsAsciiHexDigit((char)c) ? (uint)Convert.ToInt32(((char)c).ToString(), 16) : 16;
            if (digit >= radix)
            {
                return c == EndOfText ? "escape sequence not terminated" : $"illegal character {CodePoint(c)} in escape sequence";
            }

            value = (value * radix) + digit;
            if (--digits == 0)
            {
                break;
            }

            c = Read();
        }

        return value > max || value is >= 0xD800 and < 0xE000 ? "escape sequence is an invalid Unicode code point" : null;
    }

    Token RawString()
    {
        while (true)
        {
            switch (Read())
            {
                case ReplacementCharacter:
                    return Fail("invalid UTF-8 rune");
                case EndOfText:
                    return Fail("unterminated raw string");
                case '`':
                    return Emit(TokenKind.String);
            }
        }
    }

    Token NumberOrDuration()
    {
        if (ReadNumber())
        {
            return Emit(TokenKind.Number);
        }

        return ReadRestOfDuration() ? Emit(TokenKind.Duration) : Fail("bad number or duration syntax: " + GoText.Quote(Text()));
    }

    /// <summary>Digits, dots, exponents and underscores; whether the text is a number is found when it is parsed.</summary>
    bool ReadNumber()
    {
        var digits = DecimalDigits;
        if (Accept('0') && AcceptAny("xX"))
        {
            Accept('_');
            digits = HexDigits;
        }

        Accept('.');
        AcceptAny(digits);
        var (dot, exponent) = (false, false);
        while (true)
        {
            var c = Peek();
            if (c == '.')
            {
                Read();
                if (dot || AcceptAny("_.") || digits == HexDigits)
                {
                    return false;
                }

                dot = true;
            }
            else if (c is 'e' or 'E')
            {
                Read();
                if (exponent)
                {
                    return false;
                }

                exponent = true;
                AcceptAny("+-");
                if (AcceptAny("._eE") || Peek() == EndOfText)
                {
                    return false;
                }
            }
            else if (c == '_')
            {
                Read();
                if (AcceptAny("._eE") || Peek() == EndOfText)
                {
                    return false;
                }
            }
            else if (!AcceptAny(digits))
            {
                return !IsLetter(c) && !IsDigit(c);
            }
        }
    }

    /// <summary>Units and further numbers, after the first number; wrong orders and units are found when the duration is parsed.</summary>
    bool ReadRestOfDuration()
    {
        if (!AcceptAny("smhdwy"))
        {
            return false;
        }

        Accept('s');
        while (AcceptAny(DecimalDigits))
        {
            while (AcceptAny(DecimalDigits))
            {
            }

            if (!AcceptAny("smhdw"))
            {
                return false;
            }

            Accept('s');
        }

        // The character behind the duration stays part of it, so that the error quotes both.
        var after = Read();
        if (IsLetter(after) || IsDigit(after))
        {
            return false;
        }

        StepBack();
        return true;
    }
}
