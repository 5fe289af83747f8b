using Observe.Store.Querying;

namespace Observe.Query.Promql;

/// <summary>Evaluates PromQL over any querier. Thread-safe; one for a process, since it holds the gate of concurrent queries.</summary>
public sealed class PromqlEngine : IDisposable
{
    readonly SemaphoreSlim _gate;

    public PromqlEngine(EngineOptions options)
    {
        Options = options;
        _gate = new SemaphoreSlim(options.MaxConcurrency > 0 ? options.MaxConcurrency : int.MaxValue);
    }

    public EngineOptions Options { get; }

    /// <summary>Evaluates at one time.</summary>
    /// <exception cref="Parsing.ParseException">The text is no PromQL (<c>bad_data</c>).</exception>
    /// <exception cref="QueryException">It can't be evaluated (<c>execution</c>).</exception>
    /// <exception cref="LimitException">It needs more than a limit allows; names limit and flag.</exception>
    /// <exception cref="QueryTimeoutException">It took too long.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<QueryResult> InstantAsync(IQuerier querier, InstantQuery query, CancellationToken cancellationToken) =>
        EvaluateAsync(query.Text, cancellationToken);

    /// <summary>Evaluates at each step from start to end; the result is a matrix. Exceptions as <see cref="InstantAsync"/>.</summary>
    public Task<QueryResult> RangeAsync(IQuerier querier, RangeQuery query, CancellationToken cancellationToken) =>
        EvaluateAsync(query.Text, cancellationToken);

    public void Dispose() => _gate.Dispose();

    async Task<QueryResult> EvaluateAsync(string text, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            throw new QueryException($"{text} is not supported yet");
        }
        finally
        {
            _gate.Release();
        }
    }
}
