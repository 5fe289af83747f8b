using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary>
/// An aggregation that needs only the values that its groups have so far: series are evaluated in batches on all cores, then added to their
/// groups in the order of the series, the steps divided among the cores. So sums come out the same however many cores there are.
/// </summary>
sealed class StreamingAggregation(AggregateNode node, SeriesOperator input, Func<int, Accumulator> newAccumulator, Scope scope)
    : UnaryOperator(input, scope)
{
    Column[] _results = [];

    public override long Cost => Grid.Count;

    public override bool MayFail => false;

    public override void Evaluate(int series, Column column, Worker worker) => column.CopyFrom(_results[series]);

    protected override void Open(Evaluation evaluation)
    {
        var groups = new SeriesGroups(Input.Series, SeriesGroups.Projection(node), evaluation);
        var held = evaluation.SamplesHeld;
        var accumulators = new Accumulator[groups.Count];
        for (var i = 0; i < accumulators.Length; i++)
        {
            evaluation.ThrowIfOver();
            accumulators[i] = newAccumulator(Grid.Count);
            evaluation.AddBytes(accumulators[i].Bytes);
        }

        var order = Accumulate(evaluation, groups, accumulators);
        Series = [.. order.Select(group => groups.Identities[group])];
        _results = new Column[order.Count];
        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, node.Inner.Position.Start, node.Position.End);
        long samples = 0;
        for (var i = 0; i < _results.Length; i++)
        {
            worker.CountWork(Grid.Count);
            _results[i] = worker.RentColumn(Grid.Count);
            accumulators[order[i]].Finish(_results[i], site);
            samples += _results[i].SampleCount();
        }

        evaluation.AddBytes(-accumulators.Sum(a => a.Bytes));

        evaluation.Return(worker);
        evaluation.HoldSamples(held + samples - evaluation.SamplesHeld);
    }

    /// <summary>Returns the groups that have any samples, in the order in which they first have one, as Prometheus numbers them.</summary>
    List<int> Accumulate(Evaluation evaluation, SeriesGroups groups, Accumulator[] accumulators)
    {
        var steps = Grid.Count;
        var order = new List<int>();
        var isSeen = new bool[groups.Count];
        SeriesBatches.ForEachBatch(evaluation, Input, Grid, (first, columns, count) =>
        {
            for (var i = 0; i < count; i++)
            {
                var group = groups.GroupOf[first + i];
                if (!columns[i].IsEmpty && !isSeen[group])
                {
                    isSeen[group] = true;
                    order.Add(group);
                }
            }

            var slices = steps >= 64 && (long)count * steps > 8192 ? Environment.ProcessorCount : 1;
            evaluation.ForEach(slices, (long)count * steps, (slice, worker) =>
            {
                var site = new AnnotationSite(worker.Annotations, node.Inner.Position.Start, node.Position.End);
                var (from, to) = ((int)((long)steps * slice / slices), (int)((long)steps * (slice + 1) / slices));
                for (var i = 0; i < count; i++)
                {
                    if (!columns[i].IsEmpty)
                    {
                        accumulators[groups.GroupOf[first + i]].Add(columns[i], from, to, Input.Series[first + i], site);
                    }
                }
            });
        });
        return order;
    }
}
