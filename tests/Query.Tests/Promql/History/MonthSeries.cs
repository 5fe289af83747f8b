using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Tests.Promql.History;

/// <summary>What one target of a cluster shows at each scrape; its state goes on from one scrape to the next.</summary>
abstract class MonthTarget(Random random)
{
    protected Random Random { get; } = random;

    /// <summary>Goes on to the next scrape.</summary>
    /// <param name="time">When the scrape is due, Unix milliseconds.</param>
    /// <param name="resets">How often the target restarts before the scrape, which its counters show once or twice.</param>
    public abstract void Advance(long time, int resets);

    /// <summary>The samples of the scrape; one series each, always in the same order.</summary>
    /// <param name="at">When a replica scrapes, which is later than the scrape is due by its phase.</param>
    public abstract IEnumerable<(double Value, Histogram? Histogram)> Samples(long at);

    public abstract IEnumerable<Labels> Series { get; }
}

/// <summary>A server: counters of requests, one of seconds, gauges, histograms of all three kinds.</summary>
sealed class MonthServer(string pod, long startTime, Random random) : MonthTarget(random)
{
    static readonly double[] s_bounds = [0.01, 0.05, 0.1, 0.5, 2, double.PositiveInfinity];
    static readonly double[] s_customBounds = [100, 1_000, 10_000, 100_000];
    static readonly double[] s_customBuckets = [.. s_customBounds, double.PositiveInfinity];

    readonly double[] _buckets = new double[s_bounds.Length];
    readonly double[] _native = new double[24];
    readonly double[] _custom = new double[s_customBuckets.Length];
    double _requests;
    double _seconds;
    double _nativeSum;
    double _customSum;
    double _queue = 20;
    double _temperature;
    Histogram _exponential = null!;
    Histogram _sizes = null!;

    public override IEnumerable<Labels> Series =>
    [
        Named("requests_total"),
        Named("steady_total"),
        Named("temperature"),
        Named("queue"),
        .. s_bounds.Select(bound => Labels.Of(
            ("__name__", "latency_seconds_bucket"), ("le", double.IsInfinity(bound) ? "+Inf" : $"{bound}"), ("pod", pod))),
        Named("latency_seconds_sum"),
        Named("duration_seconds"),
        Named("size_bytes"),
    ];

    Labels Named(string name) => Labels.Of(("__name__", name), ("pod", pod));

    public override void Advance(long time, int resets)
    {
        if (resets > 0)
        {
            _requests = _seconds = _nativeSum = _customSum = 0;
            Array.Clear(_buckets);
            Array.Clear(_native);
            Array.Clear(_custom);
        }

        // Twice as many by day as by night.
        var day = 1 + (0.5 * Math.Sin(time * 2 * Math.PI / 86_400_000));
        var count = (int)(Random.Next(5, 20) * day);
        _requests += count;
        for (var i = 0; i < count; i++)
        {
            var seconds = Math.Pow(2, (Random.NextDouble() * 10) - 8);
            _seconds += seconds;
            for (var bucket = 0; bucket < s_bounds.Length; bucket++)
            {
                _buckets[bucket] += seconds <= s_bounds[bucket] ? 1 : 0;
            }

            _native[Math.Clamp((int)(Math.Log2(seconds) * 2) + 18, 0, _native.Length - 1)]++;
            _nativeSum += seconds;
            var bytes = seconds * 50_000;
            _custom[Array.FindIndex(s_customBuckets, bound => bytes <= bound)]++;
            _customSum += bytes;
        }

        _queue = Math.Max(0, _queue + Random.Next(-3, 4));
        _temperature = Math.Round(40 + (15 * Math.Sin(time / 5e6)) + (5 * Random.NextDouble()), 2);
        _exponential = new Histogram
        {
            IsInteger = true,
            Schema = 1,
            Count = _native.Sum(),
            Sum = _nativeSum,
            PositiveSpans = [new BucketSpan(-17, (uint)_native.Length)],
            PositiveBuckets = [.. _native],
        };
        _sizes = new Histogram
        {
            IsInteger = true,
            Schema = Histogram.CustomBucketsSchema,
            CustomValues = s_customBounds,
            Count = _custom.Sum(),
            Sum = _customSum,
            PositiveSpans = [new BucketSpan(0, (uint)_custom.Length)],
            PositiveBuckets = [.. _custom],
        };
    }

    public override IEnumerable<(double Value, Histogram? Histogram)> Samples(long at)
    {
        yield return (_requests, null);
        yield return ((at - startTime) / 1000.0, null);
        yield return (_temperature, null);
        yield return (_queue, null);
        foreach (var bucket in _buckets)
        {
            yield return (bucket, null);
        }

        yield return (_seconds, null);
        yield return (0, _exponential);
        yield return (0, _sizes);
    }
}

/// <summary>A job that lives for some hours: one gauge of one, and a counter.</summary>
sealed class MonthJob(string pod, Random random) : MonthTarget(random)
{
    double _done;

    public override IEnumerable<Labels> Series =>
        [Labels.Of(("__name__", "job_info"), ("pod", pod)), Labels.Of(("__name__", "done_total"), ("pod", pod))];

    public override void Advance(long time, int resets) => _done = (resets > 0 ? 0 : _done) + Random.Next(4);

    public override IEnumerable<(double Value, Histogram? Histogram)> Samples(long at) => [(1, null), (_done, null)];
}

/// <summary>
/// One cluster of a month: its targets scrape by scrape, as one uninterrupted series, and as the two replicas of a pair saw them, each with
/// gaps in which the other one was there.
/// </summary>
/// <remarks>
/// Values change when a scrape is due, and both replicas scrape soon after it, so that it does not matter for the values of a window of
/// whole intervals which replica a sample is from. The second one's samples come <see cref="Phase"/> later.
/// </remarks>
sealed class MonthCluster
{
    const long Minute = 60_000;
    const long Hour = 60 * Minute;

    readonly Random _random;
    readonly List<(MonthTarget Target, long From, long To)> _targets = [];
    readonly List<TimeRange>[] _gaps = [[], []];
    readonly HashSet<(MonthTarget, int)> _ended = [];

    public MonthCluster(string name, long intervalMs, long startTime, long endTime, int seed)
    {
        (Name, IntervalMs, _random) = (name, intervalMs, new Random(seed));
        _targets.Add((new MonthServer("web-0", startTime, new Random(seed + 1)), startTime, long.MaxValue / 2));
        for (var (from, job) = (startTime, 0); from < endTime; from += _random.Next(20, 50) * Hour, job++)
        {
            _targets.Add((new MonthJob($"job-{job}", new Random(seed + 2 + job)), from, from + (_random.Next(100, 3_000) * Minute)));
        }

        // One replica is away at a time, for five minutes to six hours.
        for (var from = startTime + Hour; from < endTime - (8 * Hour); from += _random.Next(30, 600) * Minute)
        {
            var to = from + (_random.Next(10) == 0 ? _random.Next(60, 360) * Minute : _random.Next(5, 60) * Minute);
            _gaps[_random.Next(2)].Add(new TimeRange(from, to));
            from = to + (10 * Minute);
        }
    }

    public string Name { get; }

    public long IntervalMs { get; }

    /// <summary>How much later than the first replica the second one scrapes.</summary>
    public long Phase => IntervalMs / 3;

    /// <summary>What comes next: the one series of each target, and what each replica has of it.</summary>
    public (List<TestSeries> Truth, List<TestSeries> First, List<TestSeries> Second) Next(long from, long to)
    {
        var all = (Truth: new List<TestSeries>(), First: new List<TestSeries>(), Second: new List<TestSeries>());
        foreach (var (target, start, end) in _targets)
        {
            var labels = target.Series.ToArray();
            List<(long, double, Histogram?)>[][] samples =
                [.. Enumerable.Range(0, 3).Select(_ => labels.Select(_ => new List<(long, double, Histogram?)>()).ToArray())];
            for (var due = from; due < to; due += IntervalMs)
            {
                if (due < start || due >= end + IntervalMs)
                {
                    continue;
                }

                var isOver = due >= end;
                if (!isOver)
                {
                    target.Advance(due, Resets(due));
                }

                var jitter = _random.Next(100);
                for (var replica = 0; replica < 3; replica++)
                {
                    var at = due + 1_000 + jitter + (replica == 2 ? Phase : 0);
                    var isAway = replica > 0 && _gaps[replica - 1].Exists(gap => gap.Contains(due));
                    if (isAway || isOver)
                    {
                        // Half of the gaps begin as a target's end does, with a staleness marker; the others as a collector's does.
                        if (_ended.Add((target, replica)) && (isOver || due / IntervalMs % 2 == 0))
                        {
                            Add(samples[replica], at, target.Samples(at).Select(s => s.Histogram is null
                                ? (StaleMarker.Value, null) : (0.0, (Histogram?)new Histogram { IsInteger = true, Sum = StaleMarker.Value })));
                        }

                        continue;
                    }

                    _ended.Remove((target, replica));
                    Add(samples[replica], at, target.Samples(at));
                }
            }

            foreach (var (series, list) in samples.Zip((List<TestSeries>[])[all.Truth, all.First, all.Second]))
            {
                list.AddRange(series.Zip(labels, Series).Where(s => s.Samples.Length + s.Histograms.Length > 0));
            }
        }

        return all;
    }

    /// <summary>Counters are reset now and then, and at the edges of windows and of blocks more often.</summary>
    int Resets(long due)
    {
        var likelihood = due % (2 * Hour) == 0 ? 10 : due % Hour == 0 || due % Hour == Hour - IntervalMs ? 40 : due % Hour == IntervalMs ? 60 : 2_000;
        return _random.Next(likelihood) == 0 ? 1 : 0;
    }

    static void Add(List<(long, double, Histogram?)>[] series, long at, IEnumerable<(double Value, Histogram? Histogram)> samples)
    {
        foreach (var (list, (value, histogram)) in series.Zip(samples))
        {
            list.Add((at, value, histogram));
        }
    }

    static TestSeries Series(List<(long Time, double Value, Histogram? Histogram)> samples, Labels labels) =>
        new(labels, [.. samples.Where(s => s.Histogram is null).Select(s => (s.Time, s.Value))])
        {
            Histograms = [.. samples.Where(s => s.Histogram is not null).Select(s => (s.Time, s.Histogram!))],
        };
}
