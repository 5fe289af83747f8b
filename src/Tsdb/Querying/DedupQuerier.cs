using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Removes the replica labels of all series and joins the series that are equal then (<see cref="DedupIterator"/>). Without replica labels
/// it passes everything through.
/// </summary>
public sealed class DedupQuerier(IQuerier source, IReadOnlyCollection<string> replicaLabels) : IQuerier
{
    /// <summary>
    /// So much more than the range, in milliseconds, is read at each end: what is a replica's gap at the edge of a range is told by what
    /// comes beyond it. Replicas with intervals of up to a fifth of it answer the same wherever a range begins or ends.
    /// </summary>
    const long Margin = 300_000;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        replicaLabels.Count == 0
            ? source.SelectAsync(selection)
            : new HeldSelection<IAsyncEnumerator<Series>>(
                () => source.SelectAsync(selection.With(Widened(selection.Hints) with { Limit = 0 })).GetAsyncEnumerator(),
                all => JoinAsync(all, selection));

    /// <summary>What is asked of sources whose series are joined here.</summary>
    public static SelectHints Widened(SelectHints hints)
    {
        if (hints.SkipSamples)
        {
            return hints;
        }

        var margin = Math.Max(Margin, 2 * hints.MaxResolutionMs);
        return hints with
        {
            Range = new TimeRange(
                Math.Max(hints.Range.MinTime, long.MinValue + margin) - margin,
                Math.Min(hints.Range.MaxTime, long.MaxValue - margin) + margin),
        };
    }

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

            yield return hints.SkipSamples ? ordered[first]
                : i - first == 1 ? new TrimmedSeries(ordered[first], hints.Range)
                : new DedupSeries(labels, [.. ordered[first..i]], Kind(labels, hints), hints.Range);
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

    sealed class DedupSeries(Labels labels, Series[] replicas, DedupKind kind, TimeRange range) : Series(labels)
    {
        public override ISampleIterator Samples() =>
            new TrimmedIterator(DedupIterator.Join([.. replicas.Select(r => r.Samples())], kind), range);
    }

    sealed class TrimmedSeries(Series series, TimeRange range) : Series(series.Labels)
    {
        public override ISampleIterator Samples() => new TrimmedIterator(series.Samples(), range);

        public override IEnumerable<Chunk>? Chunks() => series.Chunks();
    }

    /// <summary>The samples of a range out of those of a wider one.</summary>
    sealed class TrimmedIterator(ISampleIterator samples, TimeRange range) : ISampleIterator
    {
        bool _isWithin = range.MinTime == long.MinValue;
        bool _isAtEnd;

        public bool Read(SampleBatch batch)
        {
            if (!_isWithin)
            {
                _isWithin = true;
                samples.Seek(range.MinTime);
            }

            if (_isAtEnd || !samples.Read(batch))
            {
                return false;
            }

            _isAtEnd = batch.DropAfter(range.MaxTime);
            return batch.Count > 0;
        }

        public void Seek(long timestamp)
        {
            _isWithin = true;
            samples.Seek(Math.Max(timestamp, range.MinTime));
        }

        public void Dispose() => samples.Dispose();
    }
}
