using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>Arithmetic between constants, done while planning where it is exactly what each step would compute.</summary>
static class ConstantFolding
{
    public static PlanNode Apply(PlanNode node) => node switch
    {
        BinaryNode binary => Fold(binary with { Left = Apply(binary.Left), Right = Apply(binary.Right) }),
        NegateNode negate => Apply(negate.Inner) is var inner && inner is ConstantNode constant
            ? new ConstantNode(-constant.Value) { Position = negate.Position }
            : negate with { Inner = inner },
        PlusNode plus => plus with { Inner = Apply(plus.Inner) },
        CallNode call => call with { Arguments = [.. call.Arguments.Select(Apply)] },
        AggregateNode aggregate => aggregate with
        {
            Inner = Apply(aggregate.Inner),
            Parameter = aggregate.Parameter is null ? null : Apply(aggregate.Parameter),
        },
        SubqueryNode subquery => subquery with { Inner = Apply(subquery.Inner) },
        _ => node,
    };

    static PlanNode Fold(BinaryNode node)
    {
        if (node is not { Left: ConstantNode { Value: var left }, Right: ConstantNode { Value: var right } })
        {
            return node;
        }

        double? folded = node.Operator switch
        {
            Operator.Add => left + right,
            Operator.Sub => left - right,
            Operator.Mul => left * right,
            Operator.Div => left / right,
            _ => null,
        };
        return folded is null ? node : new ConstantNode(folded.Value) { Position = node.Position };
    }
}
