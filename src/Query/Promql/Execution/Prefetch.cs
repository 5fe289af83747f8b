namespace Observe.Query.Promql.Execution;

/// <summary>
/// Selects the series of a query's selectors before operators need them, a bounded number at a time: a query of hundreds of selectors does
/// not send all its requests at once, and a query that is stopped has few under way. One selector is left to the query itself, whose
/// operators select one next.
/// </summary>
/// <param name="most">The most selectors at a time.</param>
sealed class Prefetch(int most) : IAsyncDisposable
{
    readonly HashSet<SeriesSelection> _known = [];
    readonly Queue<SeriesSelection> _waiting = new();
    readonly List<Task> _loops = [];

    public bool IsAtWork
    {
        get
        {
            lock (_waiting)
            {
                return _loops.Exists(loop => !loop.IsCompleted);
            }
        }
    }

    public void Add(SeriesSelection selection)
    {
        lock (_waiting)
        {
            if (_known.Add(selection))
            {
                _waiting.Enqueue(selection);
            }
        }
    }

    /// <summary>Starts the selections, once all selectors of the query were added.</summary>
    public void Start()
    {
        lock (_waiting)
        {
            var loops = Math.Min(most, _waiting.Count - 1);
            for (var i = 0; i < loops; i++)
            {
                _loops.Add(Task.Factory.StartNew(
                    LoadAsync, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current).Unwrap());
            }
        }
    }

    /// <summary>Starts no further selection, and waits until none is under way.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_waiting)
        {
            _waiting.Clear();
        }

        await Task.WhenAll(_loops);
    }

    async Task LoadAsync()
    {
        while (Next() is { } selection)
        {
            // An exception reaches the operator that needs the series.
            await ((Task)selection.LoadedAsync())
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }
    }

    SeriesSelection? Next()
    {
        lock (_waiting)
        {
            return _waiting.TryDequeue(out var next) ? next : null;
        }
    }
}
