namespace Observe.Query.Promql.Functions;

/// <summary>What start timestamps say of two samples that follow each other. 0 is unknown.</summary>
static class StartTimes
{
    /// <summary>The counter was restarted between the two.</summary>
    public static bool IsReset(long previousStart, long previousTime, long start, long time)
    {
        // A start that is not before its own sample says nothing.
        if (start == 0 || start >= time || start < previousTime)
        {
            return false;
        }

        // A start at the previous sample: a delta, or a sum whose start is not known; the previous start tells which.
        return start > previousTime || (previousStart != 0 && previousStart < previousTime);
    }

    /// <summary>A start before the previous sample that is not the previous start either.</summary>
    public static bool Overlaps(long previousStart, long previousTime, long start) =>
        start != 0 && start < previousTime && start != previousStart;
}
