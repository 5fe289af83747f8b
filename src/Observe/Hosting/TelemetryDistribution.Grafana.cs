using Grafana.OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Trace;

namespace Observe.Hosting;

/// <summary>What is traced, and how the sender is described: with Grafana's distribution of OpenTelemetry.</summary>
/// <remarks>Its variables <c>GRAFANA_DOTNET_*</c> hold too. Where to send is set as without it.</remarks>
static class TelemetryDistribution
{
    public static TracerProviderBuilder AddTo(TracerProviderBuilder tracing, TelemetrySource source) =>
        tracing.UseGrafana(settings => Describe(settings, source)).ConfigureResource(resource => resource.AddEnvironmentVariableDetector());

    public static void AddTo(OpenTelemetryLoggerOptions logs, TelemetrySource source) =>
        logs.UseGrafana(settings => Describe(settings, source));

    static void Describe(GrafanaOpenTelemetrySettings settings, TelemetrySource source)
    {
        settings.ExporterSettings = null;
        settings.ServiceName = Environment.GetEnvironmentVariable("OTEL_SERVICE_NAME") is { Length: > 0 } name ? name : source.Name;
        settings.ServiceVersion = source.Version;
        settings.ServiceInstanceId = source.Instance;
    }
}
