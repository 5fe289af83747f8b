using System.Globalization;
using System.Text;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Planning;

/// <summary>A plan on one line, positions left out: equal texts compute equal things.</summary>
static class PlanText
{
    public static string Of(PlanNode node)
    {
        var text = new StringBuilder();
        Write(node, text);
        return text.ToString();
    }

    /// <summary>A node's own operation without its inputs, but with its selector where the input is one.</summary>
    public static string Head(PlanNode node) => node switch
    {
        CallNode call when call.Arguments.FirstOrDefault(a => a is RangeNode) is { } range => $"{call.Function.Name}({Of(range)})",
        CallNode call when call.Arguments.FirstOrDefault(a => a is SubqueryNode) is SubqueryNode subquery =>
            string.Create(CultureInfo.InvariantCulture, $"{call.Function.Name}([{subquery.RangeMs}ms:{subquery.StepMs}ms])"),
        CallNode call => call.Function.Name,
        NegateNode => "negate",
        PlusNode => "plus",
        StepInvariantNode => "once",
        AggregateNode or BinaryNode => HeadOfOperation(node),
        _ => Of(node),
    };

    static string HeadOfOperation(PlanNode node)
    {
        var text = new StringBuilder();
        if (node is AggregateNode aggregate)
        {
            WriteHead(aggregate, text);
        }
        else if (node is BinaryNode binary)
        {
            WriteHead(binary, text);
        }

        return text.ToString().TrimEnd();
    }

    static void WriteHead(AggregateNode aggregate, StringBuilder text) => text.Append(aggregate.Aggregation)
        .Append(aggregate.Without ? " without (" : " by (").AppendJoin(',', aggregate.Grouping.Select(GoText.Quote)).Append(") ");

    static void WriteHead(BinaryNode binary, StringBuilder text)
    {
        text.Append(binary.Operator).Append(binary.ReturnBool ? " bool" : "");
        WriteMatching(binary.Matching, text);
    }

    static void Write(PlanNode node, StringBuilder text)
    {
        switch (node)
        {
            case ConstantNode constant:
                text.Append(GoText.FloatG(constant.Value));
                break;
            case TextNode literal:
                text.Append(GoText.Quote(literal.Value));
                break;
            case SelectorNode selector:
                text.Append('{').AppendJoin(',', selector.Matchers).Append('}');
                text.Append(selector.Anchored ? " anchored" : "").Append(selector.Smoothed ? " smoothed" : "")
                    .Append(selector.StatisticsOnly ? " statistics" : "").Append(selector.AtFirstStep ? " first" : "");
                WriteTime(selector.OffsetMs, selector.AtMs, text);
                break;
            case RangeNode range:
                Write(range.Selector, text);
                text.Append(CultureInfo.InvariantCulture, $"[{range.RangeMs}ms]");
                break;
            case SubqueryNode subquery:
                Write(subquery.Inner, text);
                text.Append(CultureInfo.InvariantCulture, $"[{subquery.RangeMs}ms:{subquery.StepMs}ms]");
                WriteTime(subquery.OffsetMs, subquery.AtMs, text);
                break;
            case CallNode call:
                WriteAll(call.Function.Name, call.Arguments, text);
                break;
            case NegateNode negate:
                WriteAll("negate", [negate.Inner], text);
                break;
            case PlusNode plus:
                WriteAll("plus", [plus.Inner], text);
                break;
            case StepInvariantNode invariant:
                WriteAll("once", [invariant.Inner], text);
                break;
            case AggregateNode aggregate:
                WriteHead(aggregate, text);
                WriteAll("", aggregate.Parameter is null ? [aggregate.Inner] : [aggregate.Parameter, aggregate.Inner], text);
                break;
            case BinaryNode binary:
                WriteHead(binary, text);
                WriteAll("", [binary.Left, binary.Right], text);
                break;
        }
    }

    static void WriteMatching(VectorMatching? matching, StringBuilder text)
    {
        if (matching is null)
        {
            return;
        }

        text.Append(' ').Append(matching.Cardinality).Append(matching.On ? " on (" : " ignoring (")
            .AppendJoin(',', matching.Labels.Select(GoText.Quote)).Append(')');
        if (matching.Include.Count > 0)
        {
            text.Append(" include (").AppendJoin(',', matching.Include.Select(GoText.Quote)).Append(')');
        }

        text.Append(matching.FillLeft is { } left ? $" fill_left({GoText.FloatG(left)})" : "");
        text.Append(matching.FillRight is { } right ? $" fill_right({GoText.FloatG(right)})" : "");
    }

    static void WriteTime(long offsetMs, long? atMs, StringBuilder text)
    {
        text.Append(offsetMs == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" offset {offsetMs}ms"));
        text.Append(atMs is null ? "" : string.Create(CultureInfo.InvariantCulture, $" @ {atMs}ms"));
    }

    static void WriteAll(string name, IReadOnlyList<PlanNode> nodes, StringBuilder text)
    {
        text.Append(name).Append('(');
        for (var i = 0; i < nodes.Count; i++)
        {
            text.Append(i > 0 ? ", " : "");
            Write(nodes[i], text);
        }

        text.Append(')');
    }
}
