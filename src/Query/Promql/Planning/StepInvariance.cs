using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>Wraps the highest parts of a plan that are the same at every step, so that they are evaluated once.</summary>
/// <remarks>
/// Which parts are invariant is Prometheus's rule, which is part of the language: an aggregation's parameter is not looked at.
/// </remarks>
static class StepInvariance
{
    public static PlanNode Apply(PlanNode root)
    {
        var (node, _, wrap) = Rewrite(root);
        return Wrapped(node, wrap);
    }

    static (PlanNode Node, bool Invariant, bool Wrap) Rewrite(PlanNode node)
    {
        switch (node)
        {
            case SelectorNode selector:
                return (node, selector.AtMs is not null, selector.AtMs is not null);

            case RangeNode range:
                return (node, range.Selector.AtMs is not null, false);

            case ConstantNode or TextNode:
                return (node, true, false);

            case NegateNode negate:
                {
                    var (inner, invariant, wrap) = Rewrite(negate.Inner);
                    return (negate with { Inner = inner }, invariant, wrap);
                }

            case PlusNode plus:
                {
                    var (inner, invariant, wrap) = Rewrite(plus.Inner);
                    return (plus with { Inner = inner }, invariant, wrap);
                }

            case AggregateNode aggregate:
                {
                    var (inner, invariant, wrap) = Rewrite(aggregate.Inner);
                    return (aggregate with { Inner = inner }, invariant, wrap);
                }

            case SubqueryNode subquery:
                {
                    var (inner, invariant, _) = Rewrite(subquery.Inner);
                    return (subquery with { Inner = Wrapped(inner, invariant) }, subquery.AtMs is not null, false);
                }

            case BinaryNode binary:
                {
                    var left = Rewrite(binary.Left);
                    var right = Rewrite(binary.Right);
                    return left.Invariant && right.Invariant
                        ? (binary with { Left = left.Node, Right = right.Node }, true, true)
                        : (binary with { Left = Wrapped(left.Node, left.Wrap), Right = Wrapped(right.Node, right.Wrap) }, false, false);
                }

            case CallNode call:
                return Rewrite(call);

            default:
                return (node, false, false);
        }
    }

    static (PlanNode Node, bool Invariant, bool Wrap) Rewrite(CallNode call)
    {
        var arguments = call.Arguments.Select(Rewrite).ToArray();
        var ofSelectors = call.Function.Id == FunctionId.Timestamp && arguments.All(a => a.Invariant && a.Node is SelectorNode);
        if (ofSelectors || (!call.Function.DependsOnTime && arguments.All(a => a.Invariant)))
        {
            return (call with { Arguments = [.. arguments.Select(a => a.Node)] }, true, true);
        }

        return (call with { Arguments = [.. arguments.Select(a => Wrapped(a.Node, a.Wrap))] }, false, false);
    }

    static PlanNode Wrapped(PlanNode node, bool wrap) =>
        wrap && node is not (ConstantNode or TextNode or RangeNode or SubqueryNode or StepInvariantNode)
            ? new StepInvariantNode(node) { Position = node.Position }
            : node;
}
