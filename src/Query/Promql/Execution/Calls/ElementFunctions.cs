using Observe.Query.Promql.Functions;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary>A function of each float of a vector; histograms are dropped.</summary>
sealed class FloatFunction(
    SeriesOperator input, FloatKernel kernel, SeriesOperator[] arguments, Scope scope, Func<double[], bool>? isEmpty = null)
    : MappingOperator(input, scope)
{
    double[][] _arguments = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, .. arguments];

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        foreach (var argument in arguments)
        {
            await argument.OpenAsync(evaluation);
        }

        await base.OpenCoreAsync(evaluation);
    }

    protected override void Prepare(Evaluation evaluation)
    {
        var columns = Array.ConvertAll(arguments, a => Scalars.Values(a, evaluation));
        _arguments = new double[Grid.Count][];
        for (var step = 0; step < _arguments.Length; step++)
        {
            _arguments[step] = columns.Length == 0 ? [] : Array.ConvertAll(columns, c => c[step]);
        }
    }

    protected override void Transform(int source, Column column, Worker worker)
    {
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Histogram || (isEmpty is not null && isEmpty(_arguments[step])))
            {
                column.Remove(step);
            }
            else if (column.Presence[step] == Presence.Float)
            {
                column.Values[step] = kernel(column.Values[step], _arguments[step]);
            }
        }
    }
}

/// <summary>A function of each histogram of a vector; floats are dropped.</summary>
sealed class HistogramFunction(SeriesOperator input, Func<Histogram, double> kernel, Scope scope) : MappingOperator(input, scope)
{
    protected override void Transform(int source, Column column, Worker worker)
    {
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                column.Remove(step);
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                var value = kernel(column.Histogram(step));
                column.Remove(step);
                column.Set(step, value);
            }
        }
    }
}

/// <summary>
/// <c>timestamp()</c> of anything but a selector: the time of the step. And <c>start_timestamp()</c> of anything but a selector, which has
/// no samples.
/// </summary>
sealed class StepTimes(SeriesOperator input, bool starts, Scope scope) : MappingOperator(input, scope)
{
    protected override void Transform(int source, Column column, Worker worker)
    {
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] != Presence.Absent)
            {
                column.Remove(step);
                if (!starts)
                {
                    column.Set(step, Grid.Time(step) / 1000.0);
                }
            }
        }
    }
}

/// <summary>The same samples without their name.</summary>
sealed class Nameless(SeriesOperator input, Scope scope) : MappingOperator(input, scope)
{
    protected override void Transform(int source, Column column, Worker worker)
    {
    }
}

/// <summary>The sign changed.</summary>
sealed class Negation(SeriesOperator input, Scope scope) : MappingOperator(input, scope)
{
    protected override void Transform(int source, Column column, Worker worker)
    {
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                column.Values[step] = -column.Values[step];
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                var negated = column.Histogram(step).Copy().Mul(-1);
                column.Remove(step);
                column.Set(step, negated);
            }
        }
    }
}
