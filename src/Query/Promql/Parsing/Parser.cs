using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>
/// Recursive descent with precedence climbing. The parser reads the next token only when a decision depends on it, as Prometheus's parser
/// does, so that the first of several errors is the same.
/// </summary>
sealed partial class Parser(byte[] query, ParserOptions options, CancellationToken cancellationToken)
{
    static readonly (string, string) s_noContext = ("", "");

    readonly Lexer _lexer = new(query);
    Token? _next;

    /// <summary>Offset at which the last token ended that can close an expression.</summary>
    int _lastClosing;
    int _nesting;
    int _operators;

    /// <summary>
    /// The construct that an error names as the place of an unexpected token, and the tokens that were expected: those of the innermost
    /// construct that has such words.
    /// </summary>
    (string In, string Expected) _context = s_noContext;

    public List<ParseError> Errors { get; } = [];

    /// <summary>Null where a syntax error ended the parse.</summary>
    public Expr? ParseQuery() => ToTheEnd(() =>
    {
        if (Peek().Kind == TokenKind.EndOfInput)
        {
            Report(default, "no expression found in input");
            return null;
        }

        return ParseExpr(0);
    });

    public VectorSelector? ParseSelectorOnly() =>
        ToTheEnd(() => (VectorSelector?)ParseSelector(StartsSelector(Peek().Kind) ? Take() : null));

    T? ToTheEnd<T>(Func<T?> parse) where T : Expr
    {
        try
        {
            var result = parse();
            return Peek().Kind == TokenKind.EndOfInput ? result : throw Unexpected();
        }
        catch (SyntaxErrorException)
        {
            return null;
        }
    }

    /// <summary>An expression with operators that bind at least as tight as <paramref name="precedence"/>.</summary>
    Expr ParseExpr(int precedence)
    {
        Enter();
        var left = ParseOperand();
        while (Precedence(Peek().Kind) is var binds && binds > 0 && binds >= precedence)
        {
            if (Peek().Kind == TokenKind.Pow)
            {
                left = ParsePowers(left);
                continue;
            }

            var op = TakeOperator();
            var shape = ParseMatching();
            left = NewBinary(left, op, ParseExpr(binds + 1), shape);
        }

        _nesting--;
        return left;
    }

    /// <summary>A chain of powers, which binds from the right.</summary>
    Expr ParsePowers(Expr first)
    {
        var operands = new List<Expr> { first };
        var shapes = new List<(VectorMatching, bool)>();
        while (Peek().Kind == TokenKind.Pow)
        {
            TakeOperator();
            shapes.Add(ParseMatching());
            operands.Add(ParseOperand());
        }

        var right = operands[^1];
        for (var i = shapes.Count - 1; i >= 0; i--)
        {
            right = NewBinary(operands[i], Operator.Pow, right, shapes[i]);
        }

        return right;
    }

    Operator TakeOperator()
    {
        var token = Take();
        CountOperator(token.Position);
        return Operators[token.Kind];
    }

    static readonly Dictionary<TokenKind, Operator> Operators = new()
    {
        [TokenKind.Add] = Operator.Add,
        [TokenKind.Sub] = Operator.Sub,
        [TokenKind.Mul] = Operator.Mul,
        [TokenKind.Div] = Operator.Div,
        [TokenKind.Mod] = Operator.Mod,
        [TokenKind.Pow] = Operator.Pow,
        [TokenKind.Atan2] = Operator.Atan2,
        [TokenKind.Equal] = Operator.Equal,
        [TokenKind.NotEqual] = Operator.NotEqual,
        [TokenKind.Greater] = Operator.Greater,
        [TokenKind.Less] = Operator.Less,
        [TokenKind.GreaterOrEqual] = Operator.GreaterOrEqual,
        [TokenKind.LessOrEqual] = Operator.LessOrEqual,
        [TokenKind.And] = Operator.And,
        [TokenKind.Or] = Operator.Or,
        [TokenKind.Unless] = Operator.Unless,
        [TokenKind.TrimUpper] = Operator.TrimUpper,
        [TokenKind.TrimLower] = Operator.TrimLower,
    };

    const int MulPrecedence = 5;

    /// <summary>0 for a token that is no binary operator.</summary>
    static int Precedence(TokenKind kind) => kind switch
    {
        TokenKind.Or => 1,
        TokenKind.And or TokenKind.Unless => 2,
        >= TokenKind.Equal and <= TokenKind.LessOrEqual or TokenKind.TrimUpper or TokenKind.TrimLower => 3,
        TokenKind.Add or TokenKind.Sub => 4,
        TokenKind.Mul or TokenKind.Div or TokenKind.Mod or TokenKind.Atan2 => MulPrecedence,
        TokenKind.Pow => 6,
        _ => 0,
    };

    BinaryExpr NewBinary(Expr left, Operator op, Expr right, (VectorMatching Matching, bool Bool) shape)
    {
        var position = new Position(left.Position.Start, right.Position.End);
        if (!options.FillModifiers && (shape.Matching.FillLeft ?? shape.Matching.FillRight) is not null)
        {
            Report(position, "binop fill modifiers are experimental and not enabled");
        }

        return new BinaryExpr(op, left, right, shape.Matching, shape.Bool) { Position = position };
    }

    /// <summary>bool, on or ignoring, group_left or group_right, fills: each may be missing, the order is fixed.</summary>
    (VectorMatching Matching, bool Bool) ParseMatching()
    {
        var returnBool = TryTake(TokenKind.Bool);
        var matching = new VectorMatching(MatchCardinality.OneToOne, false, [], []);
        if (Peek().Kind is TokenKind.On or TokenKind.Ignoring)
        {
            var on = Take().Kind == TokenKind.On;
            matching = matching with { On = on, Labels = ParseGrouping() };
            if (Peek().Kind is TokenKind.GroupLeft or TokenKind.GroupRight)
            {
                matching = matching with
                {
                    Cardinality = Take().Kind == TokenKind.GroupLeft ? MatchCardinality.ManyToOne : MatchCardinality.OneToMany,
                    Include = Peek().Kind != TokenKind.LeftParen && StartsRightSide(Peek().Kind) ? [] : ParseGrouping(),
                };
            }
        }

        switch (Peek().Kind)
        {
            case TokenKind.Fill:
                Take();
                var both = ParseFillValue();
                return (matching with { FillLeft = both, FillRight = both }, returnBool);
            case TokenKind.FillLeft:
                Take();
                matching = matching with { FillLeft = ParseFillValue() };
                return (TryTake(TokenKind.FillRight) ? matching with { FillRight = ParseFillValue() } : matching, returnBool);
            case TokenKind.FillRight:
                Take();
                matching = matching with { FillRight = ParseFillValue() };
                return (TryTake(TokenKind.FillLeft) ? matching with { FillLeft = ParseFillValue() } : matching, returnBool);
            default:
                return (matching, returnBool);
        }
    }

    static bool StartsRightSide(TokenKind kind) => StartsExpr(kind) || kind is TokenKind.Fill or TokenKind.FillLeft or TokenKind.FillRight;

    double ParseFillValue()
    {
        Expect(TokenKind.LeftParen);
        var sign = Peek().Kind is TokenKind.Add or TokenKind.Sub ? Take().Kind : TokenKind.Add;
        var value = ParseNumberOrDuration().Value;
        Expect(TokenKind.RightParen);
        return sign == TokenKind.Sub ? -value : value;
    }

    List<string> ParseGrouping()
    {
        var outer = Swap(("grouping opts", "\"(\""));
        Expect(TokenKind.LeftParen);
        var labels = new List<string>();
        _context = ("grouping opts", "label");
        if (Peek().Kind != TokenKind.RightParen)
        {
            do
            {
                _context = ("grouping opts", "label");
                labels.Add(ParseGroupingLabel());
                _context = ("grouping opts", "\",\" or \")\"");
            }
            while (TryTake(TokenKind.Comma) && Peek().Kind != TokenKind.RightParen);
        }

        Expect(TokenKind.RightParen);
        _context = outer;
        return labels;
    }

    string ParseGroupingLabel()
    {
        var token = Peek();
        var isWord = token.Kind is TokenKind.Identifier or TokenKind.MetricIdentifier or TokenKind.And or TokenKind.Or or TokenKind.Unless
            or TokenKind.Atan2 || token.IsAggregator || (token.IsKeyword && token.Kind != TokenKind.Without)
            || token.Kind is >= TokenKind.Start and <= TokenKind.MinOf;
        if (!isWord && token.Kind != TokenKind.String)
        {
            throw Unexpected();
        }

        Take();
        var label = isWord ? token.Text : Text(token);
        if (!LabelName.IsValid(label))
        {
            Report(token.Position, "invalid label name for grouping: " + GoText.Quote(label));
        }

        return label;
    }

    NumberLiteral ParseNumberOrDuration()
    {
        if (Peek().Kind is not (TokenKind.Number or TokenKind.Duration))
        {
            throw Unexpected();
        }

        var token = Take();
        string? error;
        double value;
        if (token.Kind == TokenKind.Number)
        {
            value = Literals.ParseNumber(token.Text, out error);
            error = error is null ? null : "error parsing number: " + error;
        }
        else
        {
            value = Duration.TryParse(token.Text, out var milliseconds, out error) ? milliseconds / 1000.0 : 0;
        }

        if (error is not null)
        {
            Report(token.Position, error);
        }

        return new NumberLiteral(value, token.Kind == TokenKind.Duration) { Position = token.Position };
    }

    Token Peek()
    {
        if (_next is { } token)
        {
            return token;
        }

        token = _lexer.Next();
        _next = token;
        if (token.Kind == TokenKind.Error)
        {
            Report(token.Position, token.Text);
            throw new SyntaxErrorException();
        }

        if (token.Kind is TokenKind.RightBrace or TokenKind.RightParen or TokenKind.RightBracket or TokenKind.Duration or TokenKind.Number)
        {
            _lastClosing = token.Position.End;
        }

        return token;
    }

    Token Take()
    {
        var token = Peek();
        _next = null;
        return token;
    }

    bool TryTake(TokenKind kind)
    {
        if (Peek().Kind != kind)
        {
            return false;
        }

        Take();
        return true;
    }

    Token Expect(TokenKind kind) => Peek().Kind == kind ? Take() : throw Unexpected();

    (string, string) Swap((string, string) context)
    {
        var outer = _context;
        _context = context;
        return outer;
    }

    void Enter()
    {
        if (++_nesting > PromqlParser.MaxNesting)
        {
            Report(Peek().Position, $"expression is nested more than {PromqlParser.MaxNesting} levels deep");
            throw new SyntaxErrorException();
        }
    }

    void CountOperator(Position position)
    {
        if (++_operators > PromqlParser.MaxOperators)
        {
            Report(position, $"expression has more than {PromqlParser.MaxOperators} operators");
            throw new SyntaxErrorException();
        }
    }

    void Report(Position position, string message)
    {
        Errors.Add(new ParseError(position.In(query), position, message));
        if (Errors.Count == PromqlParser.MaxErrors)
        {
            throw new SyntaxErrorException();
        }
    }

    SyntaxErrorException Unexpected()
    {
        var text = "unexpected " + Peek().Describe();
        text += _context.In.Length > 0 ? " in " + _context.In : "";
        text += _context.Expected.Length > 0 ? ", expected " + _context.Expected : "";
        Report(Peek().Position, text);
        return new SyntaxErrorException();
    }

    /// <summary>Leaves the parser at the first error of syntax, which is already reported.</summary>
    sealed class SyntaxErrorException : Exception;
}
