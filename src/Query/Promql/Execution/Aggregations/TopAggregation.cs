using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary><c>topk</c>, <c>bottomk</c> and <c>limitk</c>: a few series of each group at each step, with their own labels.</summary>
sealed class TopAggregation(AggregateNode node, SeriesOperator input, SeriesOperator parameter, Scope scope) : UnaryOperator(input, scope)
{
    // Prometheus refuses parameters that an int64 can't hold exactly.
    const double TooLarge = 9223372036854774784.0;

    Column[] _outputs = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, parameter];

    public override long Cost => Grid.Count;

    public override bool MayFail => false;

    public override void Evaluate(int series, Column column, Worker worker) => column.CopyFrom(_outputs[series]);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await parameter.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Open(Evaluation evaluation)
    {
        var ks = Scalars.Values(parameter, evaluation);
        if (ks.All(k => k < 1))
        {
            SeriesBatches.ForEach(evaluation, Input, Grid, static (_, _, _) => { });
            return;
        }

        CheckParameter(ks);
        var groups = new SeriesGroups(Input.Series, SeriesGroups.Projection(node), evaluation);
        var members = groups.Members();
        var selections = new Selection[groups.Count];
        var most = (int)Math.Min(ks.Max(), Input.Series.Length);
        for (var i = 0; i < selections.Length; i++)
        {
            var size = Math.Min(most, members[i].Length);
            evaluation.AddBytes(Selection.BytesOf(Grid.Count, size));
            selections[i] = new Selection(node.Aggregation, Grid.Count, size);
        }

        var held = evaluation.SamplesHeld;
        var order = new List<Selection>(selections.Length);
        var isSeen = new bool[selections.Length];
        SeriesBatches.ForEach(evaluation, Input, Grid, (series, column, worker) =>
        {
            var group = groups.GroupOf[series];
            var selection = selections[group];
            if (!isSeen[group])
            {
                isSeen[group] = true;
                order.Add(selection);
            }

            worker.CountWork(column.Steps);
            for (var step = 0; step < column.Steps; step++)
            {
                if (column.Presence[step] == Presence.Absent || (node.Aggregation != Aggregation.LimitK && ks[step] < 1))
                {
                    continue;
                }

                if (column.Presence[step] == Presence.Histogram && node.Aggregation != Aggregation.LimitK)
                {
                    new AnnotationSite(worker.Annotations, node.Position.Start, node.Position.End).HistogramIgnoredInAggregation(
                        node.Aggregation == Aggregation.TopK ? "topk" : "bottomk");
                    continue;
                }

                selection.Offer(step, (int)Math.Min(ks[step], Input.Series.Length), series, column);
            }
        });
        Collect(evaluation, order);
        evaluation.HoldSamples(held + _outputs.Sum(o => o.SampleCount()) - evaluation.SamplesHeld);
    }

    static void CheckParameter(double[] ks)
    {
        if (Array.Exists(ks, double.IsNaN))
        {
            throw new QueryException("Parameter value is NaN");
        }

        if (ks.Min() <= -TooLarge)
        {
            throw new QueryException($"Scalar value {GoText.FloatG(ks.Min())} underflows int64");
        }

        if (ks.Max() >= TooLarge)
        {
            throw new QueryException($"Scalar value {GoText.FloatG(ks.Max())} overflows int64");
        }
    }

    /// <param name="selections">In the order in which their groups have samples.</param>
    void Collect(Evaluation evaluation, IEnumerable<Selection> selections)
    {
        var outputs = new List<Column>();
        var identities = new List<SeriesIdentity>();
        var outputOf = new Dictionary<int, Column>();
        var worker = evaluation.Rent();
        foreach (var selection in selections)
        {
            for (var step = 0; step < Grid.Count; step++)
            {
                evaluation.ThrowIfOver();
                foreach (var (series, value, histogram) in selection.Ordered(step))
                {
                    if (!outputOf.TryGetValue(series, out var column))
                    {
                        outputOf[series] = column = worker.RentColumn(Grid.Count);
                        outputs.Add(column);
                        identities.Add(Input.Series[series]);
                    }

                    if (histogram is null)
                    {
                        column.Set(step, value);
                    }
                    else
                    {
                        column.Set(step, histogram);
                    }
                }
            }
        }

        evaluation.Return(worker);
        (_outputs, Series) = ([.. outputs], [.. identities]);
    }

    /// <summary>The series chosen in one group: for each step a heap whose top is the chosen sample that would go first.</summary>
    sealed class Selection(Aggregation aggregation, int steps, int most)
    {
        readonly double[] _values = new double[steps * most];
        readonly int[] _series = new int[steps * most];
        readonly int[] _counts = new int[steps];
        Histogram?[]? _histograms;

        public static long BytesOf(int steps, int most) => 4L * steps * ((3L * most) + 1);

        public void Offer(int step, int k, int series, Column column)
        {
            var at = step * most;
            var count = _counts[step];
            if (count < Math.Min(k, most))
            {
                _counts[step]++;
                Set(at + count, series, column, step);
                SiftUp(at, count);
            }
            else if (aggregation != Aggregation.LimitK && count > 0)
            {
                var (worst, value) = (_values[at], column.Values[step]);
                var better = aggregation == Aggregation.TopK ? worst < value : worst > value;
                if (better || (double.IsNaN(worst) && !double.IsNaN(value)))
                {
                    Set(at, series, column, step);
                    SiftDown(at, count);
                }
            }
        }

        /// <summary>The chosen samples of a step, best first; those of <c>limitk</c> in the order of the heap.</summary>
        public IEnumerable<(int Series, double Value, Histogram? Histogram)> Ordered(int step)
        {
            var at = step * most;
            var order = Enumerable.Range(at, _counts[step]).ToArray();
            if (aggregation != Aggregation.LimitK)
            {
                GoSort<int>.Sort(order, (a, b) => Less(_values[b], _values[a]));
            }

            return order.Select(i => (_series[i], _values[i], _histograms?[i]));
        }

        void Set(int at, int series, Column column, int step)
        {
            _series[at] = series;
            if (column.Presence[step] == Presence.Histogram)
            {
                _values[at] = 0;
                _histograms ??= new Histogram?[_values.Length];
                _histograms[at] = column.Histogram(step);
            }
            else
            {
                _values[at] = column.Values[step];
            }
        }

        bool Less(double a, double b) => double.IsNaN(a) || (aggregation == Aggregation.BottomK ? a > b : a < b);

        void SiftUp(int at, int child)
        {
            while (child > 0)
            {
                var parent = (child - 1) / 2;
                if (!Less(_values[at + child], _values[at + parent]))
                {
                    break;
                }

                Swap(at + child, at + parent);
                child = parent;
            }
        }

        void SiftDown(int at, int count)
        {
            var parent = 0;
            while (true)
            {
                var child = (2 * parent) + 1;
                if (child >= count)
                {
                    break;
                }

                if (child + 1 < count && Less(_values[at + child + 1], _values[at + child]))
                {
                    child++;
                }

                if (!Less(_values[at + child], _values[at + parent]))
                {
                    break;
                }

                Swap(at + child, at + parent);
                parent = child;
            }
        }

        void Swap(int a, int b)
        {
            (_values[a], _values[b]) = (_values[b], _values[a]);
            (_series[a], _series[b]) = (_series[b], _series[a]);
            if (_histograms is not null)
            {
                (_histograms[a], _histograms[b]) = (_histograms[b], _histograms[a]);
            }
        }
    }
}
