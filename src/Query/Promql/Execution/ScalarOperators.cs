namespace Observe.Query.Promql.Execution;

/// <summary>A scalar: one series without labels and with a float at each step, computed from the step alone.</summary>
sealed class ScalarOperator(Scope scope, Func<StepGrid, int, double> value) : SeriesOperator(scope)
{
    public static ScalarOperator Constant(double value, Scope scope) => new(scope, (_, _) => value);

    public override void Evaluate(int series, Column column, Worker worker)
    {
        column.MarkDense();
        for (var step = 0; step < column.Steps; step++)
        {
            column.Values[step] = value(Grid, step);
        }
    }

    protected override Task OpenCoreAsync(Evaluation evaluation)
    {
        Series = [SeriesIdentity.None];
        return Task.CompletedTask;
    }
}

/// <summary>A scalar function of scalars: arithmetic, comparison, <c>max_of</c>.</summary>
sealed class ScalarCombination(SeriesOperator left, SeriesOperator right, Scope scope, Func<double, double, double> combine)
    : SeriesOperator(scope)
{
    public override IEnumerable<SeriesOperator> Inputs => [left, right];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        left.Evaluate(0, column, worker);
        var other = worker.RentColumn(column.Steps);
        right.Evaluate(0, other, worker);
        for (var step = 0; step < column.Steps; step++)
        {
            column.Values[step] = combine(column.Values[step], other.Values[step]);
        }

        worker.Return(other);
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await left.OpenAsync(evaluation);
        await right.OpenAsync(evaluation);
        Series = [SeriesIdentity.None];
    }
}

/// <summary><c>scalar()</c>: the only float of a vector, or NaN.</summary>
sealed class OnlyElement(SeriesOperator input, Scope scope) : UnaryOperator(input, scope)
{
    double[] _values = [];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        column.MarkDense();
        _values.CopyTo(column.Values, 0);
    }

    protected override void Open(Evaluation evaluation)
    {
        Series = [SeriesIdentity.None];
        var counts = new int[Grid.Count];
        _values = new double[Grid.Count];
        evaluation.ForEach(Input.Series.Length, Input.Cost, (series, worker) =>
        {
            var column = worker.RentColumn(Grid.Count);
            Input.Evaluate(series, column, worker);
            lock (counts)
            {
                for (var step = 0; column.Floats > 0 && step < counts.Length; step++)
                {
                    if (column.Presence[step] == Presence.Float)
                    {
                        counts[step]++;
                        _values[step] = column.Values[step];
                    }
                }
            }

            worker.Return(column);
        });
        for (var step = 0; step < counts.Length; step++)
        {
            _values[step] = counts[step] == 1 ? _values[step] : double.NaN;
        }
    }
}

/// <summary><c>vector()</c> of a scalar, and the other way round: the same column under another type.</summary>
sealed class PassThrough(SeriesOperator input, Scope scope) : UnaryOperator(input, scope)
{
    public override void Evaluate(int series, Column column, Worker worker) => Input.Evaluate(series, column, worker);

    protected override void Open(Evaluation evaluation) => Series = Input.Series;
}

/// <summary>An expression that is the same at each step, evaluated at the first step.</summary>
sealed class StepInvariant(SeriesOperator input, Scope scope) : UnaryOperator(input, scope)
{
    public override void Evaluate(int series, Column column, Worker worker)
    {
        var single = worker.RentColumn(1);
        Input.Evaluate(series, single, worker);
        if (single.Floats > 0)
        {
            column.MarkDense();
            column.Values.AsSpan().Fill(single.Values[0]);
        }
        else if (single.Histograms > 0)
        {
            for (var step = 0; step < column.Steps; step++)
            {
                column.Set(step, single.Histogram(0));
            }
        }

        worker.Return(single);
    }

    protected override void Open(Evaluation evaluation) => Series = Input.Series;
}

static class Scalars
{
    /// <summary>The values of a scalar operator that is open, held until the query is over.</summary>
    public static double[] Values(SeriesOperator scalar, Evaluation evaluation)
    {
        evaluation.AddBytes(sizeof(double) * (long)scalar.Grid.Count);
        var worker = evaluation.Rent();
        var column = worker.RentColumn(scalar.Grid.Count);
        scalar.Evaluate(0, column, worker);
        var values = column.Values[..scalar.Grid.Count];
        worker.Return(column);
        evaluation.Return(worker);
        return values;
    }
}
