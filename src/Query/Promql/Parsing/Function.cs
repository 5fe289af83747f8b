using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>Which function it is; how it is spelled and everything else about it stands in <see cref="FunctionTable"/>.</summary>
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

/// <summary>What a function must see of native histograms within its argument.</summary>
public enum HistogramNeed : byte
{
    /// <summary>As much as whatever uses its result.</summary>
    AsItsUser,

    /// <summary>Count and sum, unless its user needs buckets.</summary>
    Statistics,

    Buckets,
}

/// <summary>
/// A function of the language: its name, what it takes and gives, and what the planner, the operators and the sources need to know.
/// </summary>
/// <param name="Variadic">0: exactly these arguments; n &gt; 0: the last n may be left out; -1: the last may be repeated.</param>
public sealed record Function(
    FunctionId Id, string Name, IReadOnlyList<ExprType> ArgumentTypes, int Variadic, ExprType ReturnType, bool Experimental = false)
{
    /// <summary>Its result depends on the time of evaluation even where its arguments do not.</summary>
    public bool DependsOnTime { get; init; }

    /// <summary>What must be left of histograms by whoever reads them.</summary>
    public HistogramNeed Histograms { get; init; }

    /// <summary>It can be answered from this value of downsampled windows; Raw: from their averages at best.</summary>
    public Aggregate Aggregate { get; init; }

    /// <summary>It reads its samples as those of a counter, so that a fall is a reset.</summary>
    public bool IsOfCounters => Aggregate == Aggregate.Counter;

    /// <summary>It asks the window where counters fell.</summary>
    public bool FindsDrops { get; init; }

    /// <summary>It tells the user when a metric's name is not that of a counter.</summary>
    public bool ChecksCounterName { get; init; }

    /// <summary>A selector with <c>anchored</c> may stand in it.</summary>
    public bool TakesAnchored { get; init; }

    /// <summary>A selector with <c>smoothed</c> may stand in it.</summary>
    public bool TakesSmoothed { get; init; }

    /// <summary>A step costs the same whatever the number of samples in its window.</summary>
    public bool TakesConstantTime { get; init; }

    /// <summary>Series keep their metric name, so that no two of them can become equal.</summary>
    public bool KeepsName { get; init; }

    /// <summary>It can fail for the value of an argument.</summary>
    public bool MayFail { get; init; }

    /// <summary>It is computed over the samples of a range, while they are read.</summary>
    public bool IsOfRange => ArgumentTypes.Contains(ExprType.Matrix);
}
