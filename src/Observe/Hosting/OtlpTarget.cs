using System.Globalization;
using OpenTelemetry.Exporter;

namespace Observe.Hosting;

/// <summary>Where the standard <c>OTEL_*</c> variables want one signal sent, traces or logs, and how.</summary>
/// <remarks>
/// The library reads the variables that are for all signals, but not those for one (<c>OTEL_EXPORTER_OTLP_LOGS_ENDPOINT</c>), which come
/// before them; and its own default protocol is not that of the specification.
/// </remarks>
sealed class OtlpTarget
{
    readonly OtlpExportProtocol _protocol;
    readonly Uri? _endpoint;
    readonly string? _headers;
    readonly int? _timeoutMs;

    OtlpTarget(string signal, Func<string, string?> variable)
    {
        string? Of(string name, bool orAll = false) =>
            variable($"OTEL_EXPORTER_OTLP_{signal}_{name}") ?? (orAll ? variable("OTEL_EXPORTER_OTLP_" + name) : null);

        _protocol = Of("PROTOCOL", orAll: true) switch
        {
            "grpc" => OtlpExportProtocol.Grpc,
            null or "http/protobuf" => OtlpExportProtocol.HttpProtobuf,
            var other => throw new FlagException($"OTEL_EXPORTER_OTLP_PROTOCOL: {other} is neither grpc nor http/protobuf"),
        };
        var url = Of("ENDPOINT", orAll: true);
        _endpoint = Uri.TryCreate(url, UriKind.Absolute, out var endpoint) && endpoint.Scheme is "http" or "https"
            ? Of("ENDPOINT") is null ? null : endpoint
            : throw new FlagException($"OTEL_EXPORTER_OTLP_ENDPOINT: {url} is no URL of http or https");
        _headers = Of("HEADERS");
        _timeoutMs = Of("TIMEOUT") is not { } timeout ? null
            : int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds) ? milliseconds
            : throw new FlagException($"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT: {timeout} is no number of milliseconds");
    }

    /// <summary>Null when the signal is not to be sent.</summary>
    /// <param name="signal"><c>TRACES</c> or <c>LOGS</c>.</param>
    /// <param name="environment">A variable's value.</param>
    /// <exception cref="FlagException">A variable says what cannot be done.</exception>
    public static OtlpTarget? Read(string signal, Func<string, string?> environment)
    {
        // A variable that is empty counts as one that is not set.
        string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;
        var isOff = "true".Equals(Variable("OTEL_SDK_DISABLED"), StringComparison.OrdinalIgnoreCase)
            || Variable($"OTEL_{signal}_EXPORTER") is not (null or "otlp")
            || (Variable($"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") ?? Variable("OTEL_EXPORTER_OTLP_ENDPOINT")) is null;
        return isOff ? null : new OtlpTarget(signal, Variable);
    }

    /// <summary>Sets what the library does not read by itself.</summary>
    public void Apply(OtlpExporterOptions options)
    {
        options.Protocol = _protocol;
        if (_endpoint is not null)
        {
            // An endpoint that is set is taken as it is, without the path of its signal.
            options.Endpoint = _endpoint;
        }

        options.Headers = _headers ?? options.Headers;
        options.TimeoutMilliseconds = _timeoutMs ?? options.TimeoutMilliseconds;
    }
}
