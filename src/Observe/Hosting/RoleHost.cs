using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Threading;
using Prometheus;

namespace Observe.Hosting;

/// <summary>Runs roles in this process: one HTTP and one gRPC listener, /metrics, /-/healthy, /-/ready, /-/reload, signals, a graceful stop.</summary>
sealed partial class RoleHost : IDisposable
{
    readonly string _name;
    readonly ParseResult _flags;
    readonly ServerFlags _server;
    readonly CancellationTokenSource _stop = new();
    volatile bool _ready;

    public RoleHost(string name, ParseResult flags, ServerFlags server)
    {
        (_name, _flags, _server) = (name, flags, server);
        Registry = Metrics.NewCustomRegistry();
        Loops = new LoopSupervisor(Registry);
        var factory = Metrics.WithCustomRegistry(Registry);
        factory.CreateGauge("observe_build_info", "A metric with the constant value 1, labelled by what this build is.", "version", "revision", "runtime", "role")
            .WithLabels(BuildVersion.Version, BuildVersion.Revision, BuildVersion.Runtime, name).Set(1);
        _reloadSuccessful = factory.CreateGauge("prometheus_config_last_reload_successful", "Whether the last configuration reload attempt was successful.");
        _reloadTime = factory.CreateGauge(
            "prometheus_config_last_reload_success_timestamp_seconds", "Timestamp of the last successful configuration reload.");
        DotNetStats.Register(Registry);
        OpenFilesMetrics.Register(Registry, OpenFiles.Shared);
        ReserveThreadForSmallQuery();
        Logging = LoggerFactory.Create(ConfigureLogging);
        _log = Logging.CreateLogger("Observe." + char.ToUpperInvariant(name[0]) + name[1..]);
    }

    // A small query computes on a thread of the pool (PromqlEngine): there are as many as ever beside it.
    static void ReserveThreadForSmallQuery()
    {
        ThreadPool.GetMinThreads(out var workers, out var ports);
        ThreadPool.SetMinThreads(Math.Max(workers, Environment.ProcessorCount + 1), ports);
    }

    readonly Gauge _reloadSuccessful;
    readonly Gauge _reloadTime;
    readonly ILogger _log;

    public CollectorRegistry Registry { get; }

    /// <summary>Watches the background loops of all roles.</summary>
    public LoopSupervisor Loops { get; }

    public ILoggerFactory Logging { get; }

    public TimeProvider Time { get; } = TimeProvider.System;

    /// <summary>Where all roles compute what somebody waits for: as many queries and calls as their flags let run at once by default, and more.</summary>
    public ComputeThreads QueryThreads { get; } = ComputeThreads.ForQueries(64 + Environment.ProcessorCount);

    /// <summary>Where all roles make, verify and hash blocks.</summary>
    public ComputeThreads BackgroundThreads { get; } = ComputeThreads.ForBackground();

    /// <summary>Runs until SIGTERM, SIGINT or /-/quit; returns the exit code.</summary>
    /// <param name="ready">What is printed behind the URL when everything is up; null for nothing.</param>
    public async Task<int> RunAsync(IReadOnlyList<IRole> roles, Func<string, string>? ready = null)
    {
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStopSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStopSignal);
        using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            _ = ReloadAsync(roles);
        });

        await using var app = Build(roles);
        var started = 0;
        try
        {
            await app.StartAsync(_stop.Token);
            var url = Url(app);
            LogListening(_log, app);
            foreach (var role in roles)
            {
                started++;
                await role.StartAsync(_stop.Token);
            }

            _reloadSuccessful.Set(1);
            _reloadTime.SetToCurrentTimeUtc();
            _ready = true;
            await Console.Out.WriteLineAsync($"observe {_name} is ready: {url}{ready?.Invoke(url)}");
            await Console.Out.FlushAsync();
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            LogStopping(_log);
        }
        finally
        {
            _ready = false;
            using var grace = new CancellationTokenSource(_flags.GetValue(_server.GracePeriod), Time);
            for (var i = started - 1; i >= 0; i--)
            {
                await roles[i].StopAsync(grace.Token);
            }

            await app.StopAsync(grace.Token);
            foreach (var role in roles.Reverse())
            {
                await role.DisposeAsync();
            }
        }

        return 0;
    }

    public void Dispose()
    {
        _stop.Dispose();
        QueryThreads.Dispose();
        BackgroundThreads.Dispose();
        Logging.Dispose();
    }

    WebApplication Build(IReadOnlyList<IRole> roles)
    {
        var (http, grpc) = (Flags.Address("--http-address", _flags.GetValue(_server.HttpAddress)!), Flags.Address("--grpc-address", _flags.GetValue(_server.GrpcAddress)!));
        // The flags say everything but OTEL_*: no appsettings.json is looked for in the folder that this happens to run in, nothing is watched there.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Configuration.AddEnvironmentVariables();
        ConfigureLogging(builder.Logging);
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 32 << 20;
            kestrel.Limits.MaxRequestLineSize = 64 << 10;
            kestrel.Limits.MaxRequestHeadersTotalSize = 128 << 10;
            kestrel.Listen(http, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(grpc, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddRouting();
        builder.Services.AddGrpc(options => options.MaxReceiveMessageSize = 16 << 20);
        Telemetry.Add(builder.Services, _name);
        foreach (var role in roles)
        {
            role.Configure(builder.Services);
        }

        var app = builder.Build();
        var prefix = "/" + _flags.GetValue(_server.RoutePrefix)!.Trim('/');
        if (prefix.Length > 1)
        {
            app.UsePathBase(prefix);
        }

        app.UseRouting();
        MapManagement(app, roles);
        foreach (var role in roles)
        {
            role.Map(app);
        }

        return app;
    }

    void MapManagement(WebApplication app, IReadOnlyList<IRole> roles)
    {
        app.MapMethods("/-/healthy", ["GET", "HEAD"], () => Results.Text($"Observe {_name} is Healthy.\n"));
        app.MapMethods("/-/ready", ["GET", "HEAD"], () => _ready
            ? Results.Text($"Observe {_name} is Ready.\n")
            : Results.Text("Service Unavailable", statusCode: StatusCodes.Status503ServiceUnavailable));
        app.MapMethods("/-/reload", ["POST", "PUT"], async () =>
        {
            if (!_flags.GetValue(_server.EnableLifecycle))
            {
                return Results.Text("Lifecycle API is not enabled.", statusCode: StatusCodes.Status403Forbidden);
            }

            var error = await ReloadAsync(roles);
            return error is null ? Results.Ok() : Results.Text("failed to reload config: " + error, statusCode: StatusCodes.Status500InternalServerError);
        });
        app.MapMethods("/-/quit", ["POST", "PUT"], () =>
        {
            if (!_flags.GetValue(_server.EnableLifecycle))
            {
                return Results.Text("Lifecycle API is not enabled.", statusCode: StatusCodes.Status403Forbidden);
            }

            _stop.Cancel();
            return Results.Text("Requesting termination... Goodbye!");
        });
        app.MapGet("/metrics", async (HttpContext context) =>
        {
            context.Response.ContentType = PrometheusConstants.TextContentTypeWithVersionAndEncoding;
            await Registry.CollectAndExportAsTextAsync(context.Response.Body, context.RequestAborted);
        });
    }

    async Task<string?> ReloadAsync(IReadOnlyList<IRole> roles)
    {
        try
        {
            foreach (var role in roles)
            {
                await role.ReloadAsync();
            }

            _reloadSuccessful.Set(1);
            _reloadTime.SetToCurrentTimeUtc();
            LogReloaded(_log);
            return null;
        }
        catch (Exception e) when (e is FormatException or IOException or UnauthorizedAccessException)
        {
            _reloadSuccessful.Set(0);
            LogReloadFailed(_log, e.Message);
            return e.Message;
        }
    }

    void OnStopSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _stop.Cancel();
    }

    void ConfigureLogging(ILoggingBuilder logging)
    {
        var level = _flags.GetValue(_server.LogLevel) switch
        {
            "debug" => LogLevel.Debug,
            "info" => LogLevel.Information,
            "warn" => LogLevel.Warning,
            "error" => LogLevel.Error,
            var other => throw new FlagException($"--log.level: {other} is none of debug, info, warn, error"),
        };
        var json = _flags.GetValue(_server.LogFormat) switch
        {
            "logfmt" => false,
            "json" => true,
            var other => throw new FlagException($"--log.format: {other} is neither logfmt nor json"),
        };
        logging.SetMinimumLevel(level);
        logging.AddFilter("Microsoft", level == LogLevel.Debug ? LogLevel.Information : LogLevel.Warning);
        logging.AddConsole(options =>
        {
            options.FormatterName = LogFormatter.FormatName;
            options.LogToStandardErrorThreshold = LogLevel.Trace;
        });
        logging.Services.AddSingleton<ConsoleFormatter>(new LogFormatter(Time, json));
    }

    /// <summary>The URL that a person on this machine opens.</summary>
    static string Url(WebApplication app)
    {
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return address.Replace("0.0.0.0", IPAddress.Loopback.ToString(), StringComparison.Ordinal);
    }

    /// <summary>Says where it listens, with the ports that the system chose.</summary>
    static void LogListening(ILogger log, WebApplication app)
    {
        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(a => new Uri(a).Authority).ToList();
        LogListening(log, addresses[0], addresses.ElementAtOrDefault(1));
    }

    [LoggerMessage(LogLevel.Information, "listening")]
    static partial void LogListening(ILogger logger, string http, string? grpc);

    [LoggerMessage(LogLevel.Information, "stopping")]
    static partial void LogStopping(ILogger logger);

    [LoggerMessage(LogLevel.Information, "configuration was reloaded")]
    static partial void LogReloaded(ILogger logger);

    [LoggerMessage(LogLevel.Error, "configuration is bad; the old one stays in force")]
    static partial void LogReloadFailed(ILogger logger, string err);
}
