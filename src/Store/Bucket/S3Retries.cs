using Polly;
using Polly.Retry;

namespace Observe.Store.Bucket;

/// <summary>
/// Attempts of one bucket's requests: pauses that double with jitter, and a budget over all of them, so that an outage is not answered
/// by ten times the load. An attempt has a time limit of its own.
/// </summary>
sealed class S3Retries
{
    const int Budget = 100;
    const long BytesPerSecond = 128 << 10;

    readonly ResiliencePipeline _pipeline;
    readonly TimeSpan _limit;
    readonly TimeProvider _time;
    int _left = Budget;

    public S3Retries(S3Config config, TimeProvider time)
    {
        (_limit, _time) = (config.Http.ResponseHeaderTimeout, time);
        _pipeline = config.MaxRetries == 0
            ? ResiliencePipeline.Empty
            : new ResiliencePipelineBuilder { TimeProvider = time }
                .AddRetry(new RetryStrategyOptions
                {
                    BackoffType = DelayBackoffType.Exponential,
                    UseJitter = true,
                    Delay = config.RetryDelay,
                    MaxDelay = TimeSpan.FromSeconds(20),
                    MaxRetryAttempts = config.MaxRetries,
                    ShouldHandle = a => ValueTask.FromResult(a.Outcome.Exception is { } e && S3Failure.IsTransient(e) && TrySpend()),
                })
                .Build();
    }

    /// <param name="bytes">How much the attempt moves: more bytes may take more time.</param>
    public async Task<T> RunAsync<T>(long bytes, Func<CancellationToken, Task<T>> attempt, CancellationToken cancellationToken)
    {
        var limit = _limit + TimeSpan.FromSeconds((double)bytes / BytesPerSecond);
        var result = await _pipeline.ExecuteAsync(
            async token =>
            {
                using var timer = new CancellationTokenSource(limit, _time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(token, timer.Token);
                try
                {
                    return await attempt(either.Token);
                }
                catch (OperationCanceledException e) when (!token.IsCancellationRequested)
                {
                    // The time limit of the attempt, or one inside HttpClient, as that of a connection.
                    throw new TimeoutException(timer.IsCancellationRequested ? $"no answer within {limit.TotalSeconds:0} s" : e.Message, e);
                }
            },
            cancellationToken);
        Refund();
        return result;
    }

    bool TrySpend()
    {
        var left = Interlocked.Decrement(ref _left);
        if (left < 0)
        {
            Interlocked.Increment(ref _left);
        }

        return left >= 0;
    }

    void Refund()
    {
        if (Interlocked.Increment(ref _left) > Budget)
        {
            Interlocked.Decrement(ref _left);
        }
    }
}
