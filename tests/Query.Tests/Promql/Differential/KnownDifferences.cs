using System.Text.RegularExpressions;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Where Observe, like later versions, means to answer otherwise than Prometheus 3.5.</summary>
/// <param name="Reason">What 3.5 does, and what came after, with the commits of Prometheus.</param>
/// <param name="Query">A pattern of the queries that it shows in; null for all.</param>
/// <param name="Steps">Only where there are several steps, of the query or of a subquery.</param>
/// <param name="Text">A pattern of the difference's text; null for all.</param>
sealed record KnownDifference(string Reason, string? Query = null, string? Text = null, bool Steps = false)
{
    public static IReadOnlyList<KnownDifference> All { get; } =
    [
        new("3.5 looks for several matches among the comparisons that hold; since 3.9 among all (4cad87cae8)",
            Query: "(==|!=|>|<)", Text: "^error (multiple matches for labels|found duplicate series).*expected none$"),
        new("the parameter of topk, bottomk, limitk and limit_ratio is checked since 3.6 before there is a series, and a NaN is an error (44ee5e2ad6)",
            Query: "topk|bottomk|limitk|limit_ratio", Text: "^error (Parameter value|Ratio value|Scalar value)"),
        new("info() takes @ and offset of its argument over to the info series since 3.14 (88665ab517)", Query: "info\\(.*(offset|@)"),
        new("info() finds info series that come and go, or of series that do, since 3.6 (5c2e43f09c, 20815562d2)", Query: "info\\((?!rate\\(steady)|build_info", Steps: true),
        new("info() leaves info series as they are since 3.9", Query: "info\\(.*(target|build)_info"),
        new("a negation, label_join and label_replace join series that don't overlap since 3.9 (37b97a0200, b336889d8f)",
            Query: "-\\(|label_(join|replace)", Text: "expected vector cannot contain metrics with the same labelset", Steps: true),
        new("increase and rate of histograms are cut off at zero as of floats since 3.6 (bcf7a822a0)", Query: "(rate|increase)\\((native_gauge|\\()"),
        new("a histogram with custom buckets times NaN can't be written: a panic in Prometheus", Text: "expected histograms with custom buckets have no zero bucket"),
        new("histogram_count, _sum and _avg read no buckets; in 3.5 they did as the outermost call, so that resets of gauges showed by buckets",
            Query: "^histogram_(count|sum|avg)\\("),
        new("histogram_fraction from within the first bucket interpolates since 3.8 (0f5f1955e5)", Query: "histogram_fraction"),
        new("sums and averages of histograms are compensated since 3.10 (1dcdb07d30), which shows where they cancel out",
            Query: "^(?=.*(avg|sum))(?=.*(native|custom|halves|mixed|nans))(?=.*( - | % |delta|-\\(|histogram_quantile|count_values))"),
        new("a duration that is NaN, infinite or out of range is an error since 3.12 (22fbde5127); before, some number",
            Text: "^error .*duration is (NaN or infinite|out of range), expected none"),
        new("averages of histograms with infinities are compensated since 3.10 (1dcdb07d30), so that they stay infinite", Query: "avg", Text: "Inf.*expected.*NaN"),
        new("a comparison with bool keeps a __name__ that group_left or group_right includes since 3.11 (cde7bbf9e7)", Query: "bool .*group_(left|right) \\(__name__"),
        new("mad_over_time of a window with a NaN is NaN since 3.14 (c5cac1ee7d)", Query: "mad_over_time"),
    ];

    /// <summary>Warnings and infos that only one of the two gives.</summary>
    static IReadOnlyList<KnownDifference> Notes { get; } =
    [
        new("info() in another manner since 3.6, 3.9 and 3.14, as above", Query: "info\\("),
        new("sorting in a range query is warned of since 3.11 (3f80815e1b)", Text: "^too much: .*sort is ineffective"),
        new("histograms with contradictory hints of resets are warned of since 3.7 (77b5c3f217)", Text: "^too much: .*conflicting counter resets"),
        new("histograms that are negated, subtracted or multiplied are gauges since 3.7 (caf24555a8)", Query: "-\\(| [-*/] ", Text: "^too much: .*not a counter|^missing: .*not a gauge"),
        new("of several notes that an operator has at a step, Prometheus keeps the last series'; here are all",
            Query: " ([-+*/%^<>=!]=?|atan2) ", Text: "^too much: .*(incompatible (bucket layout|sample types) encountered for binary operator|mismatched custom buckets)"),
        new("what is not needed is not evaluated for the sake of its warnings", Query: " (and|or|unless|atan2|[-+*/%^<>=!]=?) |absent", Text: "^missing"),
        new("Prometheus evaluates a subquery at @ over the whole range, and speaks of the largest of an aggregation's parameters there; here, of those that are needed",
            Query: "quantile .*\\] @", Text: "quantile value should be between 0 and 1"),
        new("what NaN observations do to histogram_quantile and histogram_fraction is said of the histogram since a00cd51b47; before, of the first argument",
            Query: "histogram_(quantile|fraction)", Text: "NaN observations"),
        new("a metric's name is in notes on classic buckets since 3.7 only with delayed name removal (2c0de4e7c2): the same note on a call within another, without a name there, is one with it",
            Query: "histogram_(quantile|fraction)\\(.*histogram_(quantile|fraction)\\(", Text: "^missing: .*(malformed value of|classic and native histograms)"),
    ];

    /// <summary>Of notes that both give, at different places.</summary>
    static KnownDifference Places { get; } =
        new("positions are of what stands in parentheses since 3.7 (7ab68550dc); before, of the parentheses", Query: "\\(\\(|, \\(");

    /// <summary>The reason why two answers differ, if it is a known one.</summary>
    public static string? ReasonOf(string query, bool isInstant, Difference difference)
    {
        string? Reason(IReadOnlyList<KnownDifference> known, string text) => known.FirstOrDefault(k => k.Explains(query, isInstant, text))?.Reason;
        if (difference.Kind != DifferenceKind.Notes)
        {
            return Reason(All, difference.Text);
        }

        var notes = difference.Text.Split(Answer.BetweenNotes);
        var reasons = notes.Select(note =>
        {
            var elsewhere = Array.FindAll(notes, n => Unplaced(n) == Unplaced(note));
            return elsewhere.Length > 1 && Places.Explains(query, isInstant, note)
                ? Places.Reason
                : elsewhere.Select(n => Reason(Notes, n)).FirstOrDefault(reason => reason is not null);
        }).ToList();
        return reasons.Contains(null) ? null : string.Join("; ", reasons.Distinct());
    }

    /// <summary>A note's text without where it is.</summary>
    static string Unplaced(string note) => note[(note.IndexOf(':', StringComparison.Ordinal) + 1)..note.LastIndexOf(" (", StringComparison.Ordinal)];

    bool Explains(string query, bool isInstant, string difference) =>
        !(Steps && isInstant && !Regex.IsMatch(query, @"\[[^\]]*:")) && (Query is null || Regex.IsMatch(query, Query)) && (Text is null || Regex.IsMatch(difference, Text));
}
