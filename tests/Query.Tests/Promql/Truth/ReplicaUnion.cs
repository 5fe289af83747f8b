namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// What replicas are as one series, by the rules of the decision page: each pair of the first one's neighbours is looked at by itself, with
/// all that the second one has.
/// </summary>
static class ReplicaUnion
{
    /// <param name="isFirstJoined">The first is what compaction made of some.</param>
    public static Scrape[] Of(IEnumerable<Scrape[]> replicas, long intervalMs, bool isFirstJoined = false)
    {
        var (joined, all) = (replicas.First(), replicas.Skip(1).ToArray());
        for (var i = 0; i < all.Length; i++)
        {
            joined = [.. Of(joined, all[i], intervalMs, isFirstJoined && i == 0)];
        }

        return joined;
    }

    static List<Scrape> Of(Scrape[] first, Scrape[] second, long intervalMs, bool isFirstJoined)
    {
        var (half, threshold) = (intervalMs / 2, intervalMs * 3 / 2);
        var samples = Array.FindAll(first, s => !s.IsStale);
        var union = new List<Scrape>();
        var (marker, at) = (0, 0);
        for (var i = 0; i <= samples.Length; i++)
        {
            var before = i > 0 ? samples[i - 1].Time : long.MinValue;
            var after = i < samples.Length ? samples[i].Time : long.MaxValue;
            var markers = new List<Scrape>();
            for (; marker < first.Length && first[marker].Time < after; marker++)
            {
                if (first[marker].IsStale)
                {
                    markers.Add(first[marker]);
                }
            }

            var isGap = markers.Count > 0 || (i > 0, i < samples.Length) switch
            {
                (false, false) => true,
                (false, true) => isFirstJoined || Array.Exists(second, s => !s.IsStale && s.Time < after - threshold),
                (true, false) => isFirstJoined || Array.Exists(second, s => s.Time > before + threshold),
                (true, true) => after - before > threshold,
            };
            while (at < second.Length && second[at].Time <= before)
            {
                at++;
            }

            if (isGap)
            {
                Fill(before, after, markers);
            }
            else if (i > 0 && i == samples.Length && Array.Find(second, s => s.IsStale && s.Time >= before + intervalMs) is { Time: > 0 } end)
            {
                union.Add(end);
            }

            if (i < samples.Length)
            {
                union.Add(samples[i]);
            }
        }

        return union;

        void Fill(long before, long after, List<Scrape> markers)
        {
            var filling = new List<(Scrape Scrape, bool IsFirst)>(markers.Select(m => (m, true)));
            for (var i = at; i < second.Length && (after == long.MaxValue || second[i].Time <= after - half); i++)
            {
                if (before == long.MinValue || second[i].Time >= before + half)
                {
                    filling.Add((second[i], false));
                }
            }

            foreach (var (scrape, isFirst) in filling.OrderBy(s => s.Scrape.Time))
            {
                var isSettled = union.Count == 0 ? !isFirst : union[^1].IsStale;
                if (!scrape.IsStale
                    || (!isSettled && (isFirst ? !IsWatched(scrape.Time) : markers.TrueForAll(m => m.Time < scrape.Time))))
                {
                    union.Add(scrape);
                }
            }
        }

        bool IsWatched(long time)
        {
            var before = Array.FindLast(second, s => s.Time <= time);
            var after = Array.Find(second, s => s.Time > time);
            return before.Time > 0 && after.Time > 0 && !before.IsStale && time - before.Time <= threshold && after.Time - before.Time <= threshold;
        }
    }
}
