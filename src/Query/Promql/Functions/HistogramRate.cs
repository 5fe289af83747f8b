using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>The increase of a native histogram within a window of at least two.</summary>
static class HistogramRate
{
    /// <summary>False, with a warning, where the histograms can't be combined.</summary>
    public static bool TryIncrease(Window window, bool isCounter, out Histogram? increase)
    {
        var histograms = window.Histograms;
        var site = window.Site;
        var name = window.MetricName;
        var (first, last) = (histograms[0], histograms[^1]);
        increase = null;
        if (isCounter && (IsGauge(first) || IsGauge(last)))
        {
            site.NativeHistogramNotCounter(name);
        }

        if (isCounter && IsReset(window, 1, first))
        {
            // A histogram from before a reset does not count, nor does its layout.
            first = new Histogram { Schema = histograms[1].Schema, CustomValues = histograms[1].CustomValues };
        }

        if (last.UsesCustomBuckets != first.UsesCustomBuckets)
        {
            site.MixedExponentialCustom(name);
            return false;
        }

        var schema = Math.Min(last.Schema, first.Schema);
        for (var i = 1; isCounter && i < histograms.Length - 1; i++)
        {
            if (IsGauge(histograms[i]))
            {
                site.NativeHistogramNotCounter(name);
            }

            schema = Math.Min(schema, histograms[i].Schema);
            if (histograms[i].UsesCustomBuckets != first.UsesCustomBuckets)
            {
                site.MixedExponentialCustom(name);
                return false;
            }
        }

        increase = last.CopyToSchema(schema);
        if (!HistogramSteps.TrySubtract(increase, first, site, name) || (isCounter && !TryAddResets(window, increase, first)))
        {
            increase = null;
            return false;
        }

        if (!isCounter && !(IsGauge(histograms[0]) && IsGauge(last)))
        {
            site.NativeHistogramNotGauge(name);
        }

        increase.CounterResetHint = CounterResetHint.Gauge;
        increase = increase.Compact(0);
        return true;
    }

    static bool TryAddResets(Window window, Histogram increase, Histogram first)
    {
        var times = window.HistogramTimes;
        var histograms = window.Histograms;
        var starts = window.HistogramStarts;
        var previous = first;
        var overlap = false;
        for (var i = 1; i < histograms.Length; i++)
        {
            if (!overlap && !starts.IsEmpty && StartTimes.Overlaps(starts[i - 1], times[i - 1], starts[i]))
            {
                window.Site.StartTimeOverlap(window.MetricName);
                overlap = true;
            }

            if (IsReset(window, i, previous) && !HistogramSteps.TryAdd(increase, previous, window.Site, window.MetricName))
            {
                return false;
            }

            previous = histograms[i];
        }

        return true;
    }

    static bool IsReset(Window window, int index, Histogram previous)
    {
        var times = window.HistogramTimes;
        var starts = window.HistogramStarts;
        return (!starts.IsEmpty && StartTimes.IsReset(starts[index - 1], times[index - 1], starts[index], times[index]))
            || window.Histograms[index].DetectReset(previous);
    }

    static bool IsGauge(Histogram histogram) => histogram.CounterResetHint == CounterResetHint.Gauge;
}
