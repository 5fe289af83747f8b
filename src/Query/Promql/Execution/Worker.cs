using Observe.Query.Promql.Functions;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution;

/// <summary>
/// What one thread uses while it computes series: columns, windows and batches to rent, counters, annotations. Not thread-safe.
/// </summary>
sealed class Worker(Evaluation evaluation)
{
    const int CheckEvery = 4096;
    const int ReportEvery = 64;

    readonly Dictionary<int, Stack<Column>> _columns = [];
    readonly Stack<Window> _windows = [];
    readonly Stack<SampleBatch> _batches = [];
    readonly long[]? _samplesAtStep = evaluation.StatisticsSteps > 0 ? new long[evaluation.StatisticsSteps] : null;
    int _sinceCheck;
    long _held;

    public Evaluation Evaluation { get; } = evaluation;

    public Annotations Annotations { get; } = new();

    public long TotalSamples { get; private set; }

    public long SamplesRead { get; private set; }

    public long[]? SamplesAtStep => _samplesAtStep;

    /// <summary>An empty column; it comes back by <see cref="Return(Column)"/>.</summary>
    public Column RentColumn(int steps)
    {
        if (_columns.TryGetValue(steps, out var free) && free.TryPop(out var column))
        {
            column.Clear();
            return column;
        }

        Evaluation.AddBytes(Column.BytesOf(steps));
        return Evaluation.Buffers.RentColumn(steps);
    }

    public void Return(Column column)
    {
        if (!_columns.TryGetValue(column.Steps, out var free))
        {
            _columns[column.Steps] = free = new Stack<Column>();
        }

        free.Push(column);
    }

    public Window RentWindow() => _windows.TryPop(out var window) ? window : Evaluation.Buffers.RentWindow();

    public void Return(Window window) => _windows.Push(window);

    /// <summary>Counts the bytes of a window that may have grown.</summary>
    public void Count(Window window)
    {
        if (window.Bytes > window.CountedBytes)
        {
            Evaluation.AddBytes(window.Bytes - window.CountedBytes);
            window.CountedBytes = window.Bytes;
        }
    }

    public SampleBatch RentBatch() => _batches.TryPop(out var batch) ? batch : Evaluation.Buffers.RentBatch();

    public void Return(SampleBatch batch)
    {
        batch.Clear();
        _batches.Push(batch);
    }

    /// <summary>Returns the worker's buffers to the pool for other queries; the worker is not used after that.</summary>
    public void ReturnBuffers() => Evaluation.Buffers.Return(_columns.Values.SelectMany(free => free), _windows, _batches);

    /// <summary>Counts samples of work; throws when the query is to stop. Cheap enough for each step.</summary>
    public void CountWork(int samples)
    {
        _sinceCheck += samples;
        if (_sinceCheck >= CheckEvery)
        {
            _sinceCheck = 0;
            Evaluation.ThrowIfOver();
        }
    }

    /// <summary>
    /// As <see cref="Evaluation.HoldSamples"/>, but adds to the evaluation's count, which all workers share, only now and then.
    /// </summary>
    public void HoldSamples(long count)
    {
        _held += count;
        if (_held >= ReportEvery)
        {
            Evaluation.HoldSamples(TakeUnreported());
        }
    }

    /// <summary>Samples that were not added to the evaluation's count yet; sets them to zero.</summary>
    public long TakeUnreported()
    {
        var held = _held;
        _held = 0;
        return held;
    }

    /// <summary>Statistics: samples that all steps together consumed.</summary>
    public void CountTotal(in Scope scope, long samples) => TotalSamples += samples * scope.TotalWeight;

    /// <summary>Statistics: samples of one step, where <see cref="SamplesAtStep"/> is kept.</summary>
    public void CountAtStep(in Scope scope, int step, long samples)
    {
        if (_samplesAtStep is null || scope.TotalWeight == 0)
        {
            return;
        }

        if (scope.TotalWeight > 1 || scope.Grid.Count == 1)
        {
            for (var i = 0; i < Math.Min(scope.TotalWeight, _samplesAtStep.Length); i++)
            {
                _samplesAtStep[i] += samples;
            }
        }
        else if (step < _samplesAtStep.Length)
        {
            _samplesAtStep[step] += samples;
        }
    }

    /// <summary>Statistics: the samples of a column, each at its step.</summary>
    public void CountColumn(in Scope scope, Column column, long samples)
    {
        CountTotal(scope, samples);
        for (var step = 0; _samplesAtStep is not null && step < column.Steps; step++)
        {
            if (column.Presence[step] != Presence.Absent)
            {
                CountAtStep(scope, step, column.Presence[step] == Presence.Float ? 1 : SampleSize.Of(column.Histogram(step)));
            }
        }
    }

    public void CountRead(long samples) => SamplesRead += samples;
}
