namespace Observe.Tsdb.Querying;

/// <summary>The time of a query is up.</summary>
public sealed class DeadlineException() : OperationCanceledException("the query's time is up");

/// <summary>The time by which a query has to end.</summary>
/// <param name="Clock">The clock that the timestamp is of.</param>
/// <param name="Timestamp">A timestamp of the clock; <see cref="long.MaxValue"/>: there is no deadline.</param>
/// <param name="Timeout">The time from the query's beginning to the deadline.</param>
/// <param name="Source">The origin of the deadline for messages: a flag, or the request.</param>
public sealed record Deadline(TimeProvider Clock, long Timestamp, TimeSpan Timeout, string Source)
{
    public static Deadline None { get; } = new(TimeProvider.System, long.MaxValue, System.Threading.Timeout.InfiniteTimeSpan, "");

    /// <summary>The deadline that is a time span from now.</summary>
    public static Deadline After(TimeSpan timeout, TimeProvider clock, string source) =>
        new(clock, clock.GetTimestamp() + (long)(timeout.TotalSeconds * clock.TimestampFrequency), timeout, source);

    public bool IsOver => Timestamp != long.MaxValue && Clock.GetTimestamp() > Timestamp;

    /// <summary>The time that is left, never negative; null where there is no deadline.</summary>
    public TimeSpan? TimeLeft
    {
        get
        {
            if (Timestamp == long.MaxValue)
            {
                return null;
            }

            var now = Clock.GetTimestamp();
            return now >= Timestamp ? TimeSpan.Zero : Clock.GetElapsedTime(now, Timestamp);
        }
    }
}
