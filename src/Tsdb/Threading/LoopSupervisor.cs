using Prometheus;

namespace Observe.Tsdb.Threading;

/// <summary>
/// Watches the background loops of a process: counts what fails, says what keeps the process from its work, and tells when a loop has
/// ended that nobody stopped. Thread-safe.
/// </summary>
public sealed class LoopSupervisor
{
    /// <summary>After so many failures in a row a loop that is needed keeps the process from its work.</summary>
    const int TooManyFailures = 3;

    readonly Lock _sync = new();
    readonly List<BackgroundLoop> _needed = [];
    readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="registry">Where the metrics go; null: nowhere.</param>
    public LoopSupervisor(CollectorRegistry? registry = null)
    {
        var metrics = Metrics.WithCustomRegistry(registry ?? Metrics.NewCustomRegistry());
        Failures = metrics.CreateCounter(
            "observe_loop_failures_total", "Steps of a background loop that failed; each is tried again.", "loop");
        LastSuccess = metrics.CreateGauge(
            "observe_loop_last_success_timestamp_seconds", "When a background loop last took a step that succeeded.",
            new GaugeConfiguration { LabelNames = ["loop"], SuppressInitialValue = true });
    }

    /// <summary>Completes when a loop has ended though nobody told it to; says which, and why.</summary>
    public Task<string> Ended => _ended.Task;

    internal Counter Failures { get; }

    internal Gauge LastSuccess { get; }

    /// <summary>What the process cannot do at present: a line for each loop that is needed and fails again and again.</summary>
    public IReadOnlyList<string> Faults()
    {
        lock (_sync)
        {
            return [.. _needed.Where(loop => loop.Failures >= TooManyFailures)
                .Select(loop => $"{loop.Name} failed {loop.Failures} times in a row: {loop.LastError}").Distinct()];
        }
    }

    internal void Add(BackgroundLoop loop)
    {
        lock (_sync)
        {
            _needed.Add(loop);
        }
    }

    internal void Remove(BackgroundLoop loop)
    {
        lock (_sync)
        {
            _needed.Remove(loop);
        }
    }

    internal void ReportEnd(BackgroundLoop loop, Exception e) => _ended.TrySetResult($"{loop.Name} ended: {e.GetType().Name}: {e.Message}");
}
