using System.Text.Json.Serialization;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>Samples that a collector had and nobody has any more.</summary>
/// <param name="MinTime">Unix milliseconds.</param>
/// <param name="MaxTime">Inclusive.</param>
/// <param name="Why">For people.</param>
/// <param name="Since">When they were lost, Unix milliseconds.</param>
public sealed record LostRange(long MinTime, long MaxTime, string Why, long Since)
{
    /// <summary>The longest reason.</summary>
    public const int MaxWhy = 1000;

    const int Most = 1000;

    [JsonIgnore]
    public TimeRange Range => new(MinTime, MaxTime);

    /// <summary>Joins what was lost alike and follows one another or overlaps. Of many the newest are kept.</summary>
    public static IReadOnlyList<LostRange> Join(IEnumerable<LostRange> lost) =>
    [
        .. lost.GroupBy(one => one.Why)
            .SelectMany(alike => TimeSpans.Union(alike.Select(one => one.Range)).Select(range => new LostRange(
                range.MinTime, range.MaxTime, alike.Key, alike.Where(one => one.Range.Overlaps(range)).Min(one => one.Since))))
            .OrderBy(one => one.MinTime).ThenBy(one => one.Why, StringComparer.Ordinal).TakeLast(Most),
    ];
}
