using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Observe.Hosting;

/// <summary>Traces over OTLP, set up by the standard <c>OTEL_*</c> variables; nothing runs while none of them names an endpoint.</summary>
static class Telemetry
{
    public static void Add(IServiceCollection services, string role)
    {
        if (Environment.GetEnvironmentVariable("OTEL_SDK_DISABLED") == "true" ||
            (Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_ENDPOINT") is null &&
             Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") is null))
        {
            return;
        }

        services.AddOpenTelemetry()
            .ConfigureResource(
            resource => resource.AddService("observe-" + role, serviceVersion: BuildVersion.Version).AddEnvironmentVariableDetector())
            .WithTracing(tracing => tracing
                .AddSource("Observe.*")
                .AddAspNetCoreInstrumentation(
                options => options.Filter = context => !context.Request.Path.StartsWithSegments("/-", StringComparison.Ordinal))
                .AddHttpClientInstrumentation()
                .AddOtlpExporter(options =>
                {
                    if (Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_PROTOCOL") is null)
                    {
                        options.Protocol = OtlpExportProtocol.HttpProtobuf;
                    }
                }));
    }
}
