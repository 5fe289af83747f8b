using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>How a query uses the stores.</summary>
public sealed record FanoutOptions
{
    /// <summary>Join the series of replicas.</summary>
    public bool Deduplicate { get; init; } = true;

    /// <summary>Labels that tell replicas apart (<c>--query.replica-label</c>).</summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Answer with a warning where a store gives no answer; otherwise that is an error.</summary>
    public bool PartialResponse { get; init; } = true;

    /// <summary>Query only stores whose <c>__address__</c> one of these sets matches; empty: all stores.</summary>
    public IReadOnlyList<IReadOnlyList<Matcher>> StoreMatchers { get; init; } = [];

    internal bool Chooses(StoreState store) => StoreMatchers.Count == 0
        || StoreMatchers.Any(set => set.All(m => m.Name != "__address__" || m.Matches(store.Name)));
}

/// <summary>A store gave no answer, or not all of it, and the query wants no partial one. The message says what is missing.</summary>
public sealed class PartialResponseException(string message) : IOException(message);

/// <summary>All stores that may hold what a selection wants, as one querier: stores answer in parallel, replicas are joined.</summary>
/// <remarks>
/// A store that is known to be silent or fails on the way is noted as missing, with its clusters and the range; where no partial answer is
/// wanted it throws a <see cref="PartialResponseException"/>. A limit of a store is a <see cref="LimitException"/> in any case.
/// </remarks>
public sealed class FanoutQuerier(StoreSet stores, FanoutOptions options, FanoutMetrics? metrics = null) : IQuerier
{
    /// <summary>Series that go from a store to the merge at once, and how many such batches a store may be ahead of the merge.</summary>
    const int BatchSeries = 256;
    const int BatchesAhead = 4;

    bool IsDeduplicating => options.Deduplicate && options.ReplicaLabels.Count > 0;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => new HeldSelection<StoreStreams>(
        () =>
        {
            var forStores = ForStores(selection);
            var hints = IsDeduplicating ? DedupQuerier.Widened(forStores.Hints) : forStores.Hints;
            var attendance = Attend(forStores, out var available);
            return new StoreStreams(available, forStores, attendance, hints, metrics);
        },
        streams => JoinAsync(streams, selection.With(streams.Query)));

    // The streams, not the enumerators in here, hold the memory that series are read from.
    async IAsyncEnumerable<Series> JoinAsync(StoreStreams streams, Selection selection)
    {
        IQuerier joined = new MergeQuerier(streams.All);
        if (IsDeduplicating)
        {
            joined = new DedupQuerier(joined, options.ReplicaLabels);
        }

        var isRemote = streams.All.Exists(stream => stream.IsRemote);
        await using var all = joined.SelectAsync(selection).GetAsyncEnumerator();
        while (await (isRemote
            ? selection.Query.Slot.WaitAsync(all.MoveNextAsync(), selection.CancellationToken)
            : all.MoveNextAsync()))
        {
            yield return all.Current;
        }

        streams.Attendance.NoteTo(selection.Coverage);
        selection.Coverage.ThrowIfRefused();
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        AllAsync(selection, static (store, forStores) => store.LabelNamesAsync(forStores));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        AllAsync(selection, (store, forStores) => store.LabelValuesAsync(name, forStores));

    async ValueTask<IReadOnlyList<string>> AllAsync(Selection selection, Func<IQuerier, Selection, ValueTask<IReadOnlyList<string>>> ask)
    {
        var forStores = ForStores(selection);
        var attendance = Attend(forStores, out var available);
        var answers = await attendance.AskAsync(
            available, forStores.Query, (store, turn) => ask(store.Querier!, forStores.With(turn)), []);
        attendance.NoteTo(forStores.Coverage);
        forStores.Coverage.ThrowIfRefused();
        return selection.Union(answers);
    }

    /// <summary>
    /// The selection that the stores get, which leave off replica labels: each knows which of its labels are external. Where no partial
    /// answer is wanted, noting that something is missing throws.
    /// </summary>
    Selection ForStores(Selection selection)
    {
        var whole = IsDeduplicating ? selection.With(selection.Hints with { ReplicaLabels = options.ReplicaLabels }) : selection;
        return options.PartialResponse
            ? whole
            : whole.With(whole.Query.Refusing(static missing => new PartialResponseException(missing)));
    }

    /// <param name="available">The stores that can answer a selection; the others that should take part are lost already.</param>
    Attendance Attend(Selection selection, out List<StoreState> available)
    {
        var chosen = stores.Stores.Where(options.Chooses).ToList();
        var attendance = new Attendance(
            options.StoreMatchers.Count == 0 ? chosen : chosen.ConvertAll(WithoutFleet),
            selection, IsDeduplicating ? options.ReplicaLabels : [], stores.Time.GetUtcNow().ToUnixTimeMilliseconds(), metrics);
        available = attendance.Available();
        if (!options.PartialResponse)
        {
            attendance.NoteTo(selection.Coverage);
        }

        return attendance;
    }

    /// <summary>Who chooses stores expects no others.</summary>
    static StoreState WithoutFleet(StoreState store) =>
        store.Description is { Fleet.Count: > 0 } held ? store with { Description = held with { Fleet = [] } } : store;

    /// <summary>The streams of all stores that answer one selection; disposing cancels them and waits for them.</summary>
    sealed class StoreStreams : IAsyncDisposable
    {
        readonly CancellationTokenSource _cancel;
        readonly StorePatience _patience;

        /// <param name="hints">What each store is asked for, of the selection.</param>
        public StoreStreams(
            List<StoreState> available, Selection selection, Attendance attendance, SelectHints hints, FanoutMetrics? metrics)
        {
            Attendance = attendance;
            _cancel = CancellationTokenSource.CreateLinkedTokenSource(selection.CancellationToken);
            Query = selection.Query.Derive(_cancel.Token);
            var isAlone = available.Count == 1;
            _patience = StorePatience.Of(available, Query);
            All = available.ConvertAll(
                store => new StoreStream(store, selection.With(Query), _patience.WaitFor(store), attendance, hints, metrics, isAlone));
        }

        /// <summary>The query, with a token that is cancelled when the streams are disposed.</summary>
        public QueryContext Query { get; }

        public List<StoreStream> All { get; }

        public Attendance Attendance { get; }

        public async ValueTask DisposeAsync()
        {
            // CancelAsync takes a thread of the pool, which is spared where no stream would notice.
            if (All.Exists(stream => stream.IsAtWork))
            {
                await _cancel.CancelAsync();
            }

            foreach (var stream in All)
            {
                await stream.EndAsync();
            }

            _patience.Dispose();
            _cancel.Dispose();
        }
    }

    /// <summary>
    /// The series of one store. Where several stores answer, a task on the query's threads reads each store's series ahead of the merge.
    /// The store's enumerator stays open until the stream is disposed, since its series are readable only until then.
    /// </summary>
    sealed class StoreStream : IQuerier
    {
        readonly StoreState _store;
        readonly Attendance _attendance;
        readonly StorePatience.Wait _wait;
        readonly FanoutMetrics? _metrics;
        readonly IAsyncEnumerator<Series> _all;
        readonly Channel<List<Series>>? _ahead;
        readonly Task _pump = Task.CompletedTask;

        public StoreStream(
            StoreState store, Selection selection, StorePatience.Wait wait, Attendance attendance, SelectHints hints,
            FanoutMetrics? metrics, bool isAlone)
        {
            (_store, _wait, _attendance, _metrics) = (store, wait, attendance, metrics);
            _all = store.Querier!.SelectAsync(selection.With(hints).With(wait.Query)).GetAsyncEnumerator();
            if (!isAlone)
            {
                var ahead = _ahead = Channel.CreateBounded<List<Series>>(
                    new BoundedChannelOptions(BatchesAhead) { SingleReader = true, SingleWriter = true });
                _pump = Task.Factory.StartNew(
                    () => PumpAsync(ahead.Writer, selection.CancellationToken),
                    CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current).Unwrap();
            }
        }

        public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
            _ahead is null ? ReadDirectlyAsync() : ReadAheadAsync(_ahead.Reader, selection.CancellationToken);

        async IAsyncEnumerable<Series> ReadDirectlyAsync()
        {
            using var timer = Timer();
            while (await MoveNextAsync())
            {
                yield return _all.Current;
            }
        }

        /// <summary>Moves to the store's next series. A store that fails is noted as missing; series sent before stay.</summary>
        ValueTask<bool> MoveNextAsync()
        {
            try
            {
                var next = _all.MoveNextAsync();
                return next.IsCompletedSuccessfully ? next : AwaitedAsync(next);
            }
            catch (Exception e) when (_wait.IsLost(e))
            {
                _attendance.Lose(_store, _wait.Reason(e));
                return ValueTask.FromResult(false);
            }

            async ValueTask<bool> AwaitedAsync(ValueTask<bool> next)
            {
                try
                {
                    return await next;
                }
                catch (Exception e) when (_wait.IsLost(e))
                {
                    _attendance.Lose(_store, _wait.Reason(e));
                    return false;
                }
            }
        }

        static async IAsyncEnumerable<Series> ReadAheadAsync(
            ChannelReader<List<Series>> ahead, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var batch in ahead.ReadAllAsync(cancellationToken))
            {
                foreach (var series in batch)
                {
                    yield return series;
                }
            }
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
            throw new NotSupportedException("only series are streamed");

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new NotSupportedException("only series are streamed");

        public bool IsAtWork => !_pump.IsCompleted;

        public bool IsRemote => _store.Silence is not null;

        public async ValueTask EndAsync()
        {
            await _pump;
            await _all.DisposeAsync();
            _wait.Dispose();
        }

        Prometheus.ITimer? Timer() => _metrics is null ? null : Prometheus.TimerExtensions.NewTimer(_metrics.StoreDuration);

        async Task PumpAsync(ChannelWriter<List<Series>> ahead, CancellationToken cancellationToken)
        {
            try
            {
                using (Timer())
                {
                    await WriteBatchesAsync(ahead, cancellationToken);
                }

                ahead.Complete();
            }
            catch (Exception e)
            {
                // The merge that reads the channel throws it: a limit, a cancellation, a refused partial answer, a fault of the program.
                ahead.Complete(e);
            }
        }

        async Task WriteBatchesAsync(ChannelWriter<List<Series>> ahead, CancellationToken cancellationToken)
        {
            var batch = new List<Series>();
            while (true)
            {
                var next = MoveNextAsync();
                bool moved;
                if (next.IsCompleted && batch.Count < BatchSeries)
                {
                    moved = await next;
                }
                else
                {
                    // The batch goes to the merge while the store is still busy. Both are awaited even where writing fails: an enumerator
                    // must not be disposed while MoveNextAsync runs.
                    var (pending, here) = (next.AsTask(), batch);
                    batch = [];
                    await Task.WhenAll(pending, ahead.WriteAsync(here, cancellationToken).AsTask());
                    moved = await pending;
                }

                if (!moved)
                {
                    break;
                }

                batch.Add(_all.Current);
            }

            await ahead.WriteAsync(batch, cancellationToken);
        }
    }
}
