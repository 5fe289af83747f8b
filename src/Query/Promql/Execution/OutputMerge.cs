using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>
/// Which source series make up which output, where an operation changes labels: sources that end up with the same labels become one output.
/// </summary>
sealed class OutputMerge
{
    readonly SeriesIdentity[] _identities;
    readonly int[][]? _sources;
    readonly bool _strict;
    Column[]? _held;

    /// <param name="identities">What each source series becomes.</param>
    /// <param name="strict">
    /// Two sources of one output are an error wherever both have samples; otherwise only where both have one at the same step.
    /// </param>
    public OutputMerge(SeriesIdentity[] identities, Evaluation evaluation, bool strict = false)
    {
        _identities = identities;
        _strict = strict;
        if (AreAscending(identities))
        {
            // Strictly ascending labels, as a selector of one metric has them after its name is dropped, hold no two equal ones.
            Outputs = identities;
            return;
        }

        var numbering = new LabelNumbering();
        var outputs = new List<SeriesIdentity>(identities.Length);
        var sources = new List<List<int>>();
        for (var i = 0; i < identities.Length; i++)
        {
            evaluation.ThrowIfOver();
            var number = numbering.Number(identities[i].Labels);
            if (number == outputs.Count)
            {
                outputs.Add(identities[i]);
                sources.Add([i]);
            }
            else
            {
                sources[number].Add(i);
            }
        }

        Outputs = [.. outputs];
        _sources = Outputs.Length == identities.Length ? null : [.. sources.Select(s => s.ToArray())];
    }

    public SeriesIdentity[] Outputs { get; private set; }

    /// <summary>Some sources do end up with the same labels.</summary>
    public bool IsNeeded => _sources is not null;

    /// <summary>
    /// At a single step the outputs come in the order of the sources that have a sample, which are evaluated here where that order can
    /// differ.
    /// </summary>
    public void Settle(StepGrid grid, Evaluation evaluation, long cost, Action<int, Column, Worker> evaluateSource)
    {
        if (!IsNeeded || !grid.IsSingle)
        {
            return;
        }

        var columns = new Column[_identities.Length];
        evaluation.ForEach(columns.Length, cost, (i, worker) => evaluateSource(i, columns[i] = worker.RentColumn(1), worker));
        int[] present = [.. Enumerable.Range(0, columns.Length).Where(i => !columns[i].IsEmpty)];
        var numbering = new LabelNumbering();
        foreach (var i in present)
        {
            numbering.Number(_identities[i].Labels.Encoded);
        }

        if (numbering.Labels.Count < present.Length)
        {
            ThrowSameLabels();
        }

        Outputs = Array.ConvertAll(present, i => _identities[i]);
        _held = Array.ConvertAll(present, i => columns[i]);
    }

    /// <summary>Evaluates an output of the sources that it is made of.</summary>
    public void Evaluate(int output, Column column, Worker worker, Action<int, Column, Worker> evaluateSource)
    {
        if (_held is not null)
        {
            column.CopyFrom(_held[output]);
            return;
        }

        if (_sources is null || _sources[output] is [var only] && Only(only, out output))
        {
            evaluateSource(output, column, worker);
            return;
        }

        var part = worker.RentColumn(column.Steps);
        foreach (var source in _sources[output])
        {
            worker.CountWork(part.Steps);
            part.Clear();
            evaluateSource(source, part, worker);
            if (_strict && !part.IsEmpty && !column.IsEmpty)
            {
                ThrowSameLabels();
            }

            for (var step = 0; step < part.Steps; step++)
            {
                if (part.Presence[step] == Presence.Absent)
                {
                    continue;
                }

                if (column.Presence[step] != Presence.Absent)
                {
                    ThrowSameLabels();
                }

                column.CopyStep(step, part);
            }
        }

        worker.Return(part);
    }

    public static void ThrowSameLabels() => throw new QueryException("vector cannot contain metrics with the same labelset");

    static bool AreAscending(SeriesIdentity[] identities)
    {
        for (var i = 1; i < identities.Length; i++)
        {
            if (identities[i - 1].Labels.CompareTo(identities[i].Labels) >= 0)
            {
                return false;
            }
        }

        return true;
    }

    static bool Only(int source, out int index)
    {
        index = source;
        return true;
    }
}

/// <summary>Drops metric names where a function's result is no longer the metric.</summary>
static class NameRemoval
{
    /// <summary>With delayed removal the name stays until the end of the query; otherwise name, type and unit go at once.</summary>
    public static SeriesIdentity[] Apply(SeriesIdentity[] series, bool delayed)
    {
        var projection = LabelProjection.WithoutMetadata();
        return Array.ConvertAll(series, s => new SeriesIdentity(delayed ? s.Labels : projection.Project(s.Labels), true));
    }

    /// <summary>The identities without the names whose removal was delayed to the end of the query.</summary>
    public static SeriesIdentity[] Finish(SeriesIdentity[] series)
    {
        var projection = LabelProjection.WithoutMetadata();
        return Array.ConvertAll(series, s => s.DropName ? new SeriesIdentity(projection.Project(s.Labels), false) : s);
    }
}
