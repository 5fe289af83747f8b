using System.Collections.Concurrent;

namespace Observe.EndToEnd.Tests;

/// <summary>
/// The simplest query, asked again and again beside others: how late its answer is tells how long the machine and the process as a whole
/// stood still, whatever the others have to answer for themselves.
/// </summary>
sealed class ProbeQueries : IAsyncDisposable
{
    readonly ConcurrentQueue<(long Sent, long Answered)> _asked = new();
    readonly CancellationTokenSource _stop = new();
    readonly Task _asking;

    public ProbeQueries(ObserveProcess observe) => _asking = Task.Run(() => AskAsync(observe));

    /// <summary>All of them, the quickest first.</summary>
    public TimeSpan[] Durations => [.. _asked.Select(a => TimeProvider.System.GetElapsedTime(a.Sent, a.Answered)).Order()];

    /// <summary>The longest that was under way between two timestamps.</summary>
    public TimeSpan Longest(long from, long to) => _asked.Where(a => a.Sent <= to && a.Answered >= from)
        .Select(a => TimeProvider.System.GetElapsedTime(a.Sent, a.Answered)).DefaultIfEmpty().Max();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _asking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    async Task AskAsync(ObserveProcess observe)
    {
        using var often = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        do
        {
            var sent = TimeProvider.System.GetTimestamp();
            using var response = await observe.Http.GetAsync("api/v1/query?query=1", _stop.Token);
            _asked.Enqueue((sent, TimeProvider.System.GetTimestamp()));
        }
        while (await often.WaitForNextTickAsync(_stop.Token));
    }
}
