using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Histograms;
using Xunit;

namespace Observe.Tsdb.Tests.Histograms;

public sealed class HistogramArithmeticTests
{
    [Theory]
    // 2^(1/2) and 2^(1/4) as Prometheus rounds them; the last bucket before +Inf; a coarse schema.
    [InlineData(1, 0, 2)]
    [InlineData(1, 1, 1.414213562373095)]
    [InlineData(-3, 2, 0.5946035575013605)]
    [InlineData(1024, 0, double.MaxValue)]
    [InlineData(1025, 0, double.PositiveInfinity)]
    [InlineData(64, -4, double.MaxValue)]
    [InlineData(-1, -2, 0.0625)]
    public void Bounds_are_those_of_prometheus(int index, int schema, double expected) =>
        Assert.Equal(expected, BucketBounds.Exponential(index, schema));

    [Fact]
    public void Addition_is_per_bucket_at_the_coarser_schema_and_the_wider_zero_bucket()
    {
        var a = new Histogram
        {
            Schema = 1,
            ZeroThreshold = 0.01,
            ZeroCount = 11,
            Count = 30,
            Sum = 2.345,
            PositiveSpans = [new(0, 2), new(1, 3)],
            PositiveBuckets = [1, 0, 3, 4, 7],
            NegativeSpans = [new(3, 2), new(3, 2)],
            NegativeBuckets = [3, 1, 5, 6],
        };
        var b = new Histogram
        {
            Schema = 0,
            ZeroThreshold = 0.01,
            ZeroCount = 8,
            Count = 21,
            Sum = 1.234,
            PositiveSpans = [new(0, 2), new(1, 2)],
            PositiveBuckets = [2, 3, 2, 5],
        };
        Assert.Equal(HistogramOutcome.Done, a.Add(b));
        Assert.Equal(0, a.Schema);
        Assert.Equal(
            "{count:51, sum:3.579, [-32,-16):6, [-16,-8):5, [-4,-2):4, [-0.01,0.01]:19, (0.5,1]:3, (1,2]:3, (2,4]:7, (4,8]:9, (8,16]:5}",
            a.ToString());
        Assert.Equal([new BucketSpan(0, 5)], a.PositiveSpans);
    }

    [Fact]
    public void What_was_added_can_be_subtracted() => Gen.Select(Integers(), Integers()).Sample((a, b) =>
    {
        var sum = a.Copy();
        sum.Add(b);
        Assert.Equal(a.Count + b.Count, sum.Count);
        var kahan = a.Copy();
        Histogram? lost = null;
        kahan.KahanAdd(b, ref lost);
        kahan.Add(lost!);
        Assert.Equal(sum.Copy().Compact(0), kahan.Compact(0));
        sum.Sub(b);
        var back = a.Copy();
        back.Add(b.Copy().Mul(0));
        Assert.Equal(back.Compact(0).PositiveBuckets, sum.Compact(0).PositiveBuckets);
        Assert.Equal(a.PositiveBuckets.Sum() + a.NegativeBuckets.Sum() + a.ZeroCount, sum.PositiveBuckets.Sum() + sum.NegativeBuckets.Sum() + sum.ZeroCount);
    });

    [Fact]
    public void A_histogram_that_grew_is_no_reset_and_one_that_shrank_is() => Gen.Select(Integers(), Integers(), Gen.Int[-4, 3]).Sample((a, b, schema) =>
    {
        var more = a.Copy();
        more.Add(b);
        Assert.False(more.DetectReset(a));
        if (a.ZeroThreshold == b.ZeroThreshold)
        {
            Assert.False((schema == more.Schema ? more : more.Copy().ReduceResolution(schema)).DetectReset(a));
        }

        if (b.Count > 0)
        {
            Assert.True(a.DetectReset(more));
        }
    });

    [Fact]
    public void Kahan_compensates_what_plain_addition_loses()
    {
        var one = new Histogram { Count = 1, Sum = 1, PositiveSpans = [new(1, 1)], PositiveBuckets = [1] };
        var sum = new Histogram { Count = 1e16, Sum = 1e16, PositiveSpans = [new(1, 1)], PositiveBuckets = [1e16] };
        Histogram? lost = null;
        for (var i = 0; i < 10; i++)
        {
            sum.KahanAdd(one, ref lost);
        }

        sum.Add(lost!);
        Assert.Equal((1e16 + 10, 1e16 + 10, 1e16 + 10), (sum.Count, sum.Sum, sum.PositiveBuckets[0]));
    }

    [Fact]
    public void Custom_bounds_that_differ_are_reduced_to_those_in_common()
    {
        var a = Custom([1, 2, 3, 4], [1, 2, 3, 4, 5]);
        var b = Custom([2, 4, 8], [10, 20, 30, 40]);
        Assert.Equal(HistogramOutcome.BoundsReconciled, a.Add(b));
        Assert.Equal([2, 4], a.CustomValues!);
        Assert.Equal([13, 27, 75], a.PositiveBuckets);
        Assert.Equal("{count:115, sum:0, [-Inf,2]:13, (2,4]:27, (4,+Inf]:75}", a.ToString());
        Assert.Equal(HistogramOutcome.IncompatibleSchemas, a.Add(new Histogram { Count = 1 }));
        Assert.Equal(115, a.Count);
        Assert.False(Custom([1, 2, 3, 4], [1, 2, 3, 4, 5]).DetectReset(Custom([2, 4, 8], [3, 7, 1, 4])));
        Assert.True(Custom([1, 2, 3, 4], [1, 2, 3, 4, 15]).DetectReset(Custom([2, 4, 8], [4, 7, 1, 4])));
    }

    [Theory]
    [InlineData(CounterResetHint.CounterReset, CounterResetHint.NotCounterReset, CounterResetHint.Unknown, HistogramOutcome.CounterResetCollision)]
    [InlineData(CounterResetHint.Unknown, CounterResetHint.NotCounterReset, CounterResetHint.Unknown, HistogramOutcome.Done)]
    [InlineData(CounterResetHint.Gauge, CounterResetHint.NotCounterReset, CounterResetHint.Gauge, HistogramOutcome.Done)]
    [InlineData(CounterResetHint.CounterReset, CounterResetHint.Gauge, CounterResetHint.Gauge, HistogramOutcome.Done)]
    [InlineData(CounterResetHint.NotCounterReset, CounterResetHint.NotCounterReset, CounterResetHint.NotCounterReset, HistogramOutcome.Done)]
    public void Hints_are_joined(CounterResetHint a, CounterResetHint b, CounterResetHint expected, HistogramOutcome outcome)
    {
        var histogram = new Histogram { CounterResetHint = a };
        Assert.Equal(outcome, histogram.Add(new Histogram { CounterResetHint = b }));
        Assert.Equal(expected, histogram.CounterResetHint);
    }

    [Theory]
    [InlineData(0, "-1:2 3:2", "1 2 4 5")]
    [InlineData(2, "-1:2 3:2", "1 2 4 5")]
    [InlineData(3, "-1:7", "1 2 0 0 0 4 5")]
    public void Compact_cuts_empty_buckets_and_fills_small_gaps(int max, string spans, string counts)
    {
        var histogram = new Histogram
        {
            PositiveSpans = [new(-2, 4), new(0, 1), new(0, 0), new(1, 2), new(4, 1)],
            PositiveBuckets = [0, 1, 2, 0, 0, 4, 5, 0],
        };
        histogram.Compact(max);
        Assert.Equal(spans, string.Join(' ', histogram.PositiveSpans.Select(s => $"{s.Offset}:{s.Length}")));
        Assert.Equal(counts, string.Join(' ', histogram.PositiveBuckets));
    }

    [Theory]
    [InlineData(4, true, "{count:6, sum:12.020815280171309, (0.5,1]:1, (1,2]:2, (2,4]:3}")]
    [InlineData(0.5, false, "{count:10, sum:34, (0.5,1]:1, (1,2]:2, (2,4]:3, (4,8]:4}")]
    [InlineData(3, false, "{count:5.245112497836532, sum:26.940613212753256, (2,4]:1.2451124978365318, (4,8]:4}")]
    [InlineData(8, false, "{count:0, sum:0}")]
    public void Trimming_keeps_what_lies_on_one_side(double value, bool upper, string expected)
    {
        var histogram = new Histogram { Count = 10, Sum = 34, PositiveSpans = [new(0, 4)], PositiveBuckets = [1, 2, 3, 4] };
        Assert.Equal(expected, histogram.TrimBuckets(value, upper).ToString());
    }

    static Histogram Custom(double[] bounds, double[] counts) => new()
    {
        Schema = Histogram.CustomBucketsSchema,
        CustomValues = bounds,
        Count = counts.Sum(),
        PositiveSpans = [new(0, (uint)counts.Length)],
        PositiveBuckets = counts,
    };

    static Gen<Histogram> Integers() => RandomHistograms.One().Select(h =>
    {
        h.PositiveBuckets = [.. h.PositiveBuckets.Select(c => Math.Round(c))];
        h.NegativeBuckets = [.. h.NegativeBuckets.Select(c => Math.Round(c))];
        h.ZeroCount = Math.Round(h.ZeroCount);
        h.Count = h.PositiveBuckets.Sum() + h.NegativeBuckets.Sum() + h.ZeroCount;
        h.Sum = Math.Round(h.Sum) + 0.0;
        return h;
    });
}
