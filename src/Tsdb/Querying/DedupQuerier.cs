using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Takes the replica labels off all series and makes one series of those that are equal then (<see cref="DedupIterator"/>). Without
/// replica labels it passes everything through.
/// </summary>
public sealed class DedupQuerier(IQuerier source, IReadOnlyCollection<string> replicaLabels) : IQuerier
{
    static readonly HashSet<string> s_counterFunctions = ["rate", "irate", "increase", "resets", "xrate", "xincrease"];

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        replicaLabels.Count == 0
            ? source.SelectAsync(hints, matchers, warnings, cancellationToken)
            : new HeldSelection<IAsyncEnumerator<Series>>(
                () => source.SelectAsync(hints with { Limit = 0 }, matchers, warnings, cancellationToken).GetAsyncEnumerator(cancellationToken),
                all => JoinAsync(all, hints, warnings),
                all => all.DisposeAsync());

    async IAsyncEnumerable<Series> JoinAsync(IAsyncEnumerator<Series> all, SelectHints hints, Warnings warnings)
    {
        // Without a label series may sort elsewhere, so that all are gathered.
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

        // Replicas stay in the order of their labels, whichever source was quicker.
        var ordered = !isChanged || IsOrdered(gathered) ? gathered : [.. gathered.OrderBy(s => s.Labels)];
        var count = 0;
        for (var i = 0; i < ordered.Count; count++)
        {
            if (hints.Limit > 0 && count == hints.Limit)
            {
                warnings.Add(Warnings.Truncated);
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

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        var names = await source.LabelNamesAsync(hints, matchers, warnings, cancellationToken);
        return replicaLabels.Count == 0 ? names : [.. names.Where(n => !replicaLabels.Contains(n))];
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        source.LabelValuesAsync(name, hints, matchers, warnings, cancellationToken);

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
        : hints.Function is { } function && s_counterFunctions.Contains(function) ? DedupKind.Counter
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
