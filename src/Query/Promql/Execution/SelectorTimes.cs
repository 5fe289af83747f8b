using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>When a selector looks, for each step of a grid.</summary>
readonly record struct SelectorTimes(StepGrid Grid, long OffsetMs, long? AtMs)
{
    const int ChunkSamples = 120;

    public static SelectorTimes Of(SelectorNode selector, StepGrid grid) => selector is { AtFirstStep: true, AtMs: { } at }
        ? new(grid, selector.OffsetMs + grid.Start - at, null)
        : new(grid, selector.OffsetMs, selector.AtMs);

    /// <summary>It looks at one and the same time at each step.</summary>
    public bool IsFixed => AtMs is not null;

    public long First => Reference(0);

    public long Last => Reference(Grid.Count - 1);

    /// <summary>The time it looks at, <c>@</c> and offset applied.</summary>
    public long Reference(int step) => (AtMs ?? Grid.Time(step)) - OffsetMs;

    /// <summary>About how many samples a series costs: its chunks are read and decoded from their beginning.</summary>
    /// <param name="range">Milliseconds before the first time that are looked at too.</param>
    public long Cost(long range) => Grid.Count + ((Last - First + range) / 15_000) + ChunkSamples;

    /// <summary>All samples that may play a part.</summary>
    /// <param name="before">How far back, exclusive.</param>
    public TimeRange Range(long before, long after) => new(First - before + 1, Last + after);
}
