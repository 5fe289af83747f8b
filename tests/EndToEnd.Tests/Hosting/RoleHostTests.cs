using Observe.Hosting;
using Observe.Tsdb.Threading;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>How a process starts, reloads and stops, with roles that do what is hard on it.</summary>
public sealed class RoleHostTests
{
    [Fact]
    public async Task Every_step_of_a_stop_is_taken_whatever_another_throws()
    {
        var (a, b, c) = (new TestRole("a"), new TestRole("b") { Stop = () => throw new InvalidOperationException("no way") }, new TestRole("c"));
        b.Dispose = () => throw new IOException("stuck");
        await using var host = await RunningHost.StartAsync(_ => [a, b, c]);
        await host.Ready;
        Assert.Equal(1, await host.StopAsync());
        Assert.All(new[] { a, b, c }, role => Assert.Equal(["start", "stop", "last step", "dispose"], role.Calls));
        Assert.Contains(host.Log, line => line.StartsWith("Error", StringComparison.Ordinal) && line.Contains("no way", StringComparison.Ordinal));
        Assert.Contains(host.Log, line => line.StartsWith("Error", StringComparison.Ordinal) && line.Contains("stuck", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_stop_without_faults_exits_with_0()
    {
        var role = new TestRole("a");
        await using var host = await RunningHost.StartAsync(_ => [role]);
        await host.Ready;
        Assert.Equal(0, await host.StopAsync());
        Assert.Equal(["start", "stop", "last step", "dispose"], role.Calls);
    }

    [Fact]
    public async Task A_start_that_breaks_off_stops_what_had_begun_and_closes_all()
    {
        var (a, b, c) = (new TestRole("a"), new TestRole("b") { Start = _ => throw new FlagException("--data-dir: no") }, new TestRole("c"));
        await using var host = await RunningHost.StartAsync(_ => [a, b, c]);
        Assert.Equal("--data-dir: no", (await Assert.ThrowsAsync<FlagException>(() => host.Exit)).Message);
        Assert.Equal(["start", "stop", "last step", "dispose"], a.Calls);
        Assert.Equal(["start", "stop", "last step", "dispose"], b.Calls);
        Assert.Equal(["dispose"], c.Calls);
    }

    [Fact]
    public async Task A_stop_during_the_start_is_a_stop()
    {
        var (a, b) = (new TestRole("a"), new TestRole("b") { Start = token => Task.Delay(Timeout.Infinite, token) });
        await using var host = await RunningHost.StartAsync(_ => [a, b]);
        Assert.Equal(0, await host.StopAsync());
        Assert.Equal(["start", "stop", "last step", "dispose"], a.Calls);
        Assert.Equal(["start", "stop", "last step", "dispose"], b.Calls);
    }

    [Fact]
    public async Task A_loop_that_ends_though_nobody_stopped_it_ends_the_process_with_1()
    {
        var role = new TestRole("a");
        RoleHost? inner = null;
        await using var host = await RunningHost.StartAsync(h =>
        {
            inner = h;
            return [role];
        });
        await host.Ready;
        var loop = new BackgroundLoop(new LoopOptions { Name = "clockless", Interval = TimeSpan.FromSeconds(1), Time = new BrokenClock(), Supervisor = inner!.Loops });
        await Assert.ThrowsAsync<InvalidOperationException>(() => loop.RepeatAsync(_ => Task.CompletedTask, default));
        Assert.Equal(1, await host.Exit.WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal(["start", "stop", "last step", "dispose"], role.Calls);
        Assert.Contains(host.Log, line => line.StartsWith("Critical", StringComparison.Ordinal) && line.Contains("clockless ended", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Readiness_says_why_not_and_comes_back()
    {
        var (starting, working) = (new TaskCompletionSource(), new TaskCompletionSource());
        var role = new TestRole("a") { Start = _ => starting.Task, Works = working.Task };
        await using var host = await RunningHost.StartAsync(_ => [role]);
        var (status, text) = await host.GetAsync("-/ready");
        Assert.Equal((503, "Service Unavailable: a is starting\n"), (status, text));
        starting.SetResult();
        role.Fault = "the bucket has not been looked into yet";
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Text.Contains("looked into yet", StringComparison.Ordinal), "the role's fault");
        Assert.False(host.Ready.IsCompleted);
        role.Fault = null;
        working.SetResult();
        await host.Ready;
        Assert.Equal((200, "Observe test is Ready.\n"), await host.GetAsync("-/ready"));
        role.Fault = "the write-ahead log cannot be written: No space left on device";
        Assert.Equal((503, $"Service Unavailable: {role.Fault}\n"), await host.GetAsync("-/ready"));
        Assert.Equal(200, (await host.GetAsync("-/healthy")).Status);
        role.Fault = null;
        Assert.Equal(200, (await host.GetAsync("-/ready")).Status);
    }

    [Fact]
    public async Task A_reload_before_the_start_is_done_is_refused_counted_and_answered()
    {
        var starting = new TaskCompletionSource();
        var role = new TestRole("a") { Start = _ => starting.Task };
        await using var host = await RunningHost.StartAsync(_ => [role]);
        var (status, text) = await host.PostAsync("-/reload");
        Assert.Equal(500, status);
        Assert.Contains("the start is not done", text, StringComparison.Ordinal);
        Assert.Equal(0, await host.MetricAsync("prometheus_config_last_reload_successful"));
        starting.SetResult();
        await host.Ready;
        Assert.Equal(0, await host.MetricAsync("prometheus_config_last_reload_successful"));
        Assert.Equal(200, (await host.PostAsync("-/reload")).Status);
        Assert.Equal(1, await host.MetricAsync("prometheus_config_last_reload_successful"));
        Assert.Equal(["start", "reload"], role.Calls);
    }

    public static TheoryData<Exception> ReloadFaults =>
        [new FlagException("--config.expand-env: no X"), new FormatException("bad"), new UnauthorizedAccessException("denied"), new ArgumentException("unforeseen"), new OperationCanceledException("given up")];

    [Theory]
    [MemberData(nameof(ReloadFaults))]
    public async Task A_reload_that_fails_for_whatever_reason_is_logged_counted_and_answered(Exception thrown)
    {
        var role = new TestRole("a") { Reload = () => throw thrown };
        await using var host = await RunningHost.StartAsync(_ => [role]);
        await host.Ready;
        Assert.Equal(1, await host.MetricAsync("prometheus_config_last_reload_successful"));
        var (status, text) = await host.PostAsync("-/reload");
        Assert.Equal((500, "failed to reload config: " + thrown.Message), (status, text));
        Assert.Equal(0, await host.MetricAsync("prometheus_config_last_reload_successful"));
        Assert.Contains(host.Log, line => line.StartsWith("Error: configuration", StringComparison.Ordinal) && line.Contains(thrown.Message, StringComparison.Ordinal));
        role.Reload = () => Task.CompletedTask;
        Assert.Equal(200, (await host.PostAsync("-/reload")).Status);
        Assert.Equal(1, await host.MetricAsync("prometheus_config_last_reload_successful"));
    }

    [Fact]
    public async Task Reloads_take_turns()
    {
        var (running, most, release) = (0, 0, new TaskCompletionSource());
        var role = new TestRole("a")
        {
            Reload = async () =>
            {
                most = Math.Max(most, Interlocked.Increment(ref running));
                await release.Task;
                Interlocked.Decrement(ref running);
            },
        };
        await using var host = await RunningHost.StartAsync(_ => [role]);
        await host.Ready;
        var reloads = Enumerable.Range(0, 4).Select(_ => host.PostAsync("-/reload")).ToList();
        await host.UntilAsync(() => Task.FromResult(running == 1), "a first reload");
        release.SetResult();
        Assert.All(await Task.WhenAll(reloads), answer => Assert.Equal(200, answer.Status));
        Assert.Equal(1, most);
    }

    sealed class TestRole(string name) : IRole
    {
        public List<string> Calls { get; } = [];

        public Func<CancellationToken, Task> Start { get; init; } = _ => Task.CompletedTask;

        public Func<Task> Stop { get; init; } = () => Task.CompletedTask;

        public Func<Task> Reload { get; set; } = () => Task.CompletedTask;

        public Action Dispose { get; set; } = () => { };

        public Task Works { get; init; } = Task.CompletedTask;

        public string Name => name;

        public Task Working => Works;

        public string? Fault { get; set; }

        public Task StartAsync(CancellationToken cancellationToken)
        {
            Calls.Add("start");
            return Start(cancellationToken);
        }

        public Task ReloadAsync()
        {
            Calls.Add("reload");
            return Reload();
        }

        public async Task StopAsync(StopSequence stop, CancellationToken grace)
        {
            Calls.Add("stop");
            await stop.StepAsync("first step", Stop);
            await stop.StepAsync("last step", () =>
            {
                Calls.Add("last step");
                return Task.CompletedTask;
            });
        }

        public ValueTask DisposeAsync()
        {
            Calls.Add("dispose");
            Dispose();
            return ValueTask.CompletedTask;
        }
    }

    sealed class BrokenClock : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => throw new InvalidOperationException("no timer");
    }
}
