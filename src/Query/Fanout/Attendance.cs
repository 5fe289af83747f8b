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
sealed class Attendance(IReadOnlyList<StoreState> stores, Selection selection, IReadOnlyList<string> replicaLabels, long now)
{
    readonly Dictionary<StoreState, string> _lost = new(ReferenceEqualityComparer.Instance);
    readonly TimeRange _range = selection.Range with { MaxTime = Math.Min(selection.Range.MaxTime, now) };

    public IReadOnlyList<StoreState> Stores => stores;

    /// <summary>A store gave no answer, or not all of it.</summary>
    public void Lose(StoreState store, string why)
    {
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

        foreach (var missing in Missing())
        {
            coverage.Add(missing);
        }
    }

    /// <summary>The names of clusters that have samples within the range, or should have.</summary>
    public IEnumerable<string> Expected() => stores
        .SelectMany(store => Held(store).Select(held => held.Labels))
        .Concat(Known().Where(known => known.Gaps.Any(gap => gap.Range.Overlaps(_range))).Select(known => known.Labels))
        .Select(labels => labels.Get("cluster")).Where(name => name.Length > 0).Distinct();

    public IEnumerable<Missing> Missing()
    {
        if (_range.IsEmpty)
        {
            yield break;
        }

        Dictionary<StoreState, string> lost;
        lock (_lost)
        {
            lost = new Dictionary<StoreState, string>(_lost, ReferenceEqualityComparer.Instance);
        }

        foreach (var store in lost.Keys.Where(store => store.Description is null or { LabelSets.Count: 0 }))
        {
            var range = store.Description is { } held ? _range.Intersect(Live(store, held.Range)) : _range;
            if (!range.IsEmpty)
            {
                yield return new Missing(MissingPart.Source, store.Name, [], range, lost[store]) { Since = Since(store) };
            }
        }

        var known = Known();
        var lacks = known.SelectMany(collector => OfCollector(collector, known, lost)).Concat(OfStores(known, lost)).ToList();
        if (replicaLabels.Count > 0 && lacks.Count > 0)
        {
            lacks = WithoutReplicas(lacks, lost);
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
        var known = new List<KnownCollector>();
        lock (_lost)
        {
            foreach (var views in all)
            {
                var answered = views.Where(view => !_lost.ContainsKey(view.store)).Select(view => view.collector).ToList();
                var first = answered.Count > 0 ? answered[0] : views.First().collector;
                known.Add(first with
                {
                    Gaps =
                    [
                        .. first.Gaps.SelectMany(gap => answered.Skip(1).Aggregate(
                            (IReadOnlyList<TimeRange>)[gap.Range],
                            (left, view) => TimeSpans.Intersect(left, [.. view.Gaps.Select(other => other.Range)]))
                            .Select(range => gap with { Range = range })),
                    ],
                });
            }
        }

        return known;
    }

    IEnumerable<Lack> OfCollector(KnownCollector collector, List<KnownCollector> known, Dictionary<StoreState, string> lost)
    {
        var own = stores.Where(store => IsOf(store, collector, known)).ToList();
        if (!own.TrueForAll(lost.ContainsKey))
        {
            yield break; // It has all that it has not shipped.
        }

        var (endpoint, isExpected) = (own.FirstOrDefault(), collector.IsExpected);
        foreach (var gap in collector.Gaps)
        {
            var times = TimeSpans.Union([gap.Range.Intersect(_range)]);
            yield return endpoint is null || !isExpected
                ? new Lack(MissingPart.Collector, collector.Collector, collector.Labels, times, gap.Why, gap.Since)
                : new Lack(MissingPart.Source, endpoint.Name, collector.Labels, times, lost[endpoint], Since(endpoint));
        }
    }

    /// <summary>What is missing of stores that gave no answer; that of collectors of which the bucket tells is told by the bucket.</summary>
    IEnumerable<Lack> OfStores(List<KnownCollector> known, Dictionary<StoreState, string> lost)
    {
        foreach (var store in lost.Keys.Where(store => !known.Exists(collector => IsOf(store, collector, known))))
        {
            foreach (var (labels, range) in Held(store))
            {
                var collectors = known.FindAll(collector => collector.Labels == labels);
                var answered = stores
                    .Where(other => !lost.ContainsKey(other) && !collectors.Exists(collector => IsOf(other, collector, known)))
                    .SelectMany(other => Held(other).Where(held => held.Labels == labels).Select(held => held.Range));
                var byCollectors = collectors.Select(collector => Answered(collector, known, lost)).DefaultIfEmpty(new TimeRange(0, -1))
                    .Aggregate((one, other) => one.Intersect(other));
                yield return new Lack(
                    MissingPart.Source, store.Name, labels, TimeSpans.Except([range], answered.Append(byCollectors)), lost[store],
                    Since(store));
            }
        }
    }

    /// <summary>Takes off what another replica has of the same time.</summary>
    List<Lack> WithoutReplicas(List<Lack> lacks, Dictionary<StoreState, string> lost)
    {
        var missing = lacks.GroupBy(lack => lack.Labels).ToDictionary(
            group => group.Key, group => TimeSpans.Union(group.SelectMany(lack => lack.Times)));
        var present = stores.Where(store => !lost.ContainsKey(store)).SelectMany(Held).GroupBy(held => held.Labels)
            .Select(group => (Labels: group.Key, Times: TimeSpans.Except(
                TimeSpans.Union(group.Select(held => held.Range)), missing.GetValueOrDefault(group.Key) ?? [])))
            .ToLookup(one => one.Labels.Without(replicaLabels));
        return lacks.ConvertAll(lack => lack with
        {
            Times = TimeSpans.Except(
                lack.Times, present[lack.Labels.Without(replicaLabels)].Where(one => one.Labels != lack.Labels).SelectMany(one => one.Times)),
        });
    }

    /// <summary>Whether a store is a collector: by its name, or where it does not tell that, by labels that no other one has.</summary>
    static bool IsOf(StoreState store, KnownCollector collector, List<KnownCollector> known) =>
        store.Description is { Component: "sidecar" } description && description.LabelSets.Contains(collector.Labels)
        && (description.Collector.Length > 0
            ? description.Collector == collector.Collector
            : known.Count(other => other.Labels == collector.Labels) == 1);

    /// <summary>From when on nothing of a collector is missing, whatever the bucket has: it answered, or has nothing more.</summary>
    TimeRange Answered(KnownCollector collector, List<KnownCollector> known, Dictionary<StoreState, string> lost) =>
        stores.FirstOrDefault(store => !lost.ContainsKey(store) && IsOf(store, collector, known)) is { } own
            ? Live(own, own.Description!.Range)
            : collector.IsExpected ? new TimeRange(0, -1) : new TimeRange((collector.NewestSample ?? long.MinValue) + 1, long.MaxValue);

    /// <summary>Sets of labels of a store that match, each with the part of the range that the store has of it.</summary>
    IEnumerable<(Labels Labels, TimeRange Range)> Held(StoreState store) => store.Description is not { } description ? [] : description
        .LabelSets.Where(labels => selection.Answer(labels) is not null)
        .Select(labels => (labels, Live(store, description.RangeOf(labels)).Intersect(_range)))
        .Where(held => !held.Item2.IsEmpty);

    static TimeRange Live(StoreState store, TimeRange held) => held with { MaxTime = store.MaxTime(held) };

    static long? Since(StoreState store) => store.LastSeen == 0 ? null : store.LastSeen;

    sealed record Lack(
        MissingPart Part, string Name, Labels Labels, IReadOnlyList<TimeRange> Times, string Why, long? Since);
}
