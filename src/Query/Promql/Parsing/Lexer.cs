using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Parsing;

/// <summary>
/// Cuts a query into tokens, one for each call, since the meaning of a character depends on the brackets around it. After an Error token
/// there are only EndOfInput tokens.
/// </summary>
sealed partial class Lexer(byte[] input)
{
    const int EndOfText = -1;
    const int ReplacementCharacter = 0xFFFD;

    int _at;
    int _start;
    int _width;
    int _parens;
    bool _braces;
    bool _brackets;
    bool _colon;
    bool _duration;
    bool _startOfRange;
    bool _failed;

    /// <summary>The next token, comments and space skipped.</summary>
    public Token Next()
    {
        if (_failed)
        {
            return new Token(TokenKind.EndOfInput, new Position(input.Length, input.Length), "");
        }

        return _braces ? NextInBraces() : _startOfRange ? NextInRange() : NextInQuery();
    }

    Token NextInQuery()
    {
        SkipSpaceAndComments();
        var c = Read();
        switch (c)
        {
            case EndOfText when _parens != 0:
                return Fail("unclosed left parenthesis");
            case EndOfText when _brackets:
                return Fail("unclosed left bracket");
            case EndOfText:
                return Emit(TokenKind.EndOfInput);
            case ',' or '+' or '-' or '*' or '/' or '%' or '^':
                return Emit(Sign(c));
            case '@':
                return Emit(TokenKind.At);
            case '=' when Peek() == '=':
                Read();
                return Emit(TokenKind.Equal);
            case '=' when Peek() == '~':
                return Fail("unexpected character after '=': '~'");
            case '=':
                return Emit(TokenKind.Assign);
            case '!':
                var after = Read();
                return after == '=' ? Emit(TokenKind.NotEqual) : Fail($"unexpected character after '!': {Quote(after)}");
            case '<':
                return Accept('=') ? Emit(TokenKind.LessOrEqual) : Accept('/') ? Emit(TokenKind.TrimUpper) : Emit(TokenKind.Less);
            case '>':
                return Accept('=') ? Emit(TokenKind.GreaterOrEqual) : Accept('/') ? Emit(TokenKind.TrimLower) : Emit(TokenKind.Greater);
            case '"' or '\'':
                return QuotedString(c);
            case '`':
                return RawString();
            case '(':
                _parens++;
                return Emit(TokenKind.LeftParen);
            case ')':
                return CloseParen();
            case '{':
                _braces = true;
                return Emit(TokenKind.LeftBrace);
            case '[' when _brackets:
                return Fail("unexpected left bracket '['");
            case '[':
                (_brackets, _startOfRange, _colon) = (true, true, false);
                return Emit(TokenKind.LeftBracket);
            case ']' when !_brackets:
                return Fail("unexpected right bracket ']'");
            case ']':
                _brackets = false;
                return Emit(TokenKind.RightBracket);
            case ':' when _brackets && _colon:
                return Fail("unexpected colon ':'");
            case ':' when _brackets:
                _colon = true;
                return Emit(TokenKind.Colon);
        }

        if (IsDigit(c) || (c == '.' && IsDigit(Peek())))
        {
            StepBack();
            return NumberOrDuration();
        }

        if (!IsLetter(c) && c != ':')
        {
            return Fail($"unexpected character: {Quote(c)}");
        }

        if (!_brackets)
        {
            return Word();
        }

        return DurationWord(c) ?? Fail($"unexpected character: {Quote(c)}, expected ':'");
    }

    static TokenKind Sign(int c) => c switch
    {
        ',' => TokenKind.Comma,
        '+' => TokenKind.Add,
        '-' => TokenKind.Sub,
        '*' => TokenKind.Mul,
        '/' => TokenKind.Div,
        '%' => TokenKind.Mod,
        _ => TokenKind.Pow,
    };

    /// <summary>From a left bracket to the first number: only durations and their arithmetic.</summary>
    Token NextInRange()
    {
        while (IsSpace(Peek()))
        {
            Read();
        }

        _start = _at;
        var c = Read();
        switch (c)
        {
            case EndOfText:
                return Fail("unexpected end of input in duration expression");
            case ']':
                (_brackets, _startOfRange, _colon) = (false, false, false);
                return Emit(TokenKind.RightBracket);
            case ':':
                var colon = Emit(TokenKind.Colon);
                if (!_duration)
                {
                    return Fail("unexpected colon before duration in duration expression");
                }

                if (_colon)
                {
                    return Fail("unexpected repeated colon in duration expression");
                }

                _colon = true;
                return colon;
            case '(':
                _parens++;
                return Emit(TokenKind.LeftParen);
            case ')':
                return CloseParen();
            case ',' or '+' or '-' or '*' or '/' or '%' or '^':
                return Emit(Sign(c));
        }

        if (IsDigit(c) || (c == '.' && IsDigit(Peek())))
        {
            StepBack();
            (_duration, _startOfRange) = (true, false);
            return NumberOrDuration();
        }

        return DurationWord(c) ?? Fail($"unexpected character in duration expression: {Quote(c)}");
    }

    Token NextInBraces()
    {
        SkipSpaceAndComments();
        var c = Read();
        switch (c)
        {
            case EndOfText:
                return Fail("unexpected end of input inside braces");
            case ',':
                return Emit(TokenKind.Comma);
            case '"' or '\'':
                return QuotedString(c);
            case '`':
                return RawString();
            case '=':
                return Accept('~') ? Emit(TokenKind.EqualRegex) : Emit(TokenKind.Assign);
            case '!':
                var after = Read();
                return after switch
                {
                    '~' => Emit(TokenKind.NotEqualRegex),
                    '=' => Emit(TokenKind.NotEqual),
                    _ => Fail($"unexpected character after '!' inside braces: {Quote(after)}"),
                };
            case '{':
                return Fail("unexpected left brace '{'");
            case '}':
                _braces = false;
                return Emit(TokenKind.RightBrace);
        }

        if (!IsLetter(c))
        {
            return Fail($"unexpected character inside braces: {Quote(c)}");
        }

        while (IsLetter(Peek()) || IsDigit(Peek()))
        {
            Read();
        }

        return Emit(TokenKind.Identifier);
    }

    Token CloseParen()
    {
        var token = Emit(TokenKind.RightParen);
        return --_parens < 0 ? Fail("unexpected right parenthesis ')'") : token;
    }

    Token Word()
    {
        while (IsLetter(Peek()) || IsDigit(Peek()) || Peek() == ':')
        {
            Read();
        }

        var word = Text();
        if (!Keywords.TryGet(word, out var kind))
        {
            return Emit(word.Contains(':', StringComparison.Ordinal) ? TokenKind.MetricIdentifier : TokenKind.Identifier);
        }

        // Metrics may be called fill: it is a keyword before a parenthesis only.
        if (kind is TokenKind.Fill or TokenKind.FillLeft or TokenKind.FillRight)
        {
            var next = _at;
            while (next < input.Length && IsSpace(input[next]))
            {
                next++;
            }

            kind = next < input.Length && input[next] == '(' ? kind : TokenKind.Identifier;
        }

        return Emit(kind);
    }

    Token? DurationWord(int first)
    {
        if (first is not ('s' or 'S' or 'r' or 'R' or 'm' or 'M'))
        {
            return null;
        }

        while (IsLetter(Peek()))
        {
            Read();
        }

        return Keywords.TryGetDuration(Text(), out var kind) ? Emit(kind) : null;
    }

    void SkipSpaceAndComments()
    {
        while (true)
        {
            var c = Peek();
            if (c == '#')
            {
                while (Peek() is not ('\n' or '\r' or EndOfText))
                {
                    Read();
                }
            }
            else if (IsSpace(c))
            {
                Read();
            }
            else
            {
                break;
            }
        }

        _start = _at;
    }

    int Read()
    {
        if (_at >= input.Length)
        {
            _width = 0;
            return EndOfText;
        }

        if (input[_at] < 0x80)
        {
            _width = 1;
            return input[_at++];
        }

        Rune.DecodeFromUtf8(input.AsSpan(_at), out var rune, out _width);
        _at += _width;
        return rune.Value;
    }

    void StepBack() => _at -= _width;

    int Peek()
    {
        if (_at < input.Length && input[_at] < 0x80)
        {
            return input[_at];
        }

        var c = Read();
        StepBack();
        return c;
    }

    bool Accept(char c)
    {
        if (Peek() != c)
        {
            return false;
        }

        Read();
        return true;
    }

    bool AcceptAny(string set)
    {
        var c = Peek();
        if (c < 0 || c > 127 || !set.Contains((char)c, StringComparison.Ordinal))
        {
            return false;
        }

        Read();
        return true;
    }

    string Text() => Encoding.UTF8.GetString(input.AsSpan(_start, _at - _start));

    Token Emit(TokenKind kind)
    {
        var token = new Token(kind, new Position(_start, _at), Text());
        _start = _at;
        return token;
    }

    Token Fail(string message)
    {
        _failed = true;
        return new Token(TokenKind.Error, new Position(_start, input.Length), message);
    }

    static string Quote(int c) => GoText.QuoteRune(c);

    static string CodePoint(int c) => GoText.CodePoint(c);

    static bool IsSpace(int c) => c is ' ' or '\t' or '\n' or '\r';

    static bool IsDigit(int c) => c is >= '0' and <= '9';

    static bool IsLetter(int c) => c is '_' or (>= 'a' and <= 'z') or (>= 'A' and <= 'Z');
}
