using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>
/// Who should have taken part in the answer to a selection, and what the answer lacks without those that did not. Thread-safe.
/// </summary>
/// <remarks>
/// What a collector has not shipped is missing unless the collector itself answered. What a store holds is missing without it unless another
/// one answered that holds the same. Where replicas are joined, a time that one replica has is not missing for another one's sake.
/// </remarks>
/// <param name="stores">All stores that the selection may ask.</param>
/// <param name="replicaLabels">Labels that tell replicas apart; empty where replicas are not joined.</param>
/// <param name="now">What lies after it can't be missing.</param>
sealed class Attendance(
    IReadOnlyList<StoreState> stores, Selection selection, IReadOnlyList<string> replicaLabels, long now, FanoutMetrics? metrics = null)
{
    readonly Dictionary<StoreState, string> _lost = new(ReferenceEqualityComparer.Instance);
    readonly TimeRange _range = selection.Range with { MaxTime = Math.Min(selection.Range.MaxTime, now) };

    /// <summary>The stores that may hold what the selection wants and are not silent; those that are silent are lost.</summary>
    public List<StoreState> Available()
    {
        var available = new List<StoreState>();
        foreach (var store in stores.Where(store => store.MayHold(selection)))
        {
            if (store.IsSilent)
            {
                Lose(store, store.Silence?.Reason ?? store.LastError ?? "it was not reached yet");
            }
            else
            {
                available.Add(store);
            }
        }

        return available;
    }

    /// <summary>Asks stores at once, each for as long as it may take. One that fails is lost.</summary>
    /// <param name="nothing">What stands for the answer of a store that gave none.</param>
    public async Task<T[]> AskAsync<T>(
        List<StoreState> available, QueryContext query, Func<StoreState, QueryContext, ValueTask<T>> ask, T nothing)
    {
        using var patience = StorePatience.Of(available, query);
        var asked = Task.WhenAll(available.Select(async store =>
        {
            using var wait = patience.WaitFor(store);
            try
            {
                if (available.Count == 1)
                {
                    return await ask(store, wait.Query);
                }

                // On the threads that the caller runs on, the query's.
                return await Task.Factory.StartNew(
                    async () => await ask(store, wait.Query),
                    query.CancellationToken, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current).Unwrap();
            }
            catch (Exception e) when (wait.IsLost(e))
            {
                Lose(store, wait.Reason(e));
                return nothing;
            }
        }));
        return available.Exists(store => store.Silence is not null)
            ? await query.Slot.WaitAsync(new ValueTask<T[]>(asked), query.CancellationToken)
            : await asked;
    }

    /// <summary>A store gave no answer, or not all of it.</summary>
    public void Lose(StoreState store, string why)
    {
        metrics?.Missing.Inc();
        lock (_lost)
        {
            _lost.TryAdd(store, why);
        }
    }

    /// <summary>Adds what is missing to a coverage, as far as it is known.</summary>
    public void NoteTo(Coverage coverage)
    {
        coverage.Expect(Expected());
        foreach (var shared in SharedLabels.Among(stores
            .SelectMany(store => store.Description?.Fleet ?? [])
            .Where(collector => collector.ClusterUid.Length > 0 && selection.Answer(collector.Labels) is not null)))
        {
            coverage.AddDoubt(shared.ToString());
        }

        coverage.Add([.. Missing()]);
    }

    /// <summary>The names of clusters that have samples within the range, or should have.</summary>
    public IEnumerable<string> Expected() => stores
        .SelectMany(store => Held(store, selection, _range).Select(held => held.Labels))
        .Concat(Known().Where(known => known.Gaps.Any(gap => gap.Range.Overlaps(_range))).Select(known => known.Labels))
        .Select(labels => labels.Get("cluster")).Where(name => name.Length > 0).Distinct();

    public IEnumerable<Missing> Missing()
    {
        if (_range.IsEmpty)
        {
            yield break;
        }

        var view = new View(stores, Known(), Lost(), selection, _range);
        foreach (var (store, why) in view.Lost.Where(lost => lost.Key.Description is null or { LabelSets.Count: 0 }))
        {
            var range = store.Description is { } held ? _range.Intersect(Live(store, held.Range)) : _range;
            if (!range.IsEmpty)
            {
                yield return new Missing(MissingPart.Source, store.Name, [], range, why) { Since = Since(store) };
            }
        }

        var lacks = view.Known.SelectMany(collector => OfCollector(collector, view)).Concat(OfStores(view)).ToList();
        if (replicaLabels.Count > 0 && lacks.Count > 0)
        {
            lacks = WithoutReplicas(lacks, view);
        }

        // Sets of labels that are missing alike are told together.
        foreach (var alike in lacks.SelectMany(lack => lack.Times.Select(range => (Lack: lack, Range: range)))
            .GroupBy(one => (one.Lack.Part, one.Lack.Name, one.Lack.Why, one.Lack.Since, one.Range)))
        {
            yield return new Missing(
                alike.Key.Part, alike.Key.Name, [.. alike.Select(one => one.Lack.Labels).Distinct().Order()], alike.Key.Range, alike.Key.Why)
            {
                Since = alike.Key.Since,
            };
        }
    }

    /// <summary>The collectors that match, as those stores know them that answered; what all of these find lacking is lacking.</summary>
    List<KnownCollector> Known()
    {
        var all = stores.SelectMany(store => (store.Description?.Fleet ?? []).Select(collector => (store, collector)))
            .Where(one => selection.Answer(one.collector.Labels) is not null)
            .GroupBy(one => (one.collector.Cluster, one.collector.Collector));
        var (known, lost) = (new List<KnownCollector>(), Lost());
        foreach (var views in all)
        {
            var answered = views.Where(view => !lost.ContainsKey(view.store)).Select(view => view.collector).ToList();
            var first = answered.Count > 0 ? answered[0] : views.First().collector;
            var has = TimeSpans.Union(answered.SelectMany(view => view.Has));
            known.Add(first with
            {
                Has = has,
                Gaps =
                [
                    .. first.Gaps.Where(gap => !gap.IsLost).SelectMany(gap => answered.Skip(1).Aggregate(
                        (IReadOnlyList<TimeRange>)[gap.Range],
                        (left, view) => TimeSpans.Intersect(left, [.. view.Gaps.Select(other => other.Range)]))
                        .Select(range => gap with { Range = range })),

                    // What one of them has is not lost.
                    .. answered.DefaultIfEmpty(first).SelectMany(view => view.Gaps).Where(gap => gap.IsLost).Distinct()
                        .SelectMany(gap => TimeSpans.Except([gap.Range], has).Select(range => gap with { Range = range })),
                ],
            });
        }

        return known;
    }

    Dictionary<StoreState, string> Lost()
    {
        lock (_lost)
        {
            return new Dictionary<StoreState, string>(_lost, ReferenceEqualityComparer.Instance);
        }
    }

    IEnumerable<Lack> OfCollector(KnownCollector collector, View view)
    {
        var answered = view.Own(collector).Where(view.HasAnswered).Select(store => store.Description!.RangeOf(collector.Labels)).ToList();

        // A collector that answered has all that it has not shipped. What is older than anything it has, it held once. Where it has no
        // sample yet, or had none when it told of itself last, it has all that it gathered.
        var has = answered.Exists(range => range.IsEmpty) || (answered.Count > 0 && collector.NewestSample is null)
            ? [TimeRange.All] : answered.ConvertAll(range => range with { MaxTime = long.MaxValue });
        var endpoint = answered.Count == 0 && collector.IsExpected ? view.Own(collector).FirstOrDefault() : null;
        foreach (var gap in collector.Gaps)
        {
            var times = TimeSpans.Except(TimeSpans.Union([gap.Range.Intersect(_range)]), gap.IsLost ? [] : has);
            yield return endpoint is null || gap.IsLost
                ? new Lack(MissingPart.Collector, collector.Collector, collector.Labels, times, gap.Why, gap.Since)
                : new Lack(MissingPart.Source, endpoint.Name, collector.Labels, times, view.Lost[endpoint], Since(endpoint));
        }
    }

    /// <summary>What is missing of stores that gave no answer; that of collectors of which the bucket tells is told by the bucket.</summary>
    IEnumerable<Lack> OfStores(View view)
    {
        foreach (var (store, why) in view.Lost.Where(lost => !view.IsOfCollector(lost.Key)))
        {
            foreach (var (labels, range) in Held(store, selection, _range))
            {
                // Of what the labels name a collector has a part: of them all nothing is missing where every collector has its own.
                var answered = view.Answered[labels].Where(other => !view.IsOfCollector(other.Store)).Select(other => other.Range);
                var byCollectors = view.With(labels).Select(collector => AnsweredBy(collector, view)).DefaultIfEmpty(new TimeRange(0, -1))
                    .Aggregate((one, other) => one.Intersect(other));
                yield return new Lack(
                    MissingPart.Source, store.Name, labels, TimeSpans.Except([range], answered.Append(byCollectors)), why, Since(store));
            }
        }
    }

    /// <summary>Takes off what another replica has of the same time.</summary>
    List<Lack> WithoutReplicas(List<Lack> lacks, View view)
    {
        var missing = lacks.GroupBy(lack => lack.Labels).ToDictionary(
            group => group.Key, group => TimeSpans.Union(group.SelectMany(lack => lack.Times)));

        // Of collectors it is known which times there are; of what only stores tell of, where it begins and ends.
        var known = view.Known.SelectMany(collector => (Labels[])[collector.Labels, collector.Labels.Without(replicaLabels)]).ToHashSet();
        var isStoreAway = view.Lost.Keys.Any(store => !view.IsOfCollector(store));
        var present = view.Known.GroupBy(collector => collector.Labels, collector => TimeSpans.Union(HeldOf(collector, view)))

            // What a store that is away had of one collector of a replica, another one does not have.
            .Select(group => (Labels: group.Key, Times: isStoreAway ? group.Aggregate(TimeSpans.Intersect) : TimeSpans.Union(group.SelectMany(times => times))))
            .Concat(view.Answered.Where(group => !known.Contains(group.Key))
                .Select(group => (Labels: group.Key, Times: TimeSpans.Union(group.Select(held => held.Range)))))
            .Select(one => one with { Times = TimeSpans.Except(one.Times, missing.GetValueOrDefault(one.Labels) ?? []) })
            .ToLookup(one => one.Labels.Without(replicaLabels));
        return lacks.ConvertAll(lack => lack with
        {
            Times = TimeSpans.Except(
                lack.Times, present[lack.Labels.Without(replicaLabels)].Where(one => one.Labels != lack.Labels).SelectMany(one => one.Times)),
        });
    }

    /// <summary>The times that a collector, if it answered, or the stores that did have of it.</summary>
    static IEnumerable<TimeRange> HeldOf(KnownCollector collector, View view) => collector.Has.Concat(
        view.Own(collector).Where(view.HasAnswered).Select(store => Live(store, store.Description!.RangeOf(collector.Labels))));

    /// <summary>From when on nothing of a collector is missing, whatever the bucket has: it answered, or has nothing more.</summary>
    static TimeRange AnsweredBy(KnownCollector collector, View view) =>
        view.Own(collector).FirstOrDefault(view.HasAnswered) is { } own ? Live(own, own.Description!.RangeOf(collector.Labels))
            : collector.IsExpected ? new TimeRange(0, -1) : new TimeRange((collector.NewestSample ?? long.MinValue) + 1, long.MaxValue);

    /// <summary>Sets of labels of a store that match, each with the part of the range that the store has of it.</summary>
    static IEnumerable<(Labels Labels, TimeRange Range)> Held(StoreState store, Selection selection, TimeRange range) =>
        store.Description is not { } description ? [] : description
            .LabelSets.Where(labels => selection.Answer(labels) is not null)
            .Select(labels => (labels, Live(store, description.RangeOf(labels)).Intersect(range)))
            .Where(held => !held.Item2.IsEmpty);

    static TimeRange Live(StoreState store, TimeRange held) => held with { MaxTime = store.MaxTime(held) };

    static long? Since(StoreState store) => store.LastSeen == 0 ? null : store.LastSeen;

    sealed record Lack(
        MissingPart Part, string Name, Labels Labels, IReadOnlyList<TimeRange> Times, string Why, long? Since);

    /// <summary>Who has what, at one moment: looked up, since there may be thousands of collectors, each with a store of its own.</summary>
    sealed class View
    {
        readonly ILookup<KnownCollector, StoreState> _own;
        readonly ILookup<Labels, KnownCollector> _byLabels;
        readonly HashSet<StoreState> _ofCollectors = new(ReferenceEqualityComparer.Instance);

        public View(
            IReadOnlyList<StoreState> stores, List<KnownCollector> known, Dictionary<StoreState, string> lost, Selection selection, TimeRange range)
        {
            (Known, Lost, _byLabels) = (known, lost, known.ToLookup(collector => collector.Labels));
            var byName = known.ToLookup(collector => (collector.Labels, collector.Collector));
            var own = stores.Where(store => store.Description is { Component: "sidecar" }).SelectMany(store => store.Description!.LabelSets
                .SelectMany(labels => store.Description.Collector.Length > 0 ? byName[(labels, store.Description.Collector)]
                    : _byLabels[labels].Count() == 1 ? _byLabels[labels] : [])
                .Select(collector => (collector, store))).ToList();
            _own = own.ToLookup(one => one.collector, one => one.store, (IEqualityComparer<KnownCollector>)ReferenceEqualityComparer.Instance);
            _ofCollectors.UnionWith(own.Select(one => one.store));
            Answered = stores.Where(HasAnswered).SelectMany(store => Held(store, selection, range).Select(held => (Store: store, held.Labels, held.Range)))
                .ToLookup(held => held.Labels, held => (held.Store, held.Range));
        }

        public List<KnownCollector> Known { get; }

        /// <summary>Stores that gave no answer, and why.</summary>
        public Dictionary<StoreState, string> Lost { get; }

        /// <summary>What stores that answered hold, by its external labels.</summary>
        public ILookup<Labels, (StoreState Store, TimeRange Range)> Answered { get; }

        public bool HasAnswered(StoreState store) => !Lost.ContainsKey(store);

        public IEnumerable<KnownCollector> With(Labels labels) => _byLabels[labels];

        /// <summary>The stores that are a collector: by its name, or where a store does not tell that, by labels that no other one has.</summary>
        public IEnumerable<StoreState> Own(KnownCollector collector) => _own[collector];

        public bool IsOfCollector(StoreState store) => _ofCollectors.Contains(store);
    }
}
