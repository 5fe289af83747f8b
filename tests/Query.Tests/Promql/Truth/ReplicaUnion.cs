namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// What replicas are as one series, by the rules of the decision page: each sample of a replica that is not the first one is looked at by itself,
/// with all that lies near it. But for the rule that a counter does not fall.
/// </summary>
static class ReplicaUnion
{
    const long Near = 150_000;

    /// <param name="Replica">Where several replicas are one series, from which of them it is.</param>
    readonly record struct Sample(Scrape Scrape, int Replica)
    {
        public long Time => Scrape.Time;

        public bool IsStale => Scrape.IsStale;
    }

    /// <param name="isFirstJoined">The first is what compaction made of some.</param>
    public static Scrape[] Of(IEnumerable<Scrape[]> replicas, bool isFirstJoined = false)
    {
        var all = replicas.Select((scrapes, i) => Array.ConvertAll(scrapes, s => new Sample(s, i))).ToArray();
        var joined = all[^1];
        for (var i = all.Length - 2; i >= 0; i--)
        {
            joined = new Pair(all[i], joined, isFirstJoined && i == 0).Union();
        }

        return Array.ConvertAll(joined, s => s.Scrape);
    }

    sealed class Pair(Sample[] first, Sample[] second, bool isFirstJoined)
    {
        readonly List<Sample> _union = [];

        bool IsEnded => _union.Count > 0 && _union[^1].IsStale;

        public Sample[] Union()
        {
            for (var (i, j) = (0, 0); i < first.Length || j < second.Length;)
            {
                var isOfFirst = j == second.Length || (i < first.Length && first[i].Time <= second[j].Time);
                var sample = isOfFirst ? first[i++] : second[j++];
                if (isOfFirst ? !sample.IsStale || EndsFirst(sample) : Fills(sample))
                {
                    _union.Add(sample);
                }
            }

            return [.. _union];
        }

        bool EndsFirst(Sample marker)
        {
            var next = IndexAt(second, marker.Time + 1);
            return !IsEnded && !(next > 0 && next < second.Length && !second[next - 1].IsStale
                && second[next].Time - second[next - 1].Time <= Interval(second[next].Time) * 3 / 2
                && marker.Time - second[next - 1].Time <= Interval(second[next].Time) * 3 / 2);
        }

        bool Fills(Sample sample)
        {
            var (time, interval) = (sample.Time, Interval(sample.Time));
            var (half, threshold, reach) = (interval / 2, interval * 3 / 2, Math.Max(Near, 2 * interval));
            var (before, passed) = Before(time);
            var after = After(time + reach, IndexAt(first, time));
            var isPassed = passed > 0 && (sample.IsStale || passed >= time - reach);
            before = before >= time - reach ? before : 0;
            if ((before > 0 && time < before + half && _union.FindLast(s => !s.IsStale).Time == before) || (after > 0 && time > after - half))
            {
                return false;
            }

            var next = IndexAt(first, time + 1) is var at && at < first.Length ? first[at] : default;
            if (sample.IsStale)
            {
                return !IsEnded && !(next.IsStale && next.Time <= time + reach)
                    && (before == 0 || isFirstJoined || isPassed || (after == 0 ? time - before >= interval : after - before > threshold));
            }

            return isPassed || (next.IsStale && next.Time <= time + reach) || (before > 0, after > 0) switch
            {
                (true, true) => after - before > threshold,
                (true, false) => isFirstJoined || Within(Math.Max(time, before + threshold + 1), time + reach).Any(),
                (false, true) => isFirstJoined || Within(time - reach, Math.Min(time, after - threshold - 1)).Any(s => !s.IsStale),
                _ => true,
            };
        }

        /// <summary>The first replica's last sample up to a time, and the last marker between that and the time; 0 where there is none.</summary>
        (long Sample, long Marker) Before(long time)
        {
            var marker = 0L;
            for (var at = IndexAt(first, time + 1) - 1; at >= 0; at--)
            {
                if (!first[at].IsStale)
                {
                    return (first[at].Time, marker);
                }

                marker = Math.Max(marker, first[at].Time);
            }

            return (0, marker);
        }

        /// <summary>The time of the first replica's first sample from a place on, up to a time; 0 where there is none.</summary>
        long After(long until, int at)
        {
            while (at < first.Length && first[at].IsStale)
            {
                at++;
            }

            return at < first.Length && first[at].Time <= until ? first[at].Time : 0;
        }

        IEnumerable<Sample> Within(long from, long to) => second.Skip(IndexAt(second, from)).TakeWhile(s => s.Time <= to);

        long Interval(long time)
        {
            for (var near = Near; near <= Near << 10; near *= 2)
            {
                var distances = isFirstJoined ? [] : Distances(first, time, near);
                if (distances.Count >= 9 || (distances.Count > 1 && distances[^1] <= distances[0] + (distances[0] / 4)))
                {
                    return Usual(distances);
                }

                distances = [.. distances.Concat(Distances(second, time, near)).Order()];
                if (distances.Count == 0 && isFirstJoined)
                {
                    distances = Distances(first, time, near);
                }

                if (distances.Count > 0)
                {
                    return Usual(distances);
                }
            }

            return 60_000;
        }

        static long Usual(List<long> sorted) => sorted.Count >= 9
            ? sorted[(sorted.Count - 1) / 4]
            : sorted.Zip(sorted.Skip(1)).Where(p => p.Second <= p.First + (p.First / 4)).Select(p => p.Second).Append(sorted[0]).First();
    }

    /// <summary>The place of the first sample at or after a time.</summary>
    static int IndexAt(Sample[] samples, long time)
    {
        var (low, high) = (0, samples.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = samples[middle].Time < time ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    /// <summary>Between neighbouring samples of one replica: of the fifteen pairs before a time and the fifteen behind it that are near.</summary>
    static List<long> Distances(Sample[] samples, long time, long near)
    {
        var (before, after) = (IndexAt(samples, time + 1) - 1, IndexAt(samples, time) + 1);
        return
        [
            .. Enumerable.Range(before - 14, 15).Concat(Enumerable.Range(after, 15))
                .Where(at => at > 0 && at < samples.Length && samples[at - 1].Time >= time - near && samples[at].Time <= time + near
                    && IsDistance(samples[at - 1], samples[at]))
                .Select(at => samples[at].Time - samples[at - 1].Time).Order(),
        ];
    }

    static bool IsDistance(Sample before, Sample after) => !before.IsStale && !after.IsStale && before.Replica == after.Replica;
}
