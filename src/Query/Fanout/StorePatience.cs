using Observe.Store.Api;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>
/// How long a query waits for stores in other processes: until the store is declared silent, and no longer than leaves time to answer
/// without it.
/// </summary>
sealed class StorePatience : IDisposable
{
    const int PartForTheRest = 10;
    static readonly TimeSpan s_mostForTheRest = TimeSpan.FromSeconds(5);

    readonly QueryContext _query;
    readonly CancellationTokenSource? _end;

    StorePatience(QueryContext query, CancellationTokenSource? end) => (_query, _end) = (query, end);

    public static StorePatience Of(List<StoreState> stores, QueryContext query)
    {
        if (query.Deadline.TimeLeft is not { } left || !stores.Exists(store => store.Silence is not null))
        {
            return new StorePatience(query, null);
        }

        var rest = query.Deadline.Timeout / PartForTheRest;
        var wait = left - (rest < s_mostForTheRest ? rest : s_mostForTheRest);
        return new StorePatience(
            query, new CancellationTokenSource(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, query.Deadline.Clock));
    }

    public Wait WaitFor(StoreState store) => new(store, _query, _end);

    public void Dispose() => _end?.Dispose();

    /// <summary>What one store is asked within.</summary>
    internal sealed class Wait : IDisposable
    {
        readonly StoreState _store;
        readonly CancellationToken _outer;
        readonly CancellationTokenSource? _stop;

        public Wait(StoreState store, QueryContext query, CancellationTokenSource? end)
        {
            (_store, _outer, Query) = (store, query.CancellationToken, query);
            if (store.Silence is { } silence)
            {
                _stop = CancellationTokenSource.CreateLinkedTokenSource(_outer, silence.Token, end?.Token ?? CancellationToken.None);
                Query = query.Derive(_stop.Token);
            }
        }

        /// <summary>The query with a token that is also cancelled when the store is waited for no longer.</summary>
        public QueryContext Query { get; }

        /// <summary>Whether an exception says that the store's answer, or the rest of it, is missing.</summary>
        public bool IsLost(Exception e) => e switch
        {
            PartialResponseException => false,
            IOException => true,
            OperationCanceledException => _stop is { IsCancellationRequested: true } && !_outer.IsCancellationRequested,
            _ => false,
        };

        /// <summary>Why the answer is missing, without the store's name. A store that answers nobody is declared silent here.</summary>
        public string Reason(Exception e)
        {
            if (e is OperationCanceledException)
            {
                return _store.Silence!.Reason ?? "it had not answered in full when the query's time was nearly up";
            }

            var why = e.Message.StartsWith(_store.Name + ": ", StringComparison.Ordinal) ? e.Message[(_store.Name.Length + 2)..] : e.Message;
            if (e is StoreApiException { IsSilence: true })
            {
                _store.Silence?.Declare(why);
            }

            return why;
        }

        public void Dispose() => _stop?.Dispose();
    }
}
