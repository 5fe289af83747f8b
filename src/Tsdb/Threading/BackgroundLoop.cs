using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Observe.Tsdb.Threading;

public sealed record LoopOptions
{
    /// <summary>As log lines and metrics have it: words in lower case.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// From the end of a step to the begin of the next one; infinite for a loop that only <see cref="BackgroundLoop.Wake"/> drives.
    /// </summary>
    public required TimeSpan Interval { get; init; }

    public required TimeProvider Time { get; init; }

    public Random Random { get; init; } = new();

    public ILogger Logger { get; init; } = NullLogger.Instance;

    public LoopSupervisor Supervisor { get; init; } = new();

    /// <summary>The first step is taken at once instead of an interval after the start.</summary>
    public bool StartsAtOnce { get; init; }

    /// <summary>The process cannot do its work while this loop fails: it is not ready then.</summary>
    public bool IsNeeded { get; init; }

    /// <summary>The longest pause after failures, unless the interval is longer.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a step that <see cref="BackgroundLoop.Wake"/> asked for waits; asked each time.</summary>
    public Func<TimeSpan>? WakeDelay { get; init; }
}

/// <summary>
/// The one way to run something in the background. Whatever a step throws, also a cancellation that nobody asked for, is logged and
/// counted, and the loop goes on after a pause that doubles with each failure. It ends when it is told to, and never else.
/// </summary>
public sealed partial class BackgroundLoop
{
    static readonly TimeSpan s_leastBackoff = TimeSpan.FromSeconds(1);

    readonly LoopOptions _options;
    readonly TaskCompletionSource _succeeded = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Holds an element when a step is due: true when it was asked for, false when it is time.</summary>
    readonly Channel<bool> _due = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    volatile int _failures;
    volatile string _lastError = "";

    public BackgroundLoop(LoopOptions options) => _options = options;

    public string Name => _options.Name;

    /// <summary>How often it failed since it last succeeded.</summary>
    public int Failures => _failures;

    /// <summary>Why the newest of those failed; "" while none has.</summary>
    public string LastError => _lastError;

    /// <summary>Completes with the first step that succeeds.</summary>
    public Task Succeeded => _succeeded.Task;

    /// <summary>A step is due, also while another one is under way or the loop waits after a failure.</summary>
    public void Wake() => _due.Writer.TryWrite(true);

    /// <summary>Takes step after step until it is cancelled.</summary>
    public Task RepeatAsync(Func<CancellationToken, Task> step, CancellationToken cancellationToken) =>
        RepeatAsync(Always(step), cancellationToken);

    /// <summary>Takes step after step until it is cancelled.</summary>
    /// <param name="step">Returns why it failed, which it has logged itself; null when it succeeded.</param>
    public Task RepeatAsync(Func<CancellationToken, Task<string?>> step, CancellationToken cancellationToken) =>
        SuperviseAsync(token => StepsAsync(step, token), cancellationToken);

    /// <summary>Runs something that ends by itself once its work is done, and begins it anew when it throws.</summary>
    public Task KeepRunningAsync(Func<CancellationToken, Task> run, CancellationToken cancellationToken) => SuperviseAsync(
        async token =>
        {
            var start = _options.Time.GetTimestamp();
            while (!await TryAsync(Always(run), token))
            {
                if (_options.Time.GetElapsedTime(start) > _options.MaxBackoff)
                {
                    _failures = 1;
                }

                await Task.Delay(Backoff(), _options.Time, token);
                start = _options.Time.GetTimestamp();
            }
        },
        cancellationToken);

    static Func<CancellationToken, Task<string?>> Always(Func<CancellationToken, Task> step) => async token =>
    {
        await step(token);
        return null;
    };

    async Task SuperviseAsync(Func<CancellationToken, Task> run, CancellationToken cancellationToken)
    {
        if (_options.IsNeeded)
        {
            _options.Supervisor.Add(this);
        }

        try
        {
            await Task.Yield();
            await run(cancellationToken);
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            // Told to end; what a step throws on its way out is of no interest.
        }
        catch (Exception e)
        {
            LogEnded(_options.Logger, Name, e);
            _options.Supervisor.ReportEnd(this, e);
            throw;
        }
        finally
        {
            _options.Supervisor.Remove(this);
        }
    }

    async Task StepsAsync(Func<CancellationToken, Task<string?>> step, CancellationToken cancellationToken)
    {
        await using var timer = _options.Time.CreateTimer(
            static due => ((ChannelWriter<bool>)due!).TryWrite(false), _due.Writer, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        for (var pause = _options.StartsAtOnce
            ? TimeSpan.Zero : _options.Interval; ; pause = await TryAsync(step, cancellationToken) ? _options.Interval : Backoff())
        {
            timer.Change(pause, Timeout.InfiniteTimeSpan);
            if (await _due.Reader.ReadAsync(cancellationToken) && _options.WakeDelay?.Invoke() is { } delay)
            {
                await Task.Delay(delay, _options.Time, cancellationToken);
            }

            // What asked for a step up to here gets this one.
            timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _due.Reader.TryRead(out _);
        }
    }

    async Task<bool> TryAsync(Func<CancellationToken, Task<string?>> step, CancellationToken cancellationToken)
    {
        try
        {
            if (await step(cancellationToken) is not { } reason)
            {
                Succeed();
                return true;
            }

            Fail(reason);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            Fail($"{e.GetType().Name}: {e.Message}");
            LogFailed(_options.Logger, Name, _failures, e);
        }

        return false;
    }

    void Succeed()
    {
        if (_failures > 0)
        {
            LogRecovered(_options.Logger, Name, _failures);
        }

        _failures = 0;
        _options.Supervisor.LastSuccess.WithLabels(Name).Set(_options.Time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        _succeeded.TrySetResult();
    }

    void Fail(string reason)
    {
        _lastError = reason;
        _failures++;
        _options.Supervisor.Failures.WithLabels(Name).Inc();
    }

    /// <summary>Twice as long with each failure; between half of that and all of it, so that loops do not stay in step.</summary>
    TimeSpan Backoff()
    {
        var first = _options.Interval > s_leastBackoff ? _options.Interval : s_leastBackoff;
        var most = first > _options.MaxBackoff ? first : _options.MaxBackoff;
        var doubled = first * Math.Pow(2, Math.Min(_failures, 16));
        var pause = doubled < most ? doubled : most;
        return (pause / 2) + (pause / 2 * _options.Random.NextDouble());
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "a background loop failed and goes on: {Loop}, {Failures} times in a row")]
    static partial void LogFailed(ILogger logger, string loop, int failures, Exception e);

    [LoggerMessage(Level = LogLevel.Information, Message = "a background loop works again: {Loop}, after {Failures} failures")]
    static partial void LogRecovered(ILogger logger, string loop, int failures);

    [LoggerMessage(Level = LogLevel.Critical, Message = "a background loop ended though nobody stopped it: {Loop}")]
    static partial void LogEnded(ILogger logger, string loop, Exception e);
}
