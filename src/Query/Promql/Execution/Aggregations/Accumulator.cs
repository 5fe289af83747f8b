using System.Numerics;
using System.Runtime.InteropServices;
using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary>
/// One group of an aggregation, over all steps. Series are added in order; several threads may add to disjoint ranges of steps.
/// </summary>
abstract class Accumulator
{
    /// <summary>Bytes that the accumulator takes, without histograms.</summary>
    public abstract long Bytes { get; }

    /// <summary>Adds a series' samples at the steps from a first to before an end.</summary>
    public abstract void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site);

    /// <summary>Writes the group's values to an empty column. Once only: histograms are finished in place.</summary>
    public abstract void Finish(Column column, AnnotationSite site);

    /// <summary>Makes accumulators for an aggregation whose values can be added up step by step; null for other aggregations.</summary>
    public static Func<int, Accumulator>? Factory(Aggregation aggregation) => aggregation switch
    {
        Aggregation.Sum => static steps => new SumAccumulator(steps),
        Aggregation.Avg => static steps => new AverageAccumulator(steps),
        Aggregation.Count => static steps => new CountAccumulator(steps, group: false),
        Aggregation.Group => static steps => new CountAccumulator(steps, group: true),
        Aggregation.Min => static steps => new ExtremumAccumulator(steps, "min", static (best, value) => best > value),
        Aggregation.Max => static steps => new ExtremumAccumulator(steps, "max", static (best, value) => best < value),
        Aggregation.Stddev => static steps => new DeviationAccumulator(steps, "stddev", Math.Sqrt),
        Aggregation.Stdvar => static steps => new DeviationAccumulator(steps, "stdvar", static variance => variance),
        _ => null,
    };
}

/// <summary><c>count</c> and <c>group</c>.</summary>
sealed class CountAccumulator(int steps, bool group) : Accumulator
{
    readonly int[] _counts = new int[steps];

    public override long Bytes => 4L * steps;

    public override void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site)
    {
        for (var step = from; step < to; step++)
        {
            _counts[step] += column.Presence[step] == Presence.Absent ? 0 : 1;
        }
    }

    public override void Finish(Column column, AnnotationSite site)
    {
        for (var step = 0; step < _counts.Length; step++)
        {
            if (_counts[step] > 0)
            {
                column.Set(step, group ? 1 : _counts[step]);
            }
        }
    }
}

/// <summary><c>min</c> and <c>max</c>: NaN only where all samples are NaN.</summary>
sealed class ExtremumAccumulator(int steps, string name, Func<double, double, bool> isBetter) : Accumulator
{
    readonly double[] _best = new double[steps];
    readonly bool[] _seen = new bool[steps];

    public override long Bytes => 9L * steps;

    public override void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site)
    {
        for (var step = from; step < to; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                var value = column.Values[step];
                if (!_seen[step] || isBetter(_best[step], value) || double.IsNaN(_best[step]))
                {
                    _best[step] = value;
                    _seen[step] = true;
                }
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                site.HistogramIgnoredInAggregation(name);
            }
        }
    }

    public override void Finish(Column column, AnnotationSite site)
    {
        for (var step = 0; step < steps; step++)
        {
            if (_seen[step])
            {
                column.Set(step, _best[step]);
            }
        }
    }
}

/// <summary><c>stddev</c> and <c>stdvar</c> by Welford's algorithm.</summary>
sealed class DeviationAccumulator(int steps, string name, Func<double, double> ofVariance) : Accumulator
{
    readonly double[] _squares = new double[steps];
    readonly double[] _mean = new double[steps];
    readonly int[] _counts = new int[steps];

    public override long Bytes => 20L * steps;

    public override void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site)
    {
        for (var step = from; step < to; step++)
        {
            if (column.Presence[step] == Presence.Histogram)
            {
                site.HistogramIgnoredInAggregation(name);
            }
            else if (column.Presence[step] == Presence.Float)
            {
                var value = column.Values[step];
                if (_counts[step]++ == 0)
                {
                    _mean[step] = value;
                    _squares[step] = double.IsFinite(value) ? 0 : double.NaN;
                    continue;
                }

                var delta = value - _mean[step];
                _mean[step] += delta / _counts[step];
                _squares[step] += delta * (value - _mean[step]);
            }
        }
    }

    public override void Finish(Column column, AnnotationSite site)
    {
        for (var step = 0; step < steps; step++)
        {
            if (_counts[step] > 0)
            {
                column.Set(step, ofVariance(_squares[step] / _counts[step]));
            }
        }
    }
}

/// <summary>What sum and average share: which kinds of samples each step had, and sums of histograms.</summary>
abstract class SumOfSamples(int steps) : Accumulator
{
    Histogram?[]? _histograms;
    Histogram?[]? _rests;

    [Flags]
    protected enum Seen : byte
    {
        Nothing = 0,
        Float = 1,
        Histogram = 2,
        Incompatible = 4,
        Reset = 8,
        NoReset = 16,
    }

    protected double[] Sums { get; } = new double[steps];

    protected double[] Rests { get; } = new double[steps];

    protected Seen[] State { get; } = new Seen[steps];

    protected Histogram?[] HistogramSums =>
        _histograms ?? Interlocked.CompareExchange(ref _histograms, new Histogram?[steps], null) ?? _histograms!;

    protected Histogram?[] HistogramRests => _rests ?? Interlocked.CompareExchange(ref _rests, new Histogram?[steps], null) ?? _rests!;

    public override void Finish(Column column, AnnotationSite site)
    {
        for (var step = 0; step < steps; step++)
        {
            var state = State[step];
            if (state == Seen.Nothing || state.HasFlag(Seen.Incompatible))
            {
                continue;
            }

            if (state.HasFlag(Seen.Float | Seen.Histogram))
            {
                site.MixedFloatsHistogramsInAggregation();
                continue;
            }

            if (state.HasFlag(Seen.Float))
            {
                column.Set(step, FloatAt(step));
                continue;
            }

            if (state.HasFlag(Seen.Reset | Seen.NoReset))
            {
                site.CounterResetCollision(AnnotationTexts.Aggregation);
            }

            column.Set(step, HistogramAt(step).Compact(0));
        }
    }

    protected abstract double FloatAt(int step);

    protected abstract Histogram HistogramAt(int step);

    protected void MarkSeen(int step, Histogram histogram) => State[step] |= Seen.Histogram | histogram.CounterResetHint switch
    {
        CounterResetHint.CounterReset => Seen.Reset,
        CounterResetHint.NotCounterReset => Seen.NoReset,
        _ => Seen.Nothing,
    };

    /// <summary>Adds a histogram to a sum; where the two can't be combined the step has no result.</summary>
    protected bool TryAdd(int step, Histogram sum, Histogram histogram, ref Histogram? rest, in SeriesIdentity series, AnnotationSite site)
    {
        if (HistogramSteps.TryAdd(sum, histogram, ref rest, site, series.MetricName))
        {
            return true;
        }

        State[step] |= Seen.Incompatible;
        return false;
    }
}

/// <summary><c>sum</c>, with Kahan's compensation, in the order of the series.</summary>
sealed class SumAccumulator(int steps) : SumOfSamples(steps)
{
    readonly int _steps = steps;

    public override long Bytes => 17L * _steps;

    public override void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site)
    {
        if (column.IsDense)
        {
            AddDense(column.Values.AsSpan(from, to - from), Sums.AsSpan(from, to - from), Rests.AsSpan(from, to - from));
            OrAll(MemoryMarshal.AsBytes(State.AsSpan(from, to - from)), (byte)Seen.Float);
            return;
        }

        for (var step = from; step < to; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                State[step] |= Seen.Float;
                Kahan.Add(column.Values[step], ref Sums[step], ref Rests[step]);
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                Add(step, column.Histogram(step), series, site);
            }
        }
    }

    protected override double FloatAt(int step) => Sums[step] + Rests[step];

    protected override Histogram HistogramAt(int step)
    {
        if (HistogramRests[step] is { } rest)
        {
            HistogramSums[step]!.Add(rest);
        }

        return HistogramSums[step]!;
    }

    void Add(int step, Histogram histogram, in SeriesIdentity series, AnnotationSite site)
    {
        if (State[step].HasFlag(Seen.Incompatible))
        {
            return;
        }

        MarkSeen(step, histogram);
        if (HistogramSums[step] is { } sum)
        {
            TryAdd(step, sum, histogram, ref HistogramRests[step], series, site);
        }
        else
        {
            HistogramSums[step] = histogram.Copy();
        }
    }

    static void AddDense(ReadOnlySpan<double> values, Span<double> sums, Span<double> rests)
    {
        var width = Vector<double>.Count;
        var infinity = new Vector<double>(double.PositiveInfinity);
        var at = 0;
        for (; at <= values.Length - width; at += width)
        {
            var value = new Vector<double>(values[at..]);
            var sum = new Vector<double>(sums[at..]);
            var rest = new Vector<double>(rests[at..]);
            var total = sum + value;
            var sumIsLarger = Vector.GreaterThanOrEqual(Vector.Abs(sum), Vector.Abs(value));
            var larger = Vector.ConditionalSelect(sumIsLarger, sum, value);
            var smaller = Vector.ConditionalSelect(sumIsLarger, value, sum);
            rest += (larger - total) + smaller;
            rest = Vector.ConditionalSelect(Vector.Equals(Vector.Abs(total), infinity), Vector<double>.Zero, rest);
            total.CopyTo(sums[at..]);
            rest.CopyTo(rests[at..]);
        }

        for (; at < values.Length; at++)
        {
            Kahan.Add(values[at], ref sums[at], ref rests[at]);
        }
    }

    static void OrAll(Span<byte> bytes, byte bits)
    {
        var mask = new Vector<byte>(bits);
        var at = 0;
        for (; at <= bytes.Length - Vector<byte>.Count; at += Vector<byte>.Count)
        {
            (new Vector<byte>(bytes[at..]) | mask).CopyTo(bytes[at..]);
        }

        for (; at < bytes.Length; at++)
        {
            bytes[at] |= bits;
        }
    }
}

/// <summary><c>avg</c>: the sum by the count; once the sum would overflow, the mean is carried on instead.</summary>
sealed class AverageAccumulator(int steps) : SumOfSamples(steps)
{
    readonly int _steps = steps;
    readonly int[] _counts = new int[steps];
    readonly bool[] _isMean = new bool[steps];

    public override long Bytes => 22L * _steps;

    public override void Add(Column column, int from, int to, in SeriesIdentity series, AnnotationSite site)
    {
        for (var step = from; step < to; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                State[step] |= Seen.Float;
                Add(step, column.Values[step]);
            }
            else if (column.Presence[step] == Presence.Histogram && !State[step].HasFlag(Seen.Incompatible))
            {
                Add(step, column.Histogram(step), series, site);
            }
        }
    }

    protected override double FloatAt(int step) =>
        _isMean[step] ? Sums[step] + Rests[step] : (Sums[step] / _counts[step]) + (Rests[step] / _counts[step]);

    protected override Histogram HistogramAt(int step)
    {
        var (sum, rest) = (HistogramSums[step]!, HistogramRests[step]);
        if (!_isMean[step])
        {
            sum.Div(_counts[step]);
            rest?.Div(_counts[step]);
        }

        if (rest is not null)
        {
            sum.Add(rest);
        }

        return sum;
    }

    void Add(int step, double value)
    {
        var count = ++_counts[step];
        if (count == 1)
        {
            Sums[step] = value;
            return;
        }

        if (!_isMean[step])
        {
            var (sum, rest) = (Sums[step], Rests[step]);
            Kahan.Add(value, ref sum, ref rest);
            if (!double.IsInfinity(sum))
            {
                (Sums[step], Rests[step]) = (sum, rest);
                return;
            }

            _isMean[step] = true;
            Sums[step] /= count - 1;
            Rests[step] /= count - 1;
        }

        var weight = (count - 1.0) / count;
        Sums[step] *= weight;
        Rests[step] *= weight;
        Kahan.Add(value / count, ref Sums[step], ref Rests[step]);
    }

    void Add(int step, Histogram histogram, in SeriesIdentity series, AnnotationSite site)
    {
        MarkSeen(step, histogram);
        double count = ++_counts[step];
        if (HistogramSums[step] is not { } sum)
        {
            HistogramSums[step] = histogram.Copy();
            return;
        }

        if (!_isMean[step])
        {
            var newSum = sum.Copy();
            var newRest = HistogramRests[step]?.Copy();
            if (!TryAdd(step, newSum, histogram, ref newRest, series, site))
            {
                return;
            }

            if (!newSum.HasOverflow)
            {
                (HistogramSums[step], HistogramRests[step]) = (newSum, newRest);
                return;
            }

            _isMean[step] = true;
            sum.Div(count - 1);
            HistogramRests[step]?.Div(count - 1);
        }

        var weight = (count - 1) / count;
        HistogramRests[step]?.Mul(weight);
        sum.Mul(weight);
        TryAdd(step, sum, histogram.Copy().Div(count), ref HistogramRests[step], series, site);
    }
}
