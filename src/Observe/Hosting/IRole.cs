using System.CommandLine;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Observe.Hosting;

/// <summary>One of Observe's roles within a process. A process may host several.</summary>
/// <remarks>
/// Called in this order: Configure, Map, StartAsync, then ReloadAsync any number of times, StopAsync, DisposeAsync. StartAsync may fail at
/// any point, so that StopAsync and DisposeAsync have to cope with a half-started role.
/// </remarks>
interface IRole : IAsyncDisposable
{
    /// <summary>The role's name in messages.</summary>
    string Name { get; }

    bool ServesStoreApi => false;

    /// <summary>Completes when the role does its work for the first time, after StartAsync.</summary>
    Task Working => Task.CompletedTask;

    /// <summary>The reason why the role cannot do its work at present, beyond failures of its loops; null when it can.</summary>
    string? Fault => null;

    void Configure(IServiceCollection services)
    {
    }

    void Map(WebApplication app)
    {
    }

    /// <summary>Opens the role's data and starts its loops.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Reads the configuration again. Keeps the old one and throws when the new one is bad.</summary>
    Task ReloadAsync() => Task.CompletedTask;

    /// <summary>Finishes work under way and ships data that must not be lost, step by step.</summary>
    /// <param name="grace">Cancelled when the grace period is over.</param>
    Task StopAsync(StopSequence stop, CancellationToken grace);
}

/// <summary>The flags that every role has: addresses, logging, lifecycle.</summary>
sealed class ServerFlags
{
    /// <param name="grpcPort">Null for a role without a store API, which accepts the flag as all roles do, but does not listen.</param>
    public ServerFlags(int httpPort, int? grpcPort, bool loopback = false, string[]? httpAliases = null)
    {
        var host = loopback ? "127.0.0.1" : "0.0.0.0";
        HttpAddress = Flags.Text(
            "--http-address", $"where HTTP is served (default {host}:{httpPort})", $"{host}:{httpPort}", httpAliases ?? []);
        GrpcAddress = grpcPort is null
            ? Flags.Text("--grpc-address", "of no effect: this role serves no store API")
            : Flags.Text("--grpc-address", $"where the store API is served over gRPC (default {host}:{grpcPort})", $"{host}:{grpcPort}");
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
