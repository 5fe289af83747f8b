namespace Observe.Tsdb.Querying;

/// <summary>
/// A query's slot among those that a process evaluates at once. The query gives it back while all of its parts wait for other processes, and
/// takes one again before it goes on. Thread-safe.
/// </summary>
/// <remarks>A part is what runs one after the other: the evaluation, and each selection that is read ahead of it.</remarks>
public sealed class QuerySlot
{
    readonly SemaphoreSlim? _gate;
    readonly Lock _lock = new();
    int _working = 1;
    bool _isHeld;
    bool _isOver;
    Task? _taking;

    QuerySlot(SemaphoreSlim? gate) => _gate = gate;

    /// <summary>Of queries that nobody counts.</summary>
    public static QuerySlot Unlimited { get; } = new(null);

    /// <summary>Waits for a slot; the query is then one part, which works.</summary>
    /// <param name="gate">Null: there is no limit.</param>
    public static async Task<QuerySlot> TakeAsync(SemaphoreSlim? gate, CancellationToken cancellationToken)
    {
        if (gate is null)
        {
            return Unlimited;
        }

        await gate.WaitAsync(cancellationToken);
        return new QuerySlot(gate) { _isHeld = true };
    }

    /// <summary>A part begins to wait: the slot goes to another query where no other part works.</summary>
    public void Pause()
    {
        if (_gate is null)
        {
            return;
        }

        lock (_lock)
        {
            if (--_working == 0)
            {
                Release();
            }
        }
    }

    /// <summary>A part works from here on, one that waited or a new one. Completes when the query has a slot.</summary>
    public Task ResumeAsync(CancellationToken cancellationToken)
    {
        if (_gate is null)
        {
            return Task.CompletedTask;
        }

        lock (_lock)
        {
            _working++;
            if (_isHeld || _isOver)
            {
                return Task.CompletedTask;
            }

            // It may be over already, having found a slot free.
            var taking = _taking ?? TakeAsync(cancellationToken);
            _taking = taking.IsCompleted ? null : taking;
            return taking;
        }
    }

    /// <summary>Awaits what other processes do, without a slot.</summary>
    public async ValueTask<T> WaitAsync<T>(ValueTask<T> others, CancellationToken cancellationToken)
    {
        if (_gate is null || others.IsCompleted)
        {
            return await others;
        }

        Pause();
        try
        {
            return await others;
        }
        finally
        {
            await ResumeAsync(cancellationToken);
        }
    }

    /// <summary>The query is over and needs no slot any more.</summary>
    public void End()
    {
        lock (_lock)
        {
            _isOver = true;
            Release();
        }
    }

    async Task TakeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _gate!.WaitAsync(cancellationToken);
        }
        catch
        {
            lock (_lock)
            {
                _taking = null;
            }

            throw;
        }

        lock (_lock)
        {
            (_taking, _isHeld) = (null, true);
            if (_isOver)
            {
                Release();
            }
        }
    }

    void Release()
    {
        if (_isHeld)
        {
            _isHeld = false;
            _gate!.Release();
        }
    }
}
