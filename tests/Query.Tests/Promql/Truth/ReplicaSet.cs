using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>What the series of a target are.</summary>
enum TargetKind
{
    Gauge,
    Counter,
    ClassicHistogram,
    NativeHistogram,
}

/// <summary>When one replica has a sample, and of which time its value is; in order of time.</summary>
/// <param name="Time">As the replica's clock says.</param>
/// <param name="TrueTime">As the target's clock says.</param>
readonly record struct Scrape(long Time, long TrueTime, bool IsStale);

/// <summary>
/// Two or three replicas that scrape one target of ours: each has an interval, a phase, a clock, jitter, gaps, and restarts that move its
/// phase. Where the target is down, each marks its series stale. Values are a function of the time, so that what a replica has is what the
/// target had.
/// </summary>
sealed class ReplicaSet
{
    /// <summary>How wrong a clock is at most, in milliseconds.</summary>
    public const long MaxSkewMs = 1_000;

    static readonly double[] s_bounds = [0.1, 0.5, 1, double.PositiveInfinity];

    readonly List<long> _restarts = [];
    readonly long[] _resets;
    readonly double _rate;
    readonly double _phase;

    public ReplicaSet(Random random, long start, long end, int number)
    {
        Kind = random.Next(8) switch { < 2 => TargetKind.Gauge, < 6 => TargetKind.Counter, 6 => TargetKind.ClassicHistogram, _ => TargetKind.NativeHistogram };
        Name = $"m{number}" + Kind switch { TargetKind.Counter => "_total", TargetKind.ClassicHistogram => "_bucket", _ => "" };
        IntervalMs = 1_000 * new[] { 5, 10, 15, 30 }[random.Next(4)];
        IsSkewed = random.Next(4) == 0;
        _resets = [long.MinValue, .. new[] { random.NextInt64(start, end), random.NextInt64(start, end) }.Order()];
        (_rate, _phase) = (random.NextDouble() * 10, random.NextDouble());

        // The target is down now and then, for all.
        var outages = Spans(random, start, end, random.Next(3), 10 * IntervalMs);
        var (slower, count) = (random.Next(4) == 0 ? random.Next(2) : -1, random.Next(4) == 0 ? 3 : 2);
        LongestIntervalMs = slower < 0 ? IntervalMs : Math.Min(60_000, IntervalMs * new[] { 3, 4, 6, 8 }[random.Next(4)] / 2);
        FirstIntervalMs = slower == 0 ? LongestIntervalMs : IntervalMs;
        Replicas = [.. Enumerable.Range(0, count).Select(i => Scrapes(random, start, end, outages, i == slower ? LongestIntervalMs : IntervalMs))];
    }

    public TargetKind Kind { get; }

    public string Name { get; }

    /// <summary>The shortest one of the replicas.</summary>
    public long IntervalMs { get; }

    /// <summary>Another one than the shortest where one replica scrapes less often than the others.</summary>
    public long LongestIntervalMs { get; }

    public long FirstIntervalMs { get; }

    /// <summary>Whether the replicas' clocks differ.</summary>
    public bool IsSkewed { get; }

    public IReadOnlyList<Scrape[]> Replicas { get; }

    public bool IsCounter => Kind != TargetKind.Gauge;

    /// <summary>The labels of the target's series.</summary>
    public IEnumerable<Labels> Labels => Kind == TargetKind.ClassicHistogram
        ? s_bounds.Select(bound => Tsdb.Model.Labels.Of(("__name__", Name), ("le", double.IsInfinity(bound) ? "+Inf" : bound.ToString(System.Globalization.CultureInfo.InvariantCulture))))
        : [Tsdb.Model.Labels.Of(("__name__", Name))];

    /// <summary>The target's series as scrapes found them.</summary>
    public IEnumerable<TruthSeries> Series(string replica, Scrape[] scrapes) => Labels.Select((labels, i) => new TruthSeries(
        labels, replica, Array.ConvertAll(scrapes, s => s.Time),
        Kind == TargetKind.NativeHistogram ? null : Array.ConvertAll(scrapes, s => s.IsStale ? StaleMarker.Value : Value(s.TrueTime, i)),
        Kind != TargetKind.NativeHistogram ? null : Array.ConvertAll(scrapes, s => s.IsStale ? new Histogram { Sum = StaleMarker.Value } : Histogram(s.TrueTime))));

    /// <summary>Whether a replica was restarted within a span, so that two of its scrapes are apart by something else than its interval.</summary>
    public bool WasRestarted(long from, long to) => _restarts.Exists(r => r >= from && r <= to);

    /// <summary>Whether the target counted anew within a span.</summary>
    public bool WasReset(long from, long to) => Array.Exists(_resets, r => r >= from && r <= to);

    double Value(long time, int series) => Kind switch
    {
        TargetKind.Gauge => Math.Round(100 * Math.Sin((time / 60_000.0) + _phase), 3),
        TargetKind.Counter => Math.Floor(Counted(time)),
        _ => Math.Floor(Counted(time) * (series + 1) / s_bounds.Length),
    };

    Histogram Histogram(long time)
    {
        var counted = Counted(time);
        double[] buckets = [Math.Floor(counted / 4), Math.Floor(counted / 2), Math.Floor(counted / 8)];
        return new Histogram
        {
            Schema = 1,
            ZeroThreshold = 0.001,
            ZeroCount = Math.Floor(counted / 16),
            PositiveSpans = [new BucketSpan(0, 3)],
            PositiveBuckets = buckets,
            Count = buckets.Sum() + Math.Floor(counted / 16),
            Sum = Math.Floor(counted * 1.5),
            IsInteger = true,
        };
    }

    double Counted(long time) => _rate * (time - Math.Max(_resets[1] - 10_000_000, _resets.Last(r => r <= time))) / 1000;

    Scrape[] Scrapes(Random random, long start, long end, List<(long From, long To)> outages, long interval)
    {
        var scrapes = new List<Scrape>();
        var gaps = Spans(random, start, end, random.Next(6), 20 * IntervalMs);
        gaps.AddRange(Spans(random, start, end, random.Next(10), 2 * IntervalMs));
        var restarts = Enumerable.Range(0, random.Next(3)).Select(_ => random.NextInt64(start, end)).ToList();
        var jitter = random.Next(1 + ((int)interval / 50));
        var phase = random.Next((int)interval);
        var skew = IsSkewed ? random.NextInt64(-MaxSkewMs, MaxSkewMs + 1) / 2 : 0;
        for (var scrape = start; scrape < end; scrape += interval)
        {
            if (restarts.RemoveAll(r => r < scrape) > 0)
            {
                _restarts.Add(scrape);
                phase = random.Next((int)interval);
            }

            var time = scrape + phase + random.Next(jitter + 1);
            if ((scrapes.Count > 0 && time + skew <= scrapes[^1].Time) || gaps.Exists(g => time >= g.From && time < g.To))
            {
                continue;
            }

            if (!outages.Exists(o => time >= o.From && time < o.To))
            {
                scrapes.Add(new Scrape(time + skew, time, false));
            }
            else if (scrapes.Count > 0 && !scrapes[^1].IsStale)
            {
                scrapes.Add(new Scrape(time + skew, time, true));
            }
        }

        return [.. scrapes];
    }

    static List<(long From, long To)> Spans(Random random, long start, long end, int count, long longest) =>
        [.. Enumerable.Range(0, count).Select(_ => random.NextInt64(start, end)).Select(from => (from, from + random.NextInt64(longest)))];
}
