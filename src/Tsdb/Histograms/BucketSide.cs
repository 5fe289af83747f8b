namespace Observe.Tsdb.Histograms;

/// <summary>
/// The positive or the negative buckets of a histogram, perhaps with what Kahan's summation lost of each. Never changed in place.
/// </summary>
readonly record struct BucketSide(BucketSpan[] Spans, double[] Counts, double[]? Lost)
{
    public (BucketSpan[] Spans, double[] Counts) Plain => (Spans, Counts);

    public BucketSide WithCompensation() => this with { Lost = new double[Counts.Length] };

    /// <summary>The index of each bucket, in order.</summary>
    public int[] Indexes()
    {
        var indexes = new int[Counts.Length];
        var (at, index) = (0, 0);
        foreach (var span in Spans)
        {
            index += span.Offset;
            // Spans that promise more buckets than there are come from damaged data.
            for (var i = 0U; i < span.Length && at < indexes.Length; i++)
            {
                indexes[at++] = index++;
            }
        }

        return at == indexes.Length ? indexes : indexes[..at];
    }

    /// <summary>
    /// This side with another's counts added (or taken off, by the sign). The other's buckets at or below the zero threshold are part of
    /// its zero count already.
    /// </summary>
    public BucketSide Add(BucketSide other, int sign, int schema, double zeroThreshold)
    {
        var theirs = other.Indexes();
        var skip = 0;
        if (schema != Histogram.CustomBucketsSchema)
        {
            while (skip < theirs.Length && BucketBounds.Exponential(theirs[skip], schema) <= zeroThreshold)
            {
                skip++;
            }
        }

        if (skip == theirs.Length)
        {
            return this;
        }

        var mine = Indexes();
        var sum = new Builder(mine.Length + theirs.Length - skip, Lost is not null);
        var (i, j) = (0, skip);
        while (i < mine.Length || j < theirs.Length)
        {
            if (j == theirs.Length || (i < mine.Length && mine[i] < theirs[j]))
            {
                sum.Add(mine[i], Counts[i], Lost?[i] ?? 0);
                i++;
                continue;
            }

            var (value, lost) = (sign * other.Counts[j], sign * (other.Lost?[j] ?? 0));
            if (i == mine.Length || theirs[j] < mine[i])
            {
                sum.Add(theirs[j], value, lost);
            }
            else if (Lost is null)
            {
                sum.Add(theirs[j], Counts[i++] + value, 0);
            }
            else
            {
                var total = Kahan.Add(value, Counts[i], Lost[i]);
                total = lost == 0 ? total : Kahan.Add(lost, total.Sum, total.Lost);
                sum.Add(theirs[j], total.Sum, total.Lost);
                i++;
            }

            j++;
        }

        return sum.Build();
    }

    /// <summary>Buckets merged to a coarser schema.</summary>
    public BucketSide Reduce(int from, int to)
    {
        var indexes = Indexes();
        var merged = new Builder(indexes.Length, Lost is not null);
        for (var i = 0; i < indexes.Length; i++)
        {
            merged.Add(((indexes[i] - 1) >> (from - to)) + 1, Counts[i], Lost?[i] ?? 0);
        }

        return merged.Build();
    }

    public BucketSide Compact(int maxEmptyBuckets)
    {
        var indexes = Indexes();
        var kept = new Builder(indexes.Length, Lost is not null);
        var previous = int.MinValue;
        for (var i = 0; i < indexes.Length; i++)
        {
            if (Counts[i] == 0 && (Lost is null || Lost[i] == 0))
            {
                continue;
            }

            if (previous != int.MinValue && (long)indexes[i] - previous - 1 <= maxEmptyBuckets)
            {
                for (var empty = previous + 1; empty < indexes[i]; empty++)
                {
                    kept.Add(empty, 0, 0);
                }
            }

            kept.Add(indexes[i], Counts[i], Lost?[i] ?? 0);
            previous = indexes[i];
        }

        return kept.Build();
    }

    /// <summary>The counts of some buckets set to 0.</summary>
    public BucketSide Without(Func<int, bool> isGone)
    {
        var indexes = Indexes();
        double[] counts = [.. Counts];
        double[]? lost = Lost is null ? null : [.. Lost];
        for (var i = 0; i < indexes.Length; i++)
        {
            if (isGone(indexes[i]))
            {
                counts[i] = 0;
                if (lost is not null)
                {
                    lost[i] = 0;
                }
            }
        }

        return new BucketSide(Spans, counts, lost);
    }

    /// <summary>Collects buckets by rising index; one with the index of the last is added to it.</summary>
    internal sealed class Builder(int capacity, bool compensated)
    {
        readonly List<BucketSpan> _spans = [];
        readonly List<double> _counts = new(capacity);
        readonly List<double>? _lost = compensated ? new(capacity) : null;
        int _last;

        public void Add(int index, double count, double lost)
        {
            if (_counts.Count > 0 && index == _last)
            {
                Merge(count, lost);
                return;
            }

            if (_counts.Count > 0 && index == _last + 1)
            {
                _spans[^1] = _spans[^1] with { Length = _spans[^1].Length + 1 };
            }
            else
            {
                _spans.Add(new BucketSpan(_counts.Count == 0 ? index : index - _last - 1, 1));
            }

            _last = index;
            _counts.Add(count);
            _lost?.Add(lost);
        }

        public BucketSide Build() => new([.. _spans], [.. _counts], _lost is null ? null : [.. _lost]);

        void Merge(double count, double lost)
        {
            if (_lost is null)
            {
                _counts[^1] += count;
                return;
            }

            var total = Kahan.Add(count, _counts[^1], _lost[^1]);
            (_counts[^1], _lost[^1]) = Kahan.Add(lost, total.Sum, total.Lost);
        }
    }
}

/// <summary>Custom buckets whose bounds differ.</summary>
static class CustomBuckets
{
    /// <summary>
    /// Counts of both at the bounds that both have, each bucket in the one that holds its upper bound; empty ones left out.
    /// </summary>
    public static BucketSide Combine(
        BucketSide mine, double[] bounds, BucketSide theirs, double[] theirBounds, int sign, double[] shared)
    {
        var counts = new double[shared.Length + 1];
        var lost = new double[shared.Length + 1];
        Map(mine, bounds, 1);
        Map(theirs, theirBounds, sign);
        var result = new BucketSide.Builder(counts.Length, compensated: mine.Lost is not null);
        for (var i = 0; i < counts.Length; i++)
        {
            if (counts[i] != 0 || lost[i] != 0)
            {
                result.Add(i, counts[i], lost[i]);
            }
        }

        return result.Build();

        void Map(BucketSide side, double[] sideBounds, int by)
        {
            var indexes = side.Indexes();
            var target = 0;
            for (var i = 0; i < indexes.Length; i++)
            {
                var to = shared.Length;
                if (indexes[i] < sideBounds.Length)
                {
                    while (target < shared.Length && shared[target] < sideBounds[indexes[i]])
                    {
                        target++;
                    }

                    to = target;
                }

                (counts[to], lost[to]) = Kahan.Add(by * side.Counts[i], counts[to], lost[to]);
                if (side.Lost is not null)
                {
                    (counts[to], lost[to]) = Kahan.Add(side.Lost[i], counts[to], lost[to]);
                }
            }
        }
    }
}
