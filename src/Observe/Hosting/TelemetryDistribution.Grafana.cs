using Grafana.OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Observe.Hosting;

/// <summary>What is traced, and how the sender is described: with Grafana's distribution of OpenTelemetry.</summary>
/// <remarks>Its variables <c>GRAFANA_DOTNET_*</c> hold too. Where to send is set as without it.</remarks>
static class TelemetryDistribution
{
    public static TracerProviderBuilder AddTo(TracerProviderBuilder tracing, TelemetrySource source) =>
        tracing.UseGrafana(settings => Describe(settings, source));

    public static void AddTo(OpenTelemetryLoggerOptions logs, TelemetrySource source) =>
        logs.UseGrafana(settings => Describe(settings, source));

    static void Describe(GrafanaOpenTelemetrySettings settings, TelemetrySource source)
    {
        // The distribution's own defaults come before the variables, except where they are set here.
        var named = ResourceBuilder.CreateEmpty().AddEnvironmentVariableDetector().Build().Attributes
            .ToDictionary(attribute => attribute.Key, attribute => attribute.Value.ToString());
        settings.ExporterSettings = null;
        settings.ServiceName = named.GetValueOrDefault("service.name") ?? source.Name;
        settings.ServiceVersion = named.GetValueOrDefault("service.version") ?? source.Version;
        settings.ServiceInstanceId = named.GetValueOrDefault("service.instance.id") ?? source.Instance;
        settings.DeploymentEnvironment = named.GetValueOrDefault("deployment.environment") ?? settings.DeploymentEnvironment;
    }
}
