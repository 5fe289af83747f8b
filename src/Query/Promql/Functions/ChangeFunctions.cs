using System.Numerics;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>
/// resets and changes: how often neighbours in a range differ. Floats and histograms are compared in order of time as one sequence; a float
/// beside a histogram is a difference.
/// </summary>
static class ChangeFunctions
{
    public static Point Resets(Window window)
    {
        if (IsPlain(window))
        {
            var count = 0;
            while (true)
            {
                window.Drop(count, out var exists);
                if (!exists)
                {
                    return (double)count;
                }

                count++;
            }
        }

        return Count(window, IsReset);
    }

    public static Point Changes(Window window) => IsPlain(window) ? ChangesOf(window.Values) : Count(window, IsChange);

    /// <summary>
    /// Whether only the values of floats matter: there are no histograms and no start timestamps, and the range is not anchored.
    /// </summary>
    static bool IsPlain(Window window) => !window.Anchored && window.Histograms.IsEmpty && window.Starts.IsEmpty;

    static double ChangesOf(ReadOnlySpan<double> values)
    {
        long count = 0;
        var at = 1;
        var lanes = Vector<long>.Zero;
        for (; at <= values.Length - Vector<double>.Count; at += Vector<double>.Count)
        {
            var (previous, current) = (new Vector<double>(values[(at - 1)..]), new Vector<double>(values[at..]));
            var same = Vector.Equals(previous, current) | ~(Vector.Equals(previous, previous) | Vector.Equals(current, current));

            // In a lane whose two values are equal the comparison gives -1.
            lanes += Vector<long>.One + same;
        }

        for (; at < values.Length; at++)
        {
            count += values[at] != values[at - 1] && !(double.IsNaN(values[at]) && double.IsNaN(values[at - 1])) ? 1 : 0;
        }

        return count + Vector.Sum(lanes);
    }

    static bool IsReset(in Sample previous, in Sample current) =>
        previous.Histogram is null != current.Histogram is null
        || StartTimes.IsReset(previous.Start, previous.Time, current.Start, current.Time)
        || (current.Histogram is null ? current.Value < previous.Value : current.Histogram.DetectReset(previous.Histogram!));

    static bool IsChange(in Sample previous, in Sample current) => current.Histogram is null || previous.Histogram is null
        ? current.Histogram is null != previous.Histogram is null
            || (current.Histogram is null
            && current.Value != previous.Value && !(double.IsNaN(current.Value) && double.IsNaN(previous.Value)))
        : !current.Histogram.Equals(previous.Histogram);

    static Point Count(Window window, Comparison differs)
    {
        var (nextFloat, nextHistogram) = (0, 0);
        if (window.Anchored && !TryAnchor(window, out nextFloat, out nextHistogram))
        {
            return Point.None;
        }

        var times = window.Times;
        var histogramTimes = window.HistogramTimes;
        var count = 0;
        Sample previous = default;
        for (var first = true; nextFloat < times.Length || nextHistogram < histogramTimes.Length; first = false)
        {
            Sample current;
            if (nextHistogram == histogramTimes.Length || (nextFloat < times.Length && times[nextFloat] < histogramTimes[nextHistogram]))
            {
                current = new Sample(
                    times[nextFloat], window.Values[nextFloat], null, window.Starts.IsEmpty ? 0 : window.Starts[nextFloat]);
                nextFloat++;
            }
            else
            {
                var start = window.HistogramStarts.IsEmpty ? 0 : window.HistogramStarts[nextHistogram];
                current = new Sample(histogramTimes[nextHistogram], 0, window.Histograms[nextHistogram], start);
                nextHistogram++;
            }

            count += !first && differs(previous, current) ? 1 : 0;
            previous = current;
        }

        return (double)count;
    }

    /// <summary>
    /// Makes the newest sample at or before the window's start the first one to compare with; false where no sample follows it.
    /// </summary>
    static bool TryAnchor(Window window, out int firstFloat, out int firstHistogram)
    {
        var times = window.Times;
        var histogramTimes = window.HistogramTimes;
        var floatBefore = LastUpTo(times, window.RangeStart);
        var histogramBefore = LastUpTo(histogramTimes, window.RangeStart);
        (firstFloat, firstHistogram) = (0, 0);
        if (floatBefore + 1 >= times.Length && histogramBefore + 1 >= histogramTimes.Length)
        {
            return false;
        }

        if (floatBefore >= 0 && (histogramBefore < 0 || times[floatBefore] >= histogramTimes[histogramBefore]))
        {
            (firstFloat, firstHistogram) = (floatBefore, histogramBefore + 1);
        }
        else if (histogramBefore >= 0)
        {
            (firstFloat, firstHistogram) = (floatBefore + 1, histogramBefore);
        }

        return true;
    }

    static int LastUpTo(ReadOnlySpan<long> times, long time)
    {
        var index = times.Length - 1;
        while (index >= 0 && times[index] > time)
        {
            index--;
        }

        return index;
    }

    delegate bool Comparison(in Sample previous, in Sample current);

    readonly record struct Sample(long Time, double Value, Histogram? Histogram, long Start);
}
