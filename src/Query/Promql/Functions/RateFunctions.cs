using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>rate, increase and delta, extrapolated to the window's bounds; irate and idelta.</summary>
static class RateFunctions
{
    public static Point Rate(Window window) => Extrapolated(window, isCounter: true, isRate: true);

    public static Point Increase(Window window) => Extrapolated(window, isCounter: true, isRate: false);

    public static Point Delta(Window window) => Extrapolated(window, isCounter: false, isRate: false);

    public static Point InstantRate(Window window) => LastTwo(window, isRate: true);

    public static Point InstantDelta(Window window) => LastTwo(window, isRate: false);

    static Point Extrapolated(Window window, bool isCounter, bool isRate)
    {
        var values = window.Values;
        var histograms = window.Histograms;
        if (!values.IsEmpty && !histograms.IsEmpty)
        {
            window.Site.MixedFloatsHistograms(window.MetricName);
            return Point.None;
        }

        if (isCounter && window.HasLoadedWindows && !window.Anchored && !window.Smoothed
            && WindowedRate.TryGet(window, isRate, out var point))
        {
            return point;
        }

        if (values.IsEmpty && histograms.IsEmpty)
        {
            return Point.None;
        }

        if (window.Anchored || window.Smoothed)
        {
            return values.IsEmpty
                ? ExtendedRate.OfHistograms(window, isCounter, isRate)
                : ExtendedRate.OfFloats(window, isCounter, isRate);
        }

        return values.IsEmpty ? OfHistograms(window, isCounter, isRate) : OfFloats(window, isCounter, isRate);
    }

    static Point OfFloats(Window window, bool isCounter, bool isRate)
    {
        var times = window.Times;
        var values = window.Values;
        var starts = window.Starts;
        var last = values.Length - 1;
        var increase = values[last] - values[0];
        if (isCounter && starts.IsEmpty)
        {
            for (var i = 0; ; i++)
            {
                var reset = window.Drop(i, out var exists);
                if (!exists)
                {
                    break;
                }

                increase += values[reset - 1];
            }
        }
        else if (isCounter)
        {
            increase = CorrectedByStarts(window, increase);
        }

        var startsWithin = isCounter && StartsWithin(starts, window.RangeStart, times[0]);
        if (startsWithin)
        {
            increase += values[0];
        }
        else if (last == 0)
        {
            return Point.None;
        }

        var toZero = isCounter && increase > 0 && values[0] >= 0 ? values[0] / increase : double.NaN;
        return increase * Factor(window, times, startsWithin ? starts[0] : 0, toZero, isRate);
    }

    static double CorrectedByStarts(Window window, double increase)
    {
        var times = window.Times;
        var values = window.Values;
        var starts = window.Starts;
        var overlap = false;
        for (var i = 1; i < values.Length; i++)
        {
            if (!overlap && StartTimes.Overlaps(starts[i - 1], times[i - 1], starts[i]))
            {
                window.Site.StartTimeOverlap(window.MetricName);
                overlap = true;
            }

            if (values[i] < values[i - 1] || StartTimes.IsReset(starts[i - 1], times[i - 1], starts[i], times[i]))
            {
                increase += values[i - 1];
            }
        }

        return increase;
    }

    /// <summary>
    /// Whether the first sample's counter started within the window: the counter was zero at that time, so that nothing is extrapolated
    /// before it.
    /// </summary>
    static bool StartsWithin(ReadOnlySpan<long> starts, long rangeStart, long firstTime) =>
        !starts.IsEmpty && starts[0] != 0 && starts[0] > rangeStart && starts[0] < firstTime;

    /// <summary>The factor that turns the increase between the samples into that of the whole window.</summary>
    /// <param name="start">The time at which the counter started within the window, else 0.</param>
    /// <param name="toZero">
    /// How many sampled intervals before the first sample a counter was zero; NaN where the samples are no counter's.
    /// </param>
    static double Factor(Window window, ReadOnlySpan<long> times, long start, double toZero, bool isRate)
    {
        var (first, last) = (times[0], times[^1]);
        var (before, after, span) = (first - window.RangeStart, window.RangeEnd - last, last - first);
        var (started, count) = (start == 0 ? 0 : last - start, times.Length);
        if (!window.Geometry.Fits(count, before, after, span, started, window.RangeMs))
        {
            window.Geometry = new WindowGeometry(count, before, after, span, started, window.RangeMs);
        }

        return window.Geometry.FactorFrom(toZero, isRate);
    }

    static Point OfHistograms(Window window, bool isCounter, bool isRate)
    {
        var times = window.HistogramTimes;
        var histograms = window.Histograms;
        var starts = window.HistogramStarts;
        Histogram? increase = null;
        if (histograms.Length > 1 && !HistogramRate.TryIncrease(window, isCounter, out increase))
        {
            return Point.None;
        }

        var startsWithin = isCounter && StartsWithin(starts, window.RangeStart, times[0]);
        if (startsWithin)
        {
            if (increase is null)
            {
                increase = histograms[0].Copy();
            }
            else if (!HistogramSteps.TryAdd(increase, histograms[0], window.Site, window.MetricName))
            {
                return Point.None;
            }
        }

        if (increase is null)
        {
            return Point.None;
        }

        var toZero = isCounter && increase.Count > 0 && histograms[0].Count >= 0 ? histograms[0].Count / increase.Count : double.NaN;
        return increase.Mul(Factor(window, times, startsWithin ? starts[0] : 0, toZero, isRate));
    }

    static Point LastTwo(Window window, bool isRate)
    {
        var floats = window.Values.Length;
        var histograms = window.Histograms.Length;
        if (floats + histograms < 2)
        {
            return Point.None;
        }

        if (floats >= 2 && (histograms == 0 || window.HistogramTimes[^1] < window.Times[^2]))
        {
            return LastTwoFloats(window, isRate);
        }

        if (histograms >= 2 && (floats == 0 || window.Times[^1] < window.HistogramTimes[^2]))
        {
            return LastTwoHistograms(window, isRate);
        }

        window.Site.MixedFloatsHistograms(window.MetricName);
        return Point.None;
    }

    static Point LastTwoFloats(Window window, bool isRate)
    {
        var times = window.Times;
        var values = window.Values;
        var starts = window.Starts;
        var reset = isRate && (values[^1] < values[^2]
            || (!starts.IsEmpty && StartTimes.IsReset(starts[^2], times[^2], starts[^1], times[^1])));
        var difference = reset ? values[^1] : values[^1] - values[^2];
        return isRate ? difference / ((times[^1] - times[^2]) / 1000.0) : difference;
    }

    static Point LastTwoHistograms(Window window, bool isRate)
    {
        var times = window.HistogramTimes;
        var starts = window.HistogramStarts;
        var (previous, last) = (window.Histograms[^2], window.Histograms[^1]);
        var gauges = (previous.CounterResetHint == CounterResetHint.Gauge ? 1 : 0)
            + (last.CounterResetHint == CounterResetHint.Gauge ? 1 : 0);
        if (isRate && gauges > 0)
        {
            window.Site.NativeHistogramNotCounter(window.MetricName);
        }
        else if (!isRate && gauges < 2)
        {
            window.Site.NativeHistogramNotGauge(window.MetricName);
        }

        var difference = last.Copy();
        var reset = isRate
            && ((!starts.IsEmpty && StartTimes.IsReset(starts[^2], times[^2], starts[^1], times[^1])) || last.DetectReset(previous));
        if (!reset && !HistogramSteps.TrySubtract(difference, previous, window.Site, window.MetricName))
        {
            return Point.None;
        }

        difference.CounterResetHint = CounterResetHint.Gauge;
        difference.Compact(0);
        return isRate ? difference.Div((times[^1] - times[^2]) / 1000.0) : difference;
    }
}
