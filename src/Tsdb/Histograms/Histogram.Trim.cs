namespace Observe.Tsdb.Histograms;

/// <summary>The trim operators <c>&lt;/</c> and <c>&gt;/</c>, and overflow.</summary>
public sealed partial class Histogram
{
    /// <summary>Whether any number of the histogram is infinite.</summary>
    public bool HasOverflow =>
        double.IsInfinity(ZeroCount) || double.IsInfinity(Count) || double.IsInfinity(Sum)
        || PositiveBuckets.Any(double.IsInfinity) || NegativeBuckets.Any(double.IsInfinity)
        || (CustomValues?.Any(double.IsInfinity) ?? false);

    /// <summary>
    /// Takes off what lies above a value (upper) or below it; a bucket that holds the value is split by interpolation. Count and sum are
    /// estimated anew where anything was taken off.
    /// </summary>
    public Histogram TrimBuckets(double value, bool upper)
    {
        var (count, sum, trimmed) = (0.0, 0.0, false);
        var hasPositive = Trim(PositiveBucketsUp(), positive: true, out var positiveCounts);
        var hasNegative = Trim(NegativeBucketsDown(), positive: false, out var negativeCounts);
        var zeroCount = ZeroCount;
        if (ZeroCount > 0)
        {
            var (kept, middle) = TrimZero(value, upper, hasNegative, hasPositive);
            trimmed |= kept != ZeroCount;
            zeroCount = kept;
            sum += middle * kept;
            count += kept;
        }

        if (!trimmed)
        {
            return this;
        }

        IsInteger = false;
        (ZeroCount, Count, Sum, PositiveBuckets, NegativeBuckets) = (zeroCount, count, sum, positiveCounts, negativeCounts);
        return Compact(0);

        bool Trim(IEnumerable<HistogramBucket> buckets, bool positive, out double[] counts)
        {
            counts = positive ? [.. PositiveBuckets] : [.. NegativeBuckets];
            var (i, any) = (-1, false);
            foreach (var bucket in buckets)
            {
                i++;
                if (bucket.Count == 0)
                {
                    continue;
                }

                any = true;
                var (kept, middle) =
                    (upper ? bucket.Upper <= value : bucket.Lower >= value) ? (bucket.Count, Middle(bucket.Lower, bucket.Upper, positive))
                    : (upper ? bucket.Lower < value : bucket.Upper > value) ? Split(bucket, value, upper, positive)
                    : (0, 0);
                trimmed |= kept != bucket.Count;
                counts[i] = kept;
                count += kept;
                sum += middle * kept;
            }

            return any;
        }
    }

    /// <summary>What stays of a bucket that holds the value, and where it lies.</summary>
    (double Kept, double Middle) Split(HistogramBucket bucket, double value, bool upper, bool positive)
    {
        if (double.IsInfinity(bucket.Lower) || double.IsInfinity(bucket.Upper))
        {
            return SplitInfinite(bucket, value, upper);
        }

        var below = value <= bucket.Lower ? 0
            : value >= bucket.Upper ? bucket.Count
            : bucket.Count * bucket.FractionBelow(value, UsesCustomBuckets);
        return upper
            ? (below, Middle(bucket.Lower, value, positive))
            : (bucket.Count - below, Middle(value, bucket.Upper, positive));
    }

    /// <summary>
    /// A bucket without an end: nothing is known of how its observations lie, so that it stays or goes as a whole, save a first custom
    /// bucket, which begins at 0.
    /// </summary>
    static (double Kept, double Middle) SplitInfinite(HistogramBucket bucket, double value, bool upper)
    {
        if (!double.IsNegativeInfinity(bucket.Lower))
        {
            return !upper && value >= bucket.Lower ? (bucket.Count, value) : (0, Finite(bucket.Lower));
        }

        if (upper)
        {
            return value >= bucket.Upper ? (bucket.Count, 0)
                : value > 0
                && bucket.Upper > 0 && !double.IsPositiveInfinity(bucket.Upper) ? (bucket.Count * value / bucket.Upper, value / 2)
                : bucket.Upper <= 0 ? (bucket.Count, value)
                : (0, Finite(bucket.Upper));
        }

        return value <= bucket.Lower ? (bucket.Count, 0)
            : value >= 0 && bucket.Upper > value && !double.IsPositiveInfinity(bucket.Upper)
                ? (bucket.Count * (1 - (value / bucket.Upper)), (value + bucket.Upper) / 2)
            : (0, Finite(bucket.Upper));

        static double Finite(double bound) => double.IsInfinity(bound) ? 0 : bound;
    }

    (double Kept, double Middle) TrimZero(double value, bool upper, bool hasNegative, bool hasPositive)
    {
        var low = hasPositive && !hasNegative ? 0 : -ZeroThreshold;
        var high = hasNegative && !hasPositive ? 0 : ZeroThreshold;
        if (value <= low)
        {
            return upper ? (0, 0) : (ZeroCount, (low + high) / 2);
        }

        if (value >= high)
        {
            return upper ? (ZeroCount, (low + high) / 2) : (0, 0);
        }

        return upper
            ? (ZeroCount * ((value - low) / (high - low)), (low + value) / 2)
            : (ZeroCount * ((high - value) / (high - low)), (value + high) / 2);
    }

    double Middle(double lower, double upper, bool positive)
    {
        if (double.IsInfinity(lower))
        {
            return double.IsInfinity(upper) ? 0 : upper > 0 ? upper / 2 : upper;
        }

        if (double.IsInfinity(upper))
        {
            return lower;
        }

        if (UsesCustomBuckets)
        {
            return (lower + upper) / 2;
        }

        var geometric = Math.Sqrt(Math.Abs(lower * upper));
        return positive ? geometric : -geometric;
    }
}
