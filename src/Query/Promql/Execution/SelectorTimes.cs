using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>The times at which a selector is evaluated, for each step of a grid.</summary>
readonly record struct SelectorTimes(StepGrid Grid, long OffsetMs, long? AtMs)
{
    const int ChunkSamples = 120;

    public static SelectorTimes Of(SelectorNode selector, StepGrid grid) => selector is { AtFirstStep: true, AtMs: { } at }
        ? new(grid, selector.OffsetMs + grid.Start - at, null)
        : new(grid, selector.OffsetMs, selector.AtMs);

    /// <summary>The selector is evaluated at the same time for each step.</summary>
    public bool IsFixed => AtMs is not null;

    public long First => Reference(0);

    public long Last => Reference(Grid.Count - 1);

    /// <summary>The time at which the selector is evaluated for a step, with <c>@</c> and offset applied.</summary>
    public long Reference(int step) => (AtMs ?? Grid.Time(step)) - OffsetMs;

    /// <summary>About how many samples a series costs: its chunks are read and decoded from their beginning.</summary>
    /// <param name="range">Milliseconds before the first time whose samples are read too.</param>
    public long Cost(long range) => Grid.Count + ((Last - First + range) / 15_000) + ChunkSamples;

    /// <summary>The range of time whose samples can matter.</summary>
    /// <param name="before">Milliseconds before the first time, exclusive.</param>
    public TimeRange Range(long before, long after) => new(First - before + 1, Last + after);
}
