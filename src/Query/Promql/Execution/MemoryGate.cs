using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>What all queries of an engine hold together, results on their way to the reader included. Thread-safe.</summary>
sealed class MemoryGate(long limit)
{
    long _held;

    public long Held => Volatile.Read(ref _held);

    /// <summary>Takes room for bytes that are about to be allocated; gives it back where the number is negative.</summary>
    /// <exception cref="LimitException">There is no room; none is taken.</exception>
    public void Take(long bytes)
    {
        var held = Interlocked.Add(ref _held, bytes);
        if (bytes > 0 && limit > 0 && held > limit)
        {
            Interlocked.Add(ref _held, -bytes);
            throw new LimitException($"queries that run now hold {held - bytes} bytes and may hold {limit} together (--query.max-total-bytes)");
        }
    }
}
