using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Instrumentation.AspNetCore;
using OpenTelemetry.Logs;
using OpenTelemetry.Trace;

namespace Observe.Hosting;

/// <summary>
/// Traces and logs over OTLP, set up by the standard <c>OTEL_*</c> variables; nothing runs while none of them names an endpoint.
/// </summary>
/// <remarks>
/// Threads of the library send them, and what finds no place in their queues is dropped: nothing waits for who collects them but the end of
/// the process, five seconds for each of the two.
/// </remarks>
sealed class Telemetry(string role)
{
    readonly TelemetrySource _source = new("observe-" + role, BuildVersion.Version, Guid.NewGuid().ToString());
    readonly OtlpTarget? _traces = OtlpTarget.Read("TRACES", Environment.GetEnvironmentVariable);
    readonly OtlpTarget? _logs = OtlpTarget.Read("LOGS", Environment.GetEnvironmentVariable);

    public void AddTraces(IServiceCollection services)
    {
        if (_traces is not { } target)
        {
            return;
        }

        services.Configure<AspNetCoreTraceInstrumentationOptions>(
            options => options.Filter = context => !context.Request.Path.StartsWithSegments("/-", StringComparison.Ordinal));
        services.AddOpenTelemetry().WithTracing(
            tracing => TelemetryDistribution.AddTo(tracing.AddSource("Observe.*"), _source).AddOtlpExporter(target.Apply));
    }

    public void AddLogs(ILoggingBuilder logging)
    {
        if (_logs is not { } target)
        {
            return;
        }

        logging.AddOpenTelemetry(options =>
        {
            options.IncludeFormattedMessage = true;
            TelemetryDistribution.AddTo(options, _source);
            options.AddOtlpExporter(target.Apply);
        });
    }
}

/// <summary>Who sends traces and logs; the variables <c>OTEL_SERVICE_NAME</c> and <c>OTEL_RESOURCE_ATTRIBUTES</c> come before it.</summary>
readonly record struct TelemetrySource(string Name, string Version, string Instance);
