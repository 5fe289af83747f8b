namespace Observe.Query.Promql.Execution;

/// <summary>
/// All series of an operator at its only step, held: where their order depends on their samples, these have to be seen first.
/// </summary>
static class SingleStep
{
    public static Column[] Evaluate(SeriesOperator source, Evaluation evaluation)
    {
        var columns = new Column[source.Series.Length];
        evaluation.ForEach(columns.Length, source.Cost, (i, worker) =>
        {
            columns[i] = worker.RentColumn(1);
            source.Evaluate(i, columns[i], worker);
        });
        return columns;
    }
}
