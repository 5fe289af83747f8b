using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>Bytes that all queries of a store may hold together.</summary>
sealed class BytePool(long limit)
{
    long _taken;

    public long Limit => limit;

    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref _taken, bytes) <= limit)
        {
            return true;
        }

        Interlocked.Add(ref _taken, -bytes);
        return false;
    }

    public void Return(long bytes) => Interlocked.Add(ref _taken, -bytes);
}

/// <summary>
/// What one query may fetch and hold. Bytes are taken before they are asked for, so a query that would exceed a limit fails early and
/// costs nothing. Disposing gives all back. Thread-safe.
/// </summary>
sealed class ByteBudget(BytePool pool, long limit, BucketStoreMetrics metrics) : IDisposable
{
    long _fetched;
    long _held;

    public long Fetched => Volatile.Read(ref _fetched);

    /// <summary>Before bytes are fetched from the bucket.</summary>
    /// <exception cref="LimitException">They are more than one query may fetch.</exception>
    public void TakeFetch(long bytes)
    {
        if (Interlocked.Add(ref _fetched, bytes) > limit && limit > 0)
        {
            metrics.QueriesDropped.WithLabels("bytes").Inc();
            throw new LimitException($"the query would fetch more than {limit} bytes from the bucket (--store.grpc.downloaded-bytes-limit)");
        }
    }

    /// <summary>Before memory is taken, which the query holds to its end if it does not give it back.</summary>
    /// <exception cref="LimitException">All queries together would hold too much.</exception>
    public void TakeMemory(long bytes)
    {
        if (!pool.TryTake(bytes))
        {
            metrics.QueriesDropped.WithLabels("memory").Inc();
            throw new LimitException($"the queries under way hold as much memory as the store may use, {pool.Limit} bytes (--chunk-pool-size); try again later");
        }

        Interlocked.Add(ref _held, bytes);
    }

    public void ReturnMemory(long bytes)
    {
        Interlocked.Add(ref _held, -bytes);
        pool.Return(bytes);
    }

    public void Dispose() => pool.Return(Interlocked.Exchange(ref _held, 0));
}
