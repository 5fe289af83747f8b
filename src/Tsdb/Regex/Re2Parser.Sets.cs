using System.Globalization;

namespace Observe.Tsdb.Regex;

/// <summary>Sets of code points in all their forms, and escapes.</summary>
sealed partial class Re2Parser
{
    /// <summary>\pL, \p{Greek}, \d and their like; null when there is none here.</summary>
    Re2RuneSet? TryParseSet()
    {
        if (Next != '\\' || _at + 1 >= _pattern.Length)
        {
            return null;
        }

        var letter = _pattern[_at + 1];
        if (letter is 'p' or 'P')
        {
            return ParseUnicodeSet(letter == 'P');
        }

        if (letter is not ('d' or 'D' or 's' or 'S' or 'w' or 'W'))
        {
            return null;
        }

        _at += 2;
        return Folded(Re2RuneSet.Perl(letter)!, negate: char.IsAsciiLetterUpper(letter));
    }

    Re2RuneSet ParseUnicodeSet(bool negate)
    {
        var start = _at;
        _at += 2;
        var name = "";
        if (!AtEnd)
        {
            var c = TakeRune();
            name = _pattern[(start + 2).._at];
            if (c == '{')
            {
                var end = _pattern.IndexOf('}', start);
                if (end < 0)
                {
                    throw Fault("invalid character class range", _pattern[start..]);
                }

                name = _pattern[(start + 3)..end];
                _at = end + 1;
            }
        }

        if (name.StartsWith('^'))
        {
            (negate, name) = (!negate, name[1..]);
        }

        return Folded(Re2RuneSet.Unicode(name) ?? throw Fault("invalid character class range", _pattern[start.._at]), negate);
    }

    Re2RuneSet Folded(Re2RuneSet set, bool negate)
    {
        set = _mode.HasFlag(Mode.FoldCase) ? set.Fold() : set;
        return negate ? set.Negate() : set;
    }

    Re2RuneSet ParseClass()
    {
        var start = _at++;
        var negate = Next == '^' && !AtEnd;
        _at += negate ? 1 : 0;
        var ranges = new List<(int Low, int High)>();
        for (var first = true; AtEnd || Next != ']' || first; first = false)
        {
            if (TryParsePosix() is { } posix)
            {
                ranges.AddRange(posix.Ranges);
            }
            else if (TryParseSet() is { } set)
            {
                ranges.AddRange(set.Ranges);
            }
            else
            {
                ranges.AddRange(ParseClassRange(start).Ranges);
            }
        }

        _at++;
        var result = Re2RuneSet.Of(ranges);
        return negate ? result.Negate() : result;
    }

    Re2RuneSet ParseClassRange(int classStart)
    {
        var start = _at;
        var low = ParseClassRune(classStart);
        var high = low;
        if (Next == '-' && _at + 1 < _pattern.Length && _pattern[_at + 1] != ']')
        {
            _at++;
            high = ParseClassRune(classStart);
            if (high < low)
            {
                throw Fault("invalid character class range", _pattern[start.._at]);
            }
        }

        return Folded(Re2RuneSet.Of([(low, high)]), negate: false);
    }

    int ParseClassRune(int classStart) =>
        AtEnd ? throw Fault("missing closing ]", _pattern[classStart..]) : Next == '\\' ? ParseEscape() : TakeRune();

    Re2RuneSet? TryParsePosix()
    {
        var rest = _pattern.AsSpan(_at);
        if (rest.Length <= 2 || !rest.StartsWith("[:") || rest[2..].IndexOf(":]") is not (>= 0 and var length))
        {
            return null;
        }

        var name = rest.Slice(2, length).ToString();
        var negate = name.StartsWith('^');
        var set = Re2RuneSet.Posix(negate ? name[1..] : name) ?? throw Fault("invalid character class range", $"[:{name}:]");
        _at += length + 4;
        return Folded(set, negate);
    }

    int ParseEscape()
    {
        var start = _at++;
        if (AtEnd)
        {
            throw Fault("trailing backslash at end of expression", "");
        }

        var c = TakeRune();
        switch (c)
        {
            case 'a':
                return '\a';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'v':
                return '\v';
            case >= '1' and <= '7' when !IsOctal(Next):
                break;
            case >= '0' and <= '7':
                var value = c - '0';
                for (var i = 0; i < 2 && IsOctal(Next); i++)
                {
                    value = (value * 8) + _pattern[_at++] - '0';
                }

                return value;
            case 'x' when !AtEnd && TryParseHex() is { } hex:
                return hex;
            case < 0x80 when !char.IsAsciiLetterOrDigit((char)c):
                return c;
        }

        throw Fault("invalid escape sequence", _pattern[start.._at]);
    }

    /// <summary>Two digits, or any number in braces; null when they are none, with all taken that led to the fault.</summary>
    int? TryParseHex()
    {
        var first = TakeRune();
        if (first != '{')
        {
            var second = AtEnd ? -1 : TakeRune();
            return HexValue(first) >= 0 && HexValue(second) >= 0 ? (HexValue(first) * 16) + HexValue(second) : null;
        }

        var (value, digits) = (0, 0);
        while (!AtEnd)
        {
            var c = TakeRune();
            if (c == '}')
            {
                return digits > 0 ? value : null;
            }

            if (HexValue(c) < 0 || (value = (value * 16) + HexValue(c)) > Re2RuneSet.MaxRune)
            {
                return null;
            }

            digits++;
        }

        return null;
    }

    static int HexValue(int c) => c is >= 0 and < 128 && char.IsAsciiHexDigit((char)c)
        ? int.Parse(((char)c).ToString(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
        : -1;

    static bool IsOctal(char c) => c is >= '0' and <= '7';
}
