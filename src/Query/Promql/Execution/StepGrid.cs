namespace Observe.Query.Promql.Execution;

/// <summary>The times at which something is evaluated: Start, Start + Step, … in Unix milliseconds. Empty where Count is 0.</summary>
readonly record struct StepGrid(long Start, long Step, int Count)
{
    public long End => Start + ((Count - 1) * Step);

    public bool IsSingle => Count == 1;

    public static StepGrid Single(long timestamp) => new(timestamp, 1, 1);

    public long Time(int step) => Start + (step * Step);
}

/// <summary>The steps at which an operator is evaluated, and how its samples count.</summary>
/// <param name="TotalWeight">
/// How often a sample counts in the statistics' total: 0 within a subquery, the number of steps in a step-invariant part.
/// </param>
readonly record struct Scope(StepGrid Grid, int TotalWeight);
