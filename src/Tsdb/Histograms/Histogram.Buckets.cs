using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Histograms;

/// <summary>A bucket with its bounds. The index orders buckets of one sign and schema; it means nothing for the zero bucket.</summary>
public readonly record struct HistogramBucket(double Lower, double Upper, bool LowerInclusive, bool UpperInclusive, double Count, int Index)
{
    /// <summary>The fraction of the bucket's width below a value within it: on a line, or on the scale of exponential buckets.</summary>
    public double FractionBelow(double value, bool linear)
    {
        if (linear)
        {
            return (value - Lower) / (Upper - Lower);
        }

        var (lower, upper, at) = (Math.Log2(Math.Abs(Lower)), Math.Log2(Math.Abs(Upper)), Math.Log2(Math.Abs(value)));
        return value > 0 ? (at - lower) / (upper - lower) : 1 - ((at - upper) / (lower - upper));
    }

    /// <summary>As Prometheus prints a bucket: <c>(0.5,1]:3</c>.</summary>
    public override string ToString() =>
        $"{(LowerInclusive ? '[' : '(')}{GoText.FloatG(Lower)},{GoText.FloatG(Upper)}{(UpperInclusive ? ']' : ')')}:{GoText.FloatG(Count)}";
}

/// <summary>Buckets with bounds, comparison and text.</summary>
public sealed partial class Histogram : IEquatable<Histogram>
{
    public HistogramBucket ZeroBucket => new(-ZeroThreshold, ZeroThreshold, true, true, ZeroCount, 0);

    /// <summary>Positive buckets by rising bounds, or custom buckets; empty ones among them.</summary>
    public IEnumerable<HistogramBucket> PositiveBucketsUp()
    {
        var indexes = Positive(null).Indexes();
        for (var i = 0; i < indexes.Length; i++)
        {
            yield return PositiveBucket(indexes[i], PositiveBuckets[i]);
        }
    }

    /// <summary>Negative buckets away from zero: bounds fall.</summary>
    public IEnumerable<HistogramBucket> NegativeBucketsDown()
    {
        var indexes = Negative(null).Indexes();
        for (var i = 0; i < indexes.Length; i++)
        {
            yield return NegativeBucket(indexes[i], NegativeBuckets[i]);
        }
    }

    /// <summary>
    /// All buckets by rising bounds: negative, zero (where it has a count), positive. Bounds inside the zero bucket are clipped to it.
    /// </summary>
    public IEnumerable<HistogramBucket> AllBuckets()
    {
        var negative = Negative(null).Indexes();
        for (var i = negative.Length - 1; i >= 0; i--)
        {
            yield return Clip(NegativeBucket(negative[i], NegativeBuckets[i]));
        }

        if (ZeroCount > 0)
        {
            yield return ZeroBucket;
        }

        var positive = Positive(null).Indexes();
        for (var i = 0; i < positive.Length; i++)
        {
            yield return Clip(PositiveBucket(positive[i], PositiveBuckets[i]));
        }
    }

    /// <summary>The same by falling bounds.</summary>
    public IEnumerable<HistogramBucket> AllBucketsReverse()
    {
        var positive = Positive(null).Indexes();
        for (var i = positive.Length - 1; i >= 0; i--)
        {
            yield return Clip(PositiveBucket(positive[i], PositiveBuckets[i]));
        }

        if (ZeroCount > 0)
        {
            yield return ZeroBucket;
        }

        var negative = Negative(null).Indexes();
        for (var i = 0; i < negative.Length; i++)
        {
            yield return Clip(NegativeBucket(negative[i], NegativeBuckets[i]));
        }
    }

    /// <summary>
    /// Whether this counter histogram, coming after another, is a reset: by its hint, or because a count fell or the layout can't tell.
    /// </summary>
    public bool DetectReset(Histogram previous)
    {
        if (CounterResetHint is CounterResetHint.CounterReset or CounterResetHint.NotCounterReset)
        {
            return CounterResetHint == CounterResetHint.CounterReset;
        }

        if (Count < previous.Count)
        {
            return true;
        }

        if (UsesCustomBuckets)
        {
            if (!previous.UsesCustomBuckets)
            {
                return true;
            }

            if (!SameBounds(previous))
            {
                return AnyCustomFell(previous);
            }
        }

        if (Schema > previous.Schema || ZeroThreshold < previous.ZeroThreshold)
        {
            return true;
        }

        if (UsesCustomBuckets || previous.UsesCustomBuckets)
        {
            return !UsesCustomBuckets || AnyFell(previous.Positive(null), Positive(null), previous.Schema);
        }

        var (previousZeroCount, threshold, _) = previous.ZeroCountAt(ZeroThreshold, null);
        return threshold != ZeroThreshold
            || ZeroCount < previousZeroCount
            || AnyFell(previous.Positive(null), Positive(null), previous.Schema)
            || AnyFell(previous.Negative(null), Negative(null), previous.Schema);
    }

    /// <summary>The same numbers in the same buckets, bit by bit; hints don't count.</summary>
    public bool Equals(Histogram? other) => other is not null
        && Schema == other.Schema && Same(Count, other.Count) && Same(Sum, other.Sum)
        && (!UsesCustomBuckets || SameBounds(other))
        && ZeroThreshold == other.ZeroThreshold && Same(ZeroCount, other.ZeroCount)
        && SameBuckets(Positive(null), other.Positive(null)) && SameBuckets(Negative(null), other.Negative(null));

    public override bool Equals(object? obj) => Equals(obj as Histogram);

    public override int GetHashCode() => HashCode.Combine(Schema, Count, Sum, ZeroCount, PositiveBuckets.Length, NegativeBuckets.Length);

    /// <summary>As Prometheus prints a float histogram: <c>{count:3, sum:4.5, (0.5,1]:3}</c>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder($"{{count:{GoText.FloatG(Count)}, sum:{GoText.FloatG(Sum)}");
        foreach (var bucket in NegativeBucketsDown().Where(b => b.Count != 0).Reverse())
        {
            text.Append(", ").Append(bucket);
        }

        if (ZeroCount != 0)
        {
            text.Append(", ").Append(ZeroBucket);
        }

        foreach (var bucket in PositiveBucketsUp().Where(b => b.Count != 0))
        {
            text.Append(", ").Append(bucket);
        }

        return text.Append('}').ToString();
    }

    /// <summary>In promqltest's notation: <c>{{schema:1 count:3 buckets:[1 2]}}</c>.</summary>
    public string ToTestExpression()
    {
        var compact = Copy().Compact(int.MaxValue);
        var parts = new List<string>();
        Number("schema", Schema);
        Number("count", Count);
        Number("sum", Sum);
        Number("z_bucket", ZeroCount);
        Number("z_bucket_w", ZeroThreshold);
        if (UsesCustomBuckets)
        {
            List("custom_values", CustomValues ?? []);
        }

        if (CounterResetHint != CounterResetHint.Unknown)
        {
            parts.Add("counter_reset_hint:" + CounterResetHint switch
            {
                CounterResetHint.CounterReset => "reset",
                CounterResetHint.NotCounterReset => "not_reset",
                _ => "gauge",
            });
        }

        Side("offset", "buckets", compact.PositiveSpans, compact.PositiveBuckets);
        Side("n_offset", "n_buckets", compact.NegativeSpans, compact.NegativeBuckets);
        return "{{" + string.Join(' ', parts) + "}}";

        void Number(string name, double value)
        {
            if (value != 0)
            {
                parts.Add($"{name}:{GoText.FloatG(value)}");
            }
        }

        void List(string name, double[] values) => parts.Add($"{name}:[{string.Join(' ', values.Select(GoText.FloatG))}]");

        void Side(string offsetName, string name, BucketSpan[] spans, double[] counts)
        {
            if (spans.Length > 0 && spans[0].Offset != 0)
            {
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"{offsetName}:{spans[0].Offset}"));
            }

            if (counts.Length > 0)
            {
                List(name, counts);
            }
        }
    }

    HistogramBucket PositiveBucket(int index, double count)
    {
        var (lower, upper) = (BucketBounds.Upper(index - 1, Schema, CustomValues), BucketBounds.Upper(index, Schema, CustomValues));
        return UsesCustomBuckets
            ? new HistogramBucket(lower, upper, index == 0, true, count, index)
            : new HistogramBucket(lower, upper, lower < 0, upper > 0, count, index);
    }

    HistogramBucket NegativeBucket(int index, double count)
    {
        var (lower, upper) = (-BucketBounds.Exponential(index, Schema), -BucketBounds.Exponential(index - 1, Schema));
        return new HistogramBucket(lower, upper, lower < 0, upper > 0, count, index);
    }

    HistogramBucket Clip(HistogramBucket bucket) => bucket switch
    {
        { Upper: < 0 } when bucket.Upper > -ZeroThreshold => bucket with { Upper = -ZeroThreshold },
        { Lower: > 0 } when bucket.Lower < ZeroThreshold => bucket with { Lower = ZeroThreshold },
        _ => bucket,
    };

    /// <summary>
    /// Whether a bucket of the previous histogram, at this one's schema and beyond its zero bucket, has fewer counts now or is gone.
    /// </summary>
    bool AnyFell(BucketSide previous, BucketSide current, int previousSchema)
    {
        previous = previousSchema == Schema ? previous : previous.Reduce(previousSchema, Schema);
        var (old, now) = (previous.Indexes(), current.Indexes());
        var j = 0;
        for (var i = 0; i < old.Length; i++)
        {
            if (!UsesCustomBuckets && ZeroThreshold > 0 && BucketBounds.Exponential(old[i], Schema) <= ZeroThreshold)
            {
                continue;
            }

            while (j < now.Length && now[j] < old[i])
            {
                j++;
            }

            if (j < now.Length && now[j] == old[i] ? current.Counts[j] < previous.Counts[i] : previous.Counts[i] != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The same with custom bounds that differ: counts are compared between the bounds that both have.</summary>
    bool AnyCustomFell(Histogram previous)
    {
        var shared = (CustomValues ?? []).Intersect(previous.CustomValues ?? []).ToArray();
        var now = Between(this, shared);
        var old = Between(previous, shared);
        for (var i = 0; i < now.Length; i++)
        {
            if (now[i] < old[i])
            {
                return true;
            }
        }

        return false;

        static double[] Between(Histogram histogram, double[] bounds)
        {
            var counts = new double[bounds.Length + 1];
            var at = 0;
            foreach (var bucket in histogram.PositiveBucketsUp())
            {
                while (at < bounds.Length && bucket.Upper > bounds[at])
                {
                    at++;
                }

                counts[at] += bucket.Count;
            }

            return counts;
        }
    }

    static bool Same(double a, double b) => BitConverter.DoubleToUInt64Bits(a) == BitConverter.DoubleToUInt64Bits(b);

    static bool SameBuckets(BucketSide a, BucketSide b)
    {
        if (a.Counts.Length != b.Counts.Length)
        {
            return false;
        }

        for (var i = 0; i < a.Counts.Length; i++)
        {
            if (!Same(a.Counts[i], b.Counts[i]))
            {
                return false;
            }
        }

        return a.Spans.AsSpan().SequenceEqual(b.Spans) || a.Indexes().AsSpan().SequenceEqual(b.Indexes());
    }
}
