namespace Observe.Query.Promql.Execution;

/// <summary>Hands out all series of an operator in order, while batches of them are evaluated on all cores.</summary>
static class SeriesBatches
{
    const int BatchSamples = 1 << 16;

    /// <summary>The body runs for one series at a time, in order; its column is valid until the body returns.</summary>
    public static void ForEach(Evaluation evaluation, SeriesOperator source, StepGrid grid, Action<int, Column, Worker> body) =>
        ForEachBatch(evaluation, source, grid, (first, columns, count) =>
        {
            var worker = evaluation.Rent();
            for (var i = 0; i < count; i++)
            {
                if (!columns[i].IsEmpty)
                {
                    body(first + i, columns[i], worker);
                }
            }

            evaluation.Return(worker);
        });

    /// <summary>The body gets the number of the batch's first series, the columns, and how many of them are used.</summary>
    public static void ForEachBatch(Evaluation evaluation, SeriesOperator source, StepGrid grid, Action<int, Column[], int> body)
    {
        var total = source.Series.Length;
        var batch = Math.Clamp(BatchSamples / Math.Max(1, grid.Count), 16, 1024);
        var columns = new Column[Math.Min(batch, total)];
        var renter = evaluation.Rent();
        for (var i = 0; i < columns.Length; i++)
        {
            columns[i] = renter.RentColumn(grid.Count);
        }

        for (var start = 0; start < total; start += batch)
        {
            var (first, count) = (start, Math.Min(batch, total - start));
            evaluation.ForEach(count, source.Cost, (i, worker) =>
            {
                columns[i].Clear();
                source.Evaluate(first + i, columns[i], worker);
            });
            body(first, columns, count);
        }

        Array.ForEach(columns, renter.Return);
        evaluation.Return(renter);
    }
}
