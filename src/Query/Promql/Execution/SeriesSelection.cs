using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>The series that a selector matches, asked for once and shared by all selectors that ask for the same.</summary>
sealed class SeriesSelection(Evaluation evaluation, SelectHints hints, IReadOnlyList<Matcher> matchers) : IAsyncDisposable
{
    /// <summary>About what a series takes beside its labels: objects of its source, of operators and of the result.</summary>
    const int SeriesBytes = 256;

    const int CountEvery = 64;

    /// <summary>
    /// With more series than this a query does not go on on the thread that asked for it, which could not be told that time is up.
    /// </summary>
    const int SmallSelection = 1000;

    readonly Lock _lock = new();
    Task<List<Series>>? _loading;
    IAsyncEnumerator<Series>? _enumerator;

    /// <summary>
    /// Whether another selector can read these series. Before the source is asked, its hints lose what is not said of both selectors;
    /// afterwards it was told what it was told, and no hint changes an answer.
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

    public bool IsAtWork => _loading is { IsCompleted: false };

    /// <summary>The series, not to be changed; readable until this is disposed.</summary>
    public Task<List<Series>> SeriesAsync()
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

        // Here and now, for as long as nothing is to be waited for.
        load.RunSynchronously(TaskScheduler.Current);
        return _loading;
    }

    async Task<List<Series>> LoadAsync()
    {
        var series = new List<Series>();
        _enumerator = evaluation.Querier.SelectAsync(evaluation.Query.Select(hints, matchers)).GetAsyncEnumerator();
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
                // Whoever asked for the series has seen it; here it only has to be over.
            }
        }

        if (_enumerator is not null)
        {
            await _enumerator.DisposeAsync();
        }
    }
}
