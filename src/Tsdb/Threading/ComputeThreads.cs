using System.Runtime.InteropServices;

namespace Observe.Tsdb.Threading;

/// <summary>
/// The threads that queries compute on. The thread pool has about as many threads as there are cores: sockets, timers and scrapes, which
/// live there, would wait behind every query, and a query would not learn that its time is up. Here the operating system shares the cores
/// among the queries, each with as many threads as there are cores, and lets what else the process does go before.
/// </summary>
/// <param name="most">Threads at most; they are started as they are needed, and stay.</param>
public sealed partial class ComputeThreads(int most) : TaskScheduler, IDisposable
{
    /// <summary>About a third of the share of a thread that is not niced.</summary>
    const int Niceness = 5;

    readonly Queue<Task> _tasks = new();
    int _threads;
    int _idle;
    int _guests;
    bool _stopped;

    public override int MaximumConcurrencyLevel => most;

    /// <summary>Runs a query here, what follows its awaits and what it starts on its current scheduler as well.</summary>
    /// <param name="mayStay">
    /// The query may be small: it may begin on the thread that asks, one at a time, which saves two threads from being woken. It returns when
    /// the query first waits for something, or yields because it is not small.
    /// </param>
    public Task<T> RunAsync<T>(Func<Task<T>> query, bool mayStay)
    {
        var share = new ComputeShare(this, Environment.ProcessorCount);
        var task = new Task<Task<T>>(query, TaskCreationOptions.DenyChildAttach);
        if (!mayStay || Interlocked.Exchange(ref _guests, 1) == 1)
        {
            task.Start(share);
            return task.Unwrap();
        }

        try
        {
            share.RunHere(task);
            return task.Unwrap();
        }
        finally
        {
            Volatile.Write(ref _guests, 0);
        }
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
        if (OperatingSystem.IsLinux())
        {
            // Of the calling thread alone, there. Where it may not be, nothing is lost but precedence.
            _ = SetPriority(0, 0, Niceness);
        }

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

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int niceness);
}

/// <summary>What one query may have of the threads: it computes on so many at a time.</summary>
sealed class ComputeShare(ComputeThreads threads, int most) : TaskScheduler
{
    [ThreadStatic]
    static ComputeShare? t_current;

    readonly Queue<Task> _tasks = new();
    int _running;

    public override int MaximumConcurrencyLevel => most;

    /// <summary>Runs a task on the current thread, whatever that is, as if it were one of the query's.</summary>
    public void RunHere(Task task)
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
