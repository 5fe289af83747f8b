using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Promql.Parsing;

/// <summary>Operands: selectors, calls, aggregations, literals, parentheses, and the brackets and modifiers behind them.</summary>
sealed partial class Parser
{
    static bool IsMetricName(TokenKind kind) =>
        kind is TokenKind.Identifier or TokenKind.MetricIdentifier or TokenKind.And or TokenKind.Or or TokenKind.Unless
            or TokenKind.By or TokenKind.Without or TokenKind.Offset or TokenKind.Anchored or TokenKind.Smoothed
            or TokenKind.Fill or TokenKind.FillLeft or TokenKind.FillRight
            or (>= TokenKind.Sum and <= TokenKind.LimitRatio) or (>= TokenKind.Start and <= TokenKind.MinOf);

    static bool StartsSelector(TokenKind kind) => IsMetricName(kind);

    static bool StartsExpr(TokenKind kind) =>
        IsMetricName(kind) || kind is TokenKind.LeftBrace or TokenKind.LeftParen or TokenKind.Number or TokenKind.Duration
            or TokenKind.String or TokenKind.Add or TokenKind.Sub;

    Expr ParseOperand()
    {
        var operand = ParsePrimary();
        while (true)
        {
            switch (Peek().Kind)
            {
                case TokenKind.LeftBracket:
                    operand = ParseRange(operand);
                    break;
                case TokenKind.Offset:
                    operand = ParseOffset(operand);
                    break;
                case TokenKind.At:
                    operand = ParseAt(operand);
                    break;
                case TokenKind.Anchored:
                    Take();
                    operand = SetExtended(operand, "anchored");
                    break;
                case TokenKind.Smoothed:
                    Take();
                    operand = SetExtended(operand, "smoothed");
                    break;
                default:
                    return operand;
            }
        }
    }

    Expr ParsePrimary()
    {
        var token = Peek();
        switch (token.Kind)
        {
            case TokenKind.Number or TokenKind.Duration:
                return ParseNumberOrDuration();
            case TokenKind.String:
                Take();
                return new StringLiteral(Text(token)) { Position = token.Position };
            case TokenKind.LeftParen:
                Take();
                var inner = ParseExpr(0);
                return new ParenExpr(inner) { Position = new Position(token.Position.Start, Expect(TokenKind.RightParen).Position.End) };
            case TokenKind.Add or TokenKind.Sub:
                Take();
                return ParseUnary(token);
            case TokenKind.LeftBrace:
                return ParseSelector(null);
        }

        if (!IsMetricName(token.Kind))
        {
            throw Unexpected();
        }

        Take();
        var next = Peek().Kind;
        if (token.IsAggregator && next is TokenKind.LeftParen or TokenKind.By or TokenKind.Without)
        {
            return ParseAggregation(token);
        }

        var callable = token.Kind is TokenKind.Identifier or (>= TokenKind.Start and <= TokenKind.MinOf);
        return callable && next == TokenKind.LeftParen ? ParseCall(token) : ParseSelector(token);
    }

    Expr ParseUnary(Token sign)
    {
        var operand = ParseExpr(MulPrecedence + 1);
        return operand is NumberLiteral
            ? Signed(sign, operand, checkRange: false)
            : new UnaryExpr(Operators[sign.Kind], operand) { Position = new Position(sign.Position.Start, operand.Position.End) };
    }

    Expr ParseCall(Token name)
    {
        var arguments = ParseArguments();
        var position = new Position(name.Position.Start, _lastClosing);
        var function = FunctionTable.Find(name.Text);
        if (function is null)
        {
            Report(name.Position, "unknown function with name " + GoText.Quote(name.Text));
            return new NumberLiteral(0) { Position = position };
        }

        if (function.Experimental && !options.ExperimentalFunctions)
        {
            Report(name.Position, $"function {GoText.Quote(name.Text)} is not enabled");
        }

        return new Call(function, arguments) { Position = position };
    }

    List<Expr> ParseArguments()
    {
        Expect(TokenKind.LeftParen);
        var arguments = new List<Expr>();
        if (TryTake(TokenKind.RightParen))
        {
            return arguments;
        }

        arguments.Add(ParseExpr(0));
        while (Peek().Kind == TokenKind.Comma)
        {
            var comma = Take();
            if (arguments.Count == PromqlParser.MaxArguments)
            {
                Report(comma.Position, $"a call has more than {PromqlParser.MaxArguments} arguments");
                throw new SyntaxErrorException();
            }

            if (StartsExpr(Peek().Kind))
            {
                arguments.Add(ParseExpr(0));
            }
            else
            {
                Report(comma.Position, "trailing commas not allowed in function call args");
            }
        }

        Expect(TokenKind.RightParen);
        return arguments;
    }

    Expr ParseAggregation(Token name)
    {
        var outer = Swap(("aggregation", ""));
        var (grouping, without) = ParseAggregationGrouping() ?? default;
        var arguments = ParseArguments();
        var end = _lastClosing;
        if (grouping is null && ParseAggregationGrouping() is { } after)
        {
            (grouping, without) = after;
            end = _lastClosing;
        }

        _context = outer;
        var aggregation = (Aggregation)(name.Kind - TokenKind.Sum);
        var position = new Position(name.Position.Start, end);
        var traits = AggregationTable.Of(aggregation);
        var expected = traits.TakesParameter ? 2 : 1;
        if (arguments.Count == 0)
        {
            Report(position, "no arguments for aggregate expression provided");
        }
        else if (traits.Experimental && !options.ExperimentalFunctions)
        {
            Report(position, $"{traits.Name}() is experimental and must be enabled with --enable-feature=promql-experimental-functions");
        }
        else if (arguments.Count != expected)
        {
            Report(position, $"wrong number of arguments for aggregate expression provided, expected {expected}, got {arguments.Count}");
        }
        else
        {
            return new AggregateExpr(aggregation, arguments[^1], expected == 2
                ? arguments[0]
                : null, grouping ?? [], without)
            { Position = position };
        }

        return new NumberLiteral(0) { Position = position };
    }

    (List<string>? Labels, bool Without)? ParseAggregationGrouping()
    {
        if (Peek().Kind is not (TokenKind.By or TokenKind.Without))
        {
            return null;
        }

        var without = Take().Kind == TokenKind.Without;
        return (ParseGrouping(), without);
    }

    /// <param name="name">The token before the braces, already taken; null where the selector begins with a brace.</param>
    VectorSelector ParseSelector(Token? name)
    {
        var matchers = new List<Matcher>();
        var (start, end) = name is { } word ? (word.Position.Start, word.Position.End) : (Peek().Position.Start, 0);
        if (name is null || Peek().Kind == TokenKind.LeftBrace)
        {
            end = ParseMatchers(matchers);
        }

        if (name is not null)
        {
            matchers.Add(new Matcher(MatchType.Equal, Labels.MetricName, name.Value.Text));
        }

        return new VectorSelector(name?.Text ?? "", matchers, TimeModifiers.None) { Position = new Position(start, end) };
    }

    /// <summary>Offset at which the closing brace ends.</summary>
    int ParseMatchers(List<Matcher> matchers)
    {
        Expect(TokenKind.LeftBrace);
        var outer = Swap(("label matching", "identifier or \"}\""));
        if (Peek().Kind != TokenKind.RightBrace)
        {
            do
            {
                _context = ("label matching", "identifier or \"}\"");
                ParseMatcher(matchers);
                _context = ("label matching", "\",\" or \"}\"");
            }
            while (TryTake(TokenKind.Comma) && Peek().Kind != TokenKind.RightBrace);
        }

        var end = Expect(TokenKind.RightBrace).Position.End;
        _context = outer;
        return end;
    }

    void ParseMatcher(List<Matcher> matchers)
    {
        if (Peek().Kind is not (TokenKind.Identifier or TokenKind.String))
        {
            throw Unexpected();
        }

        var label = Take();
        var name = label.Kind == TokenKind.String ? Text(label) : label.Text;
        MatchType? type = Peek().Kind switch
        {
            TokenKind.Assign => MatchType.Equal,
            TokenKind.NotEqual => MatchType.NotEqual,
            TokenKind.EqualRegex => MatchType.Regex,
            TokenKind.NotEqualRegex => MatchType.NotRegex,
            _ => null,
        };
        if (type is null && label.Kind == TokenKind.String)
        {
            matchers.Add(new Matcher(MatchType.Equal, Labels.MetricName, name));
            return;
        }

        _context = ("label matching", "label matching operator");
        _ = type is null ? throw Unexpected() : Take();
        _context = ("label matching", "string");
        var value = Expect(TokenKind.String);
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            matchers.Add(new Matcher(type.Value, name, Text(value)));
        }
        catch (FormatException e)
        {
            Report(new Position(label.Position.Start, value.Position.End), e.Message);
        }
    }

    static string Text(Token literal) => Literals.Text(Literals.Unquote(literal.Text));
}
