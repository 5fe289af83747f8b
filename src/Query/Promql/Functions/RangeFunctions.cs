using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>What a function makes of its input at one step: nothing, a float, or a histogram that is the caller's own.</summary>
readonly record struct Point(bool Exists, double Value, Histogram? Histogram)
{
    public static Point None => default;

    public static implicit operator Point(double value) => new(true, value, null);

    public static implicit operator Point(Histogram histogram) => new(true, 0, histogram);
}

/// <summary>A function over a range of samples, applied to a window that is not empty.</summary>
delegate Point RangeKernel(Window window);

/// <summary>The functions over ranges by name.</summary>
static class RangeFunctions
{
    static readonly Dictionary<string, RangeKernel> s_table = new(StringComparer.Ordinal)
    {
        ["absent_over_time"] = static _ => 1.0,
        ["avg_over_time"] = OverTimeFunctions.Average,
        ["changes"] = ChangeFunctions.Changes,
        ["count_over_time"] = static window => (double)window.Count,
        ["delta"] = RateFunctions.Delta,
        ["deriv"] = TrendFunctions.Derivative,
        ["double_exponential_smoothing"] = TrendFunctions.DoubleExponentialSmoothing,
        ["first_over_time"] = OverTimeFunctions.First,
        ["idelta"] = RateFunctions.InstantDelta,
        ["increase"] = RateFunctions.Increase,
        ["irate"] = RateFunctions.InstantRate,
        ["last_over_time"] = OverTimeFunctions.Last,
        ["mad_over_time"] = OverTimeFunctions.MedianAbsoluteDeviation,
        ["max_over_time"] = OverTimeFunctions.Maximum,
        ["min_over_time"] = OverTimeFunctions.Minimum,
        ["predict_linear"] = TrendFunctions.PredictLinear,
        ["present_over_time"] = static _ => 1.0,
        ["quantile_over_time"] = OverTimeFunctions.QuantileOf,
        ["rate"] = RateFunctions.Rate,
        ["resets"] = ChangeFunctions.Resets,
        ["stddev_over_time"] = OverTimeFunctions.StandardDeviation,
        ["stdvar_over_time"] = OverTimeFunctions.Variance,
        ["sum_over_time"] = OverTimeFunctions.Sum,
        ["ts_of_first_over_time"] = OverTimeFunctions.TimeOfFirst,
        ["ts_of_last_over_time"] = OverTimeFunctions.TimeOfLast,
        ["ts_of_max_over_time"] = OverTimeFunctions.TimeOfMaximum,
        ["ts_of_min_over_time"] = OverTimeFunctions.TimeOfMinimum,
    };

    public static RangeKernel? Find(string name) => s_table.GetValueOrDefault(name);
}
