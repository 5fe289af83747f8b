using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary><c>limit_ratio</c>: the series whose labels hash below a ratio, or, for a negative one, the others.</summary>
sealed class LimitRatio(AggregateNode node, SeriesOperator input, SeriesOperator parameter, Scope scope) : UnaryOperator(input, scope)
{
    double[] _ratios = [];
    Column[] _held = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, parameter];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        if (Grid.IsSingle)
        {
            column.CopyFrom(_held[series]);
            return;
        }

        Input.Evaluate(series, column, worker);
        var offset = OffsetOf(Input.Series[series]);
        for (var step = 0; !column.IsEmpty && step < column.Steps; step++)
        {
            if (!IsIn(_ratios[step], offset))
            {
                column.Remove(step);
            }
        }
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await parameter.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Open(Evaluation evaluation)
    {
        _ratios = Scalars.Values(parameter, evaluation);
        if (Array.Exists(_ratios, double.IsNaN))
        {
            throw new QueryException("Ratio value is NaN");
        }

        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, node.Parameter!.Position.Start, node.Position.End);
        if (_ratios.Max() is > 1 and var largest)
        {
            site.InvalidRatio(largest, 1);
        }

        if (_ratios.Min() is < -1 and var least)
        {
            site.InvalidRatio(least, -1);
        }

        evaluation.Return(worker);
        Series = Input.Series;
        if (Grid.IsSingle)
        {
            Select(evaluation);
        }
    }

    /// <summary>Group by group, each in the order of a heap with the least value on top, as Prometheus collects them.</summary>
    void Select(Evaluation evaluation)
    {
        var columns = SingleStep.Evaluate(Input, evaluation);
        var groups = new SeriesGroups(Input.Series, SeriesGroups.Projection(node), evaluation);
        var heaps = new List<int>?[groups.Count];
        var order = new List<List<int>>();
        for (var i = 0; i < columns.Length; i++)
        {
            if (columns[i].IsEmpty)
            {
                continue;
            }

            ref var heap = ref heaps[groups.GroupOf[i]];
            if (heap is null)
            {
                order.Add(heap = []);
            }

            if (IsIn(_ratios[0], OffsetOf(Input.Series[i])))
            {
                Push(heap, i, columns);
            }
        }

        int[] chosen = [.. order.SelectMany(heap => heap)];
        Series = Array.ConvertAll(chosen, i => Input.Series[i]);
        _held = Array.ConvertAll(chosen, i => columns[i]);
    }

    static void Push(List<int> heap, int series, Column[] columns)
    {
        double Value(int i) => columns[i].Presence[0] == Presence.Float ? columns[i].Values[0] : 0;
        var value = Value(series);
        var at = heap.Count;
        heap.Add(series);
        while (at > 0)
        {
            var parent = (at - 1) / 2;
            if (!double.IsNaN(value) && !(value < Value(heap[parent])))
            {
                break;
            }

            (heap[at], heap[parent]) = (heap[parent], heap[at]);
            at = parent;
        }
    }

    static double OffsetOf(SeriesIdentity series) => series.Labels.PrometheusHash() / (double)ulong.MaxValue;

    static bool IsIn(double ratio, double offset) => ratio >= 0 ? offset < Math.Min(ratio, 1) : offset >= 1 + Math.Max(ratio, -1);
}
