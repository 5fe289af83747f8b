using System.Runtime.CompilerServices;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Testkit;

/// <summary>A series as a test writes it down: floats, or histograms, by rising time in Unix milliseconds.</summary>
public sealed record TestSeries(Labels Labels, params (long Time, double Value)[] Samples)
{
    public (long Time, Histogram Value)[] Histograms { get; init; } = [];
}

/// <summary>Series in memory, answered by the plain reading of the contract: what other queriers are held against.</summary>
public sealed class MemoryQuerier(IEnumerable<TestSeries> series) : IQuerier
{
    readonly TestSeries[] _series = [.. series.OrderBy(s => s.Labels)];

    public async IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var count = 0;
        foreach (var series in Matching(hints, matchers))
        {
            cancellationToken.ThrowIfCancellationRequested();
            await Task.Yield();
            if (hints.Limit > 0 && count++ == hints.Limit)
            {
                warnings.Add(Warnings.Truncated);
                yield break;
            }

            yield return new MemorySeries(series, hints);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var names = Matching(hints, matchers).SelectMany(s => s.Labels.ToDictionary().Keys);
        return ValueTask.FromResult(Sorted(names, hints.Limit, warnings));
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var values = Matching(hints, matchers).Select(s => s.Labels.Get(name)).Where(v => v.Length > 0);
        return ValueTask.FromResult(Sorted(values, hints.Limit, warnings));
    }

    static IReadOnlyList<string> Sorted(IEnumerable<string> texts, int limit, Warnings warnings)
    {
        var sorted = texts.Distinct().Order(Utf8Order.Instance).ToList();
        if (limit == 0 || sorted.Count <= limit)
        {
            return sorted;
        }

        warnings.Add(Warnings.Truncated);
        return sorted[..limit];
    }

    IEnumerable<TestSeries> Matching(SelectHints hints, IReadOnlyList<Matcher> matchers) => _series.Where(s =>
        Matcher.All(matchers, s.Labels)
        && (s.Samples.Any(p => hints.Range.Contains(p.Time)) || s.Histograms.Any(p => hints.Range.Contains(p.Time))));

    sealed class MemorySeries(TestSeries series, SelectHints hints) : Series(series.Labels)
    {
        public override ISampleIterator Samples() => new MemoryIterator(series, hints);
    }

    sealed class MemoryIterator(TestSeries series, SelectHints hints) : ISampleIterator
    {
        long _from = hints.SkipSamples ? long.MaxValue : hints.Range.MinTime;

        public bool Read(SampleBatch batch)
        {
            batch.Count = 0;
            batch.HasStartTimestamps = false;
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
