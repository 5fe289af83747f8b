namespace Observe.Query.Promql.Functions;

/// <summary>One bucket of a classic histogram: how many observations are at or below a bound.</summary>
struct ClassicBucket(double upperBound, double count)
{
    public double UpperBound = upperBound;
    public double Count = count;
}

/// <summary>How the counts of a histogram were corrected because they fell.</summary>
readonly record struct Monotonicity(bool Forced, double MinBucket, double MaxBucket, double MaxDifference);

/// <summary>Quantiles and fractions of classic histograms. Both sort and change the buckets that they are given.</summary>
static class ClassicHistogram
{
    // Counts whose relative difference is less are taken as equal: rounding explains it.
    const double Tolerance = 1e-12;

    /// <summary>Interpolated on a line within a bucket; NaN without observations or without a bucket for +Inf.</summary>
    public static double Quantile(double quantile, Span<ClassicBucket> buckets, out Monotonicity monotonicity)
    {
        monotonicity = default;
        if (double.IsNaN(quantile))
        {
            return double.NaN;
        }

        if (quantile < 0)
        {
            return double.NegativeInfinity;
        }

        if (quantile > 1)
        {
            return double.PositiveInfinity;
        }

        Sort(buckets);
        if (!double.IsPositiveInfinity(buckets[^1].UpperBound))
        {
            return double.NaN;
        }

        buckets = Coalesce(buckets);
        monotonicity = ForceMonotonic(buckets);
        if (buckets.Length < 2 || buckets[^1].Count == 0)
        {
            return double.NaN;
        }

        var rank = quantile * buckets[^1].Count;
        var index = FirstAtLeast(buckets[..^1], rank);
        if (index == buckets.Length - 1)
        {
            return buckets[^2].UpperBound;
        }

        if (index == 0 && buckets[0].UpperBound <= 0)
        {
            return buckets[0].UpperBound;
        }

        var start = 0.0;
        var end = buckets[index].UpperBound;
        var count = buckets[index].Count;
        if (index > 0)
        {
            start = buckets[index - 1].UpperBound;
            count -= buckets[index - 1].Count;
            rank -= buckets[index - 1].Count;
        }

        return start + ((end - start) * (rank / count));
    }

    /// <summary>The fraction of observations between two values.</summary>
    public static double Fraction(double lower, double upper, Span<ClassicBucket> buckets)
    {
        Sort(buckets);
        if (!double.IsPositiveInfinity(buckets[^1].UpperBound))
        {
            return double.NaN;
        }

        buckets = Coalesce(buckets);
        var count = buckets[^1].Count;
        if (count == 0 || double.IsNaN(lower) || double.IsNaN(upper))
        {
            return double.NaN;
        }

        if (lower >= upper)
        {
            return 0;
        }

        double? lowerRank = null, upperRank = null;
        var rank = 0.0;
        var bound = buckets[0].UpperBound <= 0 ? double.NegativeInfinity : 0;
        foreach (var bucket in buckets)
        {
            lowerRank ??= RankWithin(lower, bound, bucket, rank);
            upperRank ??= RankWithin(upper, bound, bucket, rank);
            if (lowerRank is not null && upperRank is not null)
            {
                break;
            }

            rank = bucket.Count;
            bound = bucket.UpperBound;
        }

        return (Capped(upperRank, count) - Capped(lowerRank, count)) / count;
    }

    internal static double Capped(double? rank, double count) => rank is { } r && !(r > count) ? r : count;

    static double? RankWithin(double value, double lowerBound, ClassicBucket bucket, double rank)
    {
        if (lowerBound >= value)
        {
            return rank;
        }

        if (!(bucket.UpperBound > value))
        {
            return null;
        }

        return double.IsNegativeInfinity(lowerBound)
            ? bucket.Count
            : rank + ((bucket.Count - rank) * (value - lowerBound) / (bucket.UpperBound - lowerBound));
    }

    static int FirstAtLeast(ReadOnlySpan<ClassicBucket> buckets, double rank)
    {
        var (low, high) = (0, buckets.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (buckets[middle].Count >= rank)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    static void Sort(Span<ClassicBucket> buckets)
    {
        var sorted = true;
        for (var i = 1; i < buckets.Length && sorted; i++)
        {
            sorted = buckets[i - 1].UpperBound <= buckets[i].UpperBound;
        }

        if (!sorted)
        {
            buckets.Sort(static (a, b) => a.UpperBound < b.UpperBound ? -1 : a.UpperBound > b.UpperBound ? 1 : 0);
        }
    }

    /// <summary>Buckets of the same bound become one.</summary>
    static Span<ClassicBucket> Coalesce(Span<ClassicBucket> buckets)
    {
        var last = 0;
        for (var i = 1; i < buckets.Length; i++)
        {
            if (buckets[i].UpperBound == buckets[last].UpperBound)
            {
                buckets[last].Count += buckets[i].Count;
            }
            else
            {
                buckets[++last] = buckets[i];
            }
        }

        return buckets[..(last + 1)];
    }

    /// <summary>
    /// Makes counts rise: a count that differs from the one before by rounding only is set to it, a count that falls is raised to it.
    /// </summary>
    static Monotonicity ForceMonotonic(Span<ClassicBucket> buckets)
    {
        var forced = false;
        double least = double.PositiveInfinity, most = double.NegativeInfinity, difference = 0;
        var previous = buckets[0].Count;
        for (var i = 1; i < buckets.Length; i++)
        {
            var current = buckets[i].Count;
            if (current == previous)
            {
                continue;
            }

            if (Almost.Equal(previous, current, Tolerance))
            {
                buckets[i].Count = previous;
            }
            else if (current < previous)
            {
                buckets[i].Count = previous;
                forced = true;
                least = Math.Min(least, buckets[i].UpperBound);
                most = Math.Max(most, buckets[i].UpperBound);
                difference = Math.Max(difference, previous - current);
            }
            else
            {
                previous = current;
            }
        }

        return new Monotonicity(forced, least, most, difference);
    }
}
