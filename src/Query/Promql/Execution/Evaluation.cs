using Observe.Query.Promql.Functions;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>One query on its way: where it reads from, what it may use and has used, and the workers that compute it.</summary>
sealed class Evaluation(
    IQuerier querier, EngineOptions options, MemoryGate memory, QueryBuffers buffers, long lookbackMs, long maxResolutionMs, CancellationToken cancellationToken)
    : IAsyncDisposable
{
    readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);

    // Not a ConcurrentBag: what is left in one stays reachable from the threads that put it there, and workers refer to all of the query.
    readonly Stack<Worker> _idle = [];
    readonly List<Worker> _workers = [];
    readonly List<SeriesSelection> _selections = [];
    int _checks;
    long _bytes;
    long _resultBytes;
    long _series;
    long _samples;
    long _peakSamples;

    public EngineOptions Options { get; } = options;

    public IQuerier Querier { get; } = querier;

    public QueryBuffers Buffers { get; } = buffers;

    public long LookbackMs { get; } = lookbackMs;

    public long MaxResolutionMs { get; } = maxResolutionMs;

    /// <summary>Cancelled when the query is to stop, and when it is over.</summary>
    public CancellationToken CancellationToken => _stop.Token;

    /// <summary>Its last moment, in the clock's timestamps.</summary>
    public required long Deadline { get; init; }

    public Prefetch Prefetch { get; } = new(16);

    /// <summary>What the sources of the series had to say.</summary>
    public Warnings SourceWarnings { get; } = new();

    /// <summary>Bytes held now for columns, accumulators and results.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    public long PeakSamples => Volatile.Read(ref _peakSamples);

    public bool DelayedNameRemoval => Options.DelayedNameRemoval;

    /// <summary>Steps of the query whose samples are counted one by one; 0 where nobody asked.</summary>
    public int StatisticsSteps { get; init; }

    public IReadOnlyList<Worker> Workers => _workers;

    /// <summary>Samples held now, as Prometheus would hold them.</summary>
    public long SamplesHeld => Volatile.Read(ref _samples);

    public SeriesSelection Select(SelectHints hints, IReadOnlyList<Tsdb.Model.Matcher> matchers)
    {
        foreach (var known in _selections)
        {
            if (known.Hints == hints && known.Matchers.SequenceEqual(matchers))
            {
                return known;
            }
        }

        var selection = new SeriesSelection(this, hints, matchers);
        _selections.Add(selection);
        return selection;
    }

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
        // Who is over the limit with this learns of it at the end of the loop.
        NoteSamples(worker.TakeHeld(), 0);
        lock (_workers)
        {
            _idle.Push(worker);
        }
    }

    /// <summary>
    /// Throws when the query is to stop. The timer that cancels it may come late while all cores compute, so the clock is asked too, now and then.
    /// </summary>
    public void ThrowIfOver()
    {
        CancellationToken.ThrowIfCancellationRequested();

        // Threads that count at once may lose a count, which does not matter.
        if ((++_checks & 7) == 0 && Options.Clock.GetTimestamp() > Deadline)
        {
            throw new OperationCanceledException("the query's time is up");
        }
    }

    /// <summary>Runs the body for each index, on all cores where there is enough to do. Indices start in order; the body may run for several at once.</summary>
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

    public void AddSeries(int count)
    {
        if (Interlocked.Add(ref _series, count) > Options.MaxSeries && Options.MaxSeries > 0)
        {
            throw new LimitException($"query would touch more than {Options.MaxSeries} series (--query.max-series)");
        }
    }

    /// <summary>To be called before they are allocated; negative for what is let go.</summary>
    public void AddBytes(long bytes)
    {
        memory.Take(bytes);
        var total = Interlocked.Add(ref _bytes, bytes);
        if (total > Options.MaxBytes && Options.MaxBytes > 0)
        {
            throw new LimitException($"query would hold more than {Options.MaxBytes} bytes of intermediate results (--query.max-bytes)");
        }
    }

    /// <summary>As <see cref="AddBytes"/>, for what the result keeps after the evaluation.</summary>
    public void AddResultBytes(long bytes)
    {
        AddBytes(bytes);
        Interlocked.Add(ref _resultBytes, bytes);
    }

    /// <summary>Makes the result the holder of its bytes: they stay taken until that is disposed.</summary>
    public IDisposable KeepResult()
    {
        var kept = Interlocked.Exchange(ref _resultBytes, 0);
        Interlocked.Add(ref _bytes, -kept);
        return new Kept(memory, kept);
    }

    /// <summary>Takes note of samples that Prometheus would hold from now on; negative where it would let them go.</summary>
    /// <param name="transient">Samples of the window at hand, which count for the moment only.</param>
    public void HoldSamples(long count, long transient = 0)
    {
        if (NoteSamples(count, transient) > Options.MaxSamples && Options.MaxSamples > 0)
        {
            throw new LimitException(
                $"query processing would load too many samples into memory in query execution: more than {Options.MaxSamples} (--query.max-samples)");
        }
    }

    long NoteSamples(long count, long transient)
    {
        var now = (count == 0 ? Volatile.Read(ref _samples) : Interlocked.Add(ref _samples, count)) + transient;
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
        // Telling takes a thread of the pool.
        if (Prefetch.IsAtWork || _selections.Exists(selection => selection.IsAtWork))
        {
            await _stop.CancelAsync();
        }

        await Prefetch.DisposeAsync();
        foreach (var selection in _selections)
        {
            await selection.DisposeAsync();
        }

        _workers.ForEach(worker => worker.GiveBack());
        memory.Take(-Interlocked.Exchange(ref _bytes, 0));
        _stop.Dispose();
    }

    sealed class Kept(MemoryGate memory, long bytes) : IDisposable
    {
        long _bytes = bytes;

        public void Dispose() => memory.Take(-Interlocked.Exchange(ref _bytes, 0));
    }
}
