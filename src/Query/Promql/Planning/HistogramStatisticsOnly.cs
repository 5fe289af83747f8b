using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>Marks selectors of whose native histograms only count and sum are used, so that their buckets need not be kept.</summary>
/// <remarks>
/// A selector within a subquery is not marked, since resets between evaluations are found by buckets; nor is one where anything around it
/// needs buckets.
/// </remarks>
static class HistogramStatisticsOnly
{
    public static PlanNode Apply(PlanNode root) => Mark(root, HistogramNeed.AsItsUser);

    static PlanNode Mark(PlanNode node, HistogramNeed need) => node switch
    {
        SelectorNode selector => selector with { StatisticsOnly = need == HistogramNeed.Statistics },
        RangeNode range => range with { Selector = (SelectorNode)Mark(range.Selector, need) },
        SubqueryNode subquery => subquery with { Inner = Mark(subquery.Inner, HistogramNeed.Buckets) },
        NegateNode negate => negate with { Inner = Mark(negate.Inner, need) },
        PlusNode plus => plus with { Inner = Mark(plus.Inner, need) },
        StepInvariantNode invariant => invariant with { Inner = Mark(invariant.Inner, need) },
        AggregateNode aggregate => aggregate with
        {
            Inner = Mark(aggregate.Inner, need),
            Parameter = aggregate.Parameter is null ? null : Mark(aggregate.Parameter, need),
        },
        BinaryNode binary => Mark(binary, binary.Operator is Operator.TrimLower or Operator.TrimUpper ? HistogramNeed.Buckets : need),
        CallNode call => Mark(
            call, need == HistogramNeed.Buckets || call.Function.Histograms == HistogramNeed.AsItsUser ? need : call.Function.Histograms),
        _ => node,
    };

    static BinaryNode Mark(BinaryNode binary, HistogramNeed need) =>
        binary with { Left = Mark(binary.Left, need), Right = Mark(binary.Right, need) };

    static CallNode Mark(CallNode call, HistogramNeed need) => call with { Arguments = [.. call.Arguments.Select(a => Mark(a, need))] };
}
