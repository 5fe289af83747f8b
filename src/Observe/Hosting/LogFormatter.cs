using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Observe.Tsdb.Bytes;

namespace Observe.Hosting;

/// <summary>Log lines as Prometheus writes them: <c>time=… level=INFO component=… msg="…" key=value</c>, or the same as JSON.</summary>
/// <remarks>
/// What a message's template does not mention becomes a field; an exception becomes <c>err</c>, with its kind where nobody foresaw it.
/// Where a span is recorded, <c>trace_id</c> and <c>span_id</c> say which.
/// </remarks>
/// <param name="stacks">Exceptions also become <c>stack</c>.</param>
sealed class LogFormatter(TimeProvider time, bool json, bool stacks = false) : ConsoleFormatter(FormatName)
{
    public const string FormatName = "observe";

    public override void Write<TState>(in LogEntry<TState> entry, IExternalScopeProvider? scopeProvider, TextWriter writer)
    {
        var fields = new List<KeyValuePair<string, string>>
        {
            new("time", time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)),
            new("level", entry.LogLevel switch
            {
                LogLevel.Trace or LogLevel.Debug => "DEBUG",
                LogLevel.Information => "INFO",
                LogLevel.Warning => "WARN",
                _ => "ERROR",
            }),
            new("component", Component(entry.Category)),
            new("msg", entry.Formatter(entry.State, entry.Exception)),
        };

        if (entry.State is IReadOnlyList<KeyValuePair<string, object?>> state)
        {
            var template = state.Count > 0 && state[^1].Key == "{OriginalFormat}" ? state[^1].Value as string ?? "" : "";
            foreach (var (key, value) in state)
            {
                if (key != "{OriginalFormat}" && !template.Contains("{" + key, StringComparison.Ordinal))
                {
                    fields.Add(new(Snake(key), Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""));
                }
            }
        }

        if (entry.Exception is { } exception)
        {
            fields.Add(new("err", IsForeseen(exception) ? exception.Message : $"{exception.GetType().Name}: {exception.Message}"));
            if (stacks)
            {
                fields.Add(new("stack", exception.ToString()));
            }
        }

        if (Activity.Current is { Recorded: true } span)
        {
            fields.Add(new("trace_id", span.TraceId.ToHexString()));
            fields.Add(new("span_id", span.SpanId.ToHexString()));
        }

        writer.WriteLine(json ? Json(fields) : Logfmt(fields));
    }

    static bool IsForeseen(Exception e) => e is IOException or UnauthorizedAccessException or FormatException or FlagException;

    static string Component(string category)
    {
        var parts = category.Split('.');
        return parts.Length > 1 ? parts[^2].ToLowerInvariant() + "/" + Snake(parts[^1]) : Snake(category);
    }

    static string Logfmt(List<KeyValuePair<string, string>> fields) =>
        string.Join(' ', fields.Select(f => f.Key + "=" + (NeedsQuotes(f.Value) ? GoText.Quote(f.Value) : f.Value)));

    static bool NeedsQuotes(string value) =>
        value.Length == 0 || value.AsSpan().ContainsAnyExceptInRange('!', '~') || value.AsSpan().ContainsAny("\"=\\");

    static string Json(List<KeyValuePair<string, string>> fields)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var (key, value) in fields)
            {
                writer.WriteString(key, value);
            }

            writer.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    static string Snake(string name)
    {
        var text = new System.Text.StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            if (char.IsUpper(name[i]) && i > 0 && !char.IsUpper(name[i - 1]))
            {
                text.Append('_');
            }

            text.Append(char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }
}
