using System.CommandLine;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Observe.Hosting;

/// <summary>One of Observe's roles, as the process that hosts it sees it. Several may live in one process.</summary>
/// <remarks>Called in this order: Configure, Map, StartAsync, then ReloadAsync any number of times, StopAsync, DisposeAsync.</remarks>
interface IRole : IAsyncDisposable
{
    void Configure(IServiceCollection services);

    void Map(WebApplication app);

    /// <summary>Opens what the role works on and starts its loops; once all roles have returned the process is ready.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Reads the configuration again. Keeps the old one and throws when the new one is bad.</summary>
    Task ReloadAsync();

    /// <summary>Finishes what was begun and ships what must not be lost; the token ends the grace period.</summary>
    Task StopAsync(CancellationToken cancellationToken);
}

/// <summary>The flags that every role has, and where they put the process.</summary>
sealed class ServerFlags
{
    public ServerFlags(int httpPort, int grpcPort, bool loopback = false, string[]? httpAliases = null)
    {
        var host = loopback ? "127.0.0.1" : "0.0.0.0";
        HttpAddress = Flags.Text("--http-address", $"where HTTP is served (default {host}:{httpPort})", $"{host}:{httpPort}", httpAliases ?? []);
        GrpcAddress = Flags.Text("--grpc-address", $"where the store API is served over gRPC (default {host}:{grpcPort})", $"{host}:{grpcPort}");
    }

    public Option<string> HttpAddress { get; }

    public Option<string> GrpcAddress { get; }

    public Option<string> RoutePrefix { get; } = Flags.Text("--web.route-prefix", "prefix of all HTTP paths", "/");

    public Option<bool> EnableLifecycle { get; } = Flags.Switch("--web.enable-lifecycle", "allow POST /-/reload and /-/quit");

    public Option<string> LogLevel { get; } = Flags.Text("--log.level", "debug, info, warn or error (default info)", "info");

    public Option<string> LogFormat { get; } = Flags.Text("--log.format", "logfmt or json (default logfmt)", "logfmt");

    public Option<TimeSpan> GracePeriod { get; } = Flags.Span("--http-grace-period", "how long a stop may take", "2m");

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[HttpAddress, GrpcAddress, RoutePrefix, EnableLifecycle, LogLevel, LogFormat, GracePeriod])
        {
            command.Options.Add(option);
        }
    }
}
