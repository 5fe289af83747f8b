namespace Observe.Query.Promql.Execution;

/// <summary>
/// Asks for the series of selectors before they are needed, some at a time: a query of hundreds of selectors is not to ask all its sources
/// for all of them at once, and one that is stopped is to have little under way. One selector is left to the query itself, which is going
/// to ask for one next.
/// </summary>
/// <param name="most">Selectors at a time.</param>
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

    /// <summary>Begins to ask, once all selectors have said what they want.</summary>
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

    /// <summary>Asks for nothing more, and waits until nothing is under way.</summary>
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
            // Whoever needs the series sees what is wrong with them.
            await ((Task)selection.SeriesAsync())
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
