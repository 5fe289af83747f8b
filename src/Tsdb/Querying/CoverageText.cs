using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>Makes text of a coverage; no other place does.</summary>
public static class CoverageText
{
    /// <summary>The warning of a source that stopped at a limit of series or names, in Prometheus's words.</summary>
    public const string Truncated = "results truncated due to limit";

    const int NamedClusters = 10;

    /// <summary>Sorted, each text once.</summary>
    public static IReadOnlyList<string> Warnings(this Coverage coverage) =>
        Sorted([.. Texts(Completeness.Join(coverage.Missing)), .. coverage.TextWarnings, .. coverage.Doubts, .. coverage.IsTruncated
            ? (IEnumerable<string>)[Truncated]
            : []]);

    /// <summary>Sorted, each text once.</summary>
    public static IReadOnlyList<string> Infos(this Coverage coverage) =>
        Sorted([.. coverage.Served.Where(served => served.IsCoarser).Select(Text), .. coverage.TextInfos]);

    /// <summary>One text of all sources and collectors that are missing, and one of each block and chunk.</summary>
    static IEnumerable<string> Texts(IReadOnlyList<MissingTimes> missing)
    {
        var absent = missing.Where(one => one.Part is MissingPart.Source or MissingPart.Collector).ToList();
        if (absent.Count > 0)
        {
            var more = absent.Count > NamedClusters ? $"; and {absent.Count - NamedClusters} more" : "";
            yield return string.Join("; ", absent.Take(NamedClusters).Select(Text)) + more;
        }

        foreach (var one in missing.Except(absent))
        {
            yield return Text(one);
        }
    }

    public static string Text(MissingTimes missing) => missing.Part switch
    {
        MissingPart.Block => $"block {missing.Names[0]} is left out: {missing.Reason}",
        MissingPart.VanishedBlock => $"block {missing.Names[0]} vanished while it was read, and no other block has its samples",
        MissingPart.Chunk => $"a chunk of block {missing.Names[0]} is left out: {missing.Reason}",
        MissingPart.Collector => $"{Who(missing)}{Times(missing)}: {Collectors(missing.Names)}: {missing.Reason}",
        _ => $"{Who(missing)}{Times(missing)}: store {missing.Names[0]} gave no answer: {missing.Reason}",
    };

    static string Collectors(IReadOnlyList<string> names) => names.Count == 1
        ? $"collector {names[0]}"
        : names.Count <= NamedClusters ? $"collectors {string.Join(", ", names)}" : $"{names.Count} collectors";

    // Nothing of what is missing at all times, and of what has no times, as targets.
    static string Times(MissingTimes missing) => missing.Times is [var all] && all == TimeRange.All ? "" : " " + string.Join(
        " and ", missing.Times.Select(range => $"from {Time(range.MinTime)} to {Time(range.MaxTime)}"));

    /// <summary>The warning of a range that was answered from windows, of which no value answers a function.</summary>
    /// <param name="function">The function or aggregation.</param>
    public static string NeedsRaw(string function, ServedRange served) =>
        $"{function} needs raw samples, and there are none of {served.ExternalLabels} from {Time(served.Range.MinTime)} to "
        + $"{Time(served.Range.MaxTime)}; it is computed from downsampled ones, every {Duration.Format(served.ResolutionMs)}";

    static string Text(ServedRange served) =>
        $"{served.ExternalLabels}: there are no samples at the resolution that was asked for from {Time(served.Range.MinTime)} to "
        + $"{Time(served.Range.MaxTime)}; downsampled ones, every {Duration.Format(served.ResolutionMs)}, take their place";

    static string Who(MissingTimes missing)
    {
        var clusters = missing.LabelSets.Where(labels => !labels.IsEmpty).Select(Describe).Order(StringComparer.Ordinal).ToList();
        return clusters.Count switch
        {
            0 => $"what store {missing.Names[0]} holds is missing",
            1 => $"{clusters[0]} is missing",
            <= NamedClusters => $"{string.Join(", ", clusters)} are missing",
            _ => $"{string.Join(", ", clusters.Take(NamedClusters))} and {clusters.Count - NamedClusters} more are missing",
        };
    }

    static string Describe(Labels labels)
    {
        var cluster = labels.Get("cluster");
        var rest = labels.Without("cluster");
        return cluster.Length == 0
            ? $"data of {labels}" : rest.IsEmpty ? $"cluster {GoText.Quote(cluster)}" : $"cluster {GoText.Quote(cluster)} {rest}";
    }

    static string Time(long milliseconds) => milliseconds switch
    {
        <= -62_135_596_800_000 => "the beginning",
        >= 253_402_300_799_000 => "the end",
        _ => GoText.Rfc3339(milliseconds),
    };

    static IReadOnlyList<string> Sorted(IEnumerable<string> texts) =>
        [.. texts.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
}
