using System.Runtime.InteropServices;

namespace Observe.Tsdb.Threading;

/// <summary>
/// Threads for what computes. The thread pool has about as many threads as there are cores: sockets, timers and scrapes, which live there,
/// would wait behind every query and every block that is made, and a query would not learn that its time is up. Here the operating system
/// shares the cores among all that computes, and lets what else the process does go before.
/// </summary>
/// <param name="name">Of the threads, as debuggers and <c>ps -L</c> show it.</param>
/// <param name="niceness">
/// Of the threads, on Linux: how far they stand behind others. 5 is about a third of the share of a thread that is not niced, 10 a tenth.
/// </param>
/// <param name="most">Threads at most; they are started as they are needed, and stay.</param>
public sealed partial class ComputeThreads(string name, int niceness, int most) : TaskScheduler, IDisposable
{
    /// <summary>
    /// A query is a tree as deep as its longest chain of operators, and each level takes a kilobyte or two. What is not used takes no
    /// memory.
    /// </summary>
    const int StackBytes = 32 << 20;

    [ThreadStatic]
    static ComputeThreads? t_current;

    readonly Queue<Task> _tasks = new();
    int _threads;
    int _idle;
    int _inline;
    bool _stopped;

    public override int MaximumConcurrencyLevel => most;

    /// <summary>For what somebody waits for: queries, metadata, the store API.</summary>
    /// <param name="most">Threads at most: each query may have as many as there are cores.</param>
    public static ComputeThreads ForQueries(int most) => new("query", niceness: 5, most);

    /// <summary>
    /// For what nobody waits for: compaction, verification, hashing, the writing of blocks. More threads than a core or two can feed, since
    /// each keeps one for as long as a block takes, and the head's next block does not wait for the compaction of old ones.
    /// </summary>
    public static ComputeThreads ForBackground() => new("background", niceness: 10, Math.Max(4, Environment.ProcessorCount));

    /// <summary>
    /// Runs a query here, on as many threads at a time as there are cores, what follows its awaits and what it starts on its current scheduler
    /// as well.
    /// </summary>
    /// <param name="mayRunInline">
    /// The query may be small: it may begin on the thread that asks, one at a time, which saves two threads from being woken. It returns
    /// when the query first waits for something, or yields because it is not small.
    /// </param>
    public Task<T> RunAsync<T>(Func<Task<T>> query, bool mayRunInline = false)
    {
        var share = new ComputeShare(this, Environment.ProcessorCount);
        if (!mayRunInline || Interlocked.Exchange(ref _inline, 1) == 1)
        {
            return share.RunAsync(query);
        }

        var task = new Task<Task<T>>(query, TaskCreationOptions.DenyChildAttach);
        try
        {
            share.RunInline(task);
            return task.Unwrap();
        }
        finally
        {
            Volatile.Write(ref _inline, 0);
        }
    }

    public Task RunAsync(Func<Task> query, bool mayRunInline = false) => RunAsync(
        async () =>
        {
            await query();
            return true;
        },
        mayRunInline);

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
                new Thread(Run, StackBytes) { IsBackground = true, Name = name }.Start();
            }
        }
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

    void Run()
    {
        if (OperatingSystem.IsLinux())
        {
            // Of the calling thread alone, there. Where it may not be, nothing is lost but precedence.
            _ = SetPriority(0, 0, niceness);
        }

        t_current = this;
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

/// <summary>Runs what computes on a scheduler: it begins there, and goes on there after each await.</summary>
public static class TaskSchedulerExtensions
{
    public static Task<T> RunAsync<T>(this TaskScheduler scheduler, Func<Task<T>> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler).Unwrap();

    public static Task RunAsync(this TaskScheduler scheduler, Func<Task> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler).Unwrap();

    public static Task RunAsync(this TaskScheduler scheduler, Action work, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(work, cancellationToken, TaskCreationOptions.DenyChildAttach, scheduler);

    public static Task<T> RunAsync<T>(this TaskScheduler scheduler, Func<T> work, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(work, cancellationToken, TaskCreationOptions.DenyChildAttach, scheduler);
}
