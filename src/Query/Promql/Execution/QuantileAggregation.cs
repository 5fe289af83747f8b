using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;

namespace Observe.Query.Promql.Execution;

/// <summary><c>quantile</c>: over the floats of a group at each step.</summary>
sealed class QuantileAggregation(AggregateNode node, SeriesOperator input, SeriesOperator parameter, Scope scope) : GroupedOperator(input, scope)
{
    double[] _quantiles = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, parameter];

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await parameter.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Open(Evaluation evaluation)
    {
        _quantiles = Scalars.Values(parameter, evaluation);
        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, node.Parameter!.Position.Start);
        if (Array.Exists(_quantiles, double.IsNaN))
        {
            site.InvalidQuantile(double.NaN);
        }

        if (_quantiles.Where(q => !double.IsNaN(q)).DefaultIfEmpty(0).Max() is > 1 and var largest)
        {
            site.InvalidQuantile(largest);
        }

        if (_quantiles.Where(q => !double.IsNaN(q)).DefaultIfEmpty(0).Min() is < 0 and var least)
        {
            site.InvalidQuantile(least);
        }

        evaluation.Return(worker);
        var groups = new SeriesGroups(Input.Series, SeriesGroups.Projection(node), evaluation);
        SetGroups(groups.Identities, groups.Members());
    }

    protected override void Compute(int group, int[] members, Column[] columns, Column column, Worker worker)
    {
        var values = new double[columns.Length];
        for (var step = 0; step < column.Steps; step++)
        {
            var count = 0;
            foreach (var member in columns)
            {
                if (member.Presence[step] == Presence.Float)
                {
                    values[count++] = member.Values[step];
                }
                else if (member.Presence[step] == Presence.Histogram)
                {
                    new AnnotationSite(worker.Annotations, node.Inner.Position.Start).HistogramIgnoredInAggregation("quantile");
                }
            }

            worker.Work(count);
            if (count > 0)
            {
                column.Set(step, Quantile.Of(_quantiles[step], values.AsSpan(0, count)));
            }
        }
    }
}
