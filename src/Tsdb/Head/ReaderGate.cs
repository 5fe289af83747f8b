namespace Observe.Tsdb.Head;

/// <summary>The readers at work: samples leave memory only when those who may still need them have finished. Thread-safe.</summary>
sealed class ReaderGate
{
    readonly Lock _lock = new();
    readonly HashSet<Reader> _readers = [];

    public Reader Enter()
    {
        var reader = new Reader(this);
        lock (_lock)
        {
            _readers.Add(reader);
        }

        return reader;
    }

    /// <summary>Waits until all who are reading now have finished; those who come later are not waited for.</summary>
    /// <returns>False when they took longer.</returns>
    public async Task<bool> DrainAsync(TimeSpan patience, TimeProvider time, CancellationToken cancellationToken)
    {
        Task[] readers;
        lock (_lock)
        {
            readers = [.. _readers.Select(r => r.Done.Task)];
        }

        try
        {
            await Task.WhenAll(readers).WaitAsync(patience, time, cancellationToken);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    public sealed class Reader(ReaderGate gate) : IDisposable
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Dispose()
        {
            lock (gate._lock)
            {
                gate._readers.Remove(this);
            }

            Done.TrySetResult();
        }
    }
}
