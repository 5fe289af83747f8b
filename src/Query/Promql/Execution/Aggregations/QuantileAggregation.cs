using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary>
/// <c>quantile</c>: over the floats of a group at each step. All series of a group are evaluated together, when the group is evaluated.
/// </summary>
sealed class QuantileAggregation(AggregateNode node, SeriesOperator input, SeriesOperator parameter, Scope scope)
    : UnaryOperator(input, scope)
{
    double[] _quantiles = [];
    int[][] _members = [];
    Column[]? _held;

    public override long Cost => Input.Cost * 4;

    public override IEnumerable<SeriesOperator> Inputs => [Input, parameter];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        var members = _members[series];
        if (_held is not null)
        {
            Compute(Array.ConvertAll(members, i => _held[i]), column, worker);
            return;
        }

        var columns = Array.ConvertAll(members, i =>
        {
            var member = worker.RentColumn(Grid.Count);
            Input.Evaluate(i, member, worker);
            return member;
        });
        Compute(columns, column, worker);
        Array.ForEach(columns, worker.Return);
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await parameter.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Open(Evaluation evaluation)
    {
        _quantiles = Scalars.Values(parameter, evaluation);
        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, node.Parameter!.Position.Start, node.Position.End);
        if (Array.Exists(_quantiles, double.IsNaN))
        {
            site.InvalidQuantile(double.NaN);
        }

        if (_quantiles.Aggregate(GoMath.Max) is > 1 and var largest)
        {
            site.InvalidQuantile(largest);
        }

        if (_quantiles.Aggregate(GoMath.Min) is < 0 and var least)
        {
            site.InvalidQuantile(least);
        }

        evaluation.Return(worker);
        var members = Enumerable.Range(0, Input.Series.Length).ToArray();
        if (Grid.IsSingle)
        {
            _held = SingleStep.Evaluate(Input, evaluation);
            members = Array.FindAll(members, i => !_held[i].IsEmpty);
        }

        var groups = new SeriesGroups(
            Array.ConvertAll(members, i => Input.Series[i]), SeriesGroups.Projection(node), evaluation);
        Series = groups.Identities;
        _members = Array.ConvertAll(groups.Members(), group => Array.ConvertAll(group, i => members[i]));
    }

    void Compute(Column[] columns, Column column, Worker worker)
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
                    new AnnotationSite(worker.Annotations, node.Inner.Position.Start, node.Position.End)
                        .HistogramIgnoredInAggregation("quantile");
                }
            }

            worker.CountWork(count);
            if (count > 0)
            {
                column.Set(step, Quantile.Of(_quantiles[step], values.AsSpan(0, count)));
            }
        }
    }
}
