using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Testkit;

/// <summary>A series as a test writes it down: floats, or histograms, by rising time in Unix milliseconds.</summary>
public sealed record TestSeries(Labels Labels, params (long Time, double Value)[] Samples)
{
    public (long Time, Histogram Value)[] Histograms { get; init; } = [];

    /// <summary>Labels of the source that it comes from, which win over its own.</summary>
    public Labels External { get; init; }
}

/// <summary>Series in memory, answered by the plain reading of the contract: what other queriers are held against.</summary>
public sealed class MemoryQuerier(IEnumerable<TestSeries> series) : IQuerier
{
    readonly TestSeries[] _series = [.. series];

    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        var count = new SeriesCount(selection);
        foreach (var series in Matching(selection).OrderBy(s => s.Key))
        {
            selection.Query.ThrowIfOver();
            await Task.Yield();
            if (!count.Add(series.Labels))
            {
                yield break;
            }

            yield return series;
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        selection.Query.ThrowIfOver();
        return ValueTask.FromResult(Sorted(Matching(selection).SelectMany(s => s.Labels.ToDictionary().Keys), selection));
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        selection.Query.ThrowIfOver();
        return ValueTask.FromResult(Sorted(Matching(selection).Select(s => s.Labels.Get(name)).Where(v => v.Length > 0), selection));
    }

    static IReadOnlyList<string> Sorted(IEnumerable<string> texts, Selection selection) =>
        selection.Limited([.. texts.Distinct().Order(Utf8Order.Instance)]);

    IEnumerable<MemorySeries> Matching(Selection selection)
    {
        foreach (var one in _series)
        {
            var replica = one.External.Only(selection.Hints.ReplicaLabels);
            var (shown, matched) = (new LabelsBuilder(one.Labels), new LabelsBuilder(replica));
            Set(shown, one.External.Without(selection.Hints.ReplicaLabels));
            Set(matched, shown.Build());
            if (Matcher.All(selection.Matchers, matched.Build())
                && (one.Samples.Any(p => selection.Range.Contains(p.Time)) || one.Histograms.Any(p => selection.Range.Contains(p.Time))))
            {
                yield return new MemorySeries(new SeriesKey(shown.Build(), replica), one, selection.Hints);
            }
        }
    }

    static void Set(LabelsBuilder builder, Labels labels)
    {
        foreach (var label in labels)
        {
            builder.Set(label.Name, label.Value);
        }
    }

    sealed class MemorySeries(SeriesKey key, TestSeries series, SelectHints hints) : Series(key.Labels)
    {
        public override Labels Replica => key.Replica;

        public override ISampleIterator Samples() => new MemoryIterator(series, hints);
    }

    sealed class MemoryIterator(TestSeries series, SelectHints hints) : ISampleIterator
    {
        long _from = hints.SkipSamples ? long.MaxValue : hints.Range.MinTime;

        public bool Read(SampleBatch batch)
        {
            batch.Clear();
            var floats = series.Samples.Where(p => p.Time >= _from && p.Time <= hints.Range.MaxTime);
            var histograms = series.Histograms.Where(p => p.Time >= _from && p.Time <= hints.Range.MaxTime);
            var (nextFloat, nextHistogram) = (First(floats.Select(p => p.Time)), First(histograms.Select(p => p.Time)));
            if (nextFloat <= nextHistogram)
            {
                batch.Kind = SampleKind.Float;
                foreach (var (time, value) in floats.TakeWhile(p => p.Time < nextHistogram).Take(batch.Capacity))
                {
                    (batch.Timestamps[batch.Count], batch.Values[batch.Count]) = (time, value);
                    batch.Count++;
                }
            }
            else
            {
                batch.Kind = SampleKind.Histogram;
                foreach (var (time, value) in histograms.TakeWhile(p => p.Time < nextFloat).Take(batch.Capacity))
                {
                    (batch.Timestamps[batch.Count], batch.Histograms[batch.Count]) = (time, value);
                    batch.Count++;
                }
            }

            if (batch.Count > 0)
            {
                _from = batch.Timestamps[batch.Count - 1] + 1;
            }

            return batch.Count > 0 && !hints.SkipSamples;
        }

        static long First(IEnumerable<long> times) => times.DefaultIfEmpty(long.MaxValue).First();

        public void Seek(long timestamp) => _from = Math.Max(_from, timestamp);

        public void Dispose()
        {
        }
    }
}
