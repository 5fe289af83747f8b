using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>The functions of Prometheus 3.14 with all their traits: no other file tells functions apart by name.</summary>
public static class FunctionTable
{
    static readonly Function[] s_all =
    [
        Of(FunctionId.Abs, "abs", "v"),
        Of(FunctionId.Absent, "absent", "v"),
        Of(FunctionId.AbsentOverTime, "absent_over_time", "m") with { KeepsName = true },
        Of(FunctionId.Acos, "acos", "v"),
        Of(FunctionId.Acosh, "acosh", "v"),
        Of(FunctionId.Asin, "asin", "v"),
        Of(FunctionId.Asinh, "asinh", "v"),
        Of(FunctionId.Atan, "atan", "v"),
        Of(FunctionId.Atanh, "atanh", "v"),
        Of(FunctionId.AvgOverTime, "avg_over_time", "m"),
        Of(FunctionId.Ceil, "ceil", "v"),
        Of(FunctionId.Changes, "changes", "m") with { NeedsRaw = true, TakesAnchored = true },
        Of(FunctionId.Clamp, "clamp", "vss"),
        Of(FunctionId.ClampMax, "clamp_max", "vs"),
        Of(FunctionId.ClampMin, "clamp_min", "vs"),
        Of(FunctionId.Cos, "cos", "v"),
        Of(FunctionId.Cosh, "cosh", "v"),
        Of(FunctionId.CountOverTime, "count_over_time", "m") with { Aggregate = Aggregate.Count, TakesConstantTime = true },
        Of(FunctionId.DayOfMonth, "day_of_month", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.DayOfWeek, "day_of_week", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.DayOfYear, "day_of_year", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.DaysInMonth, "days_in_month", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.Deg, "deg", "v"),
        Of(FunctionId.Delta, "delta", "m") with { NeedsRaw = true, TakesAnchored = true, TakesSmoothed = true, TakesConstantTime = true },
        Of(FunctionId.Deriv, "deriv", "m") with { NeedsRaw = true },
        Of(FunctionId.DoubleExponentialSmoothing, "double_exponential_smoothing", "mss", experimental: true) with
        {
            NeedsRaw = true,
            MayFail = true,
        },
        Of(FunctionId.End, "end", "", returns: 's', experimental: true) with { DependsOnTime = true },
        Of(FunctionId.Exp, "exp", "v"),
        Of(FunctionId.FirstOverTime, "first_over_time", "m") with { NeedsRaw = true, KeepsName = true },
        Of(FunctionId.Floor, "floor", "v"),
        Of(FunctionId.HistogramAvg, "histogram_avg", "v") with { Histograms = HistogramNeed.Statistics },
        Of(FunctionId.HistogramCount, "histogram_count", "v") with { Histograms = HistogramNeed.Statistics },
        Of(FunctionId.HistogramFraction, "histogram_fraction", "ssv") with { Histograms = HistogramNeed.Buckets },
        Of(FunctionId.HistogramQuantile, "histogram_quantile", "sv") with { Histograms = HistogramNeed.Buckets },
        Of(FunctionId.HistogramQuantiles, "histogram_quantiles", "vtss", variadic: 9, experimental: true) with
        {
            Histograms = HistogramNeed.Buckets,
        },
        Of(FunctionId.HistogramStddev, "histogram_stddev", "v"),
        Of(FunctionId.HistogramStdvar, "histogram_stdvar", "v"),
        Of(FunctionId.HistogramSum, "histogram_sum", "v") with { Histograms = HistogramNeed.Statistics },
        Of(FunctionId.Hour, "hour", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.Idelta, "idelta", "m") with { NeedsRaw = true, TakesConstantTime = true },
        Of(FunctionId.Increase, "increase", "m") with
        {
            Aggregate = Aggregate.Counter,
            IsOfCounters = true,
            FindsDrops = true,
            ChecksCounterName = true,
            TakesAnchored = true,
            TakesSmoothed = true,
            TakesConstantTime = true,
        },
        Of(FunctionId.Info, "info", "vv", variadic: 1, experimental: true),
        Of(FunctionId.Irate, "irate", "m") with
        {
            NeedsRaw = true,
            Aggregate = Aggregate.Counter,
            IsOfCounters = true,
            TakesConstantTime = true,
        },
        Of(FunctionId.LabelJoin, "label_join", "vttt", variadic: -1),
        Of(FunctionId.LabelReplace, "label_replace", "vtttt"),
        Of(FunctionId.LastOverTime, "last_over_time", "m") with { NeedsRaw = true, TakesConstantTime = true, KeepsName = true },
        Of(FunctionId.Ln, "ln", "v"),
        Of(FunctionId.Log10, "log10", "v"),
        Of(FunctionId.Log2, "log2", "v"),
        Of(FunctionId.MadOverTime, "mad_over_time", "m", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.MaxOf, "max_of", "ss", returns: 's', experimental: true),
        Of(FunctionId.MaxOverTime, "max_over_time", "m") with { Aggregate = Aggregate.Max },
        Of(FunctionId.MinOf, "min_of", "ss", returns: 's', experimental: true),
        Of(FunctionId.MinOverTime, "min_over_time", "m") with { Aggregate = Aggregate.Min },
        Of(FunctionId.Minute, "minute", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.Month, "month", "v", variadic: 1) with { DependsOnTime = true },
        Of(FunctionId.Pi, "pi", "", returns: 's'),
        Of(FunctionId.PredictLinear, "predict_linear", "ms") with { NeedsRaw = true, DependsOnTime = true },
        Of(FunctionId.PresentOverTime, "present_over_time", "m"),
        Of(FunctionId.QuantileOverTime, "quantile_over_time", "sm") with { NeedsRaw = true },
        Of(FunctionId.Rad, "rad", "v"),
        Of(FunctionId.Range, "range", "", returns: 's', experimental: true) with { DependsOnTime = true },
        Of(FunctionId.Rate, "rate", "m") with
        {
            Aggregate = Aggregate.Counter,
            IsOfCounters = true,
            FindsDrops = true,
            ChecksCounterName = true,
            TakesAnchored = true,
            TakesSmoothed = true,
            TakesConstantTime = true,
        },
        Of(FunctionId.Resets, "resets", "m") with
        {
            NeedsRaw = true,
            // A window's minimum is below the one before it only where there was a reset.
            Aggregate = Aggregate.Min,
            IsOfCounters = true,
            FindsDrops = true,
            TakesAnchored = true,
        },
        Of(FunctionId.Round, "round", "vs", variadic: 1),
        Of(FunctionId.Scalar, "scalar", "v", returns: 's'),
        Of(FunctionId.Sgn, "sgn", "v"),
        Of(FunctionId.Sin, "sin", "v"),
        Of(FunctionId.Sinh, "sinh", "v"),
        Of(FunctionId.Sort, "sort", "v"),
        Of(FunctionId.SortByLabel, "sort_by_label", "vt", variadic: -1, experimental: true),
        Of(FunctionId.SortByLabelDesc, "sort_by_label_desc", "vt", variadic: -1, experimental: true),
        Of(FunctionId.SortDesc, "sort_desc", "v"),
        Of(FunctionId.Sqrt, "sqrt", "v"),
        Of(FunctionId.Start, "start", "", returns: 's', experimental: true) with { DependsOnTime = true },
        Of(FunctionId.StartTimestamp, "start_timestamp", "v", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.StddevOverTime, "stddev_over_time", "m") with { NeedsRaw = true },
        Of(FunctionId.StdvarOverTime, "stdvar_over_time", "m") with { NeedsRaw = true },
        Of(FunctionId.Step, "step", "", returns: 's', experimental: true) with { DependsOnTime = true },
        Of(FunctionId.SumOverTime, "sum_over_time", "m") with { Aggregate = Aggregate.Sum },
        Of(FunctionId.Tan, "tan", "v"),
        Of(FunctionId.Tanh, "tanh", "v"),
        Of(FunctionId.Time, "time", "", returns: 's') with { DependsOnTime = true },
        Of(FunctionId.Timestamp, "timestamp", "v") with { NeedsRaw = true, DependsOnTime = true },
        Of(FunctionId.TsOfFirstOverTime, "ts_of_first_over_time", "m", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.TsOfLastOverTime, "ts_of_last_over_time", "m", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.TsOfMaxOverTime, "ts_of_max_over_time", "m", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.TsOfMinOverTime, "ts_of_min_over_time", "m", experimental: true) with { NeedsRaw = true },
        Of(FunctionId.Vector, "vector", "s"),
        Of(FunctionId.Year, "year", "v", variadic: 1) with { DependsOnTime = true },
    ];

    static readonly Dictionary<string, Function> s_byName = s_all.ToDictionary(f => f.Name, StringComparer.Ordinal);

    public static IReadOnlyList<Function> All => s_all;

    /// <summary>The function of that name, experimental or not; null when there is none. Names are case-sensitive.</summary>
    public static Function? Find(string name) => s_byName.GetValueOrDefault(name);

    /// <summary>Names of the functions with a trait, in order, for a message.</summary>
    internal static string NamesWhere(Predicate<Function> trait) => string.Join(", ", s_all.Where(f => trait(f)).Select(f => f.Name));

    /// <param name="arguments">One letter an argument: v for an instant vector, m for a range, s for a scalar, t for a text.</param>
    static Function Of(FunctionId id, string name, string arguments, char returns = 'v', int variadic = 0, bool experimental = false) =>
        new(id, name, [.. arguments.Select(TypeOf)], variadic, TypeOf(returns), experimental);

    static ExprType TypeOf(char letter) => letter switch
    {
        'v' => ExprType.Vector,
        'm' => ExprType.Matrix,
        's' => ExprType.Scalar,
        _ => ExprType.String,
    };
}
