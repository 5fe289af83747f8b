namespace Observe.Query.Promql.Functions;

/// <summary>Comparisons of the start timestamps of two samples that follow each other. 0 is an unknown start.</summary>
static class StartTimes
{
    /// <summary>Whether the counter was restarted between the two samples.</summary>
    public static bool IsReset(long previousStart, long previousTime, long start, long time)
    {
        // A start that is not before its own sample is invalid, and no sign of a reset.
        if (start == 0 || start >= time || start < previousTime)
        {
            return false;
        }

        // A start at the previous sample's time is that of a delta, or stands for an unknown start; the previous sample's start tells
        // which.
        return start > previousTime || (previousStart != 0 && previousStart < previousTime);
    }

    /// <summary>Whether the start lies before the previous sample and is not that sample's start.</summary>
    public static bool Overlaps(long previousStart, long previousTime, long start) =>
        start != 0 && start < previousTime && start != previousStart;
}
