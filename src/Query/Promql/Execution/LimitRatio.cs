using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;
using Observe.Store.Model;

namespace Observe.Query.Promql.Execution;

/// <summary><c>limit_ratio</c>: the series whose labels hash below a ratio, or, for a negative one, the others.</summary>
sealed class LimitRatio(AggregateNode node, SeriesOperator input, SeriesOperator parameter, Scope scope) : MappingOperator(input, scope)
{
    double[] _ratios = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, parameter];

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await parameter.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Prepare(Evaluation evaluation)
    {
        _ratios = Scalars.Values(parameter, evaluation);
        if (Array.Exists(_ratios, double.IsNaN))
        {
            throw new QueryException("Ratio value is NaN");
        }

        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, node.Parameter!.Position.Start);
        if (_ratios.Max() is > 1 and var largest)
        {
            site.InvalidRatio(largest, 1);
        }

        if (_ratios.Min() is < -1 and var least)
        {
            site.InvalidRatio(least, -1);
        }

        evaluation.Return(worker);
    }

    protected override SeriesIdentity[] Identify(SeriesIdentity[] input, Evaluation evaluation) => input;

    protected override void Transform(int source, Column column, Worker worker)
    {
        var offset = Input.Series[source].Labels.PrometheusHash() / (double)ulong.MaxValue;
        for (var step = 0; step < column.Steps; step++)
        {
            var ratio = Math.Clamp(_ratios[step], -1, 1);
            if (!(ratio >= 0 ? offset < ratio : offset >= 1 + ratio))
            {
                column.Remove(step);
            }
        }
    }
}
