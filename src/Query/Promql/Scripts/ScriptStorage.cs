using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Scripts;

/// <summary>A sample that a script loads: a float, or a histogram where that is not null.</summary>
/// <param name="Timestamp">Unix milliseconds.</param>
/// <param name="StartTimestamp">Unix milliseconds, 0 where none was given.</param>
public readonly record struct ScriptSample(long Timestamp, double Value, Histogram? Histogram, long StartTimestamp);

/// <param name="Samples">By rising time, each time once.</param>
public sealed record ScriptSeries(Labels Labels, IReadOnlyList<ScriptSample> Samples);

/// <summary>
/// The series of a script in memory, with their samples as a head would return them: a staleness marker after a histogram is a stale
/// histogram, and a counter histogram that continues its predecessor's chunk says that it is no reset.
/// </summary>
public sealed class ScriptStorage : IQuerier
{
    readonly ScriptSeries[] _series;

    public ScriptStorage(IEnumerable<ScriptSeries> series) => _series = [.. series.Select(AsStored).OrderBy(s => s.Labels)];

    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        await Task.CompletedTask;
        foreach (var series in Matching(selection))
        {
            selection.Query.ThrowIfOver();
            yield return new MemorySeries(series, selection.Hints);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        ValueTask.FromResult<IReadOnlyList<string>>(
            [.. Matching(selection).SelectMany(s => s.Labels.ToDictionary().Keys).Distinct().Order(Utf8Order.Instance)]);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        ValueTask.FromResult<IReadOnlyList<string>>(
            [.. Matching(selection).Select(s => s.Labels.Get(name)).Where(v => v.Length > 0).Distinct().Order(Utf8Order.Instance)]);

    IEnumerable<ScriptSeries> Matching(Selection selection)
    {
        var matching = _series.Where(
            s => Matcher.All(selection.Matchers, s.Labels) && s.Samples.Any(p => selection.Range.Contains(p.Timestamp)));
        return selection.Hints.Limit > 0 ? matching.Take(selection.Hints.Limit) : matching;
    }

    static ScriptSeries AsStored(ScriptSeries series)
    {
        var stored = new List<ScriptSample>(series.Samples.Count);
        Histogram? last = null;
        foreach (var sample in series.Samples)
        {
            var histogram = sample.Histogram;
            if (histogram is null && last is not null && StaleMarker.IsStale(sample.Value))
            {
                histogram = new Histogram { Sum = StaleMarker.Value };
            }

            if (histogram is not null)
            {
                histogram = histogram.CounterResetHint == CounterResetHint.Gauge ? histogram
                    : histogram.WithHint(
                    last is not null && Continues(last, histogram) ? CounterResetHint.NotCounterReset : CounterResetHint.Unknown);
            }

            stored.Add(sample with { Histogram = histogram });
            last = histogram;
        }

        return series with { Samples = stored };
    }

    /// <summary>Whether a counter histogram goes into the chunk of the one before.</summary>
    static bool Continues(Histogram previous, Histogram next)
    {
        if (previous.CounterResetHint == CounterResetHint.Gauge || next.CounterResetHint == CounterResetHint.CounterReset)
        {
            return false;
        }

        if (next.IsStale || previous.IsStale)
        {
            return next.IsStale;
        }

        return next.Schema == previous.Schema && next.ZeroThreshold == previous.ZeroThreshold
            && (next.CustomValues ?? []).AsSpan().SequenceEqual(previous.CustomValues ?? [])
            && !next.WithHint(CounterResetHint.Unknown).DetectReset(previous);
    }

    sealed class MemorySeries(ScriptSeries series, SelectHints hints) : Series(series.Labels)
    {
        public override ISampleIterator Samples() => new Iterator(series.Samples, hints);
    }

    sealed class Iterator(IReadOnlyList<ScriptSample> samples, SelectHints hints) : ISampleIterator
    {
        int _at;
        long _from = hints.Range.MinTime;

        public bool Read(SampleBatch batch)
        {
            while (_at < samples.Count && samples[_at].Timestamp < _from)
            {
                _at++;
            }

            batch.Clear();
            if (hints.SkipSamples || _at == samples.Count || samples[_at].Timestamp > hints.Range.MaxTime)
            {
                return false;
            }

            batch.Kind = samples[_at].Histogram is null ? SampleKind.Float : SampleKind.Histogram;
            for (; _at < samples.Count && batch.Count < batch.Capacity; _at++)
            {
                var sample = samples[_at];
                var isFloat = sample.Histogram is null;
                if (sample.Timestamp > hints.Range.MaxTime || isFloat != (batch.Kind == SampleKind.Float))
                {
                    break;
                }

                batch.Timestamps[batch.Count] = sample.Timestamp;
                batch.StartTimestamps[batch.Count] = sample.StartTimestamp;
                batch.HasStartTimestamps |= sample.StartTimestamp != 0;
                if (isFloat)
                {
                    batch.Values[batch.Count] = sample.Value;
                }
                else
                {
                    batch.Histograms[batch.Count] = sample.Histogram!;
                }

                batch.Count++;
            }

            return true;
        }

        public void Seek(long timestamp) => _from = Math.Max(_from, timestamp);

        public void Dispose()
        {
        }
    }
}
