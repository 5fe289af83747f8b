namespace Observe.Tsdb.Querying;

/// <summary>The time of a query is up.</summary>
public sealed class DeadlineException() : OperationCanceledException("the query's time is up");

/// <summary>The last moment of a query.</summary>
/// <param name="Clock">Whose timestamps count.</param>
/// <param name="Timestamp">Of the clock; <see cref="long.MaxValue"/>: there is none.</param>
/// <param name="Timeout">How long after the query's begin that is.</param>
/// <param name="Source">Who wanted it so, for messages: a flag, or the request.</param>
public sealed record Deadline(TimeProvider Clock, long Timestamp, TimeSpan Timeout, string Source)
{
    public static Deadline None { get; } = new(TimeProvider.System, long.MaxValue, System.Threading.Timeout.InfiniteTimeSpan, "");

    /// <summary>From now on.</summary>
    public static Deadline After(TimeSpan timeout, TimeProvider clock, string source) =>
        new(clock, clock.GetTimestamp() + (long)(timeout.TotalSeconds * clock.TimestampFrequency), timeout, source);

    public bool IsOver => Timestamp != long.MaxValue && Clock.GetTimestamp() > Timestamp;

    /// <summary>Never negative; null where there is no deadline.</summary>
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
