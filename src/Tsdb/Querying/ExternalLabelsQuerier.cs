using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Adds external labels to the series of a source that lack them, such as a head. Matchers on external labels are answered here; external
/// labels replace labels of the same name, as in Thanos, but for those that are left off (<see cref="SelectHints.ReplicaLabels"/>).
/// </summary>
/// <param name="external">Called for each selection, since a reload may change the labels.</param>
public sealed class ExternalLabelsQuerier(IQuerier inner, Func<Labels> external) : IQuerier
{
    public IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        var labels = external();
        var (kept, replica) = (labels.Without(selection.Hints.ReplicaLabels), labels.Only(selection.Hints.ReplicaLabels));
        return selection.Answer(labels) is { } rest
            ? new HeldSelection<Labelled>(() => new Labelled(new LabelsWriter(kept)), held => LabelAsync(held, rest, kept, replica, selection))
            : AsyncEnumerable.Empty<Series>();
    }

    async IAsyncEnumerable<Series> LabelAsync(Labelled held, Selection rest, Labels kept, Labels replica, Selection selection)
    {
        var limit = rest.Hints.Limit > 0 && await HasAnyAsync(kept, rest) ? 0 : rest.Hints.Limit;
        var (all, merged) = (held.Open(inner.SelectAsync(rest.With(rest.Hints with { Limit = limit, ReplicaLabels = [] }))), held.Merged);

        // The order of series can change with labels added, so that all series are gathered first.
        var gathered = new List<Series>();
        while (await all.MoveNextAsync())
        {
            merged.Add(all.Current.Labels);
            gathered.Add(new LabelledSeries(merged.Take(), replica, all.Current));
        }

        gathered.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        var count = 0;
        for (var i = 0; i < gathered.Count; count++)
        {
            if (selection.Hints.Limit > 0 && count == selection.Hints.Limit)
            {
                selection.Coverage.Truncate();
                yield break;
            }

            // Series that differed only in a label that was replaced are the same series now.
            var first = i++;
            while (i < gathered.Count && gathered[i].Labels == gathered[first].Labels)
            {
                i++;
            }

            yield return i - first == 1 ? gathered[first] : new MergedSeries([.. gathered[first..i]]);
        }
    }

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        var labels = external();
        if (selection.Answer(labels) is not { } rest)
        {
            return [];
        }

        var names = await inner.LabelNamesAsync(rest);
        return names.Count == 0 ? names : selection.Union([names, labels.Without(selection.Hints.ReplicaLabels).Names()]);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        var labels = external();
        if (selection.Answer(labels) is not { } rest)
        {
            return [];
        }

        if (!labels.Has(name) || selection.Hints.ReplicaLabels.Contains(name))
        {
            return await inner.LabelValuesAsync(name, rest);
        }

        // This selection only finds out whether any series matches, so that its limit does not truncate the answer.
        var any = await inner.LabelNamesAsync(rest.With(rest.Query.Derive(new Coverage())).With(rest.Hints with { Limit = 1 }));
        return any.Count == 0 ? [] : [labels.Get(name)];
    }

    // Whether any series has a label that is replaced: several of them may become one, and the source can't tell when there are enough.
    async ValueTask<bool> HasAnyAsync(Labels replaced, Selection rest)
    {
        var first = rest.With(rest.Query.Derive(new Coverage())).With(rest.Hints with { Limit = 1, ReplicaLabels = [] });
        foreach (var name in replaced.Names())
        {
            if ((await inner.LabelValuesAsync(name, first)).Count > 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The series of the source, and the memory of the labels that they get.</summary>
    sealed class Labelled(LabelsWriter merged) : IAsyncDisposable
    {
        IAsyncEnumerator<Series>? _all;

        public LabelsWriter Merged => merged;

        public IAsyncEnumerator<Series> Open(IAsyncEnumerable<Series> series) => _all = series.GetAsyncEnumerator();

        public ValueTask DisposeAsync()
        {
            merged.Dispose();
            return _all?.DisposeAsync() ?? ValueTask.CompletedTask;
        }
    }

    sealed class LabelledSeries(Labels labels, Labels replica, Series series) : Series(labels)
    {
        public override Labels Replica => replica;

        public override ISampleIterator Samples() => series.Samples();

        public override IEnumerable<Chunk>? Chunks() => series.Chunks();

        public override OpenedChunks? OpenChunks() => series.OpenChunks();
    }
}
