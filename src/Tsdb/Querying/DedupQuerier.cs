using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Joins the replicas of each series (<see cref="DedupIterator"/>) of a source, which leaves the labels off that tell them apart: it alone
/// knows which labels are external. The first replica is that whose labels come first. Without replica labels everything is passed through.
/// </summary>
public sealed class DedupQuerier(IQuerier source, IReadOnlyList<string> replicaLabels) : IQuerier
{
    /// <summary>
    /// So much more than the range, in milliseconds, is read at each end: what is a replica's gap at the edge of a range is told by what
    /// comes beyond it. Replicas with intervals of up to a fifth of it answer the same wherever a range begins or ends.
    /// </summary>
    const long Margin = 300_000;

    /// <summary>The same of downsampled windows: two of the coarsest.</summary>
    const long WindowsMargin = 2 * 3_600_000;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        replicaLabels.Count == 0
            ? source.SelectAsync(selection)
            : new HeldSelection<IAsyncEnumerator<Series>>(
                () => source.SelectAsync(WithoutReplica(selection.With(Widened(selection.Hints)))).GetAsyncEnumerator(),
                all => JoinAsync(all, selection));

    /// <summary>What is asked of sources whose series are joined here.</summary>
    public static SelectHints Widened(SelectHints hints) => hints.SkipSamples ? hints : hints with
    {
        Range = hints.Range.Widened(Margin),
        WindowsMarginMs = hints.WindowsMarginMs + WindowsMargin,
    };

    static async IAsyncEnumerable<Series> JoinAsync(IAsyncEnumerator<Series> all, Selection selection)
    {
        var (hints, replicas, count, pool) = (selection.Hints, new List<Series>(), new SeriesCount(selection), new DedupPool());
        var served = selection.Query.Replicas;
        for (var isMore = await all.MoveNextAsync(); isMore;)
        {
            if (!count.Add(all.Current.Labels))
            {
                yield break;
            }

            replicas.Clear();
            do
            {
                replicas.Add(all.Current);
                isMore = await all.MoveNextAsync();
            }
            while (isMore && all.Current.Labels == replicas[0].Labels);

            yield return hints.SkipSamples ? replicas[0]
                : replicas.Count == 1 ? new TrimmedSeries(replicas[0], hints.WindowRange, served)
                : new DedupSeries(replicas[0].Labels, [.. replicas], hints, pool, served);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(WithoutReplica(selection));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        source.LabelValuesAsync(name, WithoutReplica(selection));

    Selection WithoutReplica(Selection selection) => selection.With(selection.Hints with { ReplicaLabels = replicaLabels });

    sealed class DedupSeries(Labels labels, Series[] replicas, SelectHints hints, DedupPool pool, ServedReplicas? served) : Series(labels)
    {
        public override ISampleIterator Samples()
        {
            var kind = hints.IsCounter ? DedupKind.Counter : DedupIterator.KindOf(Labels);
            var kindOfWindows = hints.Aggregate switch
            {
                Aggregate.Counter => DedupKind.AdjustedCounter,
                // How much a window has of a counter may fall from one to the next.
                Aggregate.Count or Aggregate.Sum => DedupKind.Gauge,
                _ => kind,
            };
            var samples = new ISampleIterator[replicas.Length];
            for (var i = 0; i < samples.Length; i++)
            {
                samples[i] = replicas[i].Samples();
            }

            var range = hints.WindowRange;
            var joined = new TrimmedIterator(
                DedupIterator.Join(samples, kind, kindOfWindows, replicas[0].Replica.IsEmpty, range.MaxTime, pool), range);
            return served is null ? joined : served.Watch(joined, replicas);
        }
    }

    sealed class TrimmedSeries(Series series, TimeRange range, ServedReplicas? served) : Series(series.Labels)
    {
        public override ISampleIterator Samples()
        {
            var samples = new TrimmedIterator(series.Samples(), range);
            return served is null || series.Replica.IsEmpty ? samples : served.Watch(samples, [series]);
        }

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
