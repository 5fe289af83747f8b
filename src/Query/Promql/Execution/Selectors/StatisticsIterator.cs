using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>
/// Histograms reduced to count and sum. Without buckets a counter reset can't be found, so it is found here, by comparing with the sample
/// before, and written into the hint.
/// </summary>
sealed class StatisticsIterator(ISampleIterator samples) : ISampleIterator
{
    Histogram? _last;

    public bool Read(SampleBatch batch)
    {
        if (!samples.Read(batch))
        {
            return false;
        }

        for (var i = 0; batch.Kind == SampleKind.Histogram && i < batch.Count; i++)
        {
            var full = batch.Histograms[i];
            var hint = full.CounterResetHint;
            if (!full.IsStale)
            {
                if (hint == CounterResetHint.Unknown && _last is not null)
                {
                    hint = full.DetectReset(_last) ? CounterResetHint.CounterReset : CounterResetHint.NotCounterReset;
                }

                _last = full;
            }

            batch.Histograms[i] = new Histogram
            {
                IsInteger = full.IsInteger,
                CounterResetHint = hint,
                Schema = full.Schema,
                Count = full.Count,
                Sum = full.Sum,
            };
        }

        return true;
    }

    public void Seek(long timestamp) => samples.Seek(timestamp);

    public void Dispose() => samples.Dispose();
}
