using System.Text.Json;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.HttpApi;

/// <summary>What answers have in common that are written with <see cref="Utf8JsonWriter"/>.</summary>
static class ApiJson
{
    // A parsed query is as deep as its chains of operators are long.
    public static readonly JsonWriterOptions Options = new() { Encoder = GoJsonEncoder.Html, MaxDepth = 4 * PromqlParser.MaxOperators };

    public static void WriteLabels(this Utf8JsonWriter json, Labels labels)
    {
        json.WriteStartObject();
        foreach (var label in labels)
        {
            json.WriteString(
                JsonEncodedText.Encode(label.Name, GoJsonEncoder.Labels), JsonEncodedText.Encode(label.Value, GoJsonEncoder.Labels));
        }

        json.WriteEndObject();
    }

    public static void WriteLabels(this Utf8JsonWriter json, string name, Labels labels)
    {
        json.WritePropertyName(name);
        json.WriteLabels(labels);
    }

    public static void WriteTexts(this Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(text);
        }

        json.WriteEndArray();
    }

    /// <summary>A time as Go's encoder writes it; its zero time where there are 0 milliseconds or less.</summary>
    public static void WriteTime(this Utf8JsonWriter json, string name, long milliseconds) =>
        json.WriteString(name, milliseconds <= 0 ? "0001-01-01T00:00:00Z" : GoText.Rfc3339Nano(milliseconds));
}
