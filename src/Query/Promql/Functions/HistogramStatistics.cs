using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>Variance, quantiles and fractions of a native histogram.</summary>
static class HistogramStatistics
{
    public static double Variance(Histogram histogram)
    {
        var mean = histogram.Sum / histogram.Count;
        double variance = 0, rest = 0;
        foreach (var bucket in histogram.AllBuckets())
        {
            if (bucket.Count == 0)
            {
                continue;
            }

            var delta = Middle(histogram, bucket) - mean;
            Kahan.Add(bucket.Count * delta * delta, ref variance, ref rest);
        }

        return (variance + rest) / histogram.Count;
    }

    /// <summary>
    /// The value below which a fraction of the observations lies. Within a bucket they are taken to be spread evenly: on a linear scale in
    /// custom buckets and the zero bucket, on a logarithmic one in exponential buckets.
    /// </summary>
    public static double Quantile(double quantile, Histogram histogram, AnnotationSite site, string metricName)
    {
        if (quantile < 0)
        {
            return double.NegativeInfinity;
        }

        if (quantile > 1)
        {
            return double.PositiveInfinity;
        }

        if (histogram.Count == 0 || double.IsNaN(quantile))
        {
            return double.NaN;
        }

        // NaN observations are part of the count but in no bucket; where there are any, ranks are counted from the lowest bucket up.
        var maybeNaN = double.IsNaN(histogram.Sum);
        var upwards = maybeNaN || quantile < 0.5;
        var rank = (upwards ? quantile : 1 - quantile) * histogram.Count;
        double count = 0;
        HistogramBucket bucket = default;
        using var buckets = (upwards ? histogram.AllBuckets() : histogram.AllBucketsReverse()).GetEnumerator();
        while (buckets.MoveNext())
        {
            bucket = buckets.Current;
            if (bucket.Count == 0)
            {
                continue;
            }

            count += bucket.Count;
            if (count >= rank)
            {
                break;
            }
        }

        if (histogram.UsesCustomBuckets)
        {
            if (double.IsNegativeInfinity(bucket.Lower))
            {
                if (bucket.Upper <= 0)
                {
                    return bucket.Upper;
                }

                bucket = bucket with { Lower = 0 };
            }
            else if (double.IsPositiveInfinity(bucket.Upper))
            {
                return bucket.Lower;
            }
        }
        else if (bucket.Lower < 0 && bucket.Upper > 0)
        {
            bucket = OneSided(histogram, bucket);
        }

        count = Math.Min(count, histogram.Count);
        if (count < rank)
        {
            if (!maybeNaN)
            {
                return bucket.Upper;
            }

            site.QuantileOfNaN(metricName);
            return double.NaN;
        }

        rank = upwards ? rank - (count - bucket.Count) : count - rank;
        if (maybeNaN)
        {
            // As in Prometheus, the rank is interpolated in the bucket that this loop ends with.
            var all = count;
            while (buckets.MoveNext())
            {
                bucket = buckets.Current;
                all += bucket.Count;
            }

            if (all < histogram.Count)
            {
                site.QuantileSkewedByNaN(metricName);
            }
        }

        var fraction = rank / bucket.Count;
        if (histogram.UsesCustomBuckets || (bucket.Lower <= 0 && bucket.Upper >= 0))
        {
            return bucket.Lower + ((bucket.Upper - bucket.Lower) * fraction);
        }

        var lower = GoMath.Log2(Math.Abs(bucket.Lower));
        var upper = GoMath.Log2(Math.Abs(bucket.Upper));
        return bucket.Lower > 0
            ? GoMath.Exp2(lower + ((upper - lower) * fraction))
            : -GoMath.Exp2(upper + ((lower - upper) * (1 - fraction)));
    }

    /// <summary>The fraction of the observations between two values, interpolated as <see cref="Quantile"/> does.</summary>
    public static double Fraction(double lower, double upper, Histogram histogram, AnnotationSite site, string metricName)
    {
        if (histogram.Count == 0 || double.IsNaN(lower) || double.IsNaN(upper))
        {
            return double.NaN;
        }

        if (lower >= upper)
        {
            return 0;
        }

        double count = 0, rank = 0;
        double? lowerRank = null, upperRank = null;
        using var buckets = histogram.AllBuckets().GetEnumerator();
        while (buckets.MoveNext())
        {
            var bucket = buckets.Current;
            count += bucket.Count;
            var isZero = bucket.Lower <= 0 && bucket.Upper >= 0;
            if (isZero)
            {
                bucket = OneSided(histogram, bucket);
            }

            lowerRank ??= RankWithin(lower, bucket, rank, histogram.UsesCustomBuckets || isZero);
            upperRank ??= RankWithin(upper, bucket, rank, histogram.UsesCustomBuckets || isZero);
            if (lowerRank is not null && upperRank is not null)
            {
                break;
            }

            rank += bucket.Count;
        }

        if (double.IsNaN(histogram.Sum))
        {
            while (buckets.MoveNext())
            {
                count += buckets.Current.Count;
            }

            if (count < histogram.Count)
            {
                site.FractionWithoutNaN(metricName);
            }
        }
        else
        {
            count = histogram.Count;
        }

        return (ClassicHistogram.Capped(upperRank, count) - ClassicHistogram.Capped(lowerRank, count)) / histogram.Count;
    }

    /// <summary>
    /// How many observations lie below a value at the bucket's lower bound or within the bucket; null where the value lies above the
    /// bucket.
    /// </summary>
    static double? RankWithin(double value, HistogramBucket bucket, double rank, bool linear)
    {
        if (bucket.Lower >= value)
        {
            return rank;
        }

        if (!(bucket.Upper > value))
        {
            return null;
        }

        if (linear)
        {
            // A bucket without a lower bound can't be interpolated.
            return double.IsNegativeInfinity(bucket.Lower)
                ? bucket.Count
                : rank + (bucket.Count * FractionBelow(bucket, value, linear: true));
        }

        return rank + (bucket.Count * FractionBelow(bucket, value, linear: false));
    }

    /// <summary>Which part of a bucket lies below a value within it.</summary>
    static double FractionBelow(HistogramBucket bucket, double value, bool linear)
    {
        if (linear)
        {
            return (value - bucket.Lower) / (bucket.Upper - bucket.Lower);
        }

        var lower = GoMath.Log2(Math.Abs(bucket.Lower));
        var upper = GoMath.Log2(Math.Abs(bucket.Upper));
        var at = GoMath.Log2(Math.Abs(value));
        return value > 0 ? (at - lower) / (upper - lower) : 1 - ((at - upper) / (lower - upper));
    }

    static double Middle(Histogram histogram, HistogramBucket bucket)
    {
        if (histogram.UsesCustomBuckets)
        {
            return (bucket.Upper + bucket.Lower) / 2;
        }

        if (bucket.Lower <= 0 && bucket.Upper >= 0)
        {
            return 0;
        }

        var middle = Math.Sqrt(bucket.Upper * bucket.Lower);
        return bucket.Upper < 0 ? -middle : middle;
    }

    /// <summary>The zero bucket reaches to zero only where the histogram has no buckets on the other side of it.</summary>
    static HistogramBucket OneSided(Histogram histogram, HistogramBucket bucket) =>
        histogram.NegativeBuckets.Length == 0 && histogram.PositiveBuckets.Length > 0 ? bucket with { Lower = 0 }
        : histogram.PositiveBuckets.Length == 0 && histogram.NegativeBuckets.Length > 0 ? bucket with { Upper = 0 }
        : bucket;
}
