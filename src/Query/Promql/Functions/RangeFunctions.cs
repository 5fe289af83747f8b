using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>A function's result at one step: none, a float, or a histogram that the caller may change.</summary>
readonly record struct Point(bool Exists, double Value, Histogram? Histogram)
{
    public static Point None => default;

    public static implicit operator Point(double value) => new(true, value, null);

    public static implicit operator Point(Histogram histogram) => new(true, 0, histogram);
}

/// <summary>A function over a range of samples, applied to a window that is not empty.</summary>
delegate Point RangeKernel(Window window);

/// <summary>The functions over ranges.</summary>
static class RangeFunctions
{
    static readonly Dictionary<FunctionId, RangeKernel> s_table = new()
    {
        [FunctionId.AbsentOverTime] = static _ => 1.0,
        [FunctionId.AvgOverTime] = OverTimeFunctions.Average,
        [FunctionId.Changes] = ChangeFunctions.Changes,
        [FunctionId.CountOverTime] = static window => window.RawCount,
        [FunctionId.Delta] = RateFunctions.Delta,
        [FunctionId.Deriv] = TrendFunctions.Derivative,
        [FunctionId.DoubleExponentialSmoothing] = TrendFunctions.DoubleExponentialSmoothing,
        [FunctionId.FirstOverTime] = OverTimeFunctions.First,
        [FunctionId.Idelta] = RateFunctions.InstantDelta,
        [FunctionId.Increase] = RateFunctions.Increase,
        [FunctionId.Irate] = RateFunctions.InstantRate,
        [FunctionId.LastOverTime] = OverTimeFunctions.Last,
        [FunctionId.MadOverTime] = OverTimeFunctions.MedianAbsoluteDeviation,
        [FunctionId.MaxOverTime] = OverTimeFunctions.Maximum,
        [FunctionId.MinOverTime] = OverTimeFunctions.Minimum,
        [FunctionId.PredictLinear] = TrendFunctions.PredictLinear,
        [FunctionId.PresentOverTime] = static _ => 1.0,
        [FunctionId.QuantileOverTime] = OverTimeFunctions.QuantileOf,
        [FunctionId.Rate] = RateFunctions.Rate,
        [FunctionId.Resets] = ChangeFunctions.Resets,
        [FunctionId.StddevOverTime] = OverTimeFunctions.StandardDeviation,
        [FunctionId.StdvarOverTime] = OverTimeFunctions.Variance,
        [FunctionId.SumOverTime] = OverTimeFunctions.Sum,
        [FunctionId.TsOfFirstOverTime] = OverTimeFunctions.TimeOfFirst,
        [FunctionId.TsOfLastOverTime] = OverTimeFunctions.TimeOfLast,
        [FunctionId.TsOfMaxOverTime] = OverTimeFunctions.TimeOfMaximum,
        [FunctionId.TsOfMinOverTime] = OverTimeFunctions.TimeOfMinimum,
    };

    public static RangeKernel? Find(FunctionId id) => s_table.GetValueOrDefault(id);
}
