using Observe.Query.Promql.Functions;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>
/// A pool of columns, windows and batches across queries: a dashboard sends queries of the same steps again and again, and what is reused
/// need not be allocated and collected. The pool is small, and is emptied when it is full and further buffers come back. Thread-safe.
/// </summary>
sealed class QueryBuffers
{
    const long MaxBytes = 4 << 20;
    const long MaxWindowBytes = 64 << 10;

    readonly Lock _lock = new();
    readonly Dictionary<int, Stack<Column>> _columns = [];
    readonly Stack<Window> _windows = [];
    readonly Stack<SampleBatch> _batches = [];
    long _bytes;

    public Column RentColumn(int steps)
    {
        lock (_lock)
        {
            if (_columns.TryGetValue(steps, out var free) && free.TryPop(out var column))
            {
                _bytes -= Column.BytesOf(steps);
                return column;
            }
        }

        return new Column(steps);
    }

    public Window RentWindow()
    {
        lock (_lock)
        {
            if (_windows.TryPop(out var window))
            {
                _bytes -= window.Bytes;
                return window;
            }
        }

        return new Window();
    }

    public SampleBatch RentBatch()
    {
        lock (_lock)
        {
            return _batches.TryPop(out var batch) ? batch : new SampleBatch();
        }
    }

    /// <summary>Takes back a worker's buffers, which the worker does not use again.</summary>
    public void Return(IEnumerable<Column> columns, IEnumerable<Window> windows, IEnumerable<SampleBatch> batches)
    {
        lock (_lock)
        {
            foreach (var column in columns)
            {
                if (!TryReserve(Column.BytesOf(column.Steps)))
                {
                    break;
                }

                column.Clear();
                if (!_columns.TryGetValue(column.Steps, out var free))
                {
                    _columns[column.Steps] = free = new Stack<Column>();
                }

                free.Push(column);
            }

            foreach (var window in windows)
            {
                if (window.Bytes <= MaxWindowBytes && TryReserve(window.Bytes))
                {
                    window.Reset();
                    _windows.Push(window);
                }
            }

            foreach (var batch in batches)
            {
                // A batch of histograms would keep these reachable.
                if (batch.Kind == SampleKind.Float && _batches.Count < 2 * Environment.ProcessorCount)
                {
                    _batches.Push(batch);
                }
            }
        }
    }

    bool TryReserve(long bytes)
    {
        if (bytes > MaxBytes)
        {
            return false;
        }

        if (_bytes + bytes > MaxBytes)
        {
            _columns.Clear();
            _windows.Clear();
            _bytes = 0;
        }

        _bytes += bytes;
        return true;
    }
}
