using System.Globalization;
using System.Runtime.CompilerServices;
using Observe.Query.Promql.Parsing;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Queries that are well-typed, made at random of all that Prometheus 3.5 knows.</summary>
sealed class RandomQueries(Random random)
{
    static readonly string[] s_metrics =
    [
        "requests_total", "requests_total", "errors_total", "temperature", "odd", "small", "build_info", "latency_bucket", "native", "native",
        "native_gauge", "custom", "halves", "mixed", "{\"http.requests\"}", "target_info", "temperature", "temperature", "errors_total", "nothing", "steady",
        "ties", "nans",
    ];

    static readonly string[] s_histograms = ["native", "native", "native_gauge", "custom", "halves", "mixed", "nans"];

    static readonly string[] s_matchers =
    [
        "", "", "", "{job=\"a\"}", "{instance=~\"0|1\"}", "{job!=\"a\",instance!=\"3\"}", "{instance=\"0\"}", "{job=~\".*b\"}", "{job!~\"a.*\"}",
        "{instance=~\"[12]\"}", "{absent=\"\"}", "", "", "{job=~\"(?i:A)\"}", "{instance=~\".+\",job=\"b\"}", "{instance=\"1\",job=\"a\"}",
        "{\"data.center\"=\"x\"}", "{\"data.center\"!~\"x|\"}", "{'instance'!='0',}",
    ];

    static readonly string[] s_grouping =
    [
        "", "", " by (job)", " by (instance)", " without (instance)", " by (job, le)", " without (job)", " by (version)", " by ()", " without ()", " by (__name__, job)",
        " by (\"data.center\")", " without (\"data.center\", 'instance')",
    ];

    static readonly string[] s_aggregations = ["sum", "sum", "avg", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
    static readonly string[] s_arithmetic = ["+", "-", "*", "/", "%", "^", "atan2"];
    static readonly string[] s_comparison = ["==", "!=", ">", "<", ">=", "<="];

    static readonly string[] s_times =
    [
        "", "", "", "", "", "", "", "", " offset 1m", " offset -30s", " @ 1700007600", " @ start()", " @ end()", " @ 1700007900 offset 90s", " offset (1m + 30s)",
        " offset 2m @ end()", " @ 1700006400.5", " offset 10m", " offset -2m30s", " @ 1.7000076e9", " @ 1700008001.234 offset -45s", " @ start() offset -5m",
    ];

    static readonly string[] s_ranges = ["1m", "2m", "5m", "5m", "10m", "45s", "30s", "15s", "(2m * 2)", "100", "1h", "(5m - 30s)", "20m", "5m", "2m", "20s", "1m30s500ms", "999ms"];
    static readonly string[] s_numbers = ["0", "1", "-1", "2.5", "1e3", "0.3", "Inf", "NaN", "-Inf", "1e-9", "0x1f", "5m", "1e300"];
    static readonly string[] s_quantiles = ["0.5", "0.9", "0.99", "0", "1", "0.01", "1.5", "-1", "NaN"];

    static readonly string[] s_regexes =
    [
        "([0-2])", "(.*)(.)", "(a|b)", ".*", "(?P<digit>[0-9])", "(?i)A", "a|", "^(.)$", "\\d+", "[[:alpha:]]+", "(?s:.)", "()", "(.)(.)?", "\\pL", "[^a]", "x*", "(a)|(b)",
        "\\Q.\\E|(.+)", "[\\x61-\\x62]", "a{1,2}", "\\ba\\b",
    ];

    static readonly string[] s_replacements = ["$1-y", "z$2", "${0}", "fixed", "$1x", "${1}x", "${digit}", "$$1", "", "$2$1", "ä$1", "$", "${", "$digit$digit"];

    /// <summary>What the table has and Prometheus 3.5 does not.</summary>
    static readonly HashSet<string> s_new =
    [
        "first_over_time", "ts_of_first_over_time", "histogram_quantiles", "start", "end", "step", "range", "min_of", "max_of", "start_timestamp",
    ];

    static readonly Function[] s_functions = [.. FunctionTable.All.Where(f => !s_new.Contains(f.Name)).OrderBy(f => f.Name, StringComparer.Ordinal)];
    static readonly Function[] s_ofRange = [.. s_functions.Where(f => f.ArgumentTypes.Contains(ExprType.Matrix))];

    public QueryTree Next() => random.Next(50) switch
    {
        0 or 1 => Scalar(2),
        2 or 3 => Range(random.Next(0, 2)),
        4 => new QueryTree(ExprType.String, $"{Whole(["\"text\"", "'single'", "`a\\n`", "\"\\u00e4\\x41\\n\""])}"),
        _ => Vector(Math.Min(random.Next(1, 5), random.Next(1, 5))),
    };

    QueryTree Vector(int depth)
    {
        if (depth <= 0)
        {
            return Selector(random.Next(3) == 0 ? s_histograms : s_metrics);
        }

        return random.Next(24) switch
        {
            0 or 1 or 2 or 3 => Call(s_ofRange[random.Next(s_ofRange.Length)], depth),
            4 or 5 or 6 or 7 => Call(s_functions[random.Next(s_functions.Length)], depth),
            8 or 9 or 10 => Vector($"{Pick(s_aggregations)}{Pick(s_grouping)} ({Vector(depth - 1)})"),
            11 => Vector($"{Pick(["topk", "bottomk", "limitk"])}{Pick(s_grouping)} ({Parameter(depth, ["1", "2", "3", "0", "-1", "2.7"])}, {Vector(depth - 1)})"),
            12 => Vector($"quantile{Pick(s_grouping)} ({Parameter(depth, s_quantiles)}, {Vector(depth - 1)})"),
            13 => random.Next(2) == 0
                ? Vector($"limit_ratio{Pick(s_grouping)} ({Parameter(depth, ["0.5", "-0.5", "0.1", "1", "-1", "1.2"])}, {Vector(depth - 1)})")
                : Vector($"count_values{Pick(s_grouping)} (\"{Whole(["value", "value", "job", "a.b"])}\", {Vector(depth - 1)})"),
            14 => Vector($"({Vector(depth - 1)} {Pick(s_arithmetic)} {Scalar(depth - 1)})"),
            15 => random.Next(2) == 0
                ? Vector($"({Vector(depth - 1)} {Pick(s_comparison)}{Pick(["", " bool"])} {Scalar(depth - 1)})")
                : Vector($"({Scalar(depth - 1)} {Pick(s_arithmetic)} {Vector(depth - 1)})"),
            16 or 17 => Binary(depth),
            18 => Vector($"({Vector(depth - 1)} {Pick(["and", "or", "unless"])}{Pick(["", "", " on (job)", " ignoring (instance)", " on (instance, job)", " on ()"])} {Vector(depth - 1)})"),
            19 or 20 => Histogram(depth),
            21 => Chain(depth),
            22 => Vector($"(+{Vector(depth - 1)})"),
            _ => Vector($"-({Vector(depth - 1)})"),
        };
    }

    QueryTree Call(Function function, int depth)
    {
        var arguments = function.ArgumentTypes;
        switch (function.Name)
        {
            case "label_replace":
                var (target, source) = (Pick(["job", "x", "instance", "__name__", "data.center", "le"]), Pick(["instance", "job", "__name__", "none", "data.center"]));
                return Vector($"label_replace({Vector(depth - 1)}, \"{target}\", `{Pick(s_replacements)}`, \"{source}\", `{Pick(s_regexes)}`)");
            case "label_join":
                return Vector($"label_join({Vector(depth - 1)}, \"{Pick(["x", "job", "le", "data.center"])}\", \"{Pick(["-", "/", ""])}\"{Pick([", \"job\", \"instance\"", ", \"instance\"", ", \"none\"", "", ", \"__name__\", \"data.center\""])})");
            case "sort_by_label" or "sort_by_label_desc":
                return Vector($"{Name(function)}({Vector(depth - 1)}, \"{Pick(["instance", "job", "le", "i", "data.center", "__name__"])}\"{Pick(["", ", \"job\"", ", \"instance\""])})");
            case "info":
                return Vector($"info({(random.Next(2) == 0 ? Vector(depth - 1) : Vector($"rate(steady{Pick(s_matchers)}[5m])"))}{Pick(["", "", ", {version=~\".+\"}", ", {cloud=\"x\"}", ", {__name__=\"build_info\"}"])})");
            case "quantile_over_time":
                return Vector($"quantile_over_time({Parameter(depth, s_quantiles)}, {Range(depth - 1)})");
            case "histogram_quantile":
                return Vector($"histogram_quantile({Parameter(depth, s_quantiles)}, {Vector(depth - 1)})");
            case "double_exponential_smoothing":
                return Vector($"double_exponential_smoothing({Range(depth - 1)}, {Parameter(depth, ["0.5", "0.1", "0.9"])}, {Parameter(depth, ["0.5", "0.1", "0.9"])})");
            case "histogram_avg" or "histogram_count" or "histogram_sum" or "histogram_stddev" or "histogram_stdvar" or "histogram_fraction":
                return Histogram(depth);
            case "predict_linear":
                return Vector($"predict_linear({Range(depth - 1)}, {Parameter(depth, ["60", "3600", "-60", "0"])})");
        }

        if (function.ReturnType == ExprType.Scalar)
        {
            return Vector($"vector({Scalar(depth - 1)})");
        }

        if (arguments.Count == 1)
        {
            return function.Variadic == 1 && random.Next(4) == 0 ? Vector($"{Name(function)}()") : Vector($"{Name(function)}({Argument(arguments[0], depth)})");
        }

        return arguments.Count == 2
            ? Vector($"{Name(function)}({Argument(arguments[0], depth)}, {Argument(arguments[1], depth)})")
            : Vector($"{Name(function)}({Argument(arguments[0], depth)}, {Argument(arguments[1], depth)}, {Argument(arguments[2], depth)})");
    }

    QueryTree Argument(ExprType type, int depth) => type switch
    {
        ExprType.Matrix => Range(depth - 1),
        ExprType.Scalar => Parameter(depth, s_numbers),
        _ => Vector(depth - 1),
    };

    /// <summary>What histogram functions are asked of; now and then of anything.</summary>
    QueryTree Native(int depth) => random.Next(6) == 0 ? Vector(depth - 1) : NativeSeries();

    QueryTree Range(int depth) => random.Next(4) == 0 && depth > 0
        ? new QueryTree(ExprType.Matrix, $"({Vector(depth - 1)})[{Whole(s_ranges[..7])}:{Pick(["", "1m", "30s", "45s", "(15s + 5s)", "7s", "1500ms", "10m"])}]{Pick(s_times)}")
        : new QueryTree(ExprType.Matrix, $"{Series(random.Next(3) == 0 ? s_histograms : s_metrics)}[{Whole(s_ranges)}]{Pick(s_times)}");

    QueryTree Binary(int depth)
    {
        var matching = Pick(
        [
            " on (instance, job)", " ignoring (le, version)", " on (job) group_left", " on (instance, job) group_left (version)",
            " on (job, instance) group_right", " ignoring (version) group_right (version)", " on (job) group_left ()", " on ()", "",
            " on (\"data.center\") group_left", " on (job) group_left (instance, \"data.center\")", " ignoring (instance, \"data.center\") group_left (job)",
            " on (instance, job) group_right (__name__)", " ignoring ()",
        ]);
        var op = Whole(random.Next(3) == 0 ? [.. s_comparison] : s_arithmetic);
        var boolean = s_comparison.Contains(op.ToString()) ? Pick(["", " bool"]) : "";
        var left = random.Next(2) == 0 ? Vector($"{Whole(["sum", "max", "avg"])} by (instance, job) ({Vector(depth - 1)})") : Vector(depth - 1);
        return Vector($"({left} {op}{boolean}{matching} {Vector(depth - 1)})");
    }

    /// <summary>Operators whose precedence decides.</summary>
    QueryTree Chain(int depth)
    {
        QueryTree Operand() => random.Next(3) == 0 ? Vector($"{Whole(["sum", "max"])}({Vector(depth - 1)})") : Scalar(depth - 2);
        var middle = Vector($"{Operand()} {Whole(s_arithmetic)} {Whole(["", "-", "+"])}sum({Vector(depth - 1)}) {Whole(s_arithmetic)} {Operand()}");
        return random.Next(2) == 0 ? middle : Vector($"({middle} {Whole(["and", "or", "unless", "== bool", "> bool", "!= bool"])} sum({Vector(depth - 1)}) {Whole(s_arithmetic)} {Operand()})");
    }

    QueryTree Histogram(int depth)
    {
        var native = Native(depth);
        return random.Next(8) switch
        {
            0 => Vector($"histogram_quantile({Parameter(depth, s_quantiles)}, rate(latency_bucket{Pick(s_matchers)}[{Whole(s_ranges)}]{Pick(s_times)}))"),
            1 => Vector($"histogram_quantile({Parameter(depth, s_quantiles)}, sum by (le{Pick(["", ", job", ", instance"])}) (rate(latency_bucket[{Whole(s_ranges)}])))"),
            2 => Vector($"histogram_quantile({Parameter(depth, s_quantiles)}, {Whole(["sum", "avg"])}{Pick(["", " by (job)"])} ({native}))"),
            3 => Vector($"histogram_fraction({Parameter(depth, ["0", "-1", "0.2", "-Inf"])}, {Parameter(depth, ["1", "3", "+Inf", "0"])}, {native})"),
            4 => Vector($"histogram_{Whole(["count", "sum", "avg", "stddev", "stdvar"])}({native})"),
            5 => Vector($"({native} {Whole(["+", "-", "==", "!="])} {Selector(s_histograms)})"),
            6 => Vector($"({native} {Whole(["*", "/"])} {Scalar(depth - 1)})"),
            _ => native,
        };
    }

    QueryTree NativeSeries() => random.Next(2) == 0
        ? Vector($"{Whole(["rate", "increase", "delta", "sum_over_time", "avg_over_time", "last_over_time", "irate", "idelta"])}({Whole(s_histograms)}{Pick(s_matchers)}[{Whole(s_ranges)}]{Pick(s_times)})")
        : Selector(s_histograms);

    QueryTree Parameter(int depth, string[] likely) => random.Next(5) == 0 ? Scalar(depth - 1) : Number(likely[random.Next(likely.Length)]);

    QueryTree Scalar(int depth) => (depth <= 0 ? random.Next(3) : random.Next(8)) switch
    {
        0 => Number(s_numbers[random.Next(s_numbers.Length)]),
        1 => Number(random.Next(-50, 100).ToString(CultureInfo.InvariantCulture)),
        2 => Number("time()"),
        3 => new QueryTree(ExprType.Scalar, $"scalar({Vector(depth - 1)})"),
        4 or 5 => new QueryTree(ExprType.Scalar, $"({Scalar(depth - 1)} {Pick(s_arithmetic)} {Scalar(depth - 1)})"),
        6 => new QueryTree(ExprType.Scalar, $"-{Scalar(depth - 1)}"),
        _ => new QueryTree(ExprType.Scalar, $"({Scalar(depth - 1)} {Pick(s_comparison)} bool {Scalar(depth - 1)})"),
    };

    QueryTree Selector(string[] metrics) => Vector($"{Series(metrics)}{Pick(s_times)}");

    QueryTree Series(string[] metrics)
    {
        var metric = Pick(metrics);
        return metric[0] == '{'
            ? new QueryTree(ExprType.None, $"{{{Text(metric[1..^1])}{Pick(["", "", ",job=\"a\"", ",instance=~\"0|1\""])}}}")
            : new QueryTree(ExprType.None, $"{Text(metric)}{Pick(s_matchers)}");
    }

    static QueryTree Vector(FormattableString text) => new(ExprType.Vector, text);

    static QueryTree Number(string text) => new(ExprType.Scalar, FormattableStringFactory.Create(text));

    static QueryTree Name(Function function) => Text(function.Name);

    static QueryTree Text(string text) => new(ExprType.None, FormattableStringFactory.Create(text));

    /// <summary>A choice that can't be left out of the query.</summary>
    QueryTree Whole(string[] from) => Text(Pick(from));

    /// <summary>A choice that shrinking may leave out.</summary>
    string Pick(string[] from) => from[random.Next(from.Length)];
}
