using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Promql.Parsing;

/// <summary>Expressions as text that parses to the same expression, in Prometheus's form.</summary>
public static class Printer
{
    /// <summary>On one line.</summary>
    public static string Print(Expr expr)
    {
        var text = new StringBuilder();
        Write(text, expr);
        return text.ToString();
    }

    /// <summary>Over several lines where it is long, as <c>promtool promql format</c> and <c>/api/v1/format_query</c> do.</summary>
    public static string Pretty(Expr expr) => new PrettyPrinter(expr).Print();

    public static string NameOf(Operator op) => op switch
    {
        Operator.Add => "+",
        Operator.Sub => "-",
        Operator.Mul => "*",
        Operator.Div => "/",
        Operator.Mod => "%",
        Operator.Pow => "^",
        Operator.Atan2 => "atan2",
        Operator.Equal => "==",
        Operator.NotEqual => "!=",
        Operator.Greater => ">",
        Operator.Less => "<",
        Operator.GreaterOrEqual => ">=",
        Operator.LessOrEqual => "<=",
        Operator.And => "and",
        Operator.Or => "or",
        Operator.Unless => "unless",
        Operator.TrimUpper => "</",
        _ => ">/",
    };

    internal static string NameOf(DurationOperator op) => op switch
    {
        DurationOperator.Add => "+",
        DurationOperator.Sub or DurationOperator.Negate => "-",
        DurationOperator.Mul => "*",
        DurationOperator.Div => "/",
        DurationOperator.Mod => "%",
        DurationOperator.Pow => "^",
        DurationOperator.Step => "step",
        DurationOperator.Range => "range",
        DurationOperator.Max => "max_of",
        _ => "min_of",
    };

    internal static void Write(StringBuilder text, Expr expr)
    {
        switch (expr)
        {
            case NumberLiteral { IsDuration: true } duration:
                text.Append(duration.Value < 0 ? "-" : "").Append(Duration.Format((long)(Math.Abs(duration.Value) * 1e9) / 1_000_000));
                break;
            case NumberLiteral number:
                text.Append(GoText.Float(number.Value));
                break;
            case StringLiteral literal:
                text.Append(GoText.Quote(literal.Value));
                break;
            case ParenExpr paren:
                Write(text.Append('('), paren.Inner);
                text.Append(')');
                break;
            case UnaryExpr unary:
                Write(text.Append(NameOf(unary.Operator)), unary.Inner);
                break;
            case BinaryExpr binary:
                Write(text, binary.Left);
                WriteOperator(text.Append(' '), binary);
                Write(text.Append(' '), binary.Right);
                break;
            case AggregateExpr aggregate:
                WriteHead(text, aggregate);
                text.Append('(');
                WriteList(text, aggregate.Parameter is { } parameter ? [parameter, aggregate.Inner] : [aggregate.Inner]);
                text.Append(')');
                break;
            case Call call:
                WriteList(text.Append(call.Function.Name).Append('('), call.Arguments);
                text.Append(')');
                break;
            case VectorSelector selector:
                WriteSelector(text, selector);
                WriteAt(text, selector.Time);
                text.Append(selector.Anchored ? " anchored" : selector.Smoothed ? " smoothed" : "");
                WriteOffset(text, selector.Time);
                break;
            case MatrixSelector matrix:
                WriteSelector(text, matrix.Selector);
                WriteDuration(text.Append('['), matrix.RangeMs, matrix.RangeExpr);
                text.Append(']').Append(matrix.Selector.Anchored ? " anchored" : matrix.Selector.Smoothed ? " smoothed" : "");
                WriteAt(text, matrix.Selector.Time);
                WriteOffset(text, matrix.Selector.Time);
                break;
            case SubqueryExpr subquery:
                Write(text, subquery.Inner);
                WriteBrackets(text, subquery);
                break;
            case DurationExpr duration:
                WriteDurationExpr(text, duration);
                break;
        }
    }

    static void WriteList(StringBuilder text, IReadOnlyList<Expr> list)
    {
        for (var i = 0; i < list.Count; i++)
        {
            Write(text.Append(i > 0 ? ", " : ""), list[i]);
        }
    }

    /// <summary>The aggregation up to its arguments.</summary>
    internal static void WriteHead(StringBuilder text, AggregateExpr aggregate)
    {
        text.Append(AggregationTable.Of(aggregate.Aggregation).Name);
        if (aggregate.Without || aggregate.Grouping.Count > 0)
        {
            WriteLabels(text.Append(aggregate.Without ? " without (" : " by ("), aggregate.Grouping);
            text.Append(") ");
        }
    }

    static void WriteLabels(StringBuilder text, IReadOnlyList<string> labels) =>
        text.AppendJoin(", ", labels.Select(l => LabelName.IsLegacyValid(l) ? l : GoText.Quote(l)));

    /// <summary>The operator with bool, matching, grouping and fills.</summary>
    internal static void WriteOperator(StringBuilder text, BinaryExpr binary)
    {
        text.Append(NameOf(binary.Operator)).Append(binary.ReturnBool ? " bool" : "");
        if (binary.Matching is not { } matching)
        {
            return;
        }

        var grouped = matching.Cardinality is MatchCardinality.ManyToOne or MatchCardinality.OneToMany;
        if (matching.Labels.Count > 0 || matching.On || grouped)
        {
            WriteLabels(text.Append(matching.On ? " on (" : " ignoring ("), matching.Labels);
            text.Append(')');
        }

        if (grouped)
        {
            WriteLabels(
                text.Append(matching.Cardinality == MatchCardinality.ManyToOne ? " group_left (" : " group_right ("), matching.Include);
            text.Append(')');
        }

        if (matching.FillLeft is { } both && both == matching.FillRight)
        {
            text.Append(CultureInfo.InvariantCulture, $" fill ({GoText.FloatG(both)})");
            return;
        }

        if (matching.FillLeft is { } left)
        {
            text.Append(CultureInfo.InvariantCulture, $" fill_left ({GoText.FloatG(left)})");
        }

        if (matching.FillRight is { } right)
        {
            text.Append(CultureInfo.InvariantCulture, $" fill_right ({GoText.FloatG(right)})");
        }
    }

    static void WriteSelector(StringBuilder text, VectorSelector selector)
    {
        text.Append(selector.Name);
        var matchers = selector.Matchers
            .Where(m => !(m.Name == Labels.MetricName && m.Type == MatchType.Equal && m.Value == selector.Name && m.Value.Length > 0))
            .Select(m => m.ToString()).Order(Utf8Order.Instance).ToList();
        if (matchers.Count > 0)
        {
            text.Append('{').AppendJoin(',', matchers).Append('}');
        }
    }

    internal static void WriteBrackets(StringBuilder text, SubqueryExpr subquery)
    {
        WriteDuration(text.Append('['), subquery.RangeMs, subquery.RangeExpr);
        text.Append(':');
        if (subquery.StepMs != 0 || subquery.StepExpr is not null)
        {
            WriteDuration(text, subquery.StepMs, subquery.StepExpr);
        }

        text.Append(']');
        WriteAt(text, subquery.Time);
        WriteOffset(text, subquery.Time);
    }

    static void WriteDuration(StringBuilder text, long milliseconds, Expr? expr)
    {
        if (expr is null)
        {
            text.Append(Duration.Format(milliseconds));
        }
        else
        {
            Write(text, expr);
        }
    }

    static void WriteAt(StringBuilder text, TimeModifiers time)
    {
        if (time.AtMs is { } at)
        {
            text.Append(" @ ").Append((at / 1000.0).ToString("F3", CultureInfo.InvariantCulture));
        }
        else if (time.At != AtModifier.None)
        {
            text.Append(time.At == AtModifier.Start ? " @ start()" : " @ end()");
        }
    }

    static void WriteOffset(StringBuilder text, TimeModifiers time)
    {
        if (time.OffsetExpr is not null || time.OffsetMs != 0)
        {
            WriteDuration(text.Append(" offset "), time.OffsetMs, time.OffsetExpr);
        }
    }

    static void WriteDurationExpr(StringBuilder text, DurationExpr expr)
    {
        text.Append(expr.Wrapped ? "(" : "");
        switch (expr)
        {
            case { Left: null, Right: null }:
                text.Append(NameOf(expr.Operator)).Append("()");
                break;
            case { Operator: DurationOperator.Max or DurationOperator.Min }:
                WriteList(text.Append(NameOf(expr.Operator)).Append('('), [expr.Left!, expr.Right!]);
                text.Append(')');
                break;
            case { Left: null }:
                Write(text.Append(expr.Operator == DurationOperator.Negate ? "-" : ""), expr.Right!);
                break;
            default:
                Write(text, expr.Left);
                Write(text.Append(' ').Append(NameOf(expr.Operator)).Append(' '), expr.Right!);
                break;
        }

        text.Append(expr.Wrapped ? ")" : "");
    }
}
