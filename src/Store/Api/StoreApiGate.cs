using Grpc.Core;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;

namespace Observe.Store.Api;

/// <summary>How calls of the store API are served.</summary>
public sealed record StoreApiOptions
{
    /// <summary>The threads that calls compute on, which the caller owns; null: the thread pool.</summary>
    public ComputeThreads? Threads { get; init; }

    /// <summary>
    /// Calls of Series that are served at once; more wait for their turn (<c>--store.grpc.series-max-concurrency</c>). 0 is no limit.
    /// </summary>
    public int MaxConcurrentSeries { get; init; } = 20;

    /// <summary>
    /// How long a call may take, waiting included, whatever the peer's own deadline is (<c>--store.grpc.timeout</c>). Zero is no limit.
    /// </summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Limits how many calls run at once and how long each takes, and runs calls on the threads of queries.</summary>
sealed class StoreApiGate(StoreApiOptions options, StoreApiMetrics? metrics)
{
    readonly SemaphoreSlim? _series = options.MaxConcurrentSeries > 0 ? new SemaphoreSlim(options.MaxConcurrentSeries) : null;

    /// <summary>Runs a call of Series when it is its turn.</summary>
    public async Task RunSeriesAsync(ServerCallContext context, Func<QueryContext, Task> answer)
    {
        if (_series is null)
        {
            await RunAsync(context, answer);
            return;
        }

        using var time = new CallTime(context, options);
        var slot = QuerySlot.Unlimited;
        using (metrics?.WaitForTurn(options.MaxConcurrentSeries))
        {
            await time.WithinAsync(
                "waiting for its turn (--store.grpc.series-max-concurrency)",
                async token => slot = await QuerySlot.TakeAsync(_series, token));
        }

        try
        {
            using var running = metrics?.CountSeries();
            await ComputeAsync(time, slot, answer);
        }
        finally
        {
            slot.End();
        }
    }

    public async Task RunAsync(ServerCallContext context, Func<QueryContext, Task> answer)
    {
        using var time = new CallTime(context, options);
        await ComputeAsync(time, QuerySlot.Unlimited, answer);
    }

    // An answer begins on the thread that asks, and yields where it is not small.
    Task ComputeAsync(CallTime time, QuerySlot slot, Func<QueryContext, Task> answer) =>
        time.WithinAsync("being served", token =>
        {
            var query = new QueryContext(token) { Deadline = time.Deadline }.Within(slot, token);
            return options.Threads is { } threads ? threads.RunAsync(() => answer(query), mayRunInline: true) : answer(query);
        });

    /// <summary>The time that a call has: until the peer's deadline, and no longer than the store's own limit.</summary>
    sealed class CallTime : IDisposable
    {
        readonly CancellationToken _peer;
        readonly CancellationTokenSource _limit;
        readonly CancellationTokenSource _either;

        public CallTime(ServerCallContext context, StoreApiOptions options)
        {
            _peer = context.CancellationToken;
            var own = options.Timeout > TimeSpan.Zero ? options.Timeout : System.Threading.Timeout.InfiniteTimeSpan;
            Deadline = Of(context, own, options.Time);
            _limit = new CancellationTokenSource(own, options.Time);
            _either = CancellationTokenSource.CreateLinkedTokenSource(_peer, _limit.Token);
        }

        /// <summary>The peer's or the store's own, whichever is earlier; peers have real clocks.</summary>
        public Deadline Deadline { get; }

        public async Task WithinAsync(string what, Func<CancellationToken, Task> run)
        {
            try
            {
                await run(_either.Token);
            }
            catch (OperationCanceledException e) when (e is DeadlineException
                || (_limit.IsCancellationRequested && !_peer.IsCancellationRequested))
            {
                throw new RpcException(new Status(
                    StatusCode.DeadlineExceeded,
                    $"call took longer than {Duration.Format(Deadline.Timeout)} ({Deadline.Source}), {what}", e));
            }
        }

        static Deadline Of(ServerCallContext context, TimeSpan own, TimeProvider time)
        {
            if (context.Deadline != DateTime.MaxValue)
            {
                var left = context.Deadline - TimeProvider.System.GetUtcNow().UtcDateTime;
                if (own < TimeSpan.Zero || left < own)
                {
                    return Deadline.After(left, TimeProvider.System, "the call's deadline");
                }
            }

            return own < TimeSpan.Zero ? Deadline.None : Deadline.After(own, time, "--store.grpc.timeout");
        }

        public void Dispose()
        {
            _either.Dispose();
            _limit.Dispose();
        }
    }
}
