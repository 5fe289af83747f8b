using Grpc.Core;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Api;

public sealed class StoreApiGateTests : IDisposable
{
    static readonly SelectHints s_all = new() { Range = TimeRange.All };
    static readonly Matcher[] s_everything = [new(Observe.Tsdb.Model.MatchType.NotEqual, "__name__", "")];

    readonly ComputeThreads _threads = ComputeThreads.ForQueries(8);
    readonly HeldQuerier _querier = new();

    public void Dispose()
    {
        _querier.Dispose();
        _threads.Dispose();
    }

    [Fact]
    public async Task Calls_go_on_on_the_threads_of_queries_once_they_have_waited_or_are_large()
    {
        await using var served = await ServeAsync(new StoreApiOptions { Threads = _threads });
        var waiting = SeriesAsync(served);
        await UntilAsync(() => _querier.Running == 1);
        _querier.Release(1);
        await waiting;
        Assert.Equal([ThreadPlace.Query], _querier.Places);

        _querier.Series = 2_000;
        _querier.Release(1);
        await SeriesAsync(served);
        Assert.Equal([ThreadPlace.Query], _querier.Places);
    }

    [Fact]
    public async Task So_many_Series_calls_run_at_once_and_the_others_wait_for_their_turn()
    {
        var registry = Metrics.NewCustomRegistry();
        await using var served = await ServeAsync(
            new StoreApiOptions { Threads = _threads, MaxConcurrentSeries = 2 }, new StoreApiMetrics(Metrics.WithCustomRegistry(registry)));
        var calls = Enumerable.Range(0, 7).Select(_ => SeriesAsync(served)).ToList();
        await UntilAsync(() => _querier.Running == 2);

        // What is no Series call has no turn to wait for.
        await served.LabelValuesAsync("a", new QueryContext().Select(s_all, s_everything));
        _querier.Release(7);
        await Task.WhenAll(calls);
        Assert.Equal(2, _querier.MostRunning);
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text);
        var metrics = System.Text.Encoding.UTF8.GetString(text.ToArray());
        Assert.Contains("thanos_bucket_store_series_gate_queries_max 2\n", metrics, StringComparison.Ordinal);
        Assert.Contains("thanos_bucket_store_series_gate_queries_in_flight 0\n", metrics, StringComparison.Ordinal);
        Assert.Contains("thanos_bucket_store_series_gate_duration_seconds_count 7\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_that_waits_or_runs_for_too_long_is_refused_with_the_flag()
    {
        var time = new FakeTimeProvider();
        await using var served = await ServeAsync(
            new StoreApiOptions { Threads = _threads, MaxConcurrentSeries = 1, Timeout = TimeSpan.FromMinutes(1), Time = time });
        var running = SeriesAsync(served);
        await UntilAsync(() => _querier.Running == 1);
        var waiting = SeriesAsync(served);
        await UntilAsync(() => _querier.Asked == 1 && !waiting.IsCompleted);
        while (!running.IsCompleted || !waiting.IsCompleted)
        {
            time.Advance(TimeSpan.FromMinutes(1));
            await Task.Delay(10);
        }

        var error = await Assert.ThrowsAsync<StoreApiException>(() => running);
        Assert.Contains("call took longer than 1m (--store.grpc.timeout), being served", error.Message, StringComparison.Ordinal);
        Assert.Equal(StatusCode.DeadlineExceeded, Assert.IsType<RpcException>(error.InnerException).StatusCode);
        await Assert.ThrowsAsync<StoreApiException>(() => waiting);

        // Whoever gave up left its turn to others.
        _querier.Release(1);
        await SeriesAsync(served);
    }

    [Fact]
    public async Task A_peer_that_goes_away_ends_its_call_and_leaves_its_turn()
    {
        await using var served = await ServeAsync(new StoreApiOptions { Threads = _threads, MaxConcurrentSeries = 1 });
        using var cancel = new CancellationTokenSource();
        var gone = SeriesAsync(served, cancel.Token);
        await UntilAsync(() => _querier.Running == 1);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        await UntilAsync(() => _querier.Running == 0);
        _querier.Release(1);
        await SeriesAsync(served);
    }

    Task<ServedQuerier> ServeAsync(StoreApiOptions options, StoreApiMetrics? metrics = null) =>
        ServedQuerier.StartAsync(_querier, new StoreDescription("store", [], TimeRange.All), metrics: metrics, store: options);

    static Task UntilAsync(Func<bool> condition) => Eventually.TrueAsync(() => Task.FromResult(condition()), TimeSpan.FromSeconds(30), "it");

    static async Task SeriesAsync(ServedQuerier served, CancellationToken cancellationToken = default)
    {
        await foreach (var _ in served.SelectAsync(new QueryContext(cancellationToken).Select(s_all, s_everything)))
        {
        }
    }

    /// <summary>Each selection waits until it is released, gives its series, and notes on which thread it ends.</summary>
    sealed class HeldQuerier : IQuerier, IDisposable
    {
        readonly SemaphoreSlim _released = new(0);
        readonly HashSet<string> _places = [];
        int _running;
        int _mostRunning;
        int _asked;

        public int Series { get; set; }

        public int Running => Volatile.Read(ref _running);

        public int MostRunning => Volatile.Read(ref _mostRunning);

        public int Asked => Volatile.Read(ref _asked);

        public IReadOnlyCollection<string> Places
        {
            get
            {
                lock (_places)
                {
                    return [.. _places];
                }
            }
        }

        public void Release(int selections) => _released.Release(selections);

        public async IAsyncEnumerable<Tsdb.Querying.Series> SelectAsync(Selection selection)
        {
            Interlocked.Increment(ref _asked);
            lock (_places)
            {
                _mostRunning = Math.Max(_mostRunning, ++_running);
            }

            try
            {
                await _released.WaitAsync(selection.CancellationToken);
                var series = Enumerable.Range(0, Series).Select(i => new TestSeries(Labels.Of(("i", $"{i:D4}")), (1_000, 1)));
                await foreach (var one in new MemoryQuerier(series).SelectAsync(new QueryContext().Select(s_all, [])))
                {
                    yield return one;
                }

                lock (_places)
                {
                    _places.Add(ThreadPlace.Current);
                }
            }
            finally
            {
                lock (_places)
                {
                    _running--;
                }
            }
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => ValueTask.FromResult<IReadOnlyList<string>>([]);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => LabelNamesAsync(selection);

        public void Dispose() => _released.Dispose();
    }
}
