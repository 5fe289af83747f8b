namespace Observe.Tsdb.Histograms;

/// <summary>
/// What an operation on two histograms met beside doing its work: for warnings and infos, or the reason why it did nothing.
/// </summary>
[Flags]
public enum HistogramOutcome
{
    Done = 0,

    /// <summary>One histogram was marked as a counter reset, the other as none; the result is of unknown kind.</summary>
    CounterResetCollision = 1,

    /// <summary>Custom bounds differed; the result has those that both had.</summary>
    BoundsReconciled = 2,

    /// <summary>Exponential and custom buckets can't be mixed; nothing was changed.</summary>
    IncompatibleSchemas = 4,
}

/// <summary>
/// Arithmetic as PromQL has it. What changes a histogram returns it; arrays of the operands are never written to but by Mul and Div.
/// </summary>
public sealed partial class Histogram
{
    /// <summary>The same histogram with another hint; buckets and spans are shared with this one.</summary>
    public Histogram WithHint(CounterResetHint hint)
    {
        var copy = (Histogram)MemberwiseClone();
        copy.CounterResetHint = hint;
        return copy;
    }

    /// <summary>Multiplies in place, as all of this histogram's counts are its own.</summary>
    public Histogram Mul(double factor)
    {
        IsInteger = false;
        ZeroCount *= factor;
        Count *= factor;
        Sum *= factor;
        Scale(PositiveBuckets, factor, divide: false);
        Scale(NegativeBuckets, factor, divide: false);
        if (factor < 0)
        {
            CounterResetHint = CounterResetHint.Gauge;
        }

        return this;
    }

    /// <summary>Divides in place; by zero removes all buckets.</summary>
    public Histogram Div(double scalar)
    {
        IsInteger = false;
        ZeroCount /= scalar;
        Count /= scalar;
        Sum /= scalar;
        if (scalar == 0)
        {
            (PositiveBuckets, NegativeBuckets, PositiveSpans, NegativeSpans) = ([], [], [], []);
            return this;
        }

        Scale(PositiveBuckets, scalar, divide: true);
        Scale(NegativeBuckets, scalar, divide: true);
        if (scalar < 0)
        {
            CounterResetHint = CounterResetHint.Gauge;
        }

        return this;
    }

    /// <summary>Adds another histogram to this one; schema, zero bucket and custom bounds are reconciled to what both can have.</summary>
    public HistogramOutcome Add(Histogram other) => Combine(other, 1);

    /// <summary>Subtracts another histogram from this one, likewise.</summary>
    public HistogramOutcome Sub(Histogram other) => Combine(other, -1);

    /// <summary>
    /// Adds with Kahan's compensation, which is kept in a histogram of the same layout: null at first. At the end, Add the compensation.
    /// </summary>
    public HistogramOutcome KahanAdd(Histogram other, ref Histogram? compensation)
    {
        if (UsesCustomBuckets != other.UsesCustomBuckets)
        {
            return HistogramOutcome.IncompatibleSchemas;
        }

        var outcome = AdjustHint(other);
        IsInteger = false;
        var lost = compensation ??= NewCompensation();
        if (!UsesCustomBuckets)
        {
            var (zeroCount, zeroLost) = ReconcileZeroBuckets(other, lost);
            (ZeroCount, lost.ZeroCount) = Kahan.Add(zeroCount, ZeroCount, lost.ZeroCount);
            (ZeroCount, lost.ZeroCount) = Kahan.Add(zeroLost, ZeroCount, lost.ZeroCount);
        }

        (Count, lost.Count) = Kahan.Add(other.Count, Count, lost.Count);
        (Sum, lost.Sum) = Kahan.Add(other.Sum, Sum, lost.Sum);
        outcome |= CombineBuckets(other, 1, lost);
        (lost.Schema, lost.ZeroThreshold, lost.CustomValues) = (Schema, ZeroThreshold, CustomValues);
        (lost.PositiveSpans, lost.NegativeSpans) = (PositiveSpans, NegativeSpans);
        return outcome;
    }

    /// <summary>Merges buckets up to a coarser schema.</summary>
    /// <exception cref="InvalidOperationException">Custom buckets, or the schema is no coarser.</exception>
    public Histogram ReduceResolution(int schema)
    {
        if (UsesCustomBuckets || schema == CustomBucketsSchema || schema >= Schema)
        {
            throw new InvalidOperationException($"cannot reduce resolution from schema {Schema} to {schema}");
        }

        (PositiveSpans, PositiveBuckets) = Positive(null).Reduce(Schema, schema).Plain;
        (NegativeSpans, NegativeBuckets) = Negative(null).Reduce(Schema, schema).Plain;
        Schema = schema;
        return this;
    }

    /// <summary>A copy at a coarser schema or the same.</summary>
    public Histogram CopyToSchema(int schema)
    {
        var copy = Copy();
        if (schema == Schema)
        {
            return copy;
        }

        copy.CounterResetHint = CounterResetHint.Unknown;
        return copy.ReduceResolution(schema);
    }

    /// <summary>
    /// Cuts out empty buckets, save runs of at most so many between buckets in use, where a gap of that size is filled instead of starting
    /// a new span.
    /// </summary>
    public Histogram Compact(int maxEmptyBuckets)
    {
        (PositiveSpans, PositiveBuckets) = Positive(null).Compact(maxEmptyBuckets).Plain;
        (NegativeSpans, NegativeBuckets) = Negative(null).Compact(maxEmptyBuckets).Plain;
        return this;
    }

    HistogramOutcome Combine(Histogram other, int sign)
    {
        if (UsesCustomBuckets != other.UsesCustomBuckets)
        {
            return HistogramOutcome.IncompatibleSchemas;
        }

        var outcome = AdjustHint(other);
        IsInteger = false;
        if (!UsesCustomBuckets)
        {
            // Reconciling changes this zero count, so that it comes first.
            var (zeroCount, _) = ReconcileZeroBuckets(other, null);
            ZeroCount += sign * zeroCount;
        }

        Count += sign * other.Count;
        Sum += sign * other.Sum;
        return outcome | CombineBuckets(other, sign, null);
    }

    HistogramOutcome CombineBuckets(Histogram other, int sign, Histogram? lost)
    {
        var (positive, negative) = (Positive(lost), Negative(lost));
        var (otherPositive, otherNegative) = (other.Positive(null), other.Negative(null));
        var outcome = HistogramOutcome.Done;
        if (UsesCustomBuckets)
        {
            if (SameBounds(other))
            {
                positive = positive.Add(otherPositive, sign, Schema, ZeroThreshold);
            }
            else
            {
                outcome = HistogramOutcome.BoundsReconciled;
                var bounds = (CustomValues ?? []).Intersect(other.CustomValues ?? []).ToArray();
                positive = CustomBuckets.Combine(positive, CustomValues ?? [], otherPositive, other.CustomValues ?? [], sign, bounds);
                CustomValues = bounds;
            }
        }
        else
        {
            if (other.Schema < Schema)
            {
                (positive, negative) = (positive.Reduce(Schema, other.Schema), negative.Reduce(Schema, other.Schema));
                Schema = other.Schema;
            }
            else if (other.Schema > Schema)
            {
                // With compensation, what is lost by merging the other's buckets is compensated too.
                otherPositive = (lost is null ? otherPositive : otherPositive.WithCompensation()).Reduce(other.Schema, Schema);
                otherNegative = (lost is null ? otherNegative : otherNegative.WithCompensation()).Reduce(other.Schema, Schema);
            }

            positive = positive.Add(otherPositive, sign, Schema, ZeroThreshold);
            negative = negative.Add(otherNegative, sign, Schema, ZeroThreshold);
        }

        (PositiveSpans, PositiveBuckets) = positive.Plain;
        (NegativeSpans, NegativeBuckets) = negative.Plain;
        if (lost is not null)
        {
            lost.PositiveBuckets = positive.Lost ?? new double[positive.Counts.Length];
            lost.NegativeBuckets = negative.Lost ?? new double[negative.Counts.Length];
        }

        return outcome;
    }

    HistogramOutcome AdjustHint(Histogram other)
    {
        var (mine, theirs) = (CounterResetHint, other.CounterResetHint);
        if (mine == theirs || mine == CounterResetHint.Gauge)
        {
            return HistogramOutcome.Done;
        }

        if (theirs == CounterResetHint.Gauge)
        {
            CounterResetHint = CounterResetHint.Gauge;
            return HistogramOutcome.Done;
        }

        CounterResetHint = CounterResetHint.Unknown;
        return mine == CounterResetHint.Unknown || theirs == CounterResetHint.Unknown
            ? HistogramOutcome.Done : HistogramOutcome.CounterResetCollision;
    }

    /// <summary>Brings both to one zero threshold; returns the other's zero count at it, which is not changed itself.</summary>
    (double Count, double Lost) ReconcileZeroBuckets(Histogram other, Histogram? lost)
    {
        var (count, threshold, otherLost) = (other.ZeroCount, other.ZeroThreshold, 0.0);
        while (threshold != ZeroThreshold)
        {
            if (ZeroThreshold > threshold)
            {
                (count, threshold, otherLost) = other.ZeroCountAt(ZeroThreshold, null);
            }

            if (threshold > ZeroThreshold)
            {
                (ZeroCount, ZeroThreshold, var zeroLost) = ZeroCountAt(threshold, lost);
                if (lost is not null)
                {
                    lost.ZeroCount = zeroLost;
                }

                TrimBucketsInZeroBucket(lost);
            }
        }

        return (count, otherLost);
    }

    /// <summary>
    /// The zero count if the threshold were larger. A threshold within a bucket in use moves to that bucket's end.
    /// </summary>
    internal (double Count, double Threshold, double Lost) ZeroCountAt(double threshold, Histogram? lost)
    {
        var lostCount = lost?.ZeroCount ?? 0;
        if (threshold == ZeroThreshold)
        {
            return (ZeroCount, threshold, lostCount);
        }

        while (true)
        {
            var count = ZeroCount;
            _ = Absorb(Positive(lost), ref count, ref lostCount, ref threshold);
            if (!Absorb(Negative(lost), ref count, ref lostCount, ref threshold))
            {
                return (count, threshold, lostCount);
            }

            // The positive buckets were counted up to a smaller threshold.
        }
    }

    /// <summary>Adds the buckets below a threshold to the zero count; true when the threshold had to move.</summary>
    bool Absorb(BucketSide side, ref double count, ref double lostCount, ref double threshold)
    {
        var i = 0;
        foreach (var index in side.Indexes())
        {
            if (BucketBounds.Exponential(index - 1, Schema) >= threshold)
            {
                return false;
            }

            (count, lostCount) = Kahan.Add(side.Counts[i], count, lostCount);
            if (side.Lost is not null)
            {
                (count, lostCount) = Kahan.Add(side.Lost[i], count, lostCount);
            }

            var upper = BucketBounds.Exponential(index, Schema);
            if (upper > threshold)
            {
                var moved = side.Counts[i] != 0;
                threshold = moved ? upper : threshold;
                return moved;
            }

            i++;
        }

        return false;
    }

    void TrimBucketsInZeroBucket(Histogram? lost)
    {
        var positive = Positive(lost).Without(i => BucketBounds.Exponential(i - 1, Schema) < ZeroThreshold).Compact(0);
        var negative = Negative(lost).Without(i => BucketBounds.Exponential(i - 1, Schema) < ZeroThreshold).Compact(0);
        (PositiveSpans, PositiveBuckets) = positive.Plain;
        (NegativeSpans, NegativeBuckets) = negative.Plain;
        if (lost is not null)
        {
            (lost.PositiveSpans, lost.PositiveBuckets) = (positive.Spans, positive.Lost!);
            (lost.NegativeSpans, lost.NegativeBuckets) = (negative.Spans, negative.Lost!);
        }
    }

    Histogram NewCompensation() => new()
    {
        CounterResetHint = CounterResetHint,
        Schema = Schema,
        ZeroThreshold = ZeroThreshold,
        CustomValues = CustomValues,
        PositiveSpans = PositiveSpans,
        NegativeSpans = NegativeSpans,
        PositiveBuckets = new double[PositiveBuckets.Length],
        NegativeBuckets = new double[NegativeBuckets.Length],
    };

    bool SameBounds(Histogram other) => (CustomValues ?? []).AsSpan().SequenceEqual(other.CustomValues ?? []);

    internal BucketSide Positive(Histogram? lost) => new(PositiveSpans, PositiveBuckets, lost?.PositiveBuckets);

    internal BucketSide Negative(Histogram? lost) => new(NegativeSpans, NegativeBuckets, lost?.NegativeBuckets);

    static void Scale(double[] counts, double factor, bool divide)
    {
        for (var i = 0; i < counts.Length; i++)
        {
            counts[i] = divide ? counts[i] / factor : counts[i] * factor;
        }
    }
}
