using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Observe.Tsdb.Threading;
using Prometheus;
using Xunit;

namespace Observe.Tsdb.Tests.Threading;

public sealed class BackgroundLoopTests : IDisposable
{
    static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddDays(20_000));
    readonly CollectorRegistry _registry = Metrics.NewCustomRegistry();
    readonly CancellationTokenSource _stop = new();
    readonly LinesLogger _log = new();
    readonly LoopSupervisor _supervisor;

    public BackgroundLoopTests() => _supervisor = new LoopSupervisor(_registry);

    public void Dispose() => _stop.Dispose();

    public static TheoryData<Exception> Unexpected =>
    [
        new InvalidOperationException("unforeseen"), new OperationCanceledException(), new ArgumentException("x"),
        new UnauthorizedAccessException(), new InsufficientMemoryException(), new IOException(), new AggregateException(),
    ];

    [Theory]
    [MemberData(nameof(Unexpected))]
    public Task Whatever_a_step_throws_the_loop_goes_on(Exception thrown) => InTurnAsync(async () =>
    {
        var steps = new Steps();
        var running = Loop().RepeatAsync(steps.Throwing(thrown, times: 2), _stop.Token);
        await AdvanceUntilAsync(() => steps.Taken == 5);
        Assert.False(running.IsCompleted);
        Assert.Equal(2, (await MetricAsync("observe_loop_failures_total{loop=\"under test\"}"))!);
        Assert.Contains(_log.Lines, line => line.Contains("under test", StringComparison.Ordinal) && line.Contains(thrown.GetType().Name, StringComparison.Ordinal));
        await EndAsync(running);
    });

    [Fact]
    public Task A_step_that_says_why_it_failed_is_counted_and_not_logged_again() => InTurnAsync(async () =>
    {
        var steps = new Steps();
        var loop = Loop();
        var running = loop.RepeatAsync(_ => Task.FromResult(++steps.Taken == 1 ? "the bucket is away" : null), _stop.Token);
        await AdvanceUntilAsync(() => loop.Failures == 1);
        Assert.Equal("the bucket is away", loop.LastError);
        await AdvanceUntilAsync(() => steps.Taken == 2);
        Assert.Equal(1, await MetricAsync("observe_loop_failures_total{loop=\"under test\"}"));
        Assert.DoesNotContain(_log.Lines, line => line.StartsWith("Error", StringComparison.Ordinal));
        await EndAsync(running);
    });

    [Fact]
    public Task Pauses_double_with_each_failure_up_to_a_bound_and_a_success_ends_them() => InTurnAsync(async () =>
    {
        var times = new List<DateTimeOffset>();
        var running = Loop(maxBackoff: TimeSpan.FromSeconds(60)).RepeatAsync(
            _ =>
            {
                times.Add(_time.GetUtcNow());
                return times.Count is > 1 and < 8 ? throw new InvalidOperationException() : Task.CompletedTask;
            },
            _stop.Token);
        await AdvanceUntilAsync(() => times.Count == 10, TimeSpan.FromMilliseconds(100));
        var pauses = times.Zip(times.Skip(1), (a, b) => (b - a).TotalSeconds).ToList();
        (double Least, double Most)[] expected = [(10, 10), (10, 20), (20, 40), (30, 60), (30, 60), (30, 60), (30, 60), (10, 10), (10, 10)];
        Assert.All(pauses.Zip(expected), p => Assert.InRange(p.First, p.Second.Least - 0.2, p.Second.Most + 0.3));
        await EndAsync(running);
    });

    [Fact]
    public Task A_loop_that_is_woken_takes_its_step_after_the_delay_and_not_at_the_interval() => InTurnAsync(async () =>
    {
        var steps = new Steps();
        var loop = Loop(wakeDelay: TimeSpan.FromSeconds(2), interval: Timeout.InfiniteTimeSpan);
        var running = loop.RepeatAsync(steps.Counting, _stop.Token);
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(0, steps.Taken);
        var woken = _time.GetUtcNow();
        loop.Wake();
        loop.Wake();
        await AdvanceUntilAsync(() => steps.Taken == 1, TimeSpan.FromMilliseconds(100));
        Assert.InRange(_time.GetUtcNow() - woken, TimeSpan.FromSeconds(1.9), TimeSpan.FromSeconds(4));
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(1, steps.Taken);
        await EndAsync(running);
    });

    [Fact]
    public Task A_needed_loop_that_fails_three_times_is_a_fault_until_it_succeeds() => InTurnAsync(async () =>
    {
        var steps = new Steps();
        var loop = Loop(needed: true);
        var running = loop.RepeatAsync(steps.Throwing(new InvalidOperationException("no meta folder"), times: 4), _stop.Token);
        await AdvanceUntilAsync(() => loop.Failures == 2);
        Assert.Empty(_supervisor.Faults());
        await AdvanceUntilAsync(() => loop.Failures == 3);
        Assert.Equal("under test failed 3 times in a row: InvalidOperationException: no meta folder", Assert.Single(_supervisor.Faults()));
        Assert.False(loop.Succeeded.IsCompleted);
        await AdvanceUntilAsync(() => loop.Failures == 0);
        Assert.Empty(_supervisor.Faults());
        await loop.Succeeded;
        await EndAsync(running);
    });

    [Fact]
    public Task The_time_of_the_last_success_is_absent_before_the_first() => InTurnAsync(async () =>
    {
        var steps = new Steps();
        var loop = Loop();
        var running = loop.RepeatAsync(steps.Throwing(new InvalidOperationException(), times: 1), _stop.Token);
        await AdvanceUntilAsync(() => loop.Failures == 1);
        Assert.Null(await MetricAsync("observe_loop_last_success_timestamp_seconds{loop=\"under test\"}"));
        await AdvanceUntilAsync(() => loop.Failures == 0);
        Assert.InRange(
            (await MetricAsync("observe_loop_last_success_timestamp_seconds{loop=\"under test\"}"))!.Value, 20_000 * 86_400, _time.GetUtcNow().ToUnixTimeSeconds());
        await EndAsync(running);
    });

    [Fact]
    public Task A_loop_that_nobody_told_to_end_is_reported() => InTurnAsync(async () =>
    {
        var loop = new BackgroundLoop(new LoopOptions
        {
            Name = "clockless",
            Interval = s_interval,
            Time = new BrokenClock(),
            Logger = _log,
            Supervisor = _supervisor,
        });
        await Assert.ThrowsAsync<InvalidOperationException>(() => loop.RepeatAsync(_ => Task.CompletedTask, _stop.Token));
        Assert.Equal("clockless ended: InvalidOperationException: no timer", await _supervisor.Ended);
    });

    [Fact]
    public Task A_step_that_is_cancelled_or_throws_while_it_is_stopped_ends_in_peace() => InTurnAsync(async () =>
    {
        var begun = new TaskCompletionSource();
        var running = Loop(atOnce: true).RepeatAsync(
            async token =>
            {
                begun.SetResult();
                await Task.WhenAny(Task.Delay(Timeout.Infinite, token));
                throw new IOException("the connection was closed");
            },
            _stop.Token);
        await begun.Task;
        await _stop.CancelAsync();
        await running;
        Assert.False(_supervisor.Ended.IsCompleted);
        Assert.Empty(_log.Lines);
    });

    [Fact]
    public Task What_is_kept_running_begins_anew_when_it_throws_and_may_end_by_itself() => InTurnAsync(async () =>
    {
        var runs = 0;
        var running = Loop().KeepRunningAsync(_ => ++runs < 3 ? throw new InvalidOperationException() : Task.CompletedTask, _stop.Token);
        await AdvanceUntilAsync(() => running.IsCompleted);
        await running;
        Assert.Equal(3, runs);
        Assert.False(_supervisor.Ended.IsCompleted);
    });

    BackgroundLoop Loop(bool needed = false, bool atOnce = false, TimeSpan? interval = null, TimeSpan? maxBackoff = null, TimeSpan? wakeDelay = null) => new(new LoopOptions
    {
        Name = "under test",
        Interval = interval ?? s_interval,
        Time = _time,
        Random = new Random(7),
        Logger = _log,
        Supervisor = _supervisor,
        IsNeeded = needed,
        StartsAtOnce = atOnce,
        MaxBackoff = maxBackoff ?? TimeSpan.FromMinutes(1),
        WakeDelay = wakeDelay is { } delay ? () => delay : null,
    });

    async Task EndAsync(Task running)
    {
        await _stop.CancelAsync();
        await running;
        Assert.False(_supervisor.Ended.IsCompleted);
    }

    /// <summary>Test and loop never run at once: each goes on where the other waits, so that no moment of the clock is missed.</summary>
    static Task InTurnAsync(Func<Task> test) => Task.Factory.StartNew(
        test, CancellationToken.None, TaskCreationOptions.None, new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler).Unwrap();

    /// <summary>Lets time pass until something is so; the loop gets its turn in between.</summary>
    async Task AdvanceUntilAsync(Func<bool> isSo, TimeSpan? step = null)
    {
        for (var i = 0; !isSo(); i++)
        {
            Assert.True(i < 20_000, "it did not come about");
            _time.Advance(step ?? TimeSpan.FromSeconds(1));
            for (var turn = 0; turn < 20 && !isSo(); turn++)
            {
                await Task.Yield();
            }
        }
    }

    async Task<double?> MetricAsync(string name)
    {
        using var text = new MemoryStream();
        await _registry.CollectAndExportAsTextAsync(text);
        var line = Encoding.UTF8.GetString(text.ToArray()).Split('\n').FirstOrDefault(l => l.StartsWith(name + " ", StringComparison.Ordinal));
        return line is null ? null : double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    sealed class Steps
    {
        public int Taken { get; set; }

        public Task Counting(CancellationToken cancellationToken)
        {
            Taken++;
            return Task.CompletedTask;
        }

        public Func<CancellationToken, Task> Throwing(Exception e, int times) => _ => ++Taken <= times ? throw e : Task.CompletedTask;
    }

    sealed class BrokenClock : TimeProvider
    {
        public override System.Threading.ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => throw new InvalidOperationException("no timer");
    }

    sealed class LinesLogger : ILogger
    {
        readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines)
                {
                    return [.. _lines];
                }
            }
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines)
            {
                _lines.Add($"{logLevel}: {formatter(state, exception)} {exception?.GetType().Name}");
            }
        }
    }
}
