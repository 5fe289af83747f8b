using System.CommandLine;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using Observe.Hosting;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>A host in this process, with the roles of a test in it.</summary>
sealed class RunningHost : IAsyncDisposable
{
    readonly RoleHost _host;
    readonly CapturedLog _log = new();
    readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    RunningHost(RoleHost host) => _host = host;

    public Task<int> Exit { get; private set; } = null!;

    public HttpClient Http { get; } = new();

    /// <summary>Completes when it says that it is ready.</summary>
    public Task Ready => _ready.Task;

    /// <summary>What its log has so far: level, component, message, exception.</summary>
    public IReadOnlyCollection<string> Log => _log.Lines;

    public static Task<RunningHost> StartAsync(Func<RoleHost, IReadOnlyList<IRole>> roles, params string[] flags) =>
        StartAsync(TimeProvider.System, roles, flags);

    public static async Task<RunningHost> StartAsync(TimeProvider time, Func<RoleHost, IReadOnlyList<IRole>> roles, params string[] flags)
    {
        var server = new ServerFlags(0, 0, loopback: true);
        var command = new Command("test");
        server.AddTo(command);
        var host = new RoleHost("test", command.Parse(["--web.enable-lifecycle", .. flags]), server, time);
        var running = new RunningHost(host);
        host.Logging.AddProvider(running._log);
        var first = new FirstRole();
        running.Exit = host.RunAsync([first, .. roles(host)], url =>
        {
            running._ready.TrySetResult(new Uri(url));
            return "";
        });
        await Task.WhenAny(first.Listening.Task, running.Exit);
        running.Http.BaseAddress = await first.Listening.Task.WaitAsync(TimeSpan.FromSeconds(30));
        return running;
    }

    public async Task<(int Status, string Text)> GetAsync(string path)
    {
        using var response = await Http.GetAsync(path);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    public async Task<(int Status, string Text)> PostAsync(string path)
    {
        using var response = await Http.PostAsync(path, null);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>A metric's value; null while it has none.</summary>
    public async Task<double?> MetricAsync(string name)
    {
        var line = (await Http.GetStringAsync("metrics")).Split('\n').FirstOrDefault(l => l.StartsWith(name + " ", StringComparison.Ordinal));
        return line is null ? null : double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    public Task UntilAsync(Func<Task<bool>> ask, string what) => Eventually.TrueAsync(ask, TimeSpan.FromSeconds(60), what);

    public async Task<int> StopAsync()
    {
        Assert.Equal(200, (await PostAsync("-/quit")).Status);
        return await Exit.WaitAsync(TimeSpan.FromSeconds(60));
    }

    public async ValueTask DisposeAsync()
    {
        if (!Exit.IsCompleted)
        {
            await StopAsync();
        }

        Http.Dispose();
        _host.Dispose();
    }

    /// <summary>Learns where the host listens before it is ready.</summary>
    sealed class FirstRole : IRole
    {
        WebApplication? _app;

        public TaskCompletionSource<Uri> Listening { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Name => "first";

        public void Map(WebApplication app) => _app = app;

        public Task StartAsync(CancellationToken cancellationToken)
        {
            Listening.SetResult(new Uri(_app!.Urls.First()));
            return Task.CompletedTask;
        }

        public Task StopAsync(StopSequence stop, CancellationToken grace) => Task.CompletedTask;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    sealed class CapturedLog : ILoggerProvider
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => new Component(categoryName, Lines);

        public void Dispose()
        {
        }

        sealed class Component(string name, ConcurrentQueue<string> lines) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                lines.Enqueue($"{logLevel}: {formatter(state, exception)}: {exception?.GetType().Name}: {exception?.Message} ({name})");
        }
    }
}
