using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>
/// The memory that bodies of all targets may have at once. Who knows how much it needs waits for it; who needs more than it knew does not
/// wait, since many that hold some and wait for more would wait for each other.
/// </summary>
sealed class BodyBudget(long limit)
{
    readonly Lock _lock = new();
    readonly LinkedList<(long Bytes, TaskCompletionSource Reserved)> _waiting = new();
    long _used;

    /// <summary>Bytes that are reserved.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>Reserves bytes once there are so many, in the order of the calls.</summary>
    /// <exception cref="BodyBudgetException">There never are.</exception>
    public async ValueTask ReserveAsync(long bytes, CancellationToken cancellationToken)
    {
        if (bytes > limit)
        {
            throw new BodyBudgetException(limit);
        }

        LinkedListNode<(long, TaskCompletionSource Reserved)> waiting;
        lock (_lock)
        {
            if (_waiting.Count == 0 && TryReserveHeld(bytes))
            {
                return;
            }

            waiting = _waiting.AddLast((bytes, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)));
        }

        try
        {
            await waiting.Value.Reserved.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (_lock)
            {
                if (waiting.List is not null)
                {
                    _waiting.Remove(waiting);
                    ServeHeld();
                    throw;
                }
            }

            Return(bytes);
            throw;
        }
    }

    /// <exception cref="BodyBudgetException">There are not so many.</exception>
    public void Reserve(long bytes)
    {
        lock (_lock)
        {
            if (!TryReserveHeld(bytes))
            {
                throw new BodyBudgetException(limit);
            }
        }
    }

    public void Return(long bytes)
    {
        lock (_lock)
        {
            _used -= bytes;
            ServeHeld();
        }
    }

    bool TryReserveHeld(long bytes)
    {
        if (_used + bytes > limit)
        {
            return false;
        }

        _used += bytes;
        return true;
    }

    void ServeHeld()
    {
        while (_waiting.First is { } first && TryReserveHeld(first.Value.Bytes))
        {
            _waiting.RemoveFirst();
            first.Value.Reserved.SetResult();
        }
    }
}

sealed class BodyBudgetException(long limit) : IOException(
    $"bodies of all targets at once would take more than {ByteSize.Format(limit)} of memory (--scrape.memory-limit)");
