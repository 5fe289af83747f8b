using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>What a query wants of the stores.</summary>
public sealed record FanoutOptions
{
    /// <summary>Join the series of replicas.</summary>
    public bool Deduplicate { get; init; } = true;

    /// <summary>Labels that tell replicas apart (<c>--query.replica-label</c>).</summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Answer with a warning where a store gives no answer; otherwise that is an error.</summary>
    public bool PartialResponse { get; init; } = true;

    /// <summary>Ask only stores that one of these matches, by the label <c>__address__</c>; empty: all.</summary>
    public IReadOnlyList<IReadOnlyList<Matcher>> StoreMatchers { get; init; } = [];
}

/// <summary>A store gave no answer, or not all of it, and the query wants no partial one. The message says what is missing.</summary>
public sealed class PartialResponseException(string message) : IOException(message);

/// <summary>All stores that may hold what is asked for, as one: asked in parallel, merged, replicas joined.</summary>
/// <remarks>
/// What a store does not give, because it is known to be silent or fails on the way, is told by a warning that names the clusters
/// and the range that are missing; where no partial answer is wanted it is a <see cref="PartialResponseException"/>.
/// A limit of a store is a <see cref="LimitException"/> in any case.
/// </remarks>
public sealed class FanoutQuerier(StoreSet stores, FanoutOptions options, FanoutMetrics? metrics = null) : IQuerier
{
    /// <summary>Series that go from a store to the merge at once, and how many times so many a store may be ahead.</summary>
    const int BatchSeries = 256;
    const int BatchesAhead = 4;

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        var lacks = new Lacks(options, warnings, metrics);
        return new HeldSelection<StoreStreams>(
            () =>
            {
                // Series of several stores may be the same one, or replicas: that is told by their replica labels.
                var asked = Asked(hints.Range, matchers, lacks);
                var told = options.Deduplicate && asked.Count == 1 ? hints with { ReplicaLabels = options.ReplicaLabels } : hints;
                return new StoreStreams(asked, told, matchers, lacks, metrics, cancellationToken);
            },
            streams => JoinAsync(streams.All, hints, matchers, lacks, cancellationToken),
            streams => streams.DisposeAsync());
    }

    // The streams hold what series are read from, whatever becomes of the enumerators here.
    async IAsyncEnumerable<Series> JoinAsync(
        List<StoreStream> streams, SelectHints hints, IReadOnlyList<Matcher> matchers, Lacks lacks, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        IQuerier joined = new MergeQuerier(streams);
        if (options.Deduplicate && options.ReplicaLabels.Count > 0)
        {
            joined = new DedupQuerier(joined, options.ReplicaLabels);
        }

        await foreach (var series in joined.SelectAsync(hints, matchers, lacks.Warnings, cancellationToken))
        {
            yield return series;
        }

        lacks.Check();
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        AllAsync(hints, matchers, warnings, (store, told) => store.LabelNamesAsync(hints, matchers, told, cancellationToken), cancellationToken);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        AllAsync(hints, matchers, warnings, (store, told) => store.LabelValuesAsync(name, hints, matchers, told, cancellationToken), cancellationToken);

    async ValueTask<IReadOnlyList<string>> AllAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings,
        Func<IQuerier, Warnings, ValueTask<IReadOnlyList<string>>> ask, CancellationToken cancellationToken)
    {
        var lacks = new Lacks(options, warnings, metrics);
        var answers = await Task.WhenAll(Asked(hints.Range, matchers, lacks).Select(async store =>
        {
            try
            {
                // On the threads of whoever asks.
                return await Task.Factory.StartNew(
                    async () => await ask(store.Querier!, lacks.Warnings), cancellationToken, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current).Unwrap();
            }
            catch (IOException e)
            {
                lacks.Add(store, hints.Range, e);
                return [];
            }
        }));
        lacks.Check();
        if (answers.Length == 1)
        {
            return answers[0];
        }

        var all = new SortedSet<string>(answers.SelectMany(a => a), Utf8Order.Instance);
        if (hints.Limit == 0 || all.Count <= hints.Limit)
        {
            return [.. all];
        }

        warnings.Add(Warnings.Truncated);
        return [.. all.Take(hints.Limit)];
    }

    /// <summary>The stores to ask; those that should take part and can't are noted as lacking.</summary>
    List<StoreState> Asked(TimeRange range, IReadOnlyList<Matcher> matchers, Lacks lacks)
    {
        var asked = new List<StoreState>();
        foreach (var store in stores.Stores.Where(s => IsChosen(s) && s.MayHold(range, matchers)))
        {
            if (store.IsSilent)
            {
                lacks.Add(store, range, store.LastError ?? "it was not reached yet");
            }
            else
            {
                asked.Add(store);
            }
        }

        return asked;
    }

    bool IsChosen(StoreState store) => options.StoreMatchers.Count == 0
        || options.StoreMatchers.Any(set => set.All(m => m.Name != "__address__" || m.Matches(store.Name)));

    /// <summary>What the answer lacks: told as it is found, or, where no partial answer is wanted, thrown.</summary>
    sealed class Lacks(FanoutOptions options, Warnings warnings, FanoutMetrics? metrics)
    {
        /// <summary>For the stores to tell theirs.</summary>
        public Warnings Warnings { get; } = options.PartialResponse ? warnings : new Warnings(Refuse);

        // A store may find out as late as when its series are read.
        static void Refuse(string warning)
        {
            if (warning != Warnings.Truncated)
            {
                throw new PartialResponseException(warning);
            }
        }

        public void Add(StoreState store, TimeRange range, Exception e)
        {
            var why = e.Message;
            Add(store, range, why.StartsWith(store.Name + ": ", StringComparison.Ordinal) ? why[(store.Name.Length + 2)..] : why);
        }

        public void Add(StoreState store, TimeRange range, string why)
        {
            metrics?.Missing.Inc();
            Warnings.Add(store.Missing(range, why));
            Check();
        }

        /// <summary>Throws when something is lacking and no partial answer is wanted; also for what the stores themselves told.</summary>
        public void Check()
        {
            if (options.PartialResponse)
            {
                return;
            }

            foreach (var warning in Warnings.All())
            {
                if (warning != Warnings.Truncated)
                {
                    throw new PartialResponseException(warning);
                }

                warnings.Add(warning);
            }

            foreach (var info in Warnings.Infos())
            {
                warnings.AddInfo(info);
            }
        }
    }

    /// <summary>All stores of a selection at work; disposing ends them.</summary>
    sealed class StoreStreams : IAsyncDisposable
    {
        readonly CancellationTokenSource _cancel;

        public StoreStreams(
            List<StoreState> asked, SelectHints hints, IReadOnlyList<Matcher> matchers, Lacks lacks, FanoutMetrics? metrics, CancellationToken cancellationToken)
        {
            _cancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            All = asked.ConvertAll(store => new StoreStream(store, hints, matchers, lacks, metrics, isAlone: asked.Count == 1, _cancel.Token));
        }

        public List<StoreStream> All { get; }

        public async ValueTask DisposeAsync()
        {
            // Telling takes a thread of the pool.
            if (All.Exists(stream => stream.IsAtWork))
            {
                await _cancel.CancelAsync();
            }

            foreach (var stream in All)
            {
                await stream.EndAsync();
            }

            _cancel.Dispose();
        }
    }

    /// <summary>
    /// The series of one store. Where there are others they are read ahead of the merge by a task of its own, where the query itself
    /// computes. The store's enumerator stays open until the end, since series are readable for as long.
    /// </summary>
    sealed class StoreStream : IQuerier
    {
        readonly StoreState _store;
        readonly TimeRange _range;
        readonly Lacks _lacks;
        readonly FanoutMetrics? _metrics;
        readonly IAsyncEnumerator<Series> _all;
        readonly Channel<List<Series>>? _ahead;
        readonly Task _pump = Task.CompletedTask;

        public StoreStream(
            StoreState store, SelectHints hints, IReadOnlyList<Matcher> matchers, Lacks lacks, FanoutMetrics? metrics, bool isAlone,
            CancellationToken cancellationToken)
        {
            (_store, _range, _lacks, _metrics) = (store, hints.Range, lacks, metrics);
            _all = store.Querier!.SelectAsync(hints, matchers, lacks.Warnings, cancellationToken).GetAsyncEnumerator(cancellationToken);
            if (!isAlone)
            {
                var ahead = _ahead = Channel.CreateBounded<List<Series>>(
                    new BoundedChannelOptions(BatchesAhead) { SingleReader = true, SingleWriter = true });
                _pump = Task.Factory.StartNew(
                    () => PumpAsync(ahead.Writer, cancellationToken),
                    CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current).Unwrap();
            }
        }

        public IAsyncEnumerable<Series> SelectAsync(
            SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
            _ahead is null ? AloneAsync() : AheadAsync(_ahead.Reader, cancellationToken);

        async IAsyncEnumerable<Series> AloneAsync()
        {
            using var timer = Timer();
            while (await MoveAsync())
            {
                yield return _all.Current;
            }
        }

        /// <summary>To the store's next series. A store that fails is noted as lacking, and what it gave before counts.</summary>
        ValueTask<bool> MoveAsync()
        {
            try
            {
                var next = _all.MoveNextAsync();
                return next.IsCompletedSuccessfully ? next : AwaitedAsync(next);
            }
            catch (IOException e)
            {
                _lacks.Add(_store, _range, e);
                return ValueTask.FromResult(false);
            }

            async ValueTask<bool> AwaitedAsync(ValueTask<bool> next)
            {
                try
                {
                    return await next;
                }
                catch (IOException e)
                {
                    _lacks.Add(_store, _range, e);
                    return false;
                }
            }
        }

        static async IAsyncEnumerable<Series> AheadAsync(ChannelReader<List<Series>> ahead, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var batch in ahead.ReadAllAsync(cancellationToken))
            {
                foreach (var series in batch)
                {
                    yield return series;
                }
            }
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
            SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
            throw new NotSupportedException("only series are streamed");

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
            string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
            throw new NotSupportedException("only series are streamed");

        public bool IsAtWork => !_pump.IsCompleted;

        public async ValueTask EndAsync()
        {
            await _pump;
            await _all.DisposeAsync();
        }

        Prometheus.ITimer? Timer() => _metrics is null ? null : Prometheus.TimerExtensions.NewTimer(_metrics.StoreDuration);

        async Task PumpAsync(ChannelWriter<List<Series>> ahead, CancellationToken cancellationToken)
        {
            try
            {
                using (Timer())
                {
                    await PassOnAsync(ahead, cancellationToken);
                }

                ahead.Complete();
            }
            catch (Exception e)
            {
                // The reader gets it: a limit, a cancellation, a refused partial answer, a fault of the program.
                ahead.Complete(e);
            }
        }

        async Task PassOnAsync(ChannelWriter<List<Series>> ahead, CancellationToken cancellationToken)
        {
            var batch = new List<Series>();
            while (true)
            {
                var next = MoveAsync();
                bool moved;
                if (next.IsCompleted && batch.Count < BatchSeries)
                {
                    moved = await next;
                }
                else
                {
                    // What is here does not wait for what is not. An enumerator may not be disposed while it is asked: both are waited for.
                    var (asked, here) = (next.AsTask(), batch);
                    batch = [];
                    await Task.WhenAll(asked, ahead.WriteAsync(here, cancellationToken).AsTask());
                    moved = await asked;
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
