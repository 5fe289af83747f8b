namespace Observe.Query.Promql.Parsing;

/// <summary>The functions of Prometheus 3.14 with what they take and give.</summary>
public static class FunctionSignatures
{
    static readonly Dictionary<string, FunctionSignature> s_byName = All().ToDictionary(f => f.Name, StringComparer.Ordinal);

    public static IEnumerable<FunctionSignature> Every => s_byName.Values;

    /// <summary>The function of that name, experimental or not; null when there is none. Names are case-sensitive.</summary>
    public static FunctionSignature? Find(string name) => s_byName.GetValueOrDefault(name);

    static IEnumerable<FunctionSignature> All()
    {
        foreach (var name in new[]
        {
            "abs", "absent", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor",
            "histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum", "ln", "log10", "log2", "rad",
            "sgn", "sin", "sinh", "sort", "sort_desc", "sqrt", "tan", "tanh", "timestamp",
        })
        {
            yield return Of(name, "v");
        }

        foreach (var name in new[]
        {
            "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv", "first_over_time", "idelta", "increase",
            "irate", "last_over_time", "max_over_time", "min_over_time", "present_over_time", "rate", "resets", "stddev_over_time",
            "stdvar_over_time", "sum_over_time",
        })
        {
            yield return Of(name, "m");
        }

        foreach (var name in new[]
        {
            "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year",
        })
        {
            yield return Of(name, "v", variadic: 1);
        }

        yield return Of("clamp", "vss");
        yield return Of("clamp_max", "vs");
        yield return Of("clamp_min", "vs");
        yield return Of("histogram_fraction", "ssv");
        yield return Of("histogram_quantile", "sv");
        yield return Of("label_join", "vttt", variadic: -1);
        yield return Of("label_replace", "vtttt");
        yield return Of("pi", "", 's');
        yield return Of("predict_linear", "ms");
        yield return Of("quantile_over_time", "sm");
        yield return Of("round", "vs", variadic: 1);
        yield return Of("scalar", "v", 's');
        yield return Of("time", "", 's');
        yield return Of("vector", "s");

        yield return Of("double_exponential_smoothing", "mss", experimental: true);
        yield return Of("end", "", 's', experimental: true);
        yield return Of("histogram_quantiles", "vtss", variadic: 9, experimental: true);
        yield return Of("info", "vv", variadic: 1, experimental: true);
        yield return Of("mad_over_time", "m", experimental: true);
        yield return Of("max_of", "ss", 's', experimental: true);
        yield return Of("min_of", "ss", 's', experimental: true);
        yield return Of("range", "", 's', experimental: true);
        yield return Of("sort_by_label", "vt", variadic: -1, experimental: true);
        yield return Of("sort_by_label_desc", "vt", variadic: -1, experimental: true);
        yield return Of("start", "", 's', experimental: true);
        yield return Of("start_timestamp", "v", experimental: true);
        yield return Of("step", "", 's', experimental: true);
        yield return Of("ts_of_first_over_time", "m", experimental: true);
        yield return Of("ts_of_last_over_time", "m", experimental: true);
        yield return Of("ts_of_max_over_time", "m", experimental: true);
        yield return Of("ts_of_min_over_time", "m", experimental: true);
    }

    static FunctionSignature Of(string name, string arguments, char returns = 'v', int variadic = 0, bool experimental = false) =>
        new(name, [.. arguments.Select(TypeOf)], variadic, TypeOf(returns), experimental);

    static ExprType TypeOf(char letter) => letter switch
    {
        'v' => ExprType.Vector,
        'm' => ExprType.Matrix,
        's' => ExprType.Scalar,
        _ => ExprType.String,
    };
}
