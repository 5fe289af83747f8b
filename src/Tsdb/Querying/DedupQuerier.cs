using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Removes the replica labels of all series and joins the series that are equal then (<see cref="DedupIterator"/>). Without replica labels
/// it passes everything through.
/// </summary>
public sealed class DedupQuerier(IQuerier source, IReadOnlyCollection<string> replicaLabels) : IQuerier
{
    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        replicaLabels.Count == 0
            ? source.SelectAsync(selection)
            : new HeldSelection<IAsyncEnumerator<Series>>(
                () => source.SelectAsync(selection.With(selection.Hints with { Limit = 0 })).GetAsyncEnumerator(),
                all => JoinAsync(all, selection));

    async IAsyncEnumerable<Series> JoinAsync(IAsyncEnumerator<Series> all, Selection selection)
    {
        // The order of series can change with a label removed, so that all series are gathered first.
        var gathered = new List<Series>();
        var projection = new LabelProjection(replicaLabels, keep: false);
        var isChanged = false;
        while (await all.MoveNextAsync())
        {
            var series = all.Current;
            var labels = projection.Project(series.Labels);
            if (labels.Encoded.Length != series.Labels.Encoded.Length)
            {
                isChanged = true;
                series = new Replica(labels, series);
            }

            gathered.Add(series);
        }

        // Replicas of a series stay in the order of their full labels, which does not depend on how fast sources answer.
        var ordered = !isChanged || IsOrdered(gathered) ? gathered : [.. gathered.OrderBy(s => s.Labels)];
        var (hints, count) = (selection.Hints, 0);
        for (var i = 0; i < ordered.Count; count++)
        {
            if (hints.Limit > 0 && count == hints.Limit)
            {
                selection.Coverage.Truncate();
                yield break;
            }

            var first = i++;
            var labels = ordered[first].Labels;
            while (i < ordered.Count && ordered[i].Labels == labels)
            {
                i++;
            }

            yield return i - first == 1 ? ordered[first] : new DedupSeries(labels, [.. ordered[first..i]], Kind(labels, hints));
        }
    }

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        var names = await source.LabelNamesAsync(selection);
        return replicaLabels.Count == 0 ? names : [.. names.Where(n => !replicaLabels.Contains(n))];
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);

    static bool IsOrdered(List<Series> series)
    {
        for (var i = 1; i < series.Count; i++)
        {
            if (series[i - 1].Labels.CompareTo(series[i].Labels) > 0)
            {
                return false;
            }
        }

        return true;
    }

    static DedupKind Kind(Labels labels, SelectHints hints) =>
        hints.Aggregate == Aggregate.Counter && hints.MaxResolutionMs > 0 ? DedupKind.AdjustedCounter
        : hints.IsCounter ? DedupKind.Counter
        : DedupIterator.KindOf(labels);

    sealed class Replica(Labels labels, Series series) : Series(labels)
    {
        public override ISampleIterator Samples() => series.Samples();

        public override IEnumerable<Chunk>? Chunks() => series.Chunks();
    }

    sealed class DedupSeries(Labels labels, Series[] replicas, DedupKind kind) : Series(labels)
    {
        public override ISampleIterator Samples() => new DedupIterator([.. replicas.Select(r => r.Samples())], kind);
    }
}
