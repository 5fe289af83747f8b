using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary><c>count_values</c>: how many elements of a group have each value, which becomes a label.</summary>
sealed class CountValues(AggregateNode node, SeriesOperator input, string label, Scope scope) : UnaryOperator(input, scope)
{
    Column[] _outputs = [];

    public override long Cost => Grid.Count;

    public override bool MayFail => false;

    public override void Evaluate(int series, Column column, Worker worker) => column.CopyFrom(_outputs[series]);

    protected override void Open(Evaluation evaluation)
    {
        if (!LabelName.IsValid(label))
        {
            throw new QueryException($"invalid label name {GoText.Quote(label)}");
        }

        var projection = node.Without
            ? new LabelProjection([.. node.Grouping, Labels.MetricName], keep: false)
            : new LabelProjection([.. node.Grouping, label], keep: true);
        var numbering = new LabelNumbering();
        var builder = new LabelsBuilder();
        var outputs = new List<Column>();
        var ofValue = new Dictionary<long, int>();
        var held = evaluation.SamplesHeld;
        SeriesBatches.ForEach(evaluation, Input, Grid, (series, column, worker) =>
        {
            ofValue.Clear();
            worker.CountWork(column.Steps);
            for (var step = 0; step < column.Steps; step++)
            {
                if (column.Presence[step] == Presence.Absent)
                {
                    continue;
                }

                var output = column.Presence[step] == Presence.Float
                    ? OutputOf(BitConverter.DoubleToInt64Bits(column.Values[step]), () => GoText.Float(column.Values[step]))
                    : Number(column.Histogram(step).ToString());
                var counts = outputs[output];
                if (counts.Presence[step] == Presence.Absent)
                {
                    counts.Set(step, 1);
                }
                else
                {
                    counts.Values[step]++;
                }
            }

            int OutputOf(long bits, Func<string> text)
            {
                if (!ofValue.TryGetValue(bits, out var number))
                {
                    ofValue[bits] = number = Number(text());
                }

                return number;
            }

            int Number(string value)
            {
                var labels = builder.Reset(Input.Series[series].Labels).Set(label, value).Build();
                var number = numbering.Number(projection.Encode(labels));
                if (number == outputs.Count)
                {
                    outputs.Add(worker.RentColumn(Grid.Count));
                }

                return number;
            }
        });
        _outputs = [.. outputs];
        Series = [.. numbering.Labels.Select(l => new SeriesIdentity(l, false))];
        evaluation.HoldSamples(held + _outputs.Sum(o => o.SampleCount()) - evaluation.SamplesHeld);
    }
}
