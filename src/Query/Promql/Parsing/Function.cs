using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>A function of the language. Its name and all its traits stand in <see cref="FunctionTable"/>.</summary>
public enum FunctionId : byte
{
    Abs, Absent, AbsentOverTime, Acos, Acosh, Asin, Asinh, Atan, Atanh, AvgOverTime, Ceil, Changes, Clamp, ClampMax,
    ClampMin, Cos, Cosh, CountOverTime, DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Deg, Delta, Deriv,
    DoubleExponentialSmoothing, End, Exp, FirstOverTime, Floor, HistogramAvg, HistogramCount, HistogramFraction,
    HistogramQuantile, HistogramQuantiles, HistogramStddev, HistogramStdvar, HistogramSum, Hour, Idelta, Increase, Info,
    Irate, LabelJoin, LabelReplace, LastOverTime, Ln, Log10, Log2, MadOverTime, MaxOf, MaxOverTime, MinOf, MinOverTime,
    Minute, Month, Pi, PredictLinear, PresentOverTime, QuantileOverTime, Rad, Range, Rate, Resets, Round, Scalar, Sgn,
    Sin, Sinh, Sort, SortByLabel, SortByLabelDesc, SortDesc, Sqrt, Start, StartTimestamp, StddevOverTime,
    StdvarOverTime, Step, SumOverTime, Tan, Tanh, Time, Timestamp, TsOfFirstOverTime, TsOfLastOverTime, TsOfMaxOverTime,
    TsOfMinOverTime, Vector, Year,
}

/// <summary>What a function needs of native histograms within its argument.</summary>
public enum HistogramNeed : byte
{
    /// <summary>As much as the expression that uses the function's result needs.</summary>
    AsItsUser,

    /// <summary>Count and sum, unless the expression that uses the result needs buckets.</summary>
    Statistics,

    Buckets,
}

/// <summary>
/// A function of the language: its name, its arguments and result, and the traits that planner, operators and sources go by.
/// </summary>
/// <param name="Variadic">0: exactly these arguments; n &gt; 0: the last n may be left out; -1: the last may be repeated.</param>
public sealed record Function(
    FunctionId Id, string Name, IReadOnlyList<ExprType> ArgumentTypes, int Variadic, ExprType ReturnType, bool Experimental = false)
{
    /// <summary>The result depends on the time of evaluation even where the arguments do not.</summary>
    public bool DependsOnTime { get; init; }

    /// <summary>What the argument's selectors must keep of native histograms.</summary>
    public HistogramNeed Histograms { get; init; }

    /// <summary>The value of downsampled windows that the function is computed from; Raw: their averages.</summary>
    public Aggregate Aggregate { get; init; }

    /// <summary>
    /// No value of downsampled windows answers the function: it is computed from raw samples wherever these are, and a warning says where
    /// they are not.
    /// </summary>
    public bool NeedsRaw { get; init; }

    /// <summary>The function takes its samples as a counter's: a fall is a reset.</summary>
    public bool IsOfCounters { get; init; }

    /// <summary>The window has to track where values fell.</summary>
    public bool FindsDrops { get; init; }

    /// <summary>An info is given where a metric's name is not that of a counter.</summary>
    public bool ChecksCounterName { get; init; }

    /// <summary>The argument may be a selector with <c>anchored</c>.</summary>
    public bool TakesAnchored { get; init; }

    /// <summary>The argument may be a selector with <c>smoothed</c>.</summary>
    public bool TakesSmoothed { get; init; }

    /// <summary>A step costs the same whatever the number of samples in its window.</summary>
    public bool TakesConstantTime { get; init; }

    /// <summary>Series keep their metric name, so that no two of them can become equal.</summary>
    public bool KeepsName { get; init; }

    /// <summary>The function can fail for the value of an argument.</summary>
    public bool MayFail { get; init; }

    /// <summary>The function is computed over the samples of a range, while they are read.</summary>
    public bool IsOfRange => ArgumentTypes.Contains(ExprType.Matrix);
}
