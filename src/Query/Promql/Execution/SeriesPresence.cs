namespace Observe.Query.Promql.Execution;

/// <summary>The steps at which any of some series has a sample.</summary>
static class SeriesPresence
{
    /// <summary>Whether any series has a sample, for each step.</summary>
    public static bool[] Any(SeriesOperator source, Worker worker)
    {
        var present = new bool[source.Grid.Count];
        var missing = present.Length;
        var column = worker.RentColumn(present.Length);
        for (var series = 0; series < source.Series.Length && missing > 0; series++)
        {
            worker.CountWork(present.Length);
            column.Clear();
            source.Evaluate(series, column, worker);
            for (var step = 0; step < present.Length; step++)
            {
                if (!present[step] && column.Presence[step] != Presence.Absent)
                {
                    present[step] = true;
                    missing--;
                }
            }
        }

        worker.Return(column);
        return present;
    }
}
