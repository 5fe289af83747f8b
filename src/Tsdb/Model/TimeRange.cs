namespace Observe.Tsdb.Model;

/// <summary>A span of time in Unix milliseconds, both ends inclusive.</summary>
public readonly record struct TimeRange(long MinTime, long MaxTime)
{
    public static TimeRange All => new(long.MinValue, long.MaxValue);

    public bool IsEmpty => MinTime > MaxTime;

    public bool Contains(long timestamp) => timestamp >= MinTime && timestamp <= MaxTime;

    public bool Overlaps(TimeRange other) => MinTime <= other.MaxTime && other.MinTime <= MaxTime;

    /// <summary>So many milliseconds longer at each end.</summary>
    public TimeRange Widened(long by) => new(
        Math.Max(MinTime, long.MinValue + by) - by,
        Math.Min(MaxTime, long.MaxValue - by) + by);

    /// <summary>The range that was widened by so much.</summary>
    public TimeRange Narrowed(long by) => new(
        MinTime == long.MinValue ? MinTime : Math.Min(MinTime, long.MaxValue - by) + by,
        MaxTime == long.MaxValue ? MaxTime : Math.Max(MaxTime, long.MinValue + by) - by);

    public TimeRange Intersect(TimeRange other) => new(Math.Max(MinTime, other.MinTime), Math.Min(MaxTime, other.MaxTime));
}
