using CsCheck;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;

namespace Observe.Testkit;

/// <summary>Histograms for tests.</summary>
public static class RandomHistograms
{
    static readonly Gen<BucketSpan[]> s_spans =
        Gen.Select(Gen.Int[-5, 5], Gen.Int[0, 3], Gen.UInt[0, 3]).Array[0, 3]
            .Select(a => a.Select((s, i) => new BucketSpan(i == 0 ? s.Item1 : s.Item2, s.Item3)).ToArray());

    /// <summary>A run of histograms of one series that grows, and now and then is reset, changes its layout or goes stale.</summary>
    public static Gen<(long Timestamp, Histogram Histogram)[]> Run { get; } = Gen.Select(
        Gen.Bool, Gen.Bool, Gen.Bool, Gen.Select(Gen.Long[1, 100_000], One(), Gen.Int[0, 20]).Array[1, 60]).Select((integer, custom, gauge, steps) =>
        {
            var run = new List<(long, Histogram)>();
            var (time, last) = (1_700_000_000_000L, new Histogram { Schema = custom ? Histogram.CustomBucketsSchema : 3 });
            foreach (var (delta, next, kind) in steps)
            {
                time += delta;
                if (kind == 0)
                {
                    run.Add((time, new Histogram { IsInteger = integer, Sum = StaleMarker.Value }));
                    continue;
                }

                var histogram = next.Copy();
                histogram.Schema = custom ? Histogram.CustomBucketsSchema : 3;
                if (custom)
                {
                    histogram.CustomValues = [0.005, 0.1, 1, 2.5, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20];
                    (histogram.ZeroThreshold, histogram.ZeroCount, histogram.NegativeSpans, histogram.NegativeBuckets) = (0, 0, [], []);
                    histogram.PositiveSpans = [.. histogram.PositiveSpans.Select(s => s with { Offset = Math.Abs(s.Offset) })];
                }

                if (kind > 3)
                {
                    // A counter that went on: all buckets of before, and more.
                    histogram.ZeroThreshold = last.ZeroThreshold;
                    histogram.Add(last);
                }

                if (integer)
                {
                    histogram.PositiveBuckets = [.. histogram.PositiveBuckets.Select(c => Math.Round(c))];
                    histogram.NegativeBuckets = [.. histogram.NegativeBuckets.Select(c => Math.Round(c))];
                    (histogram.ZeroCount, histogram.Count) = (Math.Round(histogram.ZeroCount), Math.Round(histogram.Count));
                }

                histogram.IsInteger = integer;
                histogram.CounterResetHint = gauge ? CounterResetHint.Gauge : CounterResetHint.Unknown;
                run.Add((time, histogram));
                last = histogram;
            }

            return run.ToArray();
        });

    public static Gen<Histogram> One() => Gen.Select(s_spans, s_spans, Gen.Double[0, 1000].Array[18], Gen.Int[0, 3], Gen.Double[-1e6, 1e6]).Select(
        (positive, negative, counts, zero, sum) =>
        {
            var positives = counts[..positive.Sum(s => (int)s.Length)];
            var negatives = counts[9..(9 + negative.Sum(s => (int)s.Length))];
            return new Histogram
            {
                Schema = 3,
                ZeroThreshold = zero switch { 0 => 0, 1 => Math.ScaleB(1, -128), 2 => 0.001, _ => 2 },
                ZeroCount = counts[17],
                PositiveSpans = positive,
                NegativeSpans = negative,
                PositiveBuckets = positives,
                NegativeBuckets = negatives,
                Count = positives.Sum() + negatives.Sum() + counts[17],
                Sum = sum,
            };
        });
}
