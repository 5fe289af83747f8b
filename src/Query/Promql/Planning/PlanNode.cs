using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Planning;

/// <summary>
/// A node of the logical plan: what is to be computed, with durations, <c>@</c> and names of functions resolved and without parentheses.
/// Immutable; a rewrite makes new nodes.
/// </summary>
abstract record PlanNode
{
    /// <summary>Where the node's expression stands in the query's text; for warnings only.</summary>
    public Position Position { get; init; }

    public abstract ExprType Type { get; }
}

sealed record ConstantNode(double Value) : PlanNode
{
    public override ExprType Type => ExprType.Scalar;
}

sealed record TextNode(string Value) : PlanNode
{
    public override ExprType Type => ExprType.String;
}

/// <param name="AtMs">The fixed time of <c>@</c>, before the offset is taken off; null: the time of the step.</param>
sealed record SelectorNode(IReadOnlyList<Matcher> Matchers, long OffsetMs, long? AtMs, bool Anchored, bool Smoothed) : PlanNode
{
    /// <summary>
    /// The time of <c>@</c> is that of the first step only: at each later step the selector is evaluated as much later as the step is.
    /// </summary>
    public bool AtFirstStep { get; init; }

    /// <summary>Only count and sum of native histograms are used.</summary>
    public bool StatisticsOnly { get; init; }

    /// <summary>The aggregation whose operand it is, a hint for sources; null where it is none's.</summary>
    public AggregationHint? Aggregation { get; init; }

    /// <summary>What it reads where there are several resolutions.</summary>
    public SelectorResolution Resolution { get; init; } = SelectorResolution.Finest;

    public override ExprType Type => ExprType.Vector;
}

/// <summary>The samples of a selector within a window: exclusive start, inclusive end.</summary>
sealed record RangeNode(SelectorNode Selector, long RangeMs) : PlanNode
{
    public override ExprType Type => ExprType.Matrix;
}

/// <summary>Evaluations of an expression at multiples of a step, within a window.</summary>
sealed record SubqueryNode(PlanNode Inner, long RangeMs, long StepMs, long OffsetMs, long? AtMs) : PlanNode
{
    public override ExprType Type => ExprType.Matrix;
}

sealed record CallNode(Function Function, IReadOnlyList<PlanNode> Arguments) : PlanNode
{
    public override ExprType Type => Function.ReturnType;
}

sealed record AggregateNode(
    Aggregation Aggregation, PlanNode Inner, PlanNode? Parameter, IReadOnlyList<string> Grouping, bool Without) : PlanNode
{
    public override ExprType Type => ExprType.Vector;
}

sealed record BinaryNode(Operator Operator, PlanNode Left, PlanNode Right, VectorMatching? Matching, bool ReturnBool) : PlanNode
{
    // Stored, since each level of a chain of operators asks for that of the level below.
    public override ExprType Type { get; } =
        Left.Type == ExprType.Scalar && Right.Type == ExprType.Scalar ? ExprType.Scalar : ExprType.Vector;
}

sealed record NegateNode(PlanNode Inner) : PlanNode
{
    public override ExprType Type => Inner.Type;
}

/// <summary>
/// A plus before a vector. The value stays the same, but the operand is no selector for the functions that treat selectors differently.
/// </summary>
sealed record PlusNode(PlanNode Inner) : PlanNode
{
    public override ExprType Type => Inner.Type;
}

/// <summary>An expression whose value is the same at every step: it is evaluated at the first step and repeated.</summary>
sealed record StepInvariantNode(PlanNode Inner) : PlanNode
{
    public override ExprType Type => Inner.Type;
}
