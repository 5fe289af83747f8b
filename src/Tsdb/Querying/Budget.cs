namespace Observe.Tsdb.Querying;

/// <summary>A limit of the query that would have been exceeded; names the limit and its flag.</summary>
public sealed class LimitException(string message) : Exception(message);

/// <summary>
/// A limit of one quantity (bytes, samples, series), and how much of it is taken. A budget within an outer one, as a query's within that of
/// all queries, takes from both. Thread-safe.
/// </summary>
/// <param name="limit">0: no limit of its own.</param>
/// <param name="refusal">Makes the message where the limit would be exceeded, which names the limit and its flag.</param>
/// <param name="outer">The budget that everything is taken from as well.</param>
public sealed class Budget(long limit = 0, Func<Budget, string>? refusal = null, Budget? outer = null) : IDisposable
{
    long _taken;

    public long Limit => limit;

    public long Taken => Volatile.Read(ref _taken);

    /// <summary>Takes an amount, before it is allocated or fetched.</summary>
    /// <exception cref="LimitException">The amount exceeds the limit, and nothing was taken.</exception>
    public void Take(long amount)
    {
        outer?.Take(amount);
        if (Interlocked.Add(ref _taken, amount) > limit && limit > 0)
        {
            Return(amount);
            throw Refusal();
        }
    }

    public void Return(long amount)
    {
        Interlocked.Add(ref _taken, -amount);
        outer?.Return(amount);
    }

    /// <summary>
    /// Counts an amount without checking the limit, which the caller does later; negative for an amount that is returned.
    /// </summary>
    /// <returns>The amount that is taken in all.</returns>
    public long Count(long amount)
    {
        outer?.Count(amount);
        return amount == 0 ? Taken : Interlocked.Add(ref _taken, amount);
    }

    /// <exception cref="LimitException">The amount exceeds the limit.</exception>
    public void ThrowIfOver(long taken)
    {
        if (taken > limit && limit > 0)
        {
            throw Refusal();
        }
    }

    /// <returns>The amount that had been taken.</returns>
    public long ReturnAll()
    {
        var taken = Interlocked.Exchange(ref _taken, 0);
        outer?.Return(taken);
        return taken;
    }

    /// <summary>As <see cref="ReturnAll"/>.</summary>
    public void Dispose() => ReturnAll();

    LimitException Refusal() => new(refusal?.Invoke(this) ?? $"more than {limit} would be taken");
}
