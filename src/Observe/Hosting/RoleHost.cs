using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Threading;
using Prometheus;

namespace Observe.Hosting;

/// <summary>
/// Runs roles in this process: one HTTP and one gRPC listener, /metrics, /-/healthy, /-/ready, /-/reload, signals, a graceful stop.
/// </summary>
sealed partial class RoleHost : IDisposable
{
    readonly string _name;
    readonly ParseResult _flags;
    readonly ServerFlags _server;
    readonly CancellationTokenSource _stop = new();
    readonly Reloading _reloading;
    readonly Telemetry _telemetry;
    readonly ILogger _log;

    /// <summary>Held to the end: another signal to stop is not to break off the stop that the first one began.</summary>
    PosixSignalRegistration[] _signals = [];

    /// <summary>What the process is at while it is not up; null when it is.</summary>
    volatile string? _phase = "it is starting";

    /// <param name="time">The clock of all roles; null for that of the system.</param>
    public RoleHost(string name, ParseResult flags, ServerFlags server, TimeProvider? time = null)
    {
        (_name, _flags, _server) = (name, flags, server);
        Time = time ?? TimeProvider.System;
        Registry = Metrics.NewCustomRegistry();
        Loops = new LoopSupervisor(Registry);
        var factory = Metrics.WithCustomRegistry(Registry);
        factory.CreateGauge("observe_build_info",
            "A metric with the constant value 1, labelled by what this build is.", "version", "revision", "runtime", "role")
            .WithLabels(BuildVersion.Version, BuildVersion.Revision, BuildVersion.Runtime, name).Set(1);
        DotNetStats.Register(Registry);
        OpenFilesMetrics.Register(Registry, OpenFiles.Shared);
        ReserveThreadForSmallQuery();
        _telemetry = new Telemetry(name);
        Logging = LoggerFactory.Create(ConfigureLogging);
        _log = Logging.CreateLogger("Observe." + char.ToUpperInvariant(name[0]) + name[1..]);
        _reloading = new Reloading(factory, _log);
    }

    // PromqlEngine computes small queries on a thread of the pool. One thread more leaves as many to everything else as before.
    static void ReserveThreadForSmallQuery()
    {
        ThreadPool.GetMinThreads(out var workers, out var ports);
        ThreadPool.SetMinThreads(Math.Max(workers, Environment.ProcessorCount + 1), ports);
    }

    public CollectorRegistry Registry { get; }

    /// <summary>Supervises the background loops of all roles.</summary>
    public LoopSupervisor Loops { get; }

    public ILoggerFactory Logging { get; }

    public TimeProvider Time { get; }

    /// <summary>
    /// The threads on which all roles compute queries and calls: enough for as many as may run at once by default, and more.
    /// </summary>
    public ComputeThreads QueryThreads { get; } = ComputeThreads.ForQueries(64 + Environment.ProcessorCount);

    /// <summary>The threads on which all roles make, verify and hash blocks.</summary>
    public ComputeThreads BackgroundThreads { get; } = ComputeThreads.ForBackground();

    /// <summary>Runs until SIGTERM, SIGINT or /-/quit, or until a loop ends that nobody stopped; returns the exit code.</summary>
    /// <param name="ready">A text to print behind the URL when all roles are ready; null for none.</param>
    public async Task<int> RunAsync(IReadOnlyList<IRole> roles, Func<string, string>? ready = null)
    {
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStopSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStopSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
            {
                context.Cancel = true;
                _ = _reloading.RunAsync(roles);
            }),
        ];
        var stop = new StopSequence(_log);
        var started = new Stack<IRole>();
        WebApplication? app = null;
        try
        {
            app = Build(roles);
            await app.StartAsync(_stop.Token);
            var url = Url(app);
            LogListening(_log, app);
            foreach (var role in roles)
            {
                _phase = $"{role.Name} is starting";
                started.Push(role);
                await role.StartAsync(_stop.Token);
            }

            await _reloading.BeginAsync(_stop.Token);
            var working = Task.WhenAll(roles.Select(role => role.Working));
            if (await Task.WhenAny(working, Loops.Ended).WaitAsync(_stop.Token) == working)
            {
                _phase = null;
                await Console.Out.WriteLineAsync($"observe {_name} is ready: {url}{ready?.Invoke(url)}");
                await Console.Out.FlushAsync();
            }

            LogEnded(_log, await Loops.Ended.WaitAsync(_stop.Token));
            return 1;
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            LogStopping(_log);
        }
        finally
        {
            _phase = "it is stopping";
            using var grace = new CancellationTokenSource(_flags.GetValue(_server.GracePeriod), Time);
            foreach (var role in started)
            {
                await stop.StepAsync($"stop {role.Name}", () => role.StopAsync(stop, grace.Token));
            }

            if (app is not null)
            {
                await stop.StepAsync("answer what was asked", () => app.StopAsync(grace.Token));
            }

            foreach (var role in roles.Reverse())
            {
                await stop.StepAsync($"close {role.Name}", () => role.DisposeAsync().AsTask());
            }

            if (app is not null)
            {
                await stop.StepAsync("close the server", () => app.DisposeAsync().AsTask());
            }
        }

        return stop.HasFailed ? 1 : 0;
    }

    public void Dispose()
    {
        QueryThreads.Dispose();
        BackgroundThreads.Dispose();

        // Writes what is logged to its end. Only then may another signal end the process.
        Logging.Dispose();
        foreach (var signal in _signals)
        {
            signal.Dispose();
        }

        _reloading.Dispose();
        _stop.Dispose();
    }

    WebApplication Build(IReadOnlyList<IRole> roles)
    {
        // All settings are flags, OTEL_* excepted: no appsettings.json is read from the working directory, and no file there is watched.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Configuration.AddEnvironmentVariables();
        builder.Services.AddSingleton(Logging);
        Listeners.Add(builder, _flags, _server, roles.Any(role => role.ServesStoreApi));
        builder.Services.AddRouting();
        builder.Services.AddHealthChecks()
            .AddCheck("ready", () => Fault(roles) is { } fault ? HealthCheckResult.Unhealthy(fault) : HealthCheckResult.Healthy());
        builder.Services.AddGrpc(options => options.MaxReceiveMessageSize = 16 << 20);
        _telemetry.AddTraces(builder.Services);
        foreach (var role in roles)
        {
            role.Configure(builder.Services);
        }

        var app = builder.Build();
        app.UseRequestPaths(_flags.GetValue(_server.RoutePrefix)!);
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
        app.MapMethods("/-/ready", ["GET", "HEAD"], () => Fault(roles) is { } fault
            ? Results.Text($"Service Unavailable: {fault}\n", statusCode: StatusCodes.Status503ServiceUnavailable)
            : Results.Text($"Observe {_name} is Ready.\n"));
        app.MapMethods("/-/reload", ["POST", "PUT"], async () =>
        {
            if (!_flags.GetValue(_server.EnableLifecycle))
            {
                return Results.Text("Lifecycle API is not enabled.", statusCode: StatusCodes.Status403Forbidden);
            }

            var error = await _reloading.RunAsync(roles);
            return error is null
                ? Results.Ok()
                : Results.Text("failed to reload config: " + error, statusCode: StatusCodes.Status500InternalServerError);
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

    /// <summary>The reason why the process cannot do its work at present; null when it can.</summary>
    string? Fault(IReadOnlyList<IRole> roles)
    {
        var faults = new[] { _phase }.Concat(roles.Select(role => role.Fault)).Concat(Loops.Faults()).OfType<string>().ToList();
        return faults.Count == 0 ? null : string.Join("; ", faults);
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
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical);

        // Not being ready, as at each start and stop, is no error of the process.
        logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.Critical);
        logging.AddFilter("Microsoft", level == LogLevel.Debug ? LogLevel.Information : LogLevel.Warning);
        logging.AddConsole(options =>
        {
            options.FormatterName = LogFormatter.FormatName;
            options.LogToStandardErrorThreshold = LogLevel.Trace;
        });
        logging.Services.AddSingleton<ConsoleFormatter>(new LogFormatter(Time, json, stacks: level == LogLevel.Debug));
        _telemetry.AddLogs(logging);
    }

    /// <summary>The URL that a person on this machine opens.</summary>
    static string Url(WebApplication app) =>
        Addresses(app).First().Replace("0.0.0.0", IPAddress.Loopback.ToString(), StringComparison.Ordinal);

    /// <summary>The address of HTTP, and behind it that of gRPC where there is one.</summary>
    static ICollection<string> Addresses(WebApplication app) =>
        app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;

    /// <summary>Prints the addresses that the process listens on, with the ports that the system chose.</summary>
    static void LogListening(ILogger log, WebApplication app)
    {
        var addresses = Addresses(app).Select(a => new Uri(a).Authority).ToList();
        LogListening(log, addresses[0], addresses.ElementAtOrDefault(1));
    }

    [LoggerMessage(LogLevel.Information, "listening")]
    static partial void LogListening(ILogger logger, string http, string? grpc);

    [LoggerMessage(LogLevel.Information, "stopping")]
    static partial void LogStopping(ILogger logger);

    [LoggerMessage(LogLevel.Critical, "stopping, since a part of the process is at its end: {Reason}")]
    static partial void LogEnded(ILogger logger, string reason);
}
