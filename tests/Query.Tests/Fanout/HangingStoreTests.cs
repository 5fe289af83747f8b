using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Fanout;

/// <summary>One store hangs, in one way or another, and many queries wait for it; the others go on as if they were alone.</summary>
public sealed class HangingStoreTests : IAsyncDisposable
{
    const long Now = 1_700_000_000_000;
    const int Waiting = 12;
    static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(Now));
    readonly PromqlEngine _engine;
    readonly List<IAsyncDisposable> _disposed = [];

    public HangingStoreTests() =>
        _engine = new PromqlEngine(new EngineOptions { MaxConcurrency = 2, Clock = _time, TimeoutMs = 120_000 });

    public async ValueTask DisposeAsync()
    {
        foreach (var disposed in Enumerable.Reverse(_disposed))
        {
            await disposed.DisposeAsync();
        }

        _engine.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(200)]
    public async Task Queries_that_wait_for_a_store_hinder_no_others_and_learn_at_once_that_it_is_silent(int seriesBefore)
    {
        var prod = new HangingQuerier(seriesBefore);
        var (set, endpoint) = await StoresAsync(prod);
        var waiting = Enumerable.Range(0, Waiting).Select(i => AskAsync(set, i % 2 == 0 ? "up" : "up{cluster=\"prod\"} + on (i) up")).ToList();
        await Eventually.TrueAsync(() => Task.FromResult(prod.Asked >= Waiting), s_patience, "all queries at the store");

        for (var i = 0; i < 20; i++)
        {
            await CheckWholeAsync(1, AskAsync(set, "up{cluster=\"dev\"}"));
        }

        Assert.DoesNotContain(waiting, query => query.IsCompleted);

        _time.Advance(TimeSpan.FromSeconds(29));
        var before = prod.Asked;
        if (seriesBefore == 0)
        {
            // Has waited for a second when the others have waited for too long; a store that sends new callers something is not silent.
            waiting.Add(AskAsync(set, "up"));
            await Eventually.TrueAsync(() => Task.FromResult(prod.Asked > before), s_patience, "the last query at the store");
        }

        _time.Advance(TimeSpan.FromSeconds(1));
        foreach (var (series, warnings) in await Task.WhenAll(waiting).WaitAsync(s_patience))
        {
            Assert.Contains($"store {endpoint} gave no answer: no response in 30s", Assert.Single(warnings), StringComparison.Ordinal);
        }

        // It describes itself, but answers nothing: nobody waits for it until it does.
        before = prod.Asked;
        await RefreshAsync(set);
        Assert.Single((await AskAsync(set, "up").WaitAsync(s_patience)).Warnings);
        Assert.Equal(before + 1, prod.Asked);
        prod.Release();
        await set.RefreshAsync(default);
        await CheckWholeAsync(1 + Math.Max(1, seriesBefore), AskAsync(set, "up"));
    }

    [Fact]
    public async Task Searches_that_wait_for_a_store_hinder_no_others()
    {
        var prod = new HangingQuerier(0);
        var (set, endpoint) = await StoresAsync(prod);
        var waiting = Enumerable.Range(0, Waiting).Select(_ => NamesAsync(set)).ToList();
        await Eventually.TrueAsync(() => Task.FromResult(prod.Asked >= Waiting), s_patience, "all searches at the store");
        var (whole, none) = await NamesAsync(set, new Matcher(Tsdb.Model.MatchType.Equal, "cluster", "dev")).WaitAsync(s_patience);
        Assert.Equal(["__name__", "cluster", "i"], whole);
        Assert.Empty(none);
        Assert.DoesNotContain(waiting, query => query.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(30));
        foreach (var (names, warnings) in await Task.WhenAll(waiting).WaitAsync(s_patience))
        {
            Assert.Equal(["__name__", "cluster", "i"], names);
            Assert.Contains($"store {endpoint} gave no answer: no response in 30s", Assert.Single(warnings), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_store_that_trickles_is_left_out_in_time_to_answer_without_it()
    {
        var prod = new HangingQuerier(200);
        var (set, endpoint) = await StoresAsync(prod, responseTimeout: TimeSpan.FromHours(1));
        var waiting = Enumerable.Range(0, Waiting).Select(_ => AskAsync(set, "up")).ToList();
        await Eventually.TrueAsync(() => Task.FromResult(prod.Asked >= Waiting), s_patience, "all queries at the store");
        await CheckWholeAsync(1, AskAsync(set, "up{cluster=\"dev\"}"));
        _time.Advance(TimeSpan.FromSeconds(115));
        foreach (var (_, warnings) in await Task.WhenAll(waiting).WaitAsync(s_patience))
        {
            Assert.Contains(warnings, warning => warning.EndsWith(
                $"store {endpoint} gave no answer: it had not answered in full when the query's time was nearly up", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_store_that_sends_a_byte_now_and_then_is_left_out_in_time_to_answer_without_it()
    {
        var slow = await ServeAsync(new MemoryQuerier(Enumerable.Range(0, 200).Select(i => Series("slow", i))), "slow");
        await using var trickle = new Trickle(slow);
        var (set, _) = await StoresAsync(new MemoryQuerier([]), more: trickle.Endpoint, isMoreThere: true);
        await CheckWholeAsync(201, AskAsync(set, "up"));
        trickle.Begin();
        var waiting = Enumerable.Range(0, Waiting).Select(_ => AskAsync(set, "up")).ToList();
        for (var second = 0; second < 115; second += 5)
        {
            await trickle.PassByteAsync().WaitAsync(s_patience);
            await CheckWholeAsync(1, AskAsync(set, "up{cluster=\"dev\"}"));
            _time.Advance(TimeSpan.FromSeconds(5));
        }

        foreach (var (series, warnings) in await Task.WhenAll(waiting).WaitAsync(s_patience))
        {
            Assert.Equal(1, series);
            Assert.Contains(warnings, warning => warning.Contains($"store {trickle.Endpoint} gave no answer: ", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_store_that_accepts_connections_and_says_nothing_is_not_waited_for()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        var (set, _) = await StoresAsync(new MemoryQuerier([]), more: mute.LocalEndpoint.ToString()!);
        var (series, warnings) = await AskAsync(set, "up").WaitAsync(s_patience);
        Assert.Contains($"store {mute.LocalEndpoint} gave no answer: no response in 5s", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(1, series);
    }

    [Fact]
    public async Task A_querier_that_is_stacked_on_a_store_that_hangs_serves_others()
    {
        var prod = new HangingQuerier(0);
        var (below, _) = await StoresAsync(prod);
        var stacked = await ServedQuerier.StartAsync(
            new FanoutQuerier(below, new FanoutOptions()), new StoreDescription("query", [], TimeRange.All),
            store: new StoreApiOptions { MaxConcurrentSeries = 2, Timeout = TimeSpan.Zero });
        _disposed.Add(stacked);
        var set = new StoreSet(new StoreSetOptions { Endpoints = [stacked.Endpoint], Time = _time });
        _disposed.Add(set);
        await set.RefreshAsync(default);
        var waiting = Enumerable.Range(0, Waiting).Select(_ => AskAsync(set, "up")).ToList();
        await Eventually.TrueAsync(() => Task.FromResult(prod.Asked >= Waiting), s_patience, "all queries at the store");
        await CheckWholeAsync(1, AskAsync(set, "up{cluster=\"dev\"}"));
        prod.Release();
        Assert.All(await Task.WhenAll(waiting).WaitAsync(s_patience), answer => Assert.Equal(2, answer.Series));
    }

    static async Task CheckWholeAsync(int series, Task<(int Series, IReadOnlyList<string> Warnings)> asked)
    {
        var answer = await asked.WaitAsync(s_patience);
        Assert.Empty(answer.Warnings);
        Assert.Equal(series, answer.Series);
    }

    async Task<(StoreSet Set, string Endpoint)> StoresAsync(
        IQuerier prod, TimeSpan? responseTimeout = null, string? more = null, bool isMoreThere = false)
    {
        var first = await ServeAsync(prod, "prod");
        var second = await ServeAsync(new MemoryQuerier([Series("dev", 0)]), "dev");
        var set = new StoreSet(new StoreSetOptions
        {
            Endpoints = more is null ? [first, second] : [first, second, more],
            Time = _time,
            Client = new StoreApiClientOptions { Time = _time, ResponseTimeout = responseTimeout ?? TimeSpan.FromSeconds(30) },
        });
        _disposed.Add(set);
        await (more is null || isMoreThere ? set.RefreshAsync(default) : RefreshAsync(set));
        return (set, first);
    }

    /// <summary>Refreshes where a store does not answer.</summary>
    async Task RefreshAsync(StoreSet set)
    {
        var refreshing = set.RefreshAsync(default);
        await Eventually.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(0.25));
                return Task.FromResult(refreshing.IsCompleted);
            },
            s_patience, "the stores' states");
        await refreshing;
    }

    async Task<string> ServeAsync(IQuerier querier, string cluster)
    {
        var served = await ServedQuerier.StartAsync(
            querier, new StoreDescription("store", [Labels.Of(("cluster", cluster))], TimeRange.All),
            store: new StoreApiOptions { MaxConcurrentSeries = 0, Timeout = TimeSpan.Zero });
        _disposed.Add(served);
        return served.Endpoint;
    }

    async Task<(int Series, IReadOnlyList<string> Warnings)> AskAsync(StoreSet set, string text)
    {
        using var result = await _engine.InstantAsync(new FanoutQuerier(set, new FanoutOptions()), new InstantQuery(text, Now), CancellationToken.None);
        return (result.Series.Count, result.Warnings);
    }

    async Task<(IReadOnlyList<string> Names, IReadOnlyList<string> Warnings)> NamesAsync(StoreSet set, params Matcher[] matchers)
    {
        var query = _engine.Begin(null, [], default);
        var hints = new SelectHints { Range = TimeRange.All };
        var names = await _engine.ReadAsync(
            query, turn => new FanoutQuerier(set, new FanoutOptions()).LabelNamesAsync(turn.Select(hints, matchers)).AsTask(), mayRunInline: true);
        return (names, query.Coverage.Warnings());
    }

    static TestSeries Series(string cluster, int i) => new(Labels.Of(("__name__", "up"), ("i", $"{i:d4}")), (Now - 1000, 1))
    {
        External = Labels.Of(("cluster", cluster)),
    };

    /// <summary>Gives some series and then nothing until it is released, and then is like any other.</summary>
    sealed class HangingQuerier(int seriesBefore) : IQuerier
    {
        readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
        readonly MemoryQuerier _all = new(Enumerable.Range(0, Math.Max(1, seriesBefore)).Select(i => Series("prod", i)));
        int _asked;

        public int Asked => Volatile.Read(ref _asked);

        public void Release() => _released.SetResult();

        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            Interlocked.Increment(ref _asked);
            if (seriesBefore == 0)
            {
                await _released.Task.WaitAsync(selection.CancellationToken);
            }

            await foreach (var series in _all.SelectAsync(selection))
            {
                yield return series;
            }

            await _released.Task.WaitAsync(selection.CancellationToken);
        }

        public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
        {
            Interlocked.Increment(ref _asked);
            await _released.Task.WaitAsync(selection.CancellationToken);
            return await _all.LabelNamesAsync(selection);
        }

        public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
        {
            Interlocked.Increment(ref _asked);
            await _released.Task.WaitAsync(selection.CancellationToken);
            return await _all.LabelValuesAsync(name, selection);
        }
    }

    /// <summary>A connection to a server that passes all bytes, and from some time on what the server sends byte by byte.</summary>
    sealed class Trickle : IAsyncDisposable
    {
        readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        readonly CancellationTokenSource _stop = new();
        readonly SemaphoreSlim _bytes = new(0);
        readonly SemaphoreSlim _passed = new(0);
        readonly string _server;
        readonly Task _serving;
        volatile bool _isTrickling;

        public Trickle(string server)
        {
            _server = server;
            _listener.Start();
            _serving = ServeAsync();
        }

        public string Endpoint => _listener.LocalEndpoint.ToString()!;

        public void Begin() => _isTrickling = true;

        public Task PassByteAsync()
        {
            _bytes.Release();
            return _passed.WaitAsync();
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            _listener.Stop();
            await _serving;
            _stop.Dispose();
        }

        async Task ServeAsync()
        {
            try
            {
                var connections = new List<Task>();
                while (!_stop.IsCancellationRequested)
                {
                    connections.Add(PassAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
                }

                await Task.WhenAll(connections);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
            }
        }

        async Task PassAsync(TcpClient client)
        {
            using var server = new TcpClient();
            using (client)
            {
                try
                {
                    await server.ConnectAsync(IPEndPoint.Parse(_server), _stop.Token);
                    await Task.WhenAll(client.GetStream().CopyToAsync(server.GetStream(), _stop.Token), AnswerAsync(server.GetStream(), client.GetStream()));
                }
                catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
                {
                }
            }
        }

        async Task AnswerAsync(NetworkStream from, NetworkStream to)
        {
            var buffer = new byte[1 << 16];
            while (await from.ReadAsync(buffer.AsMemory(0, _isTrickling ? 1 : buffer.Length), _stop.Token) is > 0 and var read)
            {
                for (var at = 0; at < read;)
                {
                    var part = read - at;
                    if (_isTrickling)
                    {
                        await _bytes.WaitAsync(_stop.Token);
                        part = 1;
                    }

                    await to.WriteAsync(buffer.AsMemory(at, part), _stop.Token);
                    at += part;
                    if (_isTrickling)
                    {
                        _passed.Release();
                    }
                }
            }
        }
    }
}
