namespace Observe.Tsdb.Querying;

/// <summary>A limit of the query that would have been exceeded; names the limit and its flag.</summary>
public sealed class LimitException(string message) : Exception(message);

/// <summary>
/// How much of one thing (bytes, samples, series) may be taken, and how much is. A budget that stands within another one, as a query's
/// within that of all queries, takes from both. Thread-safe.
/// </summary>
/// <param name="limit">0: no limit of its own.</param>
/// <param name="refusal">What to say where the limit would be exceeded: names the limit and its flag.</param>
/// <param name="outer">What it takes from as well.</param>
public sealed class Budget(long limit = 0, Func<Budget, string>? refusal = null, Budget? outer = null) : IDisposable
{
    long _taken;

    public long Limit => limit;

    public long Taken => Volatile.Read(ref _taken);

    /// <summary>To be called before what is taken is allocated or fetched.</summary>
    /// <exception cref="LimitException">It is more than may be taken; nothing is.</exception>
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

    /// <summary>Counts without a look at the limit, for who looks later; negative for what is returned.</summary>
    /// <returns>What is taken then.</returns>
    public long Count(long amount)
    {
        outer?.Count(amount);
        return amount == 0 ? Taken : Interlocked.Add(ref _taken, amount);
    }

    /// <exception cref="LimitException">So much is more than may be taken.</exception>
    public void ThrowIfOver(long taken)
    {
        if (taken > limit && limit > 0)
        {
            throw Refusal();
        }
    }

    /// <returns>What had been taken.</returns>
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
