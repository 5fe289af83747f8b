using System.Globalization;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Queries that are well-typed, made at random.</summary>
sealed class RandomQueries(Random random)
{
    static readonly string[] s_metrics =
        ["requests_total", "errors_total", "temperature", "odd", "small", "build_info", "latency_bucket", "native", "native_gauge", "custom"];

    static readonly string[] s_matchers =
        ["", "", "", "{job=\"a\"}", "{instance=~\"0|1\"}", "{job!=\"a\",instance!=\"3\"}", "{instance=\"0\"}", "{job=~\".*b\"}"];

    static readonly string[] s_ofRange =
    [
        "rate", "increase", "delta", "irate", "idelta", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
        "last_over_time", "stddev_over_time", "stdvar_over_time", "changes", "resets", "deriv", "present_over_time", "absent_over_time",
    ];

    static readonly string[] s_ofVector =
    [
        "abs", "ceil", "floor", "sgn", "sqrt", "exp", "ln", "log2", "log10", "deg", "rad", "histogram_count", "histogram_sum", "histogram_avg",
        "histogram_stddev", "histogram_stdvar", "timestamp", "hour", "day_of_week", "days_in_month", "absent", "sin", "cos", "tanh",
    ];

    static readonly string[] s_aggregations = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
    static readonly string[] s_grouping = ["", "", " by (job)", " by (instance)", " without (instance)", " by (job, le)", " without (job)", " by (version)"];
    static readonly string[] s_arithmetic = ["+", "-", "*", "/", "%", "^", "atan2"];
    static readonly string[] s_comparison = ["==", "!=", ">", "<", ">=", "<="];
    static readonly string[] s_times = ["", "", "", "", " offset 1m", " offset -30s", " @ 1700007600", " @ start()", " @ end()", " @ 1700007900 offset 90s"];
    static readonly string[] s_ranges = ["1m", "2m", "5m", "10m", "45s", "30s"];

    public string Next() => random.Next(25) == 0 ? Scalar(2) : Vector(random.Next(1, 4));

    string Vector(int depth)
    {
        if (depth == 0)
        {
            return Selector();
        }

        return random.Next(18) switch
        {
            0 or 1 or 2 or 3 => RangeCall(depth),
            4 or 5 => $"{Pick(s_ofVector)}({Vector(depth - 1)})",
            6 or 7 or 8 => $"{Pick(s_aggregations)}{Pick(s_grouping)} ({Vector(depth - 1)})",
            9 => $"{Pick(["topk", "bottomk"])}{Pick(s_grouping)} ({random.Next(1, 4)}, {Vector(depth - 1)})",
            10 => $"quantile{Pick(s_grouping)} ({Pick(["0.5", "0.9", "0", "1", "1.5", "-1"])}, {Vector(depth - 1)})",
            11 => $"({Vector(depth - 1)} {Pick(s_arithmetic)} {Scalar(depth - 1)})",
            12 => random.Next(2) == 0
                ? $"({Vector(depth - 1)} {Pick(s_comparison)}{Pick(["", " bool"])} {Scalar(depth - 1)})"
                : $"({Scalar(depth - 1)} {Pick(s_arithmetic)} {Vector(depth - 1)})",
            13 or 14 => Binary(depth),
            15 => $"({Vector(depth - 1)} {Pick(["and", "or", "unless"])}{Pick(["", " on (job)", " ignoring (instance)", " on (instance, job)"])} {Vector(depth - 1)})",
            16 => Histogram(),
            _ => Other(depth),
        };
    }

    string RangeCall(int depth)
    {
        var range = random.Next(5) == 0 && depth > 1
            ? $"({Vector(depth - 1)})[{Pick(["5m", "10m"])}:{Pick(["", "1m", "30s", "45s"])}]{Pick(s_times)}"
            : $"{Pick(s_metrics)}{Pick(s_matchers)}[{Pick(s_ranges)}]{Pick(s_times)}";
        return random.Next(12) switch
        {
            0 => $"quantile_over_time({Pick(["0.5", "0.9", "2"])}, {range})",
            1 => $"predict_linear({range}, {Pick(["60", "3600", "-60"])})",
            _ => $"{Pick(s_ofRange)}({range})",
        };
    }

    string Binary(int depth)
    {
        var matching = Pick([" on (instance, job)", " ignoring (le, version)", " on (job) group_left", " on (instance, job) group_left (version)", " on (job, instance) group_right"]);
        var op = random.Next(3) == 0 ? Pick(s_comparison) + Pick(["", " bool"]) : Pick(s_arithmetic);
        var simple = random.Next(2) == 0;
        var left = simple ? $"{Pick(["sum", "max", "avg"])} by (instance, job) ({Vector(depth - 1)})" : Vector(depth - 1);
        return $"({left} {op}{matching} {Vector(depth - 1)})";
    }

    string Histogram() => random.Next(4) switch
    {
        0 => $"histogram_quantile({Pick(["0.5", "0.9", "0.99", "0", "1"])}, rate(latency_bucket{Pick(s_matchers)}[{Pick(s_ranges)}]))",
        1 => $"histogram_quantile({Pick(["0.5", "0.9", "0.01"])}, sum by (le) (rate(latency_bucket[{Pick(s_ranges)}])))",
        2 => $"histogram_quantile({Pick(["0.5", "0.9", "0.01"])}, {Pick(["sum", "avg"])}{Pick(["", " by (job)"])} (rate({Pick(["native", "custom"])}[{Pick(s_ranges)}])))",
        _ => $"histogram_fraction({Pick(["0", "-1", "0.2"])}, {Pick(["1", "3", "+Inf"])}, {Pick(["sum", "max by (job)"])} ({Pick(["native", "custom"])}{Pick(s_matchers)}))",
    };

    string Other(int depth) => random.Next(9) switch
    {
        0 => $"-({Vector(depth - 1)})",
        1 => $"label_replace({Vector(depth - 1)}, \"{Pick(["job", "x"])}\", \"$1-y\", \"instance\", \"([0-2])\")",
        2 => $"label_join({Vector(depth - 1)}, \"x\", \"-\", \"job\", \"instance\")",
        3 => $"clamp({Vector(depth - 1)}, {Pick(["-5", "0", "1"])}, {Pick(["10", "2"])})",
        4 => $"round({Vector(depth - 1)}, {Pick(["0.1", "5", "0.25"])})",
        5 => $"sort({Vector(depth - 1)})",
        6 => $"vector({Scalar(depth - 1)})",
        7 => $"count_values{Pick(s_grouping)} (\"value\", {Vector(depth - 1)})",
        _ => $"clamp_{Pick(["min", "max"])}({Vector(depth - 1)}, {Scalar(depth - 1)})",
    };

    string Scalar(int depth) => (depth <= 0 ? random.Next(3) : random.Next(6)) switch
    {
        0 => Pick(["0", "1", "-1", "2.5", "1e3", "0.3", "Inf", "NaN"]),
        1 => random.Next(-50, 100).ToString(CultureInfo.InvariantCulture),
        2 => "time()",
        3 => $"scalar({Vector(depth - 1)})",
        4 => $"({Scalar(depth - 1)} {Pick(s_arithmetic)} {Scalar(depth - 1)})",
        _ => $"({Scalar(depth - 1)} {Pick(s_comparison)} bool {Scalar(depth - 1)})",
    };

    string Selector() => Pick(s_metrics) + Pick(s_matchers) + Pick(s_times);

    string Pick(string[] from) => from[random.Next(from.Length)];
}
