using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>Something that an answer lacks, joined over all selections of its query.</summary>
/// <param name="Names">Of the sources, blocks or collectors, sorted.</param>
/// <param name="LabelSets">External labels, sorted; empty where they are not known.</param>
/// <param name="Times">In order; ends may be infinite.</param>
/// <param name="Since">Since when it has been missing, Unix milliseconds; null where that is not known.</param>
public sealed record MissingTimes(
    MissingPart Part, IReadOnlyList<string> Names, IReadOnlyList<Labels> LabelSets, IReadOnlyList<TimeRange> Times, string Reason, long? Since);

/// <summary>An answer held against who should have taken part in it.</summary>
/// <param name="Expected">Names of clusters, sorted.</param>
/// <param name="Answered">Those of which nothing is known to be missing, sorted.</param>
/// <param name="IsComplete">Nothing is missing: neither what is named here nor what a peer of another make says in words.</param>
public sealed record Completeness(
    IReadOnlyList<string> Expected, IReadOnlyList<string> Answered, IReadOnlyList<MissingTimes> Missing, bool IsComplete)
{
    public static Completeness Of(Coverage coverage)
    {
        var missing = Join(coverage.Missing);
        var lacking = missing.SelectMany(one => one.LabelSets).Select(labels => labels.Get("cluster")).ToHashSet();
        var expected = coverage.Expected.Union(lacking).Where(name => name.Length > 0).Order(StringComparer.Ordinal).ToList();
        return new Completeness(expected, [.. expected.Where(name => !lacking.Contains(name))], missing, !coverage.IsPartial);
    }

    /// <summary>Joins what differs in its range only, and then what differs in its name or labels only.</summary>
    public static IReadOnlyList<MissingTimes> Join(IReadOnlyList<Missing> missing) =>
    [
        .. missing
            .GroupBy(one => (one.Part, one.Name, Labels: string.Join(", ", one.LabelSets), one.Reason))
            .Select(alike => (First: alike.First(), Times: TimeSpans.Union(alike.Select(one => one.Range)), Since: alike.Min(one => one.Since)))
            .GroupBy(one => (
                one.First.Part, Name: one.First.Part == MissingPart.Collector ? "" : one.First.Name, one.First.Reason,
                Times: string.Join(", ", one.Times)))
            .Select(alike => new MissingTimes(
                alike.Key.Part,
                [.. alike.Select(one => one.First.Name).Distinct().Order(StringComparer.Ordinal)],
                [.. alike.SelectMany(one => one.First.LabelSets).Distinct().Order()],
                alike.First().Times, alike.Key.Reason, alike.Min(one => one.Since)))
            .OrderBy(one => one.LabelSets.Count == 0 ? "" : one.LabelSets[0].ToString(), StringComparer.Ordinal)
            .ThenBy(one => one.Names[0], StringComparer.Ordinal).ThenBy(one => one.Reason, StringComparer.Ordinal)
            .ThenBy(one => one.Times.Count == 0 ? 0 : one.Times[0].MinTime),
    ];
}
