using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>Marks selectors whose native histograms are asked for count and sum only, so that their buckets need not be kept.</summary>
/// <remarks>Not within a subquery, whose resets are found by buckets; not where anything around the selector needs buckets.</remarks>
static class HistogramStatisticsOnly
{
    enum Need : byte
    {
        Unknown,
        Statistics,
        Buckets,
    }

    public static PlanNode Apply(PlanNode root) => Mark(root, Need.Unknown);

    static PlanNode Mark(PlanNode node, Need need) => node switch
    {
        SelectorNode selector => selector with { StatisticsOnly = need == Need.Statistics },
        RangeNode range => range with { Selector = (SelectorNode)Mark(range.Selector, need) },
        SubqueryNode subquery => subquery with { Inner = Mark(subquery.Inner, Need.Buckets) },
        NegateNode negate => negate with { Inner = Mark(negate.Inner, need) },
        PlusNode plus => plus with { Inner = Mark(plus.Inner, need) },
        StepInvariantNode invariant => invariant with { Inner = Mark(invariant.Inner, need) },
        AggregateNode aggregate => aggregate with
        {
            Inner = Mark(aggregate.Inner, need),
            Parameter = aggregate.Parameter is null ? null : Mark(aggregate.Parameter, need),
        },
        BinaryNode binary => Mark(binary, binary.Operator is Operator.TrimLower or Operator.TrimUpper ? Need.Buckets : need),
        CallNode call => Mark(call, call.Function.Name switch
        {
            "histogram_quantile" or "histogram_quantiles" or "histogram_fraction" => Need.Buckets,
            "histogram_count" or "histogram_sum" or "histogram_avg" when need != Need.Buckets => Need.Statistics,
            _ => need,
        }),
        _ => node,
    };

    static BinaryNode Mark(BinaryNode binary, Need need) => binary with { Left = Mark(binary.Left, need), Right = Mark(binary.Right, need) };

    static CallNode Mark(CallNode call, Need need) => call with { Arguments = [.. call.Arguments.Select(a => Mark(a, need))] };
}
