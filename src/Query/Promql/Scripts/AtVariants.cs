using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Scripts;

/// <summary>An instant query with its time written into every selector must give the same at any other time.</summary>
static class AtVariants
{
    /// <summary>
    /// Queries with the times, in milliseconds, at which they must give what the query gives at its time; none where the query's result
    /// depends on its time otherwise.
    /// </summary>
    public static IEnumerable<(string Query, long TimeMs)> Of(Expr expr, long time)
    {
        if (DependsOnTime(expr))
        {
            return [];
        }

        var query = Fix(expr, time).ToString();
        long[] times = time == 0 ? [-1000, 0, 1000] : [-10 * time, 0, time / 5, time, 10 * time];
        return times.Select(t => (query, t));
    }

    /// <summary>Selectors in a subquery keep their own times, and are not looked at.</summary>
    static bool DependsOnTime(Expr expr) => expr switch
    {
        Call call => call.Function.DependsOnTime || call.Arguments.Any(DependsOnTime),
        AggregateExpr aggregate => DependsOnTime(aggregate.Inner) || (aggregate.Parameter is { } parameter && DependsOnTime(parameter)),
        BinaryExpr binary => DependsOnTime(binary.Left) || DependsOnTime(binary.Right),
        ParenExpr paren => DependsOnTime(paren.Inner),
        UnaryExpr unary => DependsOnTime(unary.Inner),
        _ => false,
    };

    static Expr Fix(Expr expr, long time) => expr switch
    {
        VectorSelector vector => vector with { Time = Fix(vector.Time, time) },
        MatrixSelector matrix => matrix with { Selector = matrix.Selector with { Time = Fix(matrix.Selector.Time, time) } },
        SubqueryExpr subquery => subquery with { Time = Fix(subquery.Time, time) },
        Call call => call with { Arguments = [.. call.Arguments.Select(a => Fix(a, time))] },
        AggregateExpr aggregate => aggregate with
        {
            Inner = Fix(aggregate.Inner, time),
            Parameter = aggregate.Parameter is { } parameter ? Fix(parameter, time) : null,
        },
        BinaryExpr binary => binary with { Left = Fix(binary.Left, time), Right = Fix(binary.Right, time) },
        ParenExpr paren => paren with { Inner = Fix(paren.Inner, time) },
        UnaryExpr unary => unary with { Inner = Fix(unary.Inner, time) },
        _ => expr,
    };

    static TimeModifiers Fix(TimeModifiers modifiers, long time) =>
        modifiers.AtMs is null ? modifiers with { AtMs = time, At = AtModifier.None } : modifiers;
}
