using System.Runtime.ExceptionServices;

namespace Observe.Query.Promql.Execution;

/// <summary>
/// A loop over indices on all cores: on the thread that runs the loop, and on helper threads that start before it is over. Each thread
/// takes the next few indices, so that the last thread is not far behind the others. A helper that starts late does nothing, and the loop
/// does not wait for it.
/// </summary>
sealed class ParallelLoop(Evaluation evaluation, int count, Action<int, Worker> body)
{
    /// <summary>The most indices that a thread takes at once; fewer where each core would get few.</summary>
    const int MaxAtOnce = 8;

    readonly object _lock = new();
    readonly int _atOnce = Math.Clamp(count / (Environment.ProcessorCount * 8), 1, MaxAtOnce);
    int _next;
    int _helpers;
    bool _isOver;
    Exception? _failure;

    /// <exception cref="Exception">The first that the body threw.</exception>
    public void Run()
    {
        for (var helpers = Math.Min(Environment.ProcessorCount, count / _atOnce) - 1; helpers > 0; helpers--)
        {
            Task.Factory.StartNew(RunHelper, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current);
        }

        RunIndices();
        lock (_lock)
        {
            _isOver = true;
            while (_helpers > 0)
            {
                Monitor.Wait(_lock);
            }
        }

        if (_failure is not null)
        {
            ExceptionDispatchInfo.Throw(_failure);
        }
    }

    void RunHelper()
    {
        lock (_lock)
        {
            if (_isOver)
            {
                return;
            }

            _helpers++;
        }

        // Throws nothing, since Run waits until the count of helpers is zero.
        RunIndices();
        lock (_lock)
        {
            if (--_helpers == 0)
            {
                Monitor.Pulse(_lock);
            }
        }
    }

    void RunIndices()
    {
        Worker? worker = null;
        try
        {
            worker = evaluation.Rent();
            int from;
            while ((from = Interlocked.Add(ref _next, _atOnce) - _atOnce) < count)
            {
                evaluation.ThrowIfOver();
                for (var i = from; i < Math.Min(count, from + _atOnce); i++)
                {
                    body(i, worker);
                }
            }
        }
        catch (Exception e)
        {
            // No thread takes further indices. A cancellation gives way to another failure, which may have caused it.
            Volatile.Write(ref _next, count);
            lock (_lock)
            {
                _failure = _failure is null or OperationCanceledException ? e : _failure;
            }
        }

        if (worker is not null)
        {
            evaluation.Return(worker);
        }
    }
}
