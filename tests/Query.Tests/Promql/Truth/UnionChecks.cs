using Observe.Tsdb.Bytes;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>What must hold of replicas as one series, whatever rules made them one.</summary>
static class UnionChecks
{
    /// <summary>What is wrong; null when nothing is.</summary>
    /// <param name="edges">
    /// Times at which blocks were cut before they were deduplicated: of a gap around one nothing in a block shows where it ends, so that one
    /// scrape may be there twice, or not at all.
    /// </param>
    public static string? Fault(ReplicaSet set, TruthSeries union, IReadOnlyList<long> edges)
    {
        var replicas = set.Replicas.Select(r => set.Series("", r).Single(s => s.Labels == union.Labels)).ToArray();
        for (var i = 0; i < union.Times.Length; i++)
        {
            var time = union.Times[i];
            if (i > 0 && time <= union.Times[i - 1])
            {
                return $"the time does not rise at {time}";
            }

            if (!Array.Exists(replicas, r => IndexAt(r, time) is >= 0 and var at && IsEqual(r, at, union, i)))
            {
                return $"no replica has the sample at {time}";
            }

            if (i == 0 || IsStale(union, i) || IsStale(union, i - 1))
            {
                continue;
            }

            var before = union.Times[i - 1];
            var isEdge = edges.Any(edge => edge > before && edge <= time);
            if (!isEdge && time - before < HalfInterval(set, replicas, before, time) && !Array.Exists(replicas, r => IndexAt(r, time) >= 0 && IndexAt(r, before) >= 0))
            {
                return $"two samples of one scrape at {before} and {time}\n{Around(set, time, union)}";
            }

            if (set.IsCounter && Count(union, i) < Count(union, i - 1)
                && !set.WasReset(before - ReplicaSet.MaxSkewMs, time + ReplicaSet.MaxSkewMs))
            {
                return $"the counter falls from {Count(union, i - 1)} at {before} to {Count(union, i)} at {time}\n{Around(set, time, union)}";
            }

            // Of three, the second may end shortly after the first.
            if (replicas.Length == 2 && !isEdge && time - before > (set.LongestIntervalMs * 8 / 5) + 1
                && Array.FindIndex(replicas, r => Fills(set, r, replicas[0], union, i)) is >= 0 and var filling)
            {
                return $"replica {filling} has a sample in the gap from {before} to {time}\n{Around(set, time, union)}";
            }
        }

        // The markers of a replica that is started and stopped while its target is away are no data.
        var newest = replicas.SelectMany(r => r.Times.Where((_, i) => !IsStale(r, i))).DefaultIfEmpty(long.MinValue).Max();
        return newest > union.Times[^1] + (replicas.Length * set.LongestIntervalMs * 8 / 5) ? $"what is newer than {union.Times[^1]} is lost\n{Around(set, newest, union)}" : null;
    }

    /// <summary>
    /// Half of the shortest interval that a replica keeps, less their jitter. What a restart left between two scrapes may be shorter, and is
    /// taken for the interval where no other distances are near.
    /// </summary>
    static long HalfInterval(ReplicaSet set, TruthSeries[] replicas, long before, long time)
    {
        const long Near = 150_000;
        var half = set.IntervalMs * 48 / 100;
        return !set.WasRestarted(time - Near - (2 * set.LongestIntervalMs), before + Near + (2 * set.LongestIntervalMs)) ? half
            : Math.Min(half, replicas.Min(r => Distances(r.Within(time - Near, before + Near)).DefaultIfEmpty(2 * half).Min()) / 2);
    }

    /// <summary>Whether the first replica misses every other scrape near at least, and so keeps a longer interval for whoever sees that alone.</summary>
    static bool MissesMost(ReplicaSet set, TruthSeries first, long time)
    {
        const long Near = 150_000;
        var near = Distances(first.Within(time - Near, time + Near)).ToList();
        return near.Count > 1 && near.TrueForAll(distance => distance > set.FirstIntervalMs * 3 / 2);
    }

    static IEnumerable<long> Distances(TruthSeries series) => Enumerable.Range(1, Math.Max(0, series.Times.Length - 1))
        .Where(i => !IsStale(series, i) && !IsStale(series, i - 1)).Select(i => series.Times[i] - series.Times[i - 1]);

    /// <summary>Where two series first differ, and what the replicas have around there.</summary>
    public static string Difference(ReplicaSet set, TruthSeries expected, TruthSeries read)
    {
        var at = expected.Times.Zip(read.Times).TakeWhile(p => p.First == p.Second).Count();
        var around = at < expected.Times.Length ? expected.Times[at] : at < read.Times.Length ? read.Times[at] : 0;
        return $"  expected {Near(set, around, expected.Times)}\n{Around(set, around, read)}";
    }

    static string Around(ReplicaSet set, long around, TruthSeries read) => $"  read     {Near(set, around, read.Times)}\n"
        + string.Join('\n', set.Replicas.Select((r, i) => $"  {i}        {Near(set, around, r.Select(s => s.Time), r)}"));

    static string Near(ReplicaSet set, long around, IEnumerable<long> times, Scrape[]? scrapes = null) => string.Join(
        ' ', times.Where(t => Math.Abs(t - around) < 5 * set.IntervalMs)
        .Select(t => $"{t - 1_700_000_000_000}{(scrapes is not null && Array.Exists(scrapes, s => s.Time == t && s.IsStale) ? "s" : "")}"));

    /// <summary>Whether a replica has a sample that should stand before one of the union, and does not.</summary>
    static bool Fills(ReplicaSet set, TruthSeries replica, TruthSeries first, TruthSeries union, int index)
    {
        // In a gap that is longer than what is looked at around a sample, one has to show itself that the first replica is away.
        var apart = set.LongestIntervalMs * (union.Times[index] - union.Times[index - 1] > 150_000 ? 16 : 6) / 10;
        for (var i = replica.FirstAt(union.Times[index - 1] + apart); i < replica.Times.Length && replica.Times[i] < union.Times[index] - apart; i++)
        {
            if (!IsStale(replica, i) && !MissesMost(set, first, replica.Times[i])
                && (!set.IsSkewed || !set.IsCounter || (Count(replica, i) >= Count(union, index - 1) && Count(replica, i) <= Count(union, index))))
            {
                return true;
            }
        }

        return false;
    }

    static int IndexAt(TruthSeries series, long time) => Array.BinarySearch(series.Times, time);

    static bool IsStale(TruthSeries series, int i) => series.Values is { } values ? StaleMarker.IsStale(values[i]) : series.Histograms![i].IsStale;

    static double Count(TruthSeries series, int i) => series.Values is { } values ? values[i] : series.Histograms![i].Count;

    static bool IsEqual(TruthSeries a, int i, TruthSeries b, int j) =>
        IsStale(a, i) ? IsStale(b, j) : !IsStale(b, j) && Count(a, i) == Count(b, j) && (a.Histograms is null || a.Histograms[i].Sum == b.Histograms![j].Sum);
}
