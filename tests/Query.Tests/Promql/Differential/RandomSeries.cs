using System.Globalization;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Series with all that makes queries differ: gaps, staleness markers, counter resets, NaN and infinities, native histograms.</summary>
static class RandomSeries
{
    public const long Start = 1_700_006_400_000;
    public const long End = Start + (45 * 60_000);
    const long Interval = 15_000;

    public static IReadOnlyList<TestSeries> Make(Random random)
    {
        var series = new List<TestSeries>();
        foreach (var job in new[] { "a", "b" })
        {
            for (var instance = 0; instance < 4; instance++)
            {
                (string, string)[] identity = [("instance", instance.ToString(CultureInfo.InvariantCulture)), ("job", job)];
                series.Add(Floats("requests_total", identity, random, Counter(random, 100)));
                series.Add(Floats("errors_total", identity, random, Counter(random, 3)));
                series.Add(Floats("temperature", identity, random, () => Math.Round((random.NextDouble() * 80) - 20, 3)));
                series.Add(Floats("odd", identity, random, () => Odd(random)));
                series.Add(Floats("small", identity, random, () => random.Next(0, 4)));
                series.Add(Floats("build_info", [.. identity, ("version", "v" + (instance % 3).ToString(CultureInfo.InvariantCulture))], random, () => 1));
                series.AddRange(Classic(identity, random));
                series.Add(Native("native", identity, random, isGauge: false));
                series.Add(Native("native_gauge", identity, random, isGauge: true));
                series.Add(Custom(identity, random));
                series.Add(Halved(Native("halves", identity, random, isGauge: false)));
                series.Add(Mixed(identity, random));
                series.Add(Floats("http.requests", [.. identity, ("data.center", instance % 2 == 0 ? "x" : "y")], random, Counter(random, 10)));
                series.Add(WithNaN(Native("nans", identity, random, isGauge: false), random));
                series.Add(Steady("steady", identity));
                series.Add(Steady("target_info", [.. identity, ("cloud", random.Next(2) == 0 ? "x" : "y"), ("version", "v" + (instance % 2).ToString(CultureInfo.InvariantCulture))]));
            }
        }

        // Many of few values, so that sorting has to do with ties.
        for (var i = 0; i < 60; i++)
        {
            series.Add(Floats("ties", [("i", $"n{i}"), ("job", i % 3 == 0 ? "a" : "b")], random, () => random.Next(8) == 0 ? double.NaN : random.Next(0, 3)));
        }

        // A native histogram of the same name as a classic one.
        series.Add(Native("latency_bucket", [("instance", "3"), ("job", "b")], random, isGauge: false));
        return series;
    }

    static Labels Labelled(string name, (string, string)[] labels) => Labels.Of([("__name__", name), .. labels]);

    static TestSeries Floats(string name, (string, string)[] labels, Random random, Func<double> next) =>
        new(Labelled(name, labels), [.. Times(random).Select(t => (t.Time, t.Stale ? StaleMarker.Value : next()))]);

    /// <summary>Always there: info() went wrong in Prometheus 3.5 where info series come and go.</summary>
    static TestSeries Steady(string name, (string, string)[] labels) =>
        new(Labelled(name, labels), [.. Enumerable.Range(-40, (int)((End - Start) / Interval) + 40).Select(i => (Start + (i * Interval), (double)i))]);

    static IEnumerable<TestSeries> Classic((string, string)[] labels, Random random)
    {
        string[] bounds = ["0.1", "0.5", "1", "5", "+Inf"];
        var counts = new double[bounds.Length];
        var times = Times(random).ToList();
        var samples = bounds.Select(_ => new List<(long, double)>()).ToArray();
        foreach (var (time, stale) in times)
        {
            var added = 0;
            for (var i = 0; i < bounds.Length; i++)
            {
                added += random.Next(0, 5);
                counts[i] += added;
                samples[i].Add((time, stale ? StaleMarker.Value : counts[i]));
            }
        }

        return bounds.Select((bound, i) => new TestSeries(Labelled("latency_bucket", [.. labels, ("le", bound)]), [.. samples[i]]));
    }

    static TestSeries Native(string name, (string, string)[] labels, Random random, bool isGauge)
    {
        var histograms = new List<(long, Histogram)>();

        // Far from zero: how a counter is extrapolated to it has changed since Prometheus 3.5.
        var counts = new double[6];
        Array.Fill(counts, 1000);
        var (zero, sum) = (0.0, 0.0);
        var schema = random.Next(-1, 5);
        var threshold = schema >= 0 && random.Next(3) == 0 ? 0.25 : 0.001;
        foreach (var (time, stale) in Times(random))
        {
            if (stale)
            {
                histograms.Add((time, new Histogram { Sum = StaleMarker.Value, IsInteger = true }));
                continue;
            }

            if (isGauge || random.Next(60) == 0)
            {
                Array.Fill(counts, 1000);
                (zero, sum) = (0, 0);
            }

            for (var i = 0; i < counts.Length; i++)
            {
                counts[i] += random.Next(0, 4);
            }

            zero += random.Next(0, 2);
            sum += random.Next(0, 100) / 8.0;
            histograms.Add((time, new Histogram
            {
                IsInteger = true,
                CounterResetHint = isGauge ? CounterResetHint.Gauge : CounterResetHint.Unknown,
                Schema = schema,
                ZeroThreshold = threshold,
                ZeroCount = zero,
                Count = zero + counts.Sum(),
                Sum = sum,
                PositiveSpans = [new BucketSpan(-1, 2), new BucketSpan(2, 2)],
                PositiveBuckets = [.. counts[..4]],
                NegativeSpans = [new BucketSpan(0, 2)],
                NegativeBuckets = [.. counts[4..]],
            }));
        }

        return new TestSeries(Labelled(name, labels)) { Histograms = [.. histograms] };
    }

    /// <summary>Float histograms: what an aggregation of integer ones leaves.</summary>
    static TestSeries Halved(TestSeries series) => series with
    {
        Histograms = [.. series.Histograms.Select(h => (h.Time, h.Value.IsStale ? h.Value : Half(h.Value)))],
    };

    static Histogram Half(Histogram histogram)
    {
        var half = histogram.Copy();
        half.IsInteger = false;
        half.ZeroCount /= 2;
        half.Count /= 2;
        half.Sum /= 2;
        half.PositiveBuckets = [.. half.PositiveBuckets.Select(b => b / 2)];
        half.NegativeBuckets = [.. half.NegativeBuckets.Select(b => b / 2)];
        return half;
    }

    /// <summary>Histograms that observed NaN now and then: more observations than are in buckets, and a sum that is NaN from then on.</summary>
    static TestSeries WithNaN(TestSeries series, Random random)
    {
        var seen = 0;
        return series with
        {
            Histograms = [.. series.Histograms.Select(h =>
            {
                seen += random.Next(20) == 0 ? 1 : 0;
                if (h.Value.IsStale || seen == 0)
                {
                    return h;
                }

                var histogram = h.Value.Copy();
                histogram.Count += seen;
                histogram.Sum = double.NaN;
                return (h.Time, histogram);
            })],
        };
    }

    /// <summary>A series that turns from floats to histograms and back.</summary>
    static TestSeries Mixed((string, string)[] labels, Random random)
    {
        var native = Native("mixed", labels, random, isGauge: false);
        bool IsFloat(long time) => time / (7 * 60_000) % 2 == 0;
        return native with
        {
            Histograms = [.. native.Histograms.Where(h => !IsFloat(h.Time))],
            Samples = [.. native.Histograms.Where(h => IsFloat(h.Time)).Select(h => (h.Time, h.Value.IsStale ? StaleMarker.Value : h.Value.Count))],
        };
    }

    static TestSeries Custom((string, string)[] labels, Random random)
    {
        var histograms = new List<(long, Histogram)>();
        var counts = new double[4];
        Array.Fill(counts, 1000);
        var sum = 0.0;
        foreach (var (time, stale) in Times(random).Where(t => !t.Stale))
        {
            for (var i = 0; i < counts.Length; i++)
            {
                counts[i] += random.Next(0, 4);
            }

            sum += random.Next(0, 100) / 8.0;
            histograms.Add((time, new Histogram
            {
                IsInteger = true,
                Schema = Histogram.CustomBucketsSchema,
                Count = counts.Sum(),
                Sum = sum,
                PositiveSpans = [new BucketSpan(0, 4)],
                PositiveBuckets = [.. counts],
                CustomValues = [0.5, 1, 5],
            }));
        }

        return new TestSeries(Labelled("custom", labels)) { Histograms = [.. histograms] };
    }

    static Func<double> Counter(Random random, int step)
    {
        var value = 0.0;
        return () => value = random.Next(50) == 0 ? random.Next(0, 5) : value + (random.Next(0, step * 8) / 8.0);
    }

    static double Odd(Random random) => random.Next(12) switch
    {
        0 => double.NaN,
        1 => double.PositiveInfinity,
        2 => double.NegativeInfinity,
        3 => 0,
        4 => 1e308,
        5 => 1e-300,
        6 => -1e17,
        _ => (random.NextDouble() * 2e3) - 1e3,
    };

    static IEnumerable<(long Time, bool Stale)> Times(Random random)
    {
        var offset = random.Next(0, (int)Interval);
        var gapUntil = 0L;
        var first = Start + (random.Next(4) == 0 ? random.Next(0, 20) * 60_000 : 0);
        for (var time = first + offset; time < End; time += Interval)
        {
            if (time < gapUntil)
            {
                continue;
            }

            if (random.Next(80) == 0)
            {
                gapUntil = time + random.Next(1, 9 * 60_000);
                yield return (time, random.Next(2) == 0);
                continue;
            }

            yield return (time + random.Next(0, 3), false);
        }
    }
}
