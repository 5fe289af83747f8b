using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>One query while it is evaluated: the source that it reads from, its budgets, and the workers that compute it.</summary>
sealed class Evaluation : IAsyncDisposable
{
    readonly CancellationTokenSource _stop;

    // Not a ConcurrentBag: its items stay reachable from the threads that added them, and each worker keeps the whole query reachable.
    readonly Stack<Worker> _idle = [];
    readonly List<Worker> _workers = [];
    readonly List<SeriesSelection> _selections = [];
    readonly Budget _bytes;
    Budget _resultBytes;
    long _peakSamples;

    public Evaluation(IQuerier querier, QueryBuffers buffers, QueryContext query)
    {
        (Querier, Buffers) = (querier, buffers);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(query.CancellationToken);
        Query = query.Derive(_stop.Token);
        (_bytes, _resultBytes) = (new Budget(outer: query.Bytes), new Budget(outer: query.Bytes));
    }

    public IQuerier Querier { get; }

    public QueryBuffers Buffers { get; }

    /// <summary>Cancelled when the query is to stop, and when it is over.</summary>
    public QueryContext Query { get; }

    public required long LookbackMs { get; init; }

    public CancellationToken CancellationToken => Query.CancellationToken;

    public Prefetch Prefetch { get; } = new(16);

    /// <summary>Bytes held now for columns, accumulators and results.</summary>
    public long Bytes => _bytes.Taken + _resultBytes.Taken;

    public long PeakSamples => Volatile.Read(ref _peakSamples);

    /// <summary>Metric names are dropped at the end of the query instead of in each function.</summary>
    public bool DelayedNameRemoval { get; init; }

    /// <summary><c>__type__</c> says what a counter is.</summary>
    public bool TypeAndUnitLabels { get; init; }

    /// <summary>Functions of counters use start timestamps.</summary>
    public bool StartTimestamps { get; init; }

    /// <summary>What is read is noted for an explanation.</summary>
    public bool IsExplained { get; init; }

    /// <summary>Steps of the query whose samples are counted for each step; 0 where such statistics are not wanted.</summary>
    public int StatisticsSteps { get; init; }

    public IReadOnlyList<Worker> Workers => _workers;

    /// <summary>Samples held now, as Prometheus would hold them.</summary>
    public long SamplesHeld => Query.Samples.Taken;

    /// <summary>The series of a selector, shared with those that select the same.</summary>
    /// <param name="hints">What the selector reads but for its resolution, which the selector says.</param>
    public SeriesSelection Select(SelectorNode selector, SelectHints hints)
    {
        var resolution = selector.Resolution;
        hints = hints with
        {
            MaxResolutionMs = resolution.MaxResolutionMs,
            Aggregate = resolution.Aggregate,
            WindowsMarginMs = SelectorResolution.WindowsMarginMs,
        };
        var selection = _selections.Find(known => known.TryShare(hints, selector.Matchers));
        if (selection is null)
        {
            _selections.Add(selection = new SeriesSelection(this, hints, selector.Matchers));
        }

        if (resolution.NeedsRaw is { } name)
        {
            selection.NeedRaw(name);
        }

        return selection;
    }

    /// <summary>Warnings of what was computed from downsampled windows, of which no value answers it; each once, sorted.</summary>
    public IEnumerable<string> WarningsOfWindows() =>
        _selections.SelectMany(selection => selection.WarningsOfWindows()).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);

    public Worker Rent()
    {
        lock (_workers)
        {
            if (!_idle.TryPop(out var worker))
            {
                worker = new Worker(this);
                _workers.Add(worker);
            }

            return worker;
        }
    }

    public void Return(Worker worker)
    {
        // Does not throw where this exceeds the limit: the end of the loop does.
        NoteSamples(worker.TakeUnreported(), 0);
        lock (_workers)
        {
            _idle.Push(worker);
        }
    }

    /// <summary>Throws when the query is to stop.</summary>
    public void ThrowIfOver() => Query.ThrowIfOver();

    /// <summary>
    /// Runs the body for each index, on all cores where there is enough to do. Indices start in order; the body may run for several at
    /// once.
    /// </summary>
    /// <param name="cost">About how many samples an index costs.</param>
    public void ForEach(int count, long cost, Action<int, Worker> body)
    {
        if (count <= 1 || count * cost < 20_000 || Environment.ProcessorCount == 1)
        {
            var worker = Rent();
            for (var i = 0; i < count; i++)
            {
                ThrowIfOver();
                body(i, worker);
            }

            Return(worker);
            HoldSamples(0);
            return;
        }

        new ParallelLoop(this, count, body).Run();
        HoldSamples(0);
    }

    /// <summary>Counts bytes that are going to be allocated; negative for bytes that are released.</summary>
    public void AddBytes(long bytes) => _bytes.Take(bytes);

    /// <summary>As <see cref="AddBytes"/>, for bytes that the result holds beyond the evaluation.</summary>
    public void AddResultBytes(long bytes) => _resultBytes.Take(bytes);

    /// <summary>Takes the result's bytes out of the evaluation: they stay counted until what is returned is disposed.</summary>
    public IDisposable DetachResultBytes()
    {
        var kept = _resultBytes;
        _resultBytes = new Budget();
        return kept;
    }

    /// <summary>Counts samples that Prometheus would hold from here on; negative for samples that it would release.</summary>
    /// <param name="transient">Samples of the window at hand, which count for the moment only.</param>
    public void HoldSamples(long count, long transient = 0) => Query.Samples.ThrowIfOver(NoteSamples(count, transient));

    long NoteSamples(long count, long transient)
    {
        var now = Query.Samples.Count(count) + transient;
        var peak = Volatile.Read(ref _peakSamples);
        while (now > peak)
        {
            var seen = Interlocked.CompareExchange(ref _peakSamples, now, peak);
            if (seen == peak)
            {
                break;
            }

            peak = seen;
        }

        return now;
    }

    public Annotations MergedAnnotations()
    {
        var all = new Annotations();
        foreach (var worker in _workers)
        {
            all.Add(worker.Annotations);
        }

        return all;
    }

    public async ValueTask DisposeAsync()
    {
        // CancelAsync takes a thread of the pool, which is spared where nothing would notice.
        if (Prefetch.IsAtWork || _selections.Exists(selection => selection.IsAtWork))
        {
            await _stop.CancelAsync();
        }

        await Prefetch.DisposeAsync();
        foreach (var selection in _selections)
        {
            await selection.DisposeAsync();
        }

        _workers.ForEach(worker => worker.ReturnBuffers());
        _bytes.Dispose();
        _resultBytes.Dispose();
        Query.Samples.ReturnAll();
        Query.Series.ReturnAll();
        _stop.Dispose();
    }
}
