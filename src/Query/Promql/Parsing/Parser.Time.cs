using System.Globalization;

namespace Observe.Query.Promql.Parsing;

/// <summary>Ranges, subqueries, offsets, @, and the arithmetic of durations in them.</summary>
sealed partial class Parser
{
    Expr ParseRange(Expr operand)
    {
        var open = Take();
        var outer = Swap(("subquery or range selector", "number, duration, step(), or range()"));
        var range = ParsePositiveDuration();
        _context = ("subquery or range", "\":\" or \"]\"");
        if (!TryTake(TokenKind.Colon))
        {
            var close = Expect(TokenKind.RightBracket);
            _context = outer;
            return NewMatrixSelector(operand, new Position(open.Position.Start, close.Position.End), range);
        }

        Expr? step = null;
        _context = ("subquery selector", "number, duration, step(), range(), or \"]\"");
        if (Peek().Kind != TokenKind.RightBracket)
        {
            step = ParsePositiveDuration();
            _context = ("subquery selector", "\"]\"");
        }

        var end = Expect(TokenKind.RightBracket).Position.End;
        _context = outer;
        CountOperator(operand.Position);
        return new SubqueryExpr(operand, LiteralMs(range), LiteralMs(step), TimeModifiers.None, range as DurationExpr, step as DurationExpr)
        {
            Position = new Position(operand.Position.Start, end),
        };
    }

    Expr NewMatrixSelector(Expr operand, Position brackets, Expr range)
    {
        if (operand is not VectorSelector selector)
        {
            Report(brackets, "ranges only allowed for vector selectors");
            return operand;
        }

        if (selector.Time.OffsetMs != 0 || selector.Time.OffsetExpr is not null)
        {
            Report(brackets, "no offset modifiers allowed before range");
        }
        else if (selector.Time.AtMs is not null || selector.Time.At != AtModifier.None)
        {
            Report(brackets, "no @ modifiers allowed before range");
        }

        return new MatrixSelector(selector, LiteralMs(range), range as DurationExpr)
        {
            Position = new Position(selector.Position.Start, _lastClosing),
        };
    }

    Expr ParsePositiveDuration()
    {
        var duration = ParseDuration(0);
        if (duration is NumberLiteral { Value: <= 0 })
        {
            Report(duration.Position, "duration must be greater than 0");
        }

        return duration;
    }

    Expr ParseOffset(Expr operand)
    {
        Take();
        var outer = Swap(("offset", "number, duration, step(), or range()"));
        var duration = ParseOffsetDuration();
        _context = outer;
        if (Modifiers(operand) is not { } time)
        {
            Report(operand.Position,
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery");
            return operand;
        }

        if (time.OffsetMs != 0 || time.OffsetExpr is not null)
        {
            Report(operand.Position, "offset may not be set multiple times");
        }

        return With(operand, time with { OffsetMs = LiteralMs(duration), OffsetExpr = duration as DurationExpr });
    }

    /// <summary>
    /// A signed literal or call ends the offset, so that <c>a offset 5m + b</c> is a sum; behind parentheses a binary operator still
    /// belongs to the offset.
    /// </summary>
    Expr ParseOffsetDuration()
    {
        var token = Peek();
        switch (token.Kind)
        {
            case TokenKind.Number or TokenKind.Duration:
                return ParseDurationLiteral();
            case TokenKind.Step or TokenKind.Range or TokenKind.MaxOf or TokenKind.MinOf:
                return ParseDurationCall(checkEnabled: true);
            case TokenKind.Add or TokenKind.Sub:
                break;
            default:
                return ParseDuration(0);
        }

        Take();
        switch (Peek().Kind)
        {
            case TokenKind.Number or TokenKind.Duration:
                var literal = ParseNumberOrDuration();
                return Signed(token, literal, checkRange: true);
            case TokenKind.Step or TokenKind.Range or TokenKind.MaxOf or TokenKind.MinOf:
                var call = ParseDurationCall(checkEnabled: false);
                RequireDurationExpressions(call with { Position = new Position(token.Position.Start, call.Position.End) });
                return Signed(token, call, checkRange: true);
            case TokenKind.LeftParen:
                Take();
                var inner = ParseDuration(0);
                Expect(TokenKind.RightParen);
                return Signed(token, Wrap(inner, inner.Position), checkRange: true);
            default:
                return ParseDurationOperators(Signed(token, ParseDuration(MulPrecedence + 1), checkRange: true), 0);
        }
    }

    Expr ParseDuration(int precedence)
    {
        Enter();
        var token = Peek();
        Expr left;
        switch (token.Kind)
        {
            case TokenKind.Number or TokenKind.Duration:
                left = ParseDurationLiteral();
                break;
            case TokenKind.Add or TokenKind.Sub:
                Take();
                left = Signed(token, ParseDuration(MulPrecedence + 1), checkRange: true);
                break;
            case TokenKind.Step or TokenKind.Range or TokenKind.MaxOf or TokenKind.MinOf:
                left = ParseDurationCall(checkEnabled: true);
                break;
            case TokenKind.LeftParen:
                Take();
                var inner = ParseDuration(0);
                var close = Expect(TokenKind.RightParen);
                RequireDurationExpressions(inner);
                left = Wrap(inner, new Position(token.Position.Start, close.Position.End));
                break;
            default:
                throw Unexpected();
        }

        left = ParseDurationOperators(left, precedence);
        _nesting--;
        return left;
    }

    Expr ParseDurationOperators(Expr left, int precedence)
    {
        while (Peek().Kind is TokenKind.Add or TokenKind.Sub or TokenKind.Mul or TokenKind.Div or TokenKind.Mod or TokenKind.Pow
            && Precedence(Peek().Kind) is var binds && binds >= precedence)
        {
            var token = Take();
            CountOperator(token.Position);
            var right = ParseDuration(token.Kind == TokenKind.Pow ? binds : binds + 1);
            RequireDurationExpressions(left);
            if (token.Kind is TokenKind.Div or TokenKind.Mod && right is NumberLiteral { Value: 0 })
            {
                Report(token.Position, token.Kind == TokenKind.Div ? "division by zero" : "modulo by zero");
            }

            left = new DurationExpr(DurationOperators[token.Kind], left, right, false)
            {
                Position = new Position(left.Position.Start, right.Position.End),
            };
        }

        return left;
    }

    static readonly Dictionary<TokenKind, DurationOperator> DurationOperators = new()
    {
        [TokenKind.Add] = DurationOperator.Add,
        [TokenKind.Sub] = DurationOperator.Sub,
        [TokenKind.Mul] = DurationOperator.Mul,
        [TokenKind.Div] = DurationOperator.Div,
        [TokenKind.Mod] = DurationOperator.Mod,
        [TokenKind.Pow] = DurationOperator.Pow,
        [TokenKind.Step] = DurationOperator.Step,
        [TokenKind.Range] = DurationOperator.Range,
        [TokenKind.MaxOf] = DurationOperator.Max,
        [TokenKind.MinOf] = DurationOperator.Min,
    };

    /// <summary>step(), range(), max_of(a, b) or min_of(a, b).</summary>
    DurationExpr ParseDurationCall(bool checkEnabled)
    {
        var name = Take();
        Expect(TokenKind.LeftParen);
        Expr? left = null, right = null;
        if (name.Kind is TokenKind.MaxOf or TokenKind.MinOf)
        {
            left = ParseDuration(0);
            Expect(TokenKind.Comma);
            right = ParseDuration(0);
        }

        var position = new Position(name.Position.Start, Expect(TokenKind.RightParen).Position.End);
        var call = new DurationExpr(DurationOperators[name.Kind], left, right, false) { Position = position };
        if (checkEnabled)
        {
            RequireDurationExpressions(call);
        }

        return call;
    }

    NumberLiteral ParseDurationLiteral()
    {
        var literal = ParseNumberOrDuration();
        return OutOfRange(literal.Value) ? ReportOutOfRange(literal, literal.Position) : literal;
    }

    NumberLiteral ReportOutOfRange(NumberLiteral literal, Position at)
    {
        Report(at, "duration out of range");
        return literal with { Value = 0 };
    }

    Expr Signed(Token sign, Expr operand, bool checkRange)
    {
        var position = new Position(sign.Position.Start, operand.Position.End);
        if (operand is not NumberLiteral literal)
        {
            return sign.Kind == TokenKind.Sub
                ? new DurationExpr(DurationOperator.Negate, null, operand, false) { Position = position }
                : operand;
        }

        literal = literal with { Value = sign.Kind == TokenKind.Sub ? -literal.Value : literal.Value, Position = position };
        return checkRange && OutOfRange(literal.Value) ? ReportOutOfRange(literal, sign.Position) : literal;
    }

    static DurationExpr Wrap(Expr inner, Position position) => inner is DurationExpr duration
        ? duration with { Wrapped = true }
        : new DurationExpr(DurationOperator.Add, null, inner, true) { Position = position };

    void RequireDurationExpressions(Expr expr)
    {
        if (!options.DurationExpressions)
        {
            Report(expr.Position, "experimental duration expression is not enabled");
        }
    }

    /// <summary>Whether an int64 of nanoseconds can't hold the duration.</summary>
    static bool OutOfRange(double seconds) => seconds is > 9223372036.854775807 or < -9223372036.854775807;

    static long LiteralMs(Expr? duration) =>
        duration is NumberLiteral literal ? (long)Math.Round(literal.Value * 1e9, MidpointRounding.AwayFromZero) / 1_000_000 : 0;

    Expr ParseAt(Expr operand)
    {
        Take();
        var outer = Swap(("@", "timestamp"));
        var result = Peek().Kind is TokenKind.Start or TokenKind.End ? ParseAtBoundary(operand) : ParseAtTime(operand);
        _context = outer;
        return result;
    }

    Expr ParseAtBoundary(Expr operand)
    {
        var at = Take().Kind == TokenKind.Start ? AtModifier.Start : AtModifier.End;
        Expect(TokenKind.LeftParen);
        Expect(TokenKind.RightParen);
        return ModifiersForAt(operand) is { } time ? With(operand, time with { At = at }) : operand;
    }

    Expr ParseAtTime(Expr operand)
    {
        var sign = Peek().Kind is TokenKind.Add or TokenKind.Sub ? Take().Kind : TokenKind.Add;
        var seconds = ParseNumberOrDuration().Value * (sign == TokenKind.Sub ? -1 : 1);
        var inBounds = seconds is > long.MinValue and < long.MaxValue;
        if (!inBounds)
        {
            var text = double.IsFinite(seconds) ? seconds.ToString("F6", CultureInfo.InvariantCulture) : Tsdb.Bytes.GoText.Float(seconds);
            Report(operand.Position, "timestamp out of bounds for @ modifier: " + text);
        }

        var milliseconds = inBounds ? (long)Math.Round(seconds * 1000, MidpointRounding.AwayFromZero) : 0;
        return ModifiersForAt(operand) is { } time ? With(operand, time with { AtMs = milliseconds }) : operand;
    }

    TimeModifiers? ModifiersForAt(Expr operand)
    {
        var time = Modifiers(operand);
        if (time is null)
        {
            Report(operand.Position, "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery");
        }
        else if (time.AtMs is not null || time.At != AtModifier.None)
        {
            Report(operand.Position, "@ <timestamp> may not be set multiple times");
            return null;
        }

        return time;
    }

    static TimeModifiers? Modifiers(Expr expr) => expr switch
    {
        VectorSelector vector => vector.Time,
        MatrixSelector matrix => matrix.Selector.Time,
        SubqueryExpr subquery => subquery.Time,
        _ => null,
    };

    Expr With(Expr expr, TimeModifiers time)
    {
        var position = new Position(expr.Position.Start, _lastClosing);
        return expr switch
        {
            VectorSelector vector => vector with { Time = time, Position = position },
            MatrixSelector matrix => matrix with { Selector = matrix.Selector with { Time = time }, Position = position },
            SubqueryExpr subquery => subquery with { Time = time, Position = position },
            _ => expr,
        };
    }

    Expr SetExtended(Expr expr, string modifier)
    {
        if (!options.ExtendedRangeSelectors)
        {
            Report(expr.Position, modifier + " modifier is experimental and not enabled");
            return expr;
        }

        switch (expr)
        {
            case VectorSelector vector:
                return Extended(vector, modifier, vector.Position);
            case MatrixSelector matrix:
                return matrix with { Selector = Extended(matrix.Selector, modifier, matrix.Position) };
            case SubqueryExpr:
                Report(expr.Position, modifier + " modifier is not supported for subqueries");
                return expr;
            default:
                Report(expr.Position, modifier + " modifier not implemented");
                return expr;
        }
    }

    VectorSelector Extended(VectorSelector selector, string modifier, Position position)
    {
        var extended = modifier == "anchored" ? selector with { Anchored = true } : selector with { Smoothed = true };
        if (extended is { Anchored: true, Smoothed: true })
        {
            Report(position, "anchored and smoothed modifiers cannot be used together");
        }

        return extended;
    }
}
