using System.Globalization;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>Where an expression stands in the query's text: bytes of its UTF-8, end exclusive, as Prometheus counts.</summary>
public readonly record struct Position(int Start, int End)
{
    /// <summary><c>line:column</c> of the start in the query's UTF-8, both from 1, columns in bytes.</summary>
    public string In(ReadOnlySpan<byte> query)
    {
        if (query.IsEmpty)
        {
            return "unknown position";
        }

        if (Start < 0 || Start > query.Length)
        {
            return "invalid position";
        }

        var before = query[..Start];
        return string.Create(CultureInfo.InvariantCulture, $"{before.Count((byte)'\n') + 1}:{Start - before.LastIndexOf((byte)'\n')}");
    }
}

public enum ExprType : byte
{
    None,
    Scalar,
    Vector,
    Matrix,
    String,
}

public enum Operator : byte
{
    Add, Sub, Mul, Div, Mod, Pow, Atan2,
    Equal, NotEqual, Greater, Less, GreaterOrEqual, LessOrEqual,
    And, Or, Unless,

    /// <summary><c>&lt;/</c> and <c>&gt;/</c>: drop the buckets of a native histogram above or below a value.</summary>
    TrimUpper, TrimLower,
}

public enum Aggregation : byte
{
    Sum, Avg, Count, Min, Max, Group, Stddev, Stdvar, TopK, BottomK, CountValues, Quantile, LimitK, LimitRatio,
}

public enum MatchCardinality : byte
{
    OneToOne, ManyToOne, OneToMany, ManyToMany,
}

/// <summary><c>@ start()</c> or <c>@ end()</c>.</summary>
public enum AtModifier : byte
{
    None, Start, End,
}

/// <summary>A node of a parsed query. Immutable; rewrites make new nodes.</summary>
public abstract record Expr
{
    public Position Position { get; init; }

    public abstract ExprType Type { get; }

    /// <summary>On one line, as Prometheus writes it.</summary>
    public sealed override string ToString() => Printer.Print(this);
}

/// <param name="IsDuration">The literal was written as a duration (<c>5m</c>); the value is in seconds.</param>
public sealed record NumberLiteral(double Value, bool IsDuration = false) : Expr
{
    public override ExprType Type => ExprType.Scalar;
}

public sealed record StringLiteral(string Value) : Expr
{
    public override ExprType Type => ExprType.String;
}

public sealed record ParenExpr(Expr Inner) : Expr
{
    public override ExprType Type => Inner.Type;
}

/// <param name="Operator">Add or Sub.</param>
public sealed record UnaryExpr(Operator Operator, Expr Inner) : Expr
{
    public override ExprType Type => Inner.Type;
}

/// <summary>How the series of the two sides of a binary operation between vectors match.</summary>
/// <param name="On">True: match on <paramref name="Labels"/> only; false: on all but these.</param>
/// <param name="Include">Labels that group_left or group_right take from the one side.</param>
public sealed record VectorMatching(MatchCardinality Cardinality, bool On, IReadOnlyList<string> Labels, IReadOnlyList<string> Include)
{
    /// <summary>Values that stand in for a series that the left or right side lacks; null where not given.</summary>
    public double? FillLeft { get; init; }

    public double? FillRight { get; init; }
}

/// <param name="Matching">Null unless both sides are vectors.</param>
public sealed record BinaryExpr(Operator Operator, Expr Left, Expr Right, VectorMatching? Matching, bool ReturnBool) : Expr
{
    // Stored, since each level of a chain of operators asks for that of the level below.
    public override ExprType Type { get; } =
        Left.Type == ExprType.Scalar && Right.Type == ExprType.Scalar ? ExprType.Scalar : ExprType.Vector;
}

/// <param name="Parameter">The k, quantile, ratio or label name of aggregations that take one.</param>
public sealed record AggregateExpr(
    Aggregation Aggregation, Expr Inner, Expr? Parameter, IReadOnlyList<string> Grouping, bool Without) : Expr
{
    public override ExprType Type => ExprType.Vector;
}

public sealed record Call(Function Function, IReadOnlyList<Expr> Arguments) : Expr
{
    public override ExprType Type => Function.ReturnType;
}

/// <summary>The time modifiers of a selector or subquery, as written.</summary>
/// <param name="OffsetMs">
/// Milliseconds; negative looks ahead. Where <paramref name="OffsetExpr"/> is set, that is evaluated instead.
/// </param>
/// <param name="AtMs">The fixed time of <c>@</c>, Unix milliseconds.</param>
public sealed record TimeModifiers(long OffsetMs = 0, Expr? OffsetExpr = null, long? AtMs = null, AtModifier At = AtModifier.None)
{
    public static TimeModifiers None { get; } = new();
}

/// <param name="Name">
/// The metric name where it was written before the braces, else "": a quoted one inside is only among the matchers.
/// </param>
/// <param name="Matchers">All of them, the one on __name__ included (last, where it comes from <paramref name="Name"/>).</param>
public sealed record VectorSelector(string Name, IReadOnlyList<Matcher> Matchers, TimeModifiers Time) : Expr
{
    public bool Anchored { get; init; }

    public bool Smoothed { get; init; }

    public override ExprType Type => ExprType.Vector;
}

/// <param name="RangeExpr">A duration expression, where the range is not a literal.</param>
public sealed record MatrixSelector(VectorSelector Selector, long RangeMs, Expr? RangeExpr = null) : Expr
{
    public override ExprType Type => ExprType.Matrix;
}

/// <param name="StepMs">0: the default evaluation interval.</param>
public sealed record SubqueryExpr(
    Expr Inner, long RangeMs, long StepMs, TimeModifiers Time, Expr? RangeExpr = null, Expr? StepExpr = null) : Expr
{
    public override ExprType Type => ExprType.Matrix;
}

public enum DurationOperator : byte
{
    Add, Sub, Mul, Div, Mod, Pow, Negate, Step, Range, Min, Max,
}

/// <summary>Arithmetic in the place of a duration (<c>[5m * 2]</c>, <c>offset step()</c>); its value is in seconds.</summary>
/// <param name="Left">Null for Step, Range, Negate, and for Add where that only keeps the parentheses of <c>(5m)</c>.</param>
/// <param name="Right">Null for Step and Range; the operand of Negate.</param>
/// <param name="Wrapped">The expression stood in parentheses.</param>
public sealed record DurationExpr(DurationOperator Operator, Expr? Left, Expr? Right, bool Wrapped) : Expr
{
    public override ExprType Type => ExprType.Scalar;
}

/// <summary>A query that can't be parsed, in Prometheus's words: its message is the first error's, as Prometheus's is.</summary>
public sealed class ParseException(IReadOnlyList<ParseError> errors) : Exception(errors[0].ToString())
{
    public IReadOnlyList<ParseError> Errors { get; } = errors;
}

/// <param name="At">line:column, or "unknown position" for an empty query.</param>
public sealed record ParseError(string At, Position Position, string Message)
{
    public override string ToString() => $"{At}: parse error: {Message}";
}
