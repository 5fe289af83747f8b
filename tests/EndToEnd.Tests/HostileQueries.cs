using System.Globalization;
using System.Text;

namespace Observe.EndToEnd.Tests;

/// <param name="Kind">What is hostile about it.</param>
/// <param name="Step">Seconds; null: an instant query at <paramref name="End"/>.</param>
sealed record HostileQuery(string Kind, string Text, double Start, double End, double? Step);

/// <summary>Queries that mean harm: made to take the time, the memory or the stack of whoever answers.</summary>
sealed class HostileQueries(Random random, double now)
{
    const string Everything = "{__name__=~\".+\"}";
    static readonly string[] s_anything = [Everything, "{job=~\".*\",__name__!=\"\"}", "ledger", "{series=~\"[0-9]+\"}"];
    static readonly string[] s_ofRange = ["rate", "quantile_over_time", "stddev_over_time", "deriv", "sum_over_time", "max_over_time", "changes", "absent_over_time", "last_over_time", "mad_over_time"];
    static readonly string[] s_operators = ["+", "-", "*", "/", "^", "%", "==", ">", "and", "or", "unless", "atan2"];

    static readonly string[] s_bombs =
    [
        "(a+)+$", "(.*)*x", "(.*.*.*.*.*.*.*.*.*.*)*y", "((a{1,100}){1,100}){1,100}", "(a|a)*b", "x{1000}", "(x{1000}){1000}", "(([0-9]+)*)*z", "[0-9]*[0-9]*[0-9]*[0-9]*[0-9]*q",
        "(?i:(ſ|K|s)+)*!", "\\\\pL*\\\\pL*\\\\pL*5", ".*.*.*.*.*=.*", "(?:.?){500}.{500}", "(((((((((.*)*)*)*)*)*)*)*)*)*w",
    ];

    public HostileQuery Next()
    {
        var (kind, text) = random.Next(16) switch
        {
            0 => ("nesting", Nested()),
            1 => ("chain", Chain()),
            2 => ("giant text", Giant()),
            3 => ("everything", $"{Pick(["sort", "sort_desc", "abs", "timestamp", "absent", "-", "scalar", "exp"])}({Pick(s_anything)})"),
            4 => ("everything ranged", Ranged(Pick(s_anything), Pick(["5m", "1h", "1d", "1y", "100y", "290y"]))),
            5 => ("cross join", Join()),
            6 => ("grouping", $"{Pick(["topk(1000000000,", "count_values(\"v\",", "quantile(0.5,", "limitk(9223372036854774784,", "bottomk(1e18,"])} {Pick(s_anything)})"),
            7 => ("grouping", $"{Pick(["sum", "avg", "stddev", "group", "max"])} {Pick(["by", "without"])} ({string.Join(',', Enumerable.Range(0, random.Next(1, 2000)).Select(i => "l" + i))}) ({Pick(s_anything)})"),
            8 => ("regex bomb", $"{Pick(["", "count", "sum"])}({{{Pick(["series", "__name__", "job"])}{Pick(["=~", "!~"])}\"{Pick(s_bombs)}\"}})"),
            9 => ("regex bomb", $"label_replace({Pick(s_anything)}, \"x\", \"{Pick(["$1", "$1$1$1$1", "$0$0$0$0$0$0$0$0"])}\", \"{Pick(["series", "job"])}\", \"{Pick(s_bombs)}\")"),
            10 => ("growing labels", Growing()),
            11 or 12 => ("subquery", Subquery(random.Next(1, 5))),
            13 => ("matchers", $"{{__name__=~\".+\",{string.Join(',', Enumerable.Range(0, random.Next(10, 600)).Select(i => random.Next(2) == 0 ? $"l{i}=\"\"" : $"series!~\"{i}.*|.*{i}\""))}}}"),
            14 => ("odd times", $"{Pick(s_anything)}{Pick([" offset 290y", " offset -290y", " @ 1e15", " @ -9223372036854775", " @ 0", " @ end() offset -100y", " @ 9e18"])}"),
            _ => ("noise", Noise()),
        };
        return Timed(kind, text);
    }

    HostileQuery Timed(string kind, string text) => random.Next(8) switch
    {
        0 or 1 or 2 => new HostileQuery(kind, text, now, now, null),
        3 => new HostileQuery(kind, text, now - 60, now, 0.01),
        4 => new HostileQuery(kind, text, now - 3600, now, 1),
        5 => new HostileQuery(kind, text, now - 109_990, now, 10),
        6 => new HostileQuery(kind, text, 0, 253_402_300_799, Math.Round(253_402_300_799 / 10_999.0, 0) + 1),
        _ => new HostileQuery(kind, text, -1e10, 1e11, random.Next(2) == 0 ? 1e9 : 0.001),
    };

    string Nested()
    {
        var depth = random.Next(3) switch { 0 => random.Next(50, 128), 1 => random.Next(128, 3000), _ => random.Next(3000, 200_000) };
        var (open, close) = random.Next(7) switch
        {
            0 => ("(", ")"),
            1 => ("-", ""),
            2 => ("abs(", ")"),
            3 => ("sum(", ")"),
            4 => ("1+(", ")"),
            5 => ("max_over_time(", "[5m:1s])"),
            _ => ("{", "}"),
        };
        return new StringBuilder().Insert(0, open, depth).Append("ledger").Insert(open.Length * depth + 6, close, depth).ToString();
    }

    string Chain()
    {
        var parts = Enumerable.Range(0, random.Next(10, 700)).Select(i => random.Next(3) == 0 ? Pick(s_anything) : $"ledger{{series!=\"{i}\"}}");
        return string.Join($" {Pick(s_operators)} ", parts);
    }

    string Giant() => random.Next(4) switch
    {
        0 => "\"" + new string('x', random.Next(10_000, 900_000)) + "\"",
        1 => "ledger{series=~\"" + string.Join('|', Enumerable.Range(0, random.Next(1000, 100_000))) + "\"}",
        2 => string.Join('+', Enumerable.Repeat("1", random.Next(1000, 400_000))),
        _ => new string(' ', random.Next(10_000, 900_000)) + "ledger",
    };

    string Ranged(string series, string range) => Pick(s_ofRange) switch
    {
        "quantile_over_time" => $"quantile_over_time(0.5, {series}[{range}])",
        var function => random.Next(4) == 0 ? $"{series}[{range}]" : $"{function}({series}[{range}])",
    };

    string Join() => random.Next(4) switch
    {
        0 => $"{Pick(s_anything)} {Pick(s_operators)} on () group_left () {Pick(s_anything)}",
        1 => $"ledger {Pick(s_operators)} on (job) group_right (series) ledger",
        2 => $"label_replace({Pick(s_anything)}, \"a\", \"$1\", \"series\", \"(.).*\") {Pick(s_operators)} on (a) group_left ignored",
        _ => $"count_values without () (\"v\", {Pick(s_anything)}) {Pick(s_operators)} ignoring (v) group_left () ledger",
    };

    /// <summary>Each call doubles a label.</summary>
    string Growing()
    {
        var text = Pick(["vector(1)", "ledger", Everything]);
        for (var i = random.Next(5, 60); i > 0; i--)
        {
            text = random.Next(2) == 0
                ? $"label_join({text}, \"x\", \"ab\", \"x\", \"x\", \"job\")"
                : $"label_replace({text}, \"x\", \"$0$0{(random.Next(2) == 0 ? "y" : "$0")}\", \"x\", \"(?s).*\")";
        }

        return text;
    }

    string Subquery(int depth) => depth == 0
        ? Pick([.. s_anything, "time()", "vector(time())", "scalar(ledger)"])
        : $"{Pick(["max", "sum", "count", "stddev", "last"])}_over_time(({Subquery(depth - 1)})[{Pick(["1h", "1d", "1y", "100y", "5m"])}:{Pick(["1s", "1ms", "15s", "1m", ""])}])";

    string Noise()
    {
        var characters = "{}[]()\"'`\\=~!<>+-*/^%:,@#_ \n\t\0éabsumx0123456789.e\uFFFD".AsSpan();
        var text = new StringBuilder();
        for (var i = random.Next(1, 500); i > 0; i--)
        {
            text.Append(random.Next(10) == 0 ? Pick(["sum by", "rate(", "[5m:", "offset", "@ start()", "bool", "group_left", "{__name__=~"]) : characters[random.Next(characters.Length)].ToString());
        }

        return text.ToString();
    }

    string Pick(string[] from) => from[random.Next(from.Length)];

    public static string Describe(HostileQuery query) => string.Create(
        CultureInfo.InvariantCulture,
        $"{query.Kind} [{query.Start:F0} {query.End:F0} {query.Step}] {query.Text[..Math.Min(query.Text.Length, 160)]} ({query.Text.Length} characters)");
}
