namespace Observe.Tsdb.Threading;

/// <summary>What one query may have of the threads: it computes on so many at a time.</summary>
sealed class ComputeShare(ComputeThreads threads, int most) : TaskScheduler
{
    [ThreadStatic]
    static ComputeShare? t_current;

    readonly Queue<Task> _tasks = new();
    int _running;

    public override int MaximumConcurrencyLevel => most;

    /// <summary>Runs a task on the current thread, whatever that is, as if it were one of the query's.</summary>
    public void RunInline(Task task)
    {
        lock (_tasks)
        {
            _running++;
        }

        var before = t_current;
        t_current = this;
        try
        {
            task.RunSynchronously(this);
        }
        finally
        {
            t_current = before;
        }

        // What was left waiting because of it.
        Leave();
    }

    protected override void QueueTask(Task task)
    {
        lock (_tasks)
        {
            _tasks.Enqueue(task);
            if (_running == most)
            {
                return;
            }

            _running++;
        }

        Begin();
    }

    // One that stands in the queue as well is passed over there.
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => t_current == this && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_tasks)
        {
            return [.. _tasks];
        }
    }

    void Begin() => Task.Factory.StartNew(Process, CancellationToken.None, TaskCreationOptions.DenyChildAttach, threads);

    void Process()
    {
        t_current = this;
        try
        {
            while (Next() is { } task)
            {
                TryExecuteTask(task);
            }
        }
        finally
        {
            t_current = null;
        }
    }

    Task? Next()
    {
        lock (_tasks)
        {
            if (_tasks.TryDequeue(out var task))
            {
                return task;
            }

            _running--;
            return null;
        }
    }

    void Leave()
    {
        lock (_tasks)
        {
            if (_tasks.Count == 0)
            {
                _running--;
                return;
            }
        }

        Begin();
    }
}
