using OpenTelemetry.Logs;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Observe.Hosting;

/// <summary>What is traced, and how the sender is described: with OpenTelemetry's own packages.</summary>
/// <remarks><c>-p:UseGrafanaDistribution=true</c> compiles <c>TelemetryDistribution.Grafana.cs</c> in its place.</remarks>
static class TelemetryDistribution
{
    public static TracerProviderBuilder AddTo(TracerProviderBuilder tracing, TelemetrySource source) => tracing
        .SetResourceBuilder(Describe(source))
        .AddAspNetCoreInstrumentation()
        .AddHttpClientInstrumentation();

    public static void AddTo(OpenTelemetryLoggerOptions logs, TelemetrySource source) => logs.SetResourceBuilder(Describe(source));

    static ResourceBuilder Describe(TelemetrySource source) => ResourceBuilder.CreateDefault()
        .AddService(source.Name, serviceVersion: source.Version, serviceInstanceId: source.Instance)
        .AddEnvironmentVariableDetector();
}
