using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>Finds what is wrong with a query whose syntax is right: types, arguments, matching, selectors that match everything.</summary>
sealed class TypeChecker(byte[] query, List<ParseError> errors)
{
    /// <summary>
    /// The expression with what follows from its types: set operators match many to many, operators with a scalar have no matching.
    /// </summary>
    public Expr Check(Expr expr) => Check(expr, mayMatchAll: false);

    Expr Check(Expr expr, bool mayMatchAll)
    {
        switch (expr)
        {
            case AggregateExpr aggregate:
                return CheckAggregate(aggregate);
            case BinaryExpr binary:
                return CheckBinary(binary);
            case Call call:
                return CheckCall(call);
            case ParenExpr paren:
                return paren with { Inner = Check(paren.Inner) };
            case UnaryExpr unary:
                var inner = Check(unary.Inner);
                if (inner.Type is not (ExprType.Scalar or ExprType.Vector))
                {
                    Report(unary.Position,
                        $"unary expression only allowed on expressions of type scalar or instant vector, got \"{Documented(inner.Type)}\"");
                }

                return unary with { Inner = inner };
            case SubqueryExpr subquery:
                var child = Check(subquery.Inner);
                if (child.Type != ExprType.Vector)
                {
                    Report(subquery.Position, $"subquery is only allowed on instant vector, got {Internal(child.Type)} instead");
                }

                return subquery with { Inner = child };
            case MatrixSelector matrix:
                CheckSelector(matrix.Selector, false);
                return matrix;
            case VectorSelector selector:
                CheckSelector(selector, mayMatchAll);
                return selector;
            default:
                return expr;
        }
    }

    AggregateExpr CheckAggregate(AggregateExpr aggregate)
    {
        var inner = Expect(aggregate.Inner, ExprType.Vector, "aggregation expression");
        var parameter = aggregate.Parameter is { } given
            ? Expect(given, aggregate.Aggregation == Aggregation.CountValues ? ExprType.String : ExprType.Scalar, "aggregation parameter")
            : null;
        return aggregate with { Inner = inner, Parameter = parameter };
    }

    Expr Expect(Expr expr, ExprType type, string context)
    {
        var result = Check(expr);
        if (result.Type != type)
        {
            Report(expr.Position, $"expected type {Documented(type)} in {context}, got {Documented(result.Type)}");
        }

        return result;
    }

    BinaryExpr CheckBinary(BinaryExpr binary)
    {
        var (left, right) = (Check(binary.Left), Check(binary.Right));
        var (op, matching) = (binary.Operator, binary.Matching!);
        var isComparison = op is >= Operator.Equal and <= Operator.LessOrEqual;
        var isSet = op is Operator.And or Operator.Or or Operator.Unless;
        var name = GoText.Quote(Printer.NameOf(op));
        if (binary.ReturnBool && !isComparison)
        {
            Report(OperatorOf(binary), "bool modifier can only be used on comparison operators");
        }

        if (isComparison && !binary.ReturnBool && left.Type == ExprType.Scalar && right.Type == ExprType.Scalar)
        {
            Report(OperatorOf(binary), "comparisons between scalars must use BOOL modifier");
        }

        if (isSet && matching.Cardinality == MatchCardinality.OneToOne)
        {
            matching = matching with { Cardinality = MatchCardinality.ManyToMany };
        }

        foreach (var label in matching.On ? matching.Labels : [])
        {
            foreach (var _ in matching.Include.Where(l => l == label))
            {
                Report(OperatorOf(binary), $"label {GoText.Quote(label)} must not occur in ON and GROUP clause at once");
            }
        }

        foreach (var side in new[] { left, right })
        {
            if (side.Type is not (ExprType.Scalar or ExprType.Vector))
            {
                Report(side.Position, "binary expression must contain only scalar and instant vector types");
            }
        }

        var fills = (matching.FillLeft ?? matching.FillRight) is not null;
        if (left.Type != ExprType.Vector || right.Type != ExprType.Vector)
        {
            if (matching.Labels.Count > 0)
            {
                Report(binary.Position, "vector matching only allowed between instant vectors");
            }

            if (fills)
            {
                Report(binary.Position, "filling in missing series only allowed between instant vectors");
            }

            matching = null;
        }
        else if (isSet)
        {
            if (matching.Cardinality != MatchCardinality.ManyToMany)
            {
                Report(binary.Position, $"no grouping allowed for {name} operation");
                Report(binary.Position, "set operations must always be many-to-many");
            }

            if (fills)
            {
                Report(binary.Position, "filling in missing series not allowed for set operators");
            }
        }

        if (isSet && (left.Type == ExprType.Scalar || right.Type == ExprType.Scalar))
        {
            Report(binary.Position, $"set operator {name} not allowed in binary scalar expression");
        }

        return binary with { Left = left, Right = right, Matching = matching };
    }

    /// <summary>Between the sides, without the space around.</summary>
    Position OperatorOf(BinaryExpr binary)
    {
        var (start, end) = (binary.Left.Position.End, binary.Right.Position.Start - 1);
        while (start < query.Length && IsSpace(query[start]))
        {
            start++;
        }

        while (end > start && IsSpace(query[end]))
        {
            end--;
        }

        return new Position(start, end);
    }

    Call CheckCall(Call call)
    {
        var (function, arguments) = (call.Function, call.Arguments);
        var name = GoText.Quote(function.Name);
        var (expected, given) = (function.ArgumentTypes.Count, arguments.Count);
        if (function.Variadic == 0 && given != expected)
        {
            Report(call.Position, $"expected {expected} argument(s) in call to {name}, got {given}");
        }
        else if (function.Variadic != 0 && given < expected - 1)
        {
            Report(call.Position, $"expected at least {expected - 1} argument(s) in call to {name}, got {given}");
        }
        else if (function.Variadic > 0 && given > expected - 1 + function.Variadic)
        {
            Report(call.Position, $"expected at most {expected - 1 + function.Variadic} argument(s) in call to {name}, got {given}");
        }

        var isInfo = function.Id == FunctionId.Info && given > 1;
        if (isInfo)
        {
            CheckInfoSelector(call, arguments[1], name);
        }

        var result = new Expr[given];
        for (var i = 0; i < given; i++)
        {
            if (i >= expected && function.Variadic == 0)
            {
                result[i] = arguments[i];
                continue;
            }

            var type = function.ArgumentTypes[Math.Min(i, expected - 1)];
            result[i] = Check(arguments[i], mayMatchAll: isInfo && i == 1);
            if (result[i].Type != type)
            {
                Report(arguments[i].Position,
                    $"expected type {Documented(type)} in call to function {name}, got {Documented(result[i].Type)}");
            }
        }

        return call with { Arguments = result };
    }

    void CheckInfoSelector(Call call, Expr argument, string name)
    {
        if (argument.Type != ExprType.Vector)
        {
            Report(call.Position, $"expected type instant vector in call to function {name}, got {Documented(argument.Type)}");
        }

        if (argument is not VectorSelector selector)
        {
            Report(argument.Position, "expected label selectors only");
        }
        else if (selector.Name.Length > 0)
        {
            Report(argument.Position, "expected label selectors only, got vector selector instead");
        }
    }

    void CheckSelector(VectorSelector selector, bool mayMatchAll)
    {
        if (selector.Name.Length > 0)
        {
            foreach (var matcher in selector.Matchers.SkipLast(1).Where(m => m.Name == Labels.MetricName))
            {
                Report(selector.Position,
                    $"metric name must not be set twice: {GoText.Quote(selector.Name)} or {GoText.Quote(matcher.Value)}");
            }
        }
        else if (!mayMatchAll && selector.Matchers.All(m => m.MatchesEmpty))
        {
            Report(selector.Position, "vector selector must contain at least one non-empty matcher");
        }
    }

    void Report(Position position, string message)
    {
        if (errors.Count < PromqlParser.MaxErrors)
        {
            errors.Add(new ParseError(position.In(query), position, message));
        }
    }

    static bool IsSpace(byte c) => c is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r';

    static string Documented(ExprType type) => type switch
    {
        ExprType.Vector => "instant vector",
        ExprType.Matrix => "range vector",
        _ => Internal(type),
    };

    internal static string Internal(ExprType type) => type switch
    {
        ExprType.Scalar => "scalar",
        ExprType.Vector => "vector",
        ExprType.Matrix => "matrix",
        ExprType.String => "string",
        _ => "none",
    };
}
