using Observe.Query.Promql.Planning;
using Observe.Store.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>When a selector looks, for each step of a grid.</summary>
readonly record struct SelectorTimes(StepGrid Grid, long OffsetMs, long? AtMs)
{
    public static SelectorTimes Of(SelectorNode selector, StepGrid grid) => selector is { AtFirstStep: true, AtMs: { } at }
        ? new(grid, selector.OffsetMs + grid.Start - at, null)
        : new(grid, selector.OffsetMs, selector.AtMs);

    /// <summary>It looks at one and the same time at each step.</summary>
    public bool IsFixed => AtMs is not null;

    public long First => Reference(0);

    public long Last => Reference(Grid.Count - 1);

    /// <summary>The time it looks at, <c>@</c> and offset applied.</summary>
    public long Reference(int step) => (AtMs ?? Grid.Time(step)) - OffsetMs;

    /// <summary>All samples that may play a part.</summary>
    /// <param name="before">How far back, exclusive.</param>
    public TimeRange Range(long before, long after) => new(First - before + 1, Last + after);
}
