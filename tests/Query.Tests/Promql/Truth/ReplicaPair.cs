using Observe.Tsdb.Bytes;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// Two replicas that scrape one target of ours: each has a phase of its own, jitter, gaps, and restarts that move its phase. Where the target is
/// down, each marks its series stale. Values are a function of the time, so that what a replica has is what the target had.
/// </summary>
sealed class ReplicaPair
{
    readonly Func<long, double> _value;

    public ReplicaPair(Random random, long start, long end)
    {
        IntervalMs = 1_000 * new[] { 5, 10, 15, 30 }[random.Next(4)];
        IsCounter = random.Next(3) > 0;
        var resets = new[] { long.MinValue, random.NextInt64(start, end), random.NextInt64(start, end) }.Order().ToArray();
        var (rate, phase) = (random.NextDouble() * 10, random.NextDouble());
        _value = IsCounter
            ? time => Math.Floor(rate * (time - Math.Max(start - 1_000_000, resets.Last(r => r <= time))) / 1000)
            : time => Math.Round(100 * Math.Sin((time / 60_000.0) + phase), 3);

        // The target is down now and then, for both.
        var outages = Spans(random, start, end, random.Next(3), 10 * IntervalMs);
        First = Replica(random, start, end, outages);
        Second = Replica(random, start, end, outages);
    }

    public long IntervalMs { get; }

    public bool IsCounter { get; }

    public (long Time, double Value)[] First { get; }

    public (long Time, double Value)[] Second { get; }

    /// <summary>
    /// What the pair is as one series, by the rules of the decision page: each pair of the first one's neighbours is looked at by itself, with
    /// all that the second one has.
    /// </summary>
    public List<(long Time, double Value)> Union()
    {
        var (half, threshold) = (IntervalMs / 2, IntervalMs * 3 / 2);
        var samples = First.Where(s => !IsStale(s)).ToArray();
        var union = new List<(long Time, double Value)>();
        for (var i = 0; i <= samples.Length; i++)
        {
            long? before = i > 0 ? samples[i - 1].Time : null;
            long? after = i < samples.Length ? samples[i].Time : null;
            var markers = First.Where(s => IsStale(s) && s.Time > (before ?? long.MinValue) && s.Time < (after ?? long.MaxValue)).ToArray();
            var isGap = markers.Length > 0 || (before, after) switch
            {
                (null, null) => true,
                (null, { } first) => Second.Any(s => !IsStale(s) && s.Time < first - threshold),
                ({ } last, null) => Second.Any(s => s.Time > last + threshold),
                ({ } from, { } to) => to - from > threshold,
            };
            if (isGap)
            {
                Fill(before, after, markers);
            }
            else if (before is not null && after is null && Second.FirstOrDefault(s => IsStale(s) && s.Time >= before + IntervalMs) is { Time: > 0 } end)
            {
                union.Add(end);
            }

            if (after is not null)
            {
                union.Add(samples[i]);
            }
        }

        return union;

        void Fill(long? before, long? after, (long Time, double Value)[] markers)
        {
            var filling = Second.Where(s => (before is null || s.Time >= before + half) && (after is null || s.Time <= after - half));
            foreach (var one in filling.Select(s => (s.Time, s.Value, IsFirst: false)).Concat(markers.Select(s => (s.Time, s.Value, IsFirst: true)))
                .OrderBy(s => s.Time))
            {
                var isSettled = union.Count == 0 ? !one.IsFirst : IsStale(union[^1]);
                if (!IsStale((one.Time, one.Value))
                    || (!isSettled && (one.IsFirst ? !IsWatched(one.Time) : markers.All(m => m.Time < one.Time))))
                {
                    union.Add((one.Time, one.Value));
                }
            }
        }

        bool IsWatched(long time)
        {
            var before = Second.LastOrDefault(s => s.Time <= time);
            var after = Second.FirstOrDefault(s => s.Time > time);
            return before.Time > 0 && after.Time > 0 && !IsStale(before) && time - before.Time <= threshold && after.Time - before.Time <= threshold;
        }
    }

    public static bool IsStale((long Time, double Value) sample) => StaleMarker.IsStale(sample.Value);

    (long Time, double Value)[] Replica(Random random, long start, long end, List<(long From, long To)> outages)
    {
        var samples = new List<(long Time, double Value)>();
        var gaps = Spans(random, start, end, random.Next(6), 20 * IntervalMs);
        gaps.AddRange(Spans(random, start, end, random.Next(10), 2 * IntervalMs));
        var restarts = Enumerable.Range(0, random.Next(3)).Select(_ => random.NextInt64(start, end)).ToList();
        var jitter = random.Next(1 + ((int)IntervalMs / 50));
        var phase = random.Next((int)IntervalMs);
        for (var scrape = start; scrape < end; scrape += IntervalMs)
        {
            if (restarts.RemoveAll(r => r < scrape) > 0)
            {
                phase = random.Next((int)IntervalMs);
            }

            var time = scrape + phase + random.Next(jitter + 1);
            if ((samples.Count > 0 && time <= samples[^1].Time) || gaps.Exists(g => time >= g.From && time < g.To))
            {
                continue;
            }

            if (!outages.Exists(o => time >= o.From && time < o.To))
            {
                samples.Add((time, _value(time)));
            }
            else if (samples.Count > 0 && !IsStale(samples[^1]))
            {
                samples.Add((time, StaleMarker.Value));
            }
        }

        return [.. samples];
    }

    static List<(long From, long To)> Spans(Random random, long start, long end, int count, long longest) =>
        [.. Enumerable.Range(0, count).Select(_ => random.NextInt64(start, end)).Select(from => (from, from + random.NextInt64(longest)))];
}
