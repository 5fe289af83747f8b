using System.Globalization;
using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>Values of duration expressions, in seconds as Prometheus computes them.</summary>
sealed class DurationArithmetic(QueryTimes times)
{
    const double MaxSeconds = long.MaxValue / 1e9;

    public long Milliseconds(Expr expression, bool mayBeNegative)
    {
        var seconds = Seconds(expression);
        if (!double.IsFinite(seconds))
        {
            throw Fault(expression, "duration is NaN or infinite");
        }

        if (seconds <= 0 && !mayBeNegative)
        {
            throw Fault(expression, "duration must be greater than 0");
        }

        if (Math.Abs(seconds) > MaxSeconds)
        {
            throw Fault(expression, "duration is out of range");
        }

        return (long)(seconds * 1000);
    }

    public double Seconds(Expr expression) => expression switch
    {
        NumberLiteral number => number.Value,
        ParenExpr paren => Seconds(paren.Inner),
        UnaryExpr { Operator: Operator.Sub } unary => -Seconds(unary.Inner),
        UnaryExpr unary => Seconds(unary.Inner),
        DurationExpr duration => Seconds(duration),
        _ => throw new QueryException($"a {expression.GetType().Name} in a duration is not supported yet"),
    };

    double Seconds(DurationExpr duration)
    {
        var left = duration.Left is null ? 0 : Seconds(duration.Left);
        var right = duration.Right is null ? 0 : Seconds(duration.Right);
        return duration.Operator switch
        {
            DurationOperator.Step => times.StepMs / 1000.0,
            DurationOperator.Range => (times.EndMs - times.StartMs) / 1000.0,
            DurationOperator.Min => Math.Min(left, right),
            DurationOperator.Max => Math.Max(left, right),
            DurationOperator.Add => left + right,
            DurationOperator.Sub => left - right,
            DurationOperator.Negate => -(duration.Right is null ? left : right),
            DurationOperator.Mul => left * right,
            DurationOperator.Div => right == 0 ? throw Fault(duration, "division by zero") : left / right,
            DurationOperator.Mod => right == 0 ? throw Fault(duration, "modulo by zero") : left % right,
            DurationOperator.Pow => Math.Pow(left, right),
            _ => throw new QueryException($"duration operator {duration.Operator} is not supported yet"),
        };
    }

    static QueryException Fault(Expr expression, string what) =>
        new(string.Create(
            CultureInfo.InvariantCulture, $"{expression.Position.Start}:{expression.Position.End}: {what}"))
        { IsBadData = true };
}
