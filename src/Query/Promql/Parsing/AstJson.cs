using System.Text.Json;
using Observe.Tsdb.Bytes;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Promql.Parsing;

/// <summary>A parsed query as JSON, as <c>/api/v1/parse_query</c> answers and Prometheus's tree view reads it.</summary>
public static class AstJson
{
    /// <summary>Writes one value. Keys come in alphabetical order, as Go writes maps.</summary>
    public static void Write(Utf8JsonWriter json, Expr expr)
    {
        json.WriteStartObject();
        switch (expr)
        {
            case AggregateExpr aggregate:
                WriteChild(json, "expr", aggregate.Inner);
                WriteList(json, "grouping", aggregate.Grouping);
                json.WriteString("op", AggregationTable.Of(aggregate.Aggregation).Name);
                WriteChild(json, "param", aggregate.Parameter);
                json.WriteString("type", "aggregation");
                json.WriteBoolean("without", aggregate.Without);
                break;
            case BinaryExpr binary:
                json.WriteBoolean("bool", binary.ReturnBool);
                WriteChild(json, "lhs", binary.Left);
                WriteMatching(json, binary.Matching);
                json.WriteString("op", Printer.NameOf(binary.Operator));
                WriteChild(json, "rhs", binary.Right);
                json.WriteString("type", "binaryExpr");
                break;
            case Call call:
                json.WriteStartArray("args");
                foreach (var argument in call.Arguments)
                {
                    Write(json, argument);
                }

                json.WriteEndArray();
                json.WriteStartObject("func");
                WriteList(json, "argTypes", call.Function.ArgumentTypes.Select(TypeChecker.Internal));
                json.WriteString("name", call.Function.Name);
                json.WriteString("returnType", TypeChecker.Internal(call.Function.ReturnType));
                json.WriteNumber("variadic", call.Function.Variadic);
                json.WriteEndObject();
                json.WriteString("type", "call");
                break;
            case MatrixSelector matrix:
                WriteSelector(json, matrix.Selector, "matrixSelector", matrix);
                break;
            case VectorSelector selector:
                WriteSelector(json, selector, "vectorSelector", null);
                break;
            case SubqueryExpr subquery:
                WriteChild(json, "expr", subquery.Inner);
                WriteOffset(json, subquery.Time);
                WriteRange(json, subquery.RangeMs, subquery.RangeExpr);
                WriteBoundary(json, subquery.Time);
                json.WriteNumber("step", subquery.StepMs);
                WriteDuration(json, "stepExpr", subquery.StepExpr);
                WriteTimestamp(json, subquery.Time);
                json.WriteString("type", "subquery");
                break;
            case NumberLiteral number:
                json.WriteString("type", "numberLiteral");
                json.WriteString("val", GoText.Float(number.Value));
                break;
            case StringLiteral literal:
                json.WriteString("type", "stringLiteral");
                json.WriteString("val", literal.Value);
                break;
            case ParenExpr paren:
                WriteChild(json, "expr", paren.Inner);
                json.WriteString("type", "parenExpr");
                break;
            case UnaryExpr unary:
                WriteChild(json, "expr", unary.Inner);
                json.WriteString("op", Printer.NameOf(unary.Operator));
                json.WriteString("type", "unaryExpr");
                break;
        }

        json.WriteEndObject();
    }

    static void WriteChild(Utf8JsonWriter json, string name, Expr? child)
    {
        json.WritePropertyName(name);
        if (child is null)
        {
            json.WriteNullValue();
        }
        else
        {
            Write(json, child);
        }
    }

    static void WriteList(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
        {
            json.WriteStringValue(value);
        }

        json.WriteEndArray();
    }

    static void WriteMatching(Utf8JsonWriter json, VectorMatching? matching)
    {
        if (matching is null)
        {
            json.WriteNull("matching");
            return;
        }

        json.WriteStartObject("matching");
        json.WriteString("card", matching.Cardinality switch
        {
            MatchCardinality.OneToOne => "one-to-one",
            MatchCardinality.ManyToOne => "many-to-one",
            MatchCardinality.OneToMany => "one-to-many",
            _ => "many-to-many",
        });
        json.WriteStartObject("fillValues");
        WriteFill(json, "lhs", matching.FillLeft);
        WriteFill(json, "rhs", matching.FillRight);
        json.WriteEndObject();
        WriteList(json, "include", matching.Include);
        WriteList(json, "labels", matching.Labels);
        json.WriteBoolean("on", matching.On);
        json.WriteEndObject();
    }

    static void WriteFill(Utf8JsonWriter json, string name, double? value)
    {
        json.WritePropertyName(name);
        if (value is { } number && double.IsFinite(number))
        {
            json.WriteRawValue(number == 0 || Math.Abs(number) is >= 1e-6 and < 1e21 ? GoText.Float(number) : GoText.Exponent(number));
        }
        else
        {
            json.WriteNullValue();
        }
    }

    static void WriteSelector(Utf8JsonWriter json, VectorSelector selector, string type, MatrixSelector? matrix)
    {
        json.WriteBoolean("anchored", selector.Anchored);
        json.WriteStartArray("matchers");
        foreach (var matcher in selector.Matchers)
        {
            json.WriteStartObject();
            json.WriteString("name", matcher.Name);
            json.WriteString("type", matcher.Type switch
            {
                MatchType.Equal => "=",
                MatchType.NotEqual => "!=",
                MatchType.Regex => "=~",
                _ => "!~",
            });
            json.WriteString("value", matcher.Value);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("name", selector.Name);
        WriteOffset(json, selector.Time);
        if (matrix is not null)
        {
            WriteRange(json, matrix.RangeMs, matrix.RangeExpr);
        }

        json.WriteBoolean("smoothed", selector.Smoothed);
        WriteBoundary(json, selector.Time);
        WriteTimestamp(json, selector.Time);
        json.WriteString("type", type);
    }

    static void WriteOffset(Utf8JsonWriter json, TimeModifiers time)
    {
        json.WriteNumber("offset", time.OffsetMs);
        WriteDuration(json, "offsetExpr", time.OffsetExpr);
    }

    static void WriteRange(Utf8JsonWriter json, long milliseconds, Expr? expr)
    {
        json.WriteNumber("range", milliseconds);
        WriteDuration(json, "rangeExpr", expr);
    }

    static void WriteBoundary(Utf8JsonWriter json, TimeModifiers time)
    {
        if (time.At == AtModifier.None)
        {
            json.WriteNull("startOrEnd");
        }
        else
        {
            json.WriteString("startOrEnd", time.At == AtModifier.Start ? "start" : "end");
        }
    }

    static void WriteTimestamp(Utf8JsonWriter json, TimeModifiers time)
    {
        if (time.AtMs is { } at)
        {
            json.WriteNumber("timestamp", at);
        }
        else
        {
            json.WriteNull("timestamp");
        }
    }

    static void WriteDuration(Utf8JsonWriter json, string name, Expr? expr)
    {
        json.WritePropertyName(name);
        switch (expr)
        {
            case NumberLiteral number:
                json.WriteStartObject();
                json.WriteBoolean("duration", number.IsDuration);
                json.WriteString("type", "numberLiteral");
                json.WriteString("val", GoText.Float(number.Value));
                json.WriteEndObject();
                break;
            case DurationExpr duration:
                json.WriteStartObject();
                WriteDuration(json, "lhs", duration.Left);
                json.WriteString("op", Printer.NameOf(duration.Operator));
                WriteDuration(json, "rhs", duration.Right);
                json.WriteString("type", "durationExpr");
                json.WriteBoolean("wrapped", duration.Wrapped);
                json.WriteEndObject();
                break;
            default:
                json.WriteNullValue();
                break;
        }
    }
}
