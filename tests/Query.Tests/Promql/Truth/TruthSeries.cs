using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>A series of one replica in arrays: floats or histograms.</summary>
/// <param name="Replica">Empty: there are no replicas.</param>
sealed record TruthSeries(Labels Labels, string Replica, long[] Times, double[]? Values, Histogram[]? Histograms)
{
    /// <summary>The samples of a range.</summary>
    public TruthSeries Within(long from, long to)
    {
        var (first, last) = (FirstAt(from), FirstAt(to + 1));
        return this with { Times = Times[first..last], Values = Values?[first..last], Histograms = Histograms?[first..last] };
    }

    /// <summary>The place of the first sample at or after a time.</summary>
    public int FirstAt(long time) => Array.BinarySearch(Times, time) is var at && at < 0 ? ~at : at;

    public ISampleIterator Samples(TimeRange range) => new Iterator(this, range);

    sealed class Iterator(TruthSeries series, TimeRange range) : ISampleIterator
    {
        int _at = series.FirstAt(range.MinTime);

        public bool Read(SampleBatch batch)
        {
            batch.Clear();
            var count = Math.Min(batch.Capacity, series.Times.Length - _at);
            while (count > 0 && series.Times[_at + count - 1] > range.MaxTime)
            {
                count--;
            }

            if (count <= 0)
            {
                return false;
            }

            (batch.Kind, batch.Count) = (series.Values is null ? SampleKind.Histogram : SampleKind.Float, count);
            Array.Copy(series.Times, _at, batch.Timestamps, 0, count);
            if (series.Values is not null)
            {
                Array.Copy(series.Values, _at, batch.Values, 0, count);
            }
            else
            {
                Array.Copy(series.Histograms!, _at, batch.Histograms, 0, count);
            }

            _at += count;
            return true;
        }

        public void Seek(long timestamp) => _at = Math.Max(_at, series.FirstAt(timestamp));

        public void Dispose()
        {
        }
    }
}

/// <summary>Series in arrays, quick to ask a million times.</summary>
sealed class TruthQuerier(IEnumerable<TruthSeries> series) : IQuerier
{
    readonly TruthSeries[] _series = [.. series.OrderBy(s => s.Labels).ThenBy(s => s.Replica, StringComparer.Ordinal)];

    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        await Task.CompletedTask;
        foreach (var one in _series)
        {
            if (Matcher.All(selection.Matchers, one.Labels))
            {
                yield return new Answered(one, selection.Range);
            }
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new NotSupportedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => throw new NotSupportedException();

    sealed class Answered(TruthSeries series, TimeRange range) : Series(series.Labels)
    {
        readonly Labels _replica = series.Replica.Length == 0 ? Labels.Empty : Labels.Of(("replica", series.Replica));

        public override Labels Replica => _replica;

        public override ISampleIterator Samples() => series.Samples(range);
    }
}
