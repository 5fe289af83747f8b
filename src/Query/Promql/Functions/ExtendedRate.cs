using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>
/// rate, increase and delta of <c>anchored</c> and <c>smoothed</c> ranges: the window holds samples beyond its bounds, and values at the
/// bounds are those of the sample before (anchored) or lie on the line between neighbours (smoothed). Nothing is extrapolated.
/// </summary>
static class ExtendedRate
{
    public static Point OfFloats(Window window, bool isCounter, bool isRate)
    {
        var times = window.Times;
        var values = window.Values;
        if (!Bounds(times, window, out var first, out var last))
        {
            return Point.None;
        }

        var left = LeftFloat(times, values, first, window.RangeStart, window.Smoothed, isCounter);
        var right = RightFloat(times, values, last, window.RangeEnd, window.Smoothed, isCounter);
        var increase = right - left;
        if (isCounter)
        {
            // The values at the bounds account for resets there already.
            first += times[first] <= window.RangeStart ? 1 : 0;
            last -= times[last] >= window.RangeEnd ? 1 : 0;
            var (correction, previous) = (0.0, left);
            for (var i = first; i <= last; i++)
            {
                correction += values[i] < previous ? previous : 0;
                previous = values[i];
            }

            correction += right < previous ? previous : 0;
            increase += correction;
        }

        return isRate ? increase / (window.RangeMs / 1000.0) : increase;
    }

    public static Point OfHistograms(Window window, bool isCounter, bool isRate)
    {
        var times = window.HistogramTimes;
        var histograms = window.Histograms;
        var site = window.Site;
        var name = window.MetricName;
        if (!Bounds(times, window, out var first, out var last) || !AreAlike(histograms[first..(last + 1)], isCounter, site, name))
        {
            return Point.None;
        }

        var left = window.Smoothed && times[first] < window.RangeStart
            ? Interpolate(window, first, window.RangeStart, isCounter)
            : histograms[first].Copy();
        var right = window.Smoothed && last > 0 && times[last] > window.RangeEnd
            ? Interpolate(window, last - 1, window.RangeEnd, isCounter)
            : histograms[last].Copy();
        if (left is null || right is null)
        {
            return Point.None;
        }

        if (!isCounter && (left.CounterResetHint != CounterResetHint.Gauge || right.CounterResetHint != CounterResetHint.Gauge))
        {
            site.NativeHistogramNotGauge(name);
        }

        var increase = right.Copy();
        if (!HistogramSteps.TrySubtract(increase, left, site, name)
            || (isCounter && !TryAddResets(window, increase, first, last, left, right)))
        {
            return Point.None;
        }

        if (isRate)
        {
            increase.Div(window.RangeMs / 1000.0);
        }

        increase.CounterResetHint = CounterResetHint.Gauge;
        return increase.Compact(0);
    }

    /// <summary>The value at the left bound: of the first sample, or on the line to the next where the range is smoothed.</summary>
    public static double LeftFloat(
        ReadOnlySpan<long> times, ReadOnlySpan<double> values, int first, long rangeStart, bool smoothed, bool isCounter) =>
        smoothed && times[first] < rangeStart ? Interpolate(times, values, first, rangeStart, isCounter) : values[first];

    public static double RightFloat(
        ReadOnlySpan<long> times, ReadOnlySpan<double> values, int last, long rangeEnd, bool smoothed, bool isCounter) =>
        smoothed && last > 0 && times[last] > rangeEnd ? Interpolate(times, values, last - 1, rangeEnd, isCounter) : values[last];

    /// <summary>The samples within a window with one at each bound, as a range selector shows them.</summary>
    public static (long[] Times, double[] Values) Extend(
        ReadOnlySpan<long> times, ReadOnlySpan<double> values, long rangeStart, long rangeEnd, bool smoothed)
    {
        var last = times.Length - 1;
        var first = Math.Max(0, FirstAfter(times[..last], rangeStart) - 1);
        if (smoothed)
        {
            last = FirstAfter(times[..last], rangeEnd - 1);
        }

        if (times[last] <= rangeStart)
        {
            return ([], []);
        }

        var left = LeftFloat(times, values, first, rangeStart, smoothed, isCounter: false);
        var right = RightFloat(times, values, last, rangeEnd, smoothed, isCounter: false);
        first += times[first] <= rangeStart ? 1 : 0;
        last -= times[last] >= rangeEnd ? 1 : 0;
        var count = Math.Max(0, last - first + 1);
        return ([rangeStart, .. times.Slice(first, count), rangeEnd], [left, .. values.Slice(first, count), right]);
    }

    /// <summary>The value on the line between a sample and the next; a counter that fell in between is taken to start from 0.</summary>
    public static double Interpolate(ReadOnlySpan<long> times, ReadOnlySpan<double> values, int index, long time, bool isCounter)
    {
        var (from, to) = (values[index], values[index + 1]);
        if (isCounter && to < from)
        {
            from = 0;
        }

        return from + ((to - from) * (time - times[index]) / (times[index + 1] - times[index]));
    }

    /// <summary>
    /// The histogram on the line between a histogram and the next; null, with a warning, where the two can't be combined.
    /// </summary>
    public static Histogram? Interpolate(
        Histogram from, long fromTime, Histogram to, long toTime, long time, bool isCounter, AnnotationSite site, string metricName)
    {
        if (time == fromTime || time == toTime)
        {
            return (time == fromTime ? from : to).Copy();
        }

        var fraction = (double)(time - fromTime) / (toTime - fromTime);
        var result = to.Copy();
        if (isCounter && to.DetectReset(from))
        {
            return result.Mul(fraction);
        }

        if (!HistogramSteps.TrySubtract(result, from, site, metricName))
        {
            return null;
        }

        result.Mul(fraction);
        return HistogramSteps.TryAdd(result, from, site, metricName) ? result : null;
    }

    /// <summary>Indices of the samples that stand for the bounds; false when the window has no samples.</summary>
    static bool Bounds(ReadOnlySpan<long> times, Window window, out int first, out int last)
    {
        last = times.Length - 1;
        first = Math.Max(0, FirstAfter(times[..last], window.RangeStart) - 1);
        if (window.Smoothed)
        {
            last = FirstAfter(times[..last], window.RangeEnd - 1);
        }

        return times[last] > window.RangeStart && !(window.Smoothed && times[first] > window.RangeEnd);
    }

    static int FirstAfter(ReadOnlySpan<long> times, long time)
    {
        var index = 0;
        while (index < times.Length && times[index] <= time)
        {
            index++;
        }

        return index;
    }

    static Histogram? Interpolate(Window window, int index, long time, bool isCounter) => Interpolate(
        window.Histograms[index],
        window.HistogramTimes[index],
        window.Histograms[index + 1],
        window.HistogramTimes[index + 1],
        time,
        isCounter,
        window.Site,
        window.MetricName);

    static bool AreAlike(ReadOnlySpan<Histogram> histograms, bool isCounter, AnnotationSite site, string name)
    {
        foreach (var histogram in histograms)
        {
            if (histogram.UsesCustomBuckets != histograms[0].UsesCustomBuckets)
            {
                site.MixedExponentialCustom(name);
                return false;
            }

            if (isCounter && histogram.CounterResetHint == CounterResetHint.Gauge)
            {
                site.NativeHistogramNotCounter(name);
            }
        }

        return true;
    }

    /// <summary>Adds the values that the counter lost by resets between the bounds.</summary>
    static bool TryAddResets(Window window, Histogram increase, int firstIndex, int lastIndex, Histogram left, Histogram right)
    {
        var times = window.HistogramTimes;
        var histograms = window.Histograms;
        var (next, previous) = (firstIndex + 1, left);
        if (window.Smoothed && times[firstIndex] < window.RangeStart && histograms[firstIndex + 1].DetectReset(histograms[firstIndex]))
        {
            // The value at the left bound is from after this reset.
            previous = histograms[firstIndex + 1];
            next++;
        }

        // The last sample is the right bound's value, or that value has the sample's hint: it is not compared with itself.
        if (next > lastIndex)
        {
            return true;
        }

        Histogram? correction = null;
        for (var i = next; i <= lastIndex; i++)
        {
            var current = i == lastIndex ? right : histograms[i];
            if (current.DetectReset(previous))
            {
                if (correction is null)
                {
                    correction = previous.Copy();
                }
                else if (!HistogramSteps.TryAdd(correction, previous, window.Site, window.MetricName))
                {
                    return false;
                }
            }

            previous = current;
        }

        return correction is null || HistogramSteps.TryAdd(increase, correction, window.Site, window.MetricName);
    }
}
