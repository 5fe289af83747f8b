using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>The series that a selector matches, read from the source once and shared by all selectors that select the same.</summary>
sealed class SeriesSelection(Evaluation evaluation, SelectHints hints, IReadOnlyList<Matcher> matchers) : IAsyncDisposable
{
    /// <summary>Bytes that a series takes, about, beside its labels: objects of its source, of operators and of the result.</summary>
    const int SeriesBytes = 256;

    const int CountEvery = 64;

    /// <summary>
    /// A query with more series than this leaves the thread that began it, so that this thread can answer when the query's time is up.
    /// </summary>
    const int SmallSelection = 1000;

    readonly Lock _lock = new();
    readonly Coverage _coverage = evaluation.Query.Coverage.Part();

    readonly ServedReplicas? _replicas = evaluation.IsExplained ? new ServedReplicas() : null;

    // What needs raw samples among the users of the series.
    readonly HashSet<string> _needRaw = [];
    Task<List<Series>>? _loading;
    bool _isLoaded;
    bool _isAwaited;
    IAsyncEnumerator<Series>? _enumerator;

    /// <summary>
    /// Whether another selector can read these series. Until the source is asked, function and aggregation are dropped from its hints where
    /// the selectors differ in them. After that the hints stay as they were, which is right too, since no hint changes an answer.
    /// </summary>
    public bool TryShare(SelectHints others, IReadOnlyList<Matcher> theirs)
    {
        if (!matchers.SequenceEqual(theirs) || hints.WithoutUser() != others.WithoutUser())
        {
            return false;
        }

        lock (_lock)
        {
            if (_loading is null && hints != others)
            {
                hints = hints.WithoutUser();
            }
        }

        return true;
    }

    /// <summary>A user of the series, by its name in the language, needs raw samples.</summary>
    public void NeedRaw(string name) => _needRaw.Add(name);

    /// <summary>What is read, and from which resolutions; complete once the series are here.</summary>
    public ExplainedSelection Explain() => new(
        $"{{{string.Join(',', matchers)}}}",
        hints.MaxResolutionMs,
        hints.Aggregate,
        [.. _needRaw.Order(StringComparer.Ordinal)],
        [.. _coverage.Served.OrderBy(served => served.ExternalLabels).ThenBy(served => served.Range.MinTime)],
        _replicas?.Ranges ?? []);

    public IEnumerable<string> WarningsOfWindows() => _needRaw.Count == 0 ? [] : _coverage.Served.Where(served => served.IsCoarser)
        .SelectMany(served => _needRaw.Select(name => CoverageText.NeedsRaw(name, served)));

    public bool IsAtWork => _loading is { IsCompleted: false };

    /// <summary>
    /// The series; callers do not change the list. Readable until the selection is disposed. For the query's evaluation, which waits for
    /// what it did not begin to load itself.
    /// </summary>
    public Task<List<Series>> SeriesAsync()
    {
        var loading = LoadedAsync();
        lock (_lock)
        {
            if (_isLoaded)
            {
                return loading;
            }

            _isAwaited = true;
        }

        evaluation.Query.Slot.Pause();
        return loading;
    }

    /// <summary>As <see cref="SeriesAsync"/>, for what loads selections ahead of the evaluation.</summary>
    public Task<List<Series>> LoadedAsync()
    {
        Task<Task<List<Series>>> load;
        lock (_lock)
        {
            if (_loading is not null)
            {
                return _loading;
            }

            load = new Task<Task<List<Series>>>(LoadAsync);
            _loading = load.Unwrap();
        }

        // On this thread, for as long as the source does not wait for anything.
        load.RunSynchronously(TaskScheduler.Current);
        return _loading;
    }

    async Task<List<Series>> LoadAsync()
    {
        await evaluation.Query.Slot.ResumeAsync(evaluation.CancellationToken);
        try
        {
            return await ReadAsync();
        }
        finally
        {
            // The evaluation goes on where this ends, in the same slot, if it waits for this.
            bool isAwaited;
            lock (_lock)
            {
                (_isLoaded, isAwaited) = (true, _isAwaited);
            }

            if (!isAwaited)
            {
                evaluation.Query.Slot.Pause();
            }
        }
    }

    async Task<List<Series>> ReadAsync()
    {
        var series = new List<Series>();
        _enumerator = evaluation.Querier.SelectAsync(evaluation.Query.Derive(_coverage, _replicas).Select(hints, matchers)).GetAsyncEnumerator();
        var (counted, bytes) = (0, 0L);
        while (await _enumerator.MoveNextAsync())
        {
            var one = _enumerator.Current;
            series.Add(one);
            bytes += SeriesBytes + one.Labels.Encoded.Length;
            if (series.Count - counted == CountEvery)
            {
                Count();
            }

            if (series.Count == SmallSelection)
            {
                await Task.Yield();
            }
        }

        Count();
        return series;

        void Count()
        {
            evaluation.Query.Series.Take(series.Count - counted);
            evaluation.AddBytes(bytes);
            (counted, bytes) = (series.Count, 0);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_loading is not null)
        {
            try
            {
                await _loading;
            }
            catch (Exception)
            {
                // The operator that needed the series has thrown it already; here the load only has to be over.
            }
        }

        if (_enumerator is not null)
        {
            await _enumerator.DisposeAsync();
        }
    }
}
