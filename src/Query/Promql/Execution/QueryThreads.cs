namespace Observe.Query.Promql.Execution;

/// <summary>
/// The threads that queries compute on. The thread pool has about as many threads as there are cores: sockets, timers and scrapes, which
/// live there, would wait behind every query, and a query would not learn that its time is up. Here the operating system shares the cores
/// among the queries, each with as many threads as there are cores.
/// </summary>
/// <param name="most">Threads at most; they are started as they are needed, and stay.</param>
sealed class QueryThreads(int most) : TaskScheduler, IDisposable
{
    readonly Queue<Task> _tasks = new();
    int _threads;
    int _idle;
    bool _stopped;

    public override int MaximumConcurrencyLevel => most;

    /// <summary>Runs a query here, what follows its awaits and what it starts on its current scheduler as well.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> query, CancellationToken cancellationToken)
    {
        var share = new ConcurrentExclusiveSchedulerPair(this, Environment.ProcessorCount).ConcurrentScheduler;
        return Task.Factory.StartNew(query, cancellationToken, TaskCreationOptions.DenyChildAttach, share).Unwrap();
    }

    /// <summary>Threads end when nothing is left to do.</summary>
    public void Dispose()
    {
        lock (_tasks)
        {
            _stopped = true;
            Monitor.PulseAll(_tasks);
        }
    }

    protected override void QueueTask(Task task)
    {
        lock (_tasks)
        {
            _tasks.Enqueue(task);
            if (_tasks.Count <= _idle)
            {
                Monitor.Pulse(_tasks);
            }
            else if (_threads < most)
            {
                _threads++;
                new Thread(Run) { IsBackground = true, Name = "query" }.Start();
            }
        }
    }

    // One that stands in the queue as well is passed over there.
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_tasks)
        {
            return [.. _tasks];
        }
    }

    void Run()
    {
        while (Next() is { } task)
        {
            TryExecuteTask(task);
        }
    }

    /// <summary>Null: the thread is to end.</summary>
    Task? Next()
    {
        lock (_tasks)
        {
            _idle++;
            while (_tasks.Count == 0 && !_stopped)
            {
                Monitor.Wait(_tasks);
            }

            _idle--;
            if (_tasks.TryDequeue(out var task))
            {
                return task;
            }

            _threads--;
            return null;
        }
    }
}
