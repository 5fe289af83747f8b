using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Planning;

/// <summary>The times of a query: what <c>start()</c>, <c>end()</c>, <c>range()</c> and <c>step()</c> stand for.</summary>
/// <param name="StepMs">0 for an instant query.</param>
readonly record struct QueryTimes(long StartMs, long EndMs, long StepMs);

/// <summary>
/// Makes plan nodes of an expression: parentheses are dropped, durations and <c>@</c> become numbers, <c>start()</c> and the like
/// constants.
/// </summary>
sealed class Lowering(QueryTimes times, long defaultSubqueryStepMs)
{
    int _parameterDepth;

    /// <exception cref="QueryException">A duration expression has no usable value.</exception>
    public PlanNode Lower(Expr expr)
    {
        var node = expr switch
        {
            NumberLiteral number => new ConstantNode(number.Value),
            StringLiteral text => new TextNode(text.Value),
            ParenExpr paren => Lower(paren.Inner),
            UnaryExpr { Operator: Operator.Sub } unary => new NegateNode(Lower(unary.Inner)),
            UnaryExpr { Type: ExprType.Vector } unary => new PlusNode(Lower(unary.Inner)),
            UnaryExpr unary => Lower(unary.Inner),
            VectorSelector selector => Selector(selector),
            MatrixSelector matrix =>
                new RangeNode(Selector(matrix.Selector) with { AtFirstStep = false }, Duration(matrix.RangeExpr, matrix.RangeMs, false)),
            SubqueryExpr subquery => Subquery(subquery),
            BinaryExpr binary => new BinaryNode(
                binary.Operator, Lower(binary.Left), Lower(binary.Right), binary.Matching, binary.ReturnBool),
            AggregateExpr aggregate => new AggregateNode(
                aggregate.Aggregation,
                Operand(aggregate),
                aggregate.Parameter is null ? null : Parameter(aggregate.Parameter),
                aggregate.Grouping,
                aggregate.Without),
            Call call => Function(call),
            DurationExpr duration => new ConstantNode(new DurationArithmetic(times).Seconds(duration)),
            _ => throw new QueryException($"{expr.GetType().Name} is not supported yet"),
        };
        return expr is ParenExpr
            || (expr is UnaryExpr && node is not (NegateNode or PlusNode)) ? node : node with { Position = expr.Position };
    }

    PlanNode Operand(AggregateExpr aggregate) => Lower(aggregate.Inner) switch
    {
        SelectorNode selector => selector with
        {
            Aggregation = new AggregationHint(AggregationTable.Of(aggregate.Aggregation).Name, aggregate.Grouping, aggregate.Without),
        },
        var operand => operand,
    };

    PlanNode Function(Call call) => call.Function.Id switch
    {
        FunctionId.Start => new ConstantNode(times.StartMs / 1000.0),
        FunctionId.End => new ConstantNode(times.EndMs / 1000.0),
        FunctionId.Range => new ConstantNode((times.EndMs - times.StartMs) / 1000.0),
        FunctionId.Step => new ConstantNode(times.StartMs == times.EndMs ? 0 : times.StepMs / 1000.0),
        _ => new CallNode(call.Function, [.. call.Arguments.Select(Lower)]),
    };

    /// <summary>
    /// The parameter of an aggregation, where Prometheus does not resolve <c>@</c>: <c>start()</c> and <c>end()</c> have no effect, and of
    /// an instant selector only the first step is fixed.
    /// </summary>
    PlanNode Parameter(Expr parameter)
    {
        _parameterDepth++;
        var node = Lower(parameter);
        _parameterDepth--;
        return node;
    }

    SelectorNode Selector(VectorSelector selector) =>
        new(selector.Matchers, Offset(selector.Time), At(selector.Time), selector.Anchored, selector.Smoothed)
        {
            Position = selector.Position,
            AtFirstStep = _parameterDepth > 0,
        };

    SubqueryNode Subquery(SubqueryExpr subquery)
    {
        var range = Duration(subquery.RangeExpr, subquery.RangeMs, false);
        var step = Duration(subquery.StepExpr, subquery.StepMs, false);
        return new SubqueryNode(
            Lower(subquery.Inner), range, step == 0 ? defaultSubqueryStepMs : step, Offset(subquery.Time), At(subquery.Time));
    }

    long Offset(TimeModifiers modifiers) => Duration(modifiers.OffsetExpr, modifiers.OffsetMs, true);

    long? At(TimeModifiers modifiers) => modifiers.At switch
    {
        AtModifier.None => modifiers.AtMs,
        _ when _parameterDepth > 0 => null,
        AtModifier.Start => times.StartMs,
        _ => times.EndMs,
    };

    long Duration(Expr? expression, long literal, bool mayBeNegative) =>
        expression is null ? literal : new DurationArithmetic(times).Milliseconds(expression, mayBeNegative);
}
