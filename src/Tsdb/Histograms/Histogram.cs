using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Histograms;

/// <summary>What a histogram's chunk knows of a counter reset before this sample.</summary>
public enum CounterResetHint : byte
{
    Unknown,
    CounterReset,
    NotCounterReset,
    Gauge,
}

/// <summary>
/// A run of buckets that have counts: the gap since the last run (for the first: the index of its first bucket), and its length.
/// </summary>
public readonly record struct BucketSpan(int Offset, uint Length)
{
    /// <summary>How many buckets spans cover.</summary>
    public static long Covered(ReadOnlySpan<BucketSpan> spans)
    {
        var covered = 0L;
        foreach (var span in spans)
        {
            covered += span.Length;
        }

        return covered;
    }
}

/// <summary>
/// A native histogram with absolute bucket counts, whether it came as integers or floats: one shape for all arithmetic.
/// Treat one that an iterator gave as immutable; <see cref="Copy"/> before changing it.
/// </summary>
/// <remarks>Integer counts are exact up to 2^53. Schemas -4..8 are exponential; -53 has custom bounds.</remarks>
public sealed partial class Histogram
{
    public const int CustomBucketsSchema = -53;
    public const int MinExponentialSchema = -4;
    public const int MaxExponentialSchema = 8;

    /// <summary>It came as integers, and is to be written as integers again.</summary>
    public bool IsInteger { get; set; }

    public CounterResetHint CounterResetHint { get; set; }

    public int Schema { get; set; }

    public double ZeroThreshold { get; set; }

    public double ZeroCount { get; set; }

    public double Count { get; set; }

    public double Sum { get; set; }

    public BucketSpan[] PositiveSpans { get; set; } = [];

    public BucketSpan[] NegativeSpans { get; set; } = [];

    /// <summary>One count for each bucket that <see cref="PositiveSpans"/> covers; absolute, not deltas.</summary>
    public double[] PositiveBuckets { get; set; } = [];

    public double[] NegativeBuckets { get; set; } = [];

    /// <summary>Upper bounds of custom buckets, rising, +Inf left out; null for exponential schemas.</summary>
    public double[]? CustomValues { get; set; }

    public bool UsesCustomBuckets => Schema == CustomBucketsSchema;

    public bool IsStale => StaleMarker.IsStale(Sum);

    public Histogram Copy() => new()
    {
        IsInteger = IsInteger,
        CounterResetHint = CounterResetHint,
        Schema = Schema,
        ZeroThreshold = ZeroThreshold,
        ZeroCount = ZeroCount,
        Count = Count,
        Sum = Sum,
        PositiveSpans = [.. PositiveSpans],
        NegativeSpans = [.. NegativeSpans],
        PositiveBuckets = [.. PositiveBuckets],
        NegativeBuckets = [.. NegativeBuckets],
        CustomValues = CustomValues,
    };
}
