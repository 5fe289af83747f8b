using System.Globalization;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>Functions that lay a line or a smoothed curve through the floats of a range. Histograms are ignored, with an info.</summary>
static class TrendFunctions
{
    public static Point Derivative(Window window)
    {
        if (!HasTwo(window))
        {
            return Point.None;
        }

        // Times are taken relative to the first sample, which keeps the arithmetic exact.
        var (slope, _) = Regression(window.Times, window.Values, window.Times[0]);
        return slope;
    }

    public static Point PredictLinear(Window window)
    {
        if (!HasTwo(window))
        {
            return Point.None;
        }

        var (slope, intercept) = Regression(window.Times, window.Values, window.Time);
        return (slope * window.Arguments[0]) + intercept;
    }

    public static Point DoubleExponentialSmoothing(Window window)
    {
        var (smoothing, trend) = (window.Arguments[0], window.Arguments[1]);
        if (smoothing is <= 0 or >= 1)
        {
            throw new QueryException(string.Create(
                CultureInfo.InvariantCulture, $"invalid smoothing factor. Expected: 0 < sf < 1, got: {smoothing:F6}"));
        }

        if (trend is <= 0 or >= 1)
        {
            throw new QueryException(
                string.Create(CultureInfo.InvariantCulture, $"invalid trend factor. Expected: 0 < tf < 1, got: {trend:F6}"));
        }

        if (!HasTwo(window))
        {
            return Point.None;
        }

        var values = window.Values;
        var (previous, current) = (0.0, values[0]);
        var slope = values[1] - values[0];
        for (var i = 1; i < values.Length; i++)
        {
            if (i > 1)
            {
                slope = (trend * (current - previous)) + ((1 - trend) * slope);
            }

            (previous, current) = (current, (smoothing * values[i]) + ((1 - smoothing) * (current + slope)));
        }

        return current;
    }

    static bool HasTwo(Window window)
    {
        var floats = window.Values.Length;
        if (floats > 0 && !window.Histograms.IsEmpty)
        {
            window.Site.HistogramIgnoredInMixedRange(window.MetricName);
        }

        return floats >= 2;
    }

    /// <summary>Least squares: slope per second, and the value at a time.</summary>
    static (double Slope, double Intercept) Regression(ReadOnlySpan<long> times, ReadOnlySpan<double> values, long interceptTime)
    {
        double sumX = 0, sumY = 0, sumXY = 0, sumXX = 0;
        double restX = 0, restY = 0, restXY = 0, restXX = 0;
        var constant = true;
        for (var i = 0; i < values.Length; i++)
        {
            var y = values[i];
            constant = constant && (i == 0 || y == values[0]);
            var x = (times[i] - interceptTime) / 1e3;
            Kahan.Add(x, ref sumX, ref restX);
            Kahan.Add(y, ref sumY, ref restY);
            Kahan.Add(x * y, ref sumXY, ref restXY);
            Kahan.Add(x * x, ref sumXX, ref restXX);
        }

        if (constant)
        {
            return double.IsInfinity(values[0]) ? (double.NaN, double.NaN) : (0, values[0]);
        }

        double n = values.Length;
        sumX += restX;
        sumY += restY;
        sumXY += restXY;
        sumXX += restXX;
        var covariance = sumXY - (sumX * sumY / n);
        var variance = sumXX - (sumX * sumX / n);
        var slope = covariance / variance;
        return (slope, (sumY / n) - (slope * sumX / n));
    }
}
