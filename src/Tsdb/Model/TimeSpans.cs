namespace Observe.Tsdb.Model;

/// <summary>Sets of times, each a list of ranges in order that neither overlap nor touch.</summary>
public static class TimeSpans
{
    /// <summary>Times that are in one of the ranges, which may be in any order and overlap.</summary>
    public static IReadOnlyList<TimeRange> Union(IEnumerable<TimeRange> ranges)
    {
        var joined = new List<TimeRange>();
        foreach (var range in ranges.Where(r => !r.IsEmpty).OrderBy(r => r.MinTime))
        {
            if (joined.Count > 0 && (joined[^1].MaxTime == long.MaxValue || range.MinTime <= joined[^1].MaxTime + 1))
            {
                joined[^1] = joined[^1] with { MaxTime = Math.Max(joined[^1].MaxTime, range.MaxTime) };
            }
            else
            {
                joined.Add(range);
            }
        }

        return joined;
    }

    public static IReadOnlyList<TimeRange> Except(IReadOnlyList<TimeRange> times, IEnumerable<TimeRange> without)
    {
        var left = times;
        foreach (var hole in without.Where(r => !r.IsEmpty))
        {
            if (left.Any(range => range.Overlaps(hole)))
            {
                left = [.. left.SelectMany(range => Except(range, hole))];
            }
        }

        return left;
    }

    public static IReadOnlyList<TimeRange> Intersect(IReadOnlyList<TimeRange> times, IReadOnlyList<TimeRange> others) =>
        [.. times.SelectMany(range => others.Select(range.Intersect)).Where(range => !range.IsEmpty)];

    static IEnumerable<TimeRange> Except(TimeRange range, TimeRange hole)
    {
        if (!range.Overlaps(hole))
        {
            yield return range;
            yield break;
        }

        if (range.MinTime < hole.MinTime)
        {
            yield return range with { MaxTime = hole.MinTime - 1 };
        }

        if (range.MaxTime > hole.MaxTime)
        {
            yield return range with { MinTime = hole.MaxTime + 1 };
        }
    }
}
