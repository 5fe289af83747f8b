using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>
/// What one selection fetches and holds, out of what its query may and out of what the store may hold for all queries. Bytes are taken
/// before they are asked for, so a query that would exceed a limit fails early and costs nothing. Disposing returns all that is held; what
/// was fetched stays counted with the query. Thread-safe.
/// </summary>
/// <param name="pool">For all queries of the store.</param>
/// <param name="fetchLimit">Of the whole query; 0 is no limit.</param>
sealed class ByteBudget(Budget pool, long fetchLimit, QueryContext query, BucketStoreMetrics metrics) : IDisposable
{
    readonly Budget _held = new(outer: query.Bytes);

    /// <summary>By the whole query.</summary>
    public long Fetched => query.Fetched.Taken;

    /// <summary>Before bytes are fetched from the bucket.</summary>
    /// <exception cref="LimitException">They are more than one query may fetch.</exception>
    public void CountFetch(long bytes)
    {
        if (query.Fetched.Count(bytes) > fetchLimit && fetchLimit > 0)
        {
            metrics.QueriesDropped.WithLabels("bytes").Inc();
            throw new LimitException(
                $"the query would fetch more than {fetchLimit} bytes from the bucket (--store.grpc.downloaded-bytes-limit)");
        }
    }

    /// <summary>Before memory is taken, which the selection holds to its end if it does not return it.</summary>
    /// <exception cref="LimitException">The query, or all queries together, would hold too much.</exception>
    public void ReserveMemory(long bytes)
    {
        try
        {
            pool.Take(bytes);
        }
        catch (LimitException)
        {
            metrics.QueriesDropped.WithLabels("memory").Inc();
            throw;
        }

        try
        {
            _held.Take(bytes);
        }
        catch (LimitException)
        {
            pool.Return(bytes);
            throw;
        }
    }

    public void ReturnMemory(long bytes)
    {
        _held.Return(bytes);
        pool.Return(bytes);
    }

    public void Dispose() => pool.Return(_held.ReturnAll());
}
