using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;

namespace Observe.Query.Promql.Execution.Binary;

/// <summary>A binary operation between each element of a vector and a scalar, on either side.</summary>
sealed class VectorScalarBinary(BinaryNode node, SeriesOperator vector, SeriesOperator scalar, bool scalarIsLeft, Scope scope)
    : MappingOperator(vector, scope)
{
    readonly bool _comparison = SampleArithmetic.IsComparison(node.Operator);
    double[] _scalars = [];

    public override IEnumerable<SeriesOperator> Inputs => [Input, scalar];

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await scalar.OpenAsync(evaluation);
        await base.OpenCoreAsync(evaluation);
    }

    protected override void Prepare(Evaluation evaluation) => _scalars = Scalars.Values(scalar, evaluation);

    protected override SeriesIdentity[] Identify(SeriesIdentity[] input, Evaluation evaluation) =>
        SampleArithmetic.ChangesMeaning(node.Operator) || node.ReturnBool ? NameRemoval.Apply(input, evaluation.DelayedNameRemoval) : input;

    protected override void Transform(int source, Column column, Worker worker)
    {
        if (column.IsDense && TryDense(column))
        {
            return;
        }

        var site = new AnnotationSite(worker.Annotations, node.Position.Start, node.Position.End);
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Absent)
            {
                continue;
            }

            var element = Operand.Of(column, step);
            var other = new Operand(_scalars[step], null);
            var result = scalarIsLeft
                ? SampleArithmetic.Combine(node.Operator, other, element, site)
                : SampleArithmetic.Combine(node.Operator, element, other, site);
            column.Remove(step);
            if (!result.Exists)
            {
                continue;
            }

            if (node.ReturnBool)
            {
                column.Set(step, result.Keep ? 1 : 0);
            }
            else if (result.Keep)
            {
                // A comparison keeps the vector's element, whether the vector is the left side or the right.
                var (value, histogram) = _comparison ? (element.Value, element.Histogram) : (result.Value, result.Histogram);
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

    bool TryDense(Column column)
    {
        if (_comparison || node.Operator is Operator.TrimLower or Operator.TrimUpper)
        {
            return false;
        }

        var values = column.Values;
        for (var step = 0; step < values.Length; step++)
        {
            values[step] = scalarIsLeft
                ? SampleArithmetic.Compute(node.Operator, _scalars[step], values[step])
                : SampleArithmetic.Compute(node.Operator, values[step], _scalars[step]);
        }

        return true;
    }
}
