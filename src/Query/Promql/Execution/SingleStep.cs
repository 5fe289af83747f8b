namespace Observe.Query.Promql.Execution;

/// <summary>All series of an operator at its only step, evaluated and held: for results whose order depends on the samples.</summary>
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
