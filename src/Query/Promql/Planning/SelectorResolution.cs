using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Planning;

/// <summary>
/// What a selector reads where there are several resolutions: how coarse it may be where finer is there too, and what it takes of windows
/// where there is nothing else. It follows from how the selector is used. Which ranges each source has at which resolution, the source adds
/// when it is asked, and notes in the answer's coverage.
/// </summary>
/// <param name="MaxResolutionMs">The coarsest resolution, in milliseconds; 0 is raw.</param>
/// <param name="Aggregate">The value of windows; Raw: their averages.</param>
/// <param name="NeedsRaw">The name of the function, aggregation or modifier that no value of windows answers; null where one does.</param>
sealed record SelectorResolution(long MaxResolutionMs, Aggregate Aggregate, string? NeedsRaw)
{
    /// <summary>
    /// Two windows of the coarsest resolution, in milliseconds: the window that stands at the first time ended before it, and whether a
    /// series begins or ends there, or goes on in another chunk, is told by the windows around.
    /// </summary>
    public const long WindowsMarginMs = 2 * 3_600_000;

    /// <summary>So many samples have to lie in each step and in each range.</summary>
    const int SamplesWithin = 5;

    /// <summary>Averages where there are no raw samples.</summary>
    public static SelectorResolution Finest { get; } = new(0, Aggregate.Raw, null);

    /// <summary>Decides for all selectors of a plan.</summary>
    /// <param name="maxResolutionMs">The coarsest resolution that the request allows; null: what step and range allow.</param>
    public static PlanNode Apply(PlanNode plan, QueryTimes times, long? maxResolutionMs) =>
        Apply(plan, times.StartMs == times.EndMs ? 0 : times.StepMs, maxResolutionMs);

    /// <param name="stepMs">Milliseconds between evaluations of the node; 0 where there is one.</param>
    static PlanNode Apply(PlanNode node, long stepMs, long? asked) => node switch
    {
        SelectorNode selector => With(selector, Use.Plain, 0, stepMs, asked),
        RangeNode range => range with { Selector = With(range.Selector, Use.Plain, range.RangeMs, stepMs, asked) },
        SubqueryNode subquery => subquery with { Inner = Apply(subquery.Inner, subquery.StepMs, asked) },
        StepInvariantNode invariant => invariant with { Inner = Apply(invariant.Inner, 0, asked) },
        NegateNode negate => negate with { Inner = Apply(negate.Inner, stepMs, asked) },
        PlusNode plus => plus with { Inner = Apply(plus.Inner, stepMs, asked) },
        BinaryNode binary => binary with { Left = Apply(binary.Left, stepMs, asked), Right = Apply(binary.Right, stepMs, asked) },
        AggregateNode aggregate => aggregate with
        {
            Inner = aggregate.Inner is SelectorNode selector
                ? With(selector, Use.Of(AggregationTable.Of(aggregate.Aggregation)), 0, stepMs, asked)
                : Apply(aggregate.Inner, stepMs, asked),
            Parameter = aggregate.Parameter is null ? null : Apply(aggregate.Parameter, stepMs, asked),
        },
        CallNode call => call with { Arguments = [.. call.Arguments.Select(argument => OfCall(call.Function, argument, stepMs, asked))] },
        _ => node,
    };

    static PlanNode OfCall(Function function, PlanNode argument, long stepMs, long? asked) => argument switch
    {
        SelectorNode selector => With(selector, Use.Of(function), 0, stepMs, asked),
        RangeNode range => range with { Selector = With(range.Selector, Use.Of(function), range.RangeMs, stepMs, asked) },
        _ => Apply(argument, stepMs, asked),
    };

    static SelectorNode With(SelectorNode selector, Use use, long rangeMs, long stepMs, long? asked)
    {
        var needsRaw = use.NeedsRaw ?? (selector.Anchored ? "anchored" : selector.Smoothed ? "smoothed" : null);
        var fitting = (rangeMs > 0 ? Math.Min(stepMs, rangeMs) : stepMs) / SamplesWithin;
        return selector with
        {
            Resolution = new SelectorResolution(needsRaw is null ? asked ?? fitting : 0, use.Aggregate, needsRaw),
        };
    }

    /// <summary>What is right around a selector.</summary>
    readonly record struct Use(Aggregate Aggregate, string? NeedsRaw)
    {
        public static Use Plain => default;

        public static Use Of(Function function) => new(function.Aggregate, function.NeedsRaw ? function.Name : null);

        public static Use Of(AggregationTraits aggregation) => new(aggregation.Aggregate, aggregation.NeedsRaw ? aggregation.Name : null);
    }
}
