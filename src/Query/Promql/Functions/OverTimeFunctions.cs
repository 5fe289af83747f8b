using System.Numerics;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>The <c>…_over_time</c> functions.</summary>
static class OverTimeFunctions
{
    public static Point Sum(Window window)
    {
        var values = window.Values;
        if (IsMixed(window))
        {
            return Point.None;
        }

        if (values.IsEmpty)
        {
            return HistogramOverTime.Sum(window);
        }

        double sum = 0, compensation = 0;
        foreach (var value in values)
        {
            Kahan.Add(value, ref sum, ref compensation);
        }

        return double.IsInfinity(sum) ? sum : sum + compensation;
    }

    public static Point Average(Window window)
    {
        if (IsMixed(window))
        {
            return Point.None;
        }

        return window.Values.IsEmpty ? HistogramOverTime.Average(window)
            : window.Weights.IsEmpty ? Mean(window.Values)
            : WeightedMean(window);
    }

    /// <summary>The mean of the raw samples that averages of downsampled windows stand for, and of those beside them.</summary>
    static double WeightedMean(Window window)
    {
        double sum = 0, compensation = 0, count = 0;
        var weights = new SampleWeights(window);
        for (var i = 0; i < window.Values.Length; i++)
        {
            var weight = weights.At(window.Times[i]);
            Kahan.Add(window.Values[i] * weight, ref sum, ref compensation);
            count += weight;
        }

        return (sum / count) + (compensation / count);
    }

    /// <summary>The sum by the count; once the sum would overflow, the mean is carried on instead.</summary>
    static double Mean(ReadOnlySpan<double> values)
    {
        double sum = values[0], compensation = 0;
        for (var i = 1; i < values.Length; i++)
        {
            var (newSum, newCompensation) = (sum, compensation);
            Kahan.Add(values[i], ref newSum, ref newCompensation);
            if (double.IsInfinity(newSum))
            {
                return RunningMean(values, i, sum / i, compensation / i);
            }

            (sum, compensation) = (newSum, newCompensation);
        }

        return (sum / values.Length) + (compensation / values.Length);
    }

    static double RunningMean(ReadOnlySpan<double> values, int from, double mean, double compensation)
    {
        for (var i = from; i < values.Length; i++)
        {
            double count = i + 1;
            var weight = (count - 1) / count;
            mean *= weight;
            compensation *= weight;
            Kahan.Add(values[i] / count, ref mean, ref compensation);
        }

        return mean + compensation;
    }

    public static Point Minimum(Window window) => HasFloats(window) ? -LargestOf(window.Values, -1) : Point.None;

    public static Point Maximum(Window window) => HasFloats(window) ? LargestOf(window.Values, 1) : Point.None;

    /// <summary>The largest of the values times a sign; NaN only where all values are NaN.</summary>
    static double LargestOf(ReadOnlySpan<double> values, double sign)
    {
        var largest = values[0] * sign;
        var at = 1;
        if (!double.IsNaN(largest) && values.Length > 2 * Vector<double>.Count)
        {
            var lanes = new Vector<double>(largest);
            var signs = new Vector<double>(sign);
            for (; at <= values.Length - Vector<double>.Count; at += Vector<double>.Count)
            {
                var next = new Vector<double>(values[at..]) * signs;
                lanes = Vector.ConditionalSelect(Vector.GreaterThan(next, lanes), next, lanes);
            }

            for (var lane = 0; lane < Vector<double>.Count; lane++)
            {
                largest = lanes[lane] > largest ? lanes[lane] : largest;
            }

            // Of zeros with different signs the first in the window is the result; lanes don't know which that is, so the values are
            // compared one by one.
            (largest, at) = largest == 0 ? (values[0] * sign, 1) : (largest, at);
        }

        for (; at < values.Length; at++)
        {
            var next = values[at] * sign;
            if (next > largest || double.IsNaN(largest))
            {
                largest = next;
            }
        }

        return largest;
    }

    /// <summary>The time of the last sample that has the maximum, in seconds.</summary>
    public static Point TimeOfMaximum(Window window) => TimeOf(window, static (value, best) => value >= best || double.IsNaN(best));

    public static Point TimeOfMinimum(Window window) => TimeOf(window, static (value, best) => value <= best || double.IsNaN(best));

    static Point TimeOf(Window window, Func<double, double, bool> isBetter)
    {
        if (!HasFloats(window))
        {
            return Point.None;
        }

        var best = 0;
        for (var i = 0; i < window.Values.Length; i++)
        {
            best = isBetter(window.Values[i], window.Values[best]) ? i : best;
        }

        return window.Times[best] / 1000.0;
    }

    public static Point First(Window window)
    {
        var times = window.Times;
        var histogramTimes = window.HistogramTimes;
        return histogramTimes.IsEmpty || (!times.IsEmpty && times[0] < histogramTimes[0]) ? window.Values[0] : window.Histograms[0].Copy();
    }

    public static Point Last(Window window)
    {
        var times = window.Times;
        var histogramTimes = window.HistogramTimes;
        return histogramTimes.IsEmpty
            || (!times.IsEmpty && histogramTimes[^1] < times[^1]) ? window.Values[^1] : window.Histograms[^1].Copy();
    }

    public static Point TimeOfFirst(Window window) => Math.Min(
        window.Times.IsEmpty ? long.MaxValue : window.Times[0],
        window.HistogramTimes.IsEmpty ? long.MaxValue : window.HistogramTimes[0]) / 1000.0;

    public static Point TimeOfLast(Window window) => Math.Max(
        window.Times.IsEmpty ? 0 : window.Times[^1],
        window.HistogramTimes.IsEmpty ? 0 : window.HistogramTimes[^1]) / 1000.0;

    public static Point QuantileOf(Window window)
    {
        if (window.Values.IsEmpty)
        {
            return Point.None;
        }

        var quantile = window.Arguments[0];
        if (double.IsNaN(quantile) || quantile < 0 || quantile > 1)
        {
            window.Site.InvalidQuantile(quantile);
        }

        return HasFloats(window) ? Quantile.Of(quantile, window.CopyOfValues()) : Point.None;
    }

    public static Point MedianAbsoluteDeviation(Window window)
    {
        if (!HasFloats(window))
        {
            return Point.None;
        }

        var values = window.CopyOfValues();
        foreach (var value in values)
        {
            if (double.IsNaN(value))
            {
                return double.NaN;
            }
        }

        var median = Quantile.Of(0.5, values);
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = Math.Abs(values[i] - median);
        }

        return Quantile.Of(0.5, values);
    }

    public static Point Variance(Window window) => HasFloats(window) ? VarianceOf(window.Values) : Point.None;

    public static Point StandardDeviation(Window window) => HasFloats(window) ? Math.Sqrt(VarianceOf(window.Values)) : Point.None;

    static double VarianceOf(ReadOnlySpan<double> values)
    {
        double mean = 0, meanRest = 0, squares = 0, squaresRest = 0;
        for (var i = 0; i < values.Length; i++)
        {
            var delta = values[i] - (mean + meanRest);
            Kahan.Add(delta / (i + 1), ref mean, ref meanRest);
            Kahan.Add(delta * (values[i] - (mean + meanRest)), ref squares, ref squaresRest);
        }

        return (squares + squaresRest) / values.Length;
    }

    static bool IsMixed(Window window)
    {
        if (window.Values.IsEmpty || window.Histograms.IsEmpty)
        {
            return false;
        }

        window.Site.MixedFloatsHistograms(window.MetricName);
        return true;
    }

    /// <summary>Whether the window has floats; histograms beside them are ignored, with an info.</summary>
    static bool HasFloats(Window window)
    {
        if (window.Values.IsEmpty)
        {
            return false;
        }

        if (!window.Histograms.IsEmpty)
        {
            window.Site.HistogramIgnoredInMixedRange(window.MetricName);
        }

        return true;
    }
}
