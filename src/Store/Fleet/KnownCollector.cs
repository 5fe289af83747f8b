using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>A span of time of a collector that the bucket lacks.</summary>
/// <param name="Range">Has no end where the collector should go on, or should have.</param>
/// <param name="Why">For people.</param>
/// <param name="Since">Since when it has been lacking, Unix milliseconds.</param>
public sealed record FleetGap(TimeRange Range, string Why, long Since)
{
    /// <summary>Nobody has it, the collector neither.</summary>
    public bool IsLost { get; init; }
}

/// <summary>A collector as a reader of its bucket knows it: what the bucket lacks of its samples.</summary>
/// <param name="Labels">External labels.</param>
/// <param name="NewestSample">Unix milliseconds; null before the first sample.</param>
/// <param name="IsExpected">It should be gathering samples: it was neither stopped nor acknowledged as gone.</param>
/// <param name="Gaps">By time; none of a collector that was acknowledged as gone.</param>
public sealed record KnownCollector(
    string Cluster, string Collector, Labels Labels, long? NewestSample, bool IsExpected, IReadOnlyList<FleetGap> Gaps)
{
    /// <summary>What the cluster is by itself; "" where that is not known, and of a collector that does not live.</summary>
    public string ClusterUid { get; init; } = "";

    /// <summary>Times of which the reader has all that the collector had, in order.</summary>
    public IReadOnlyList<TimeRange> Has { get; init; } = [];

    /// <summary>
    /// Holds a status against the bucket: of what the collector had not shipped when it wrote the status, blocks that the bucket has are
    /// taken off.
    /// </summary>
    /// <param name="shipped">Times of which the bucket, looked at after the status was read, has all that the collector had, in blocks or live slices.</param>
    /// <param name="damaged">Times of which blocks in the bucket lack samples that were in damaged parts.</param>
    public static KnownCollector Of(
        CollectorStatus status, IEnumerable<TimeRange> shipped, DateTimeOffset now, IReadOnlyList<TimeRange>? damaged = null)
    {
        var labels = Labels.Of(status.Labels);
        var isExpected = !status.Stopped && status.Acknowledged is null;
        var has = TimeSpans.Union(shipped);
        if (status.Acknowledged is not null)
        {
            return new(status.Cluster, status.Collector, labels, status.NewestSample, isExpected, []) { Has = has };
        }

        var held = TimeSpans.Except(TimeSpans.Union(status.Unshipped), has);
        var notShipped = status.LastError.Length == 0 ? "not in the bucket yet" : $"not in the bucket yet: {status.LastError}";
        IEnumerable<FleetGap> lost =
        [
            .. status.Lost.SelectMany(one => TimeSpans.Except([one.Range], has)
                .Select(range => new FleetGap(range, one.Why, one.Since) { IsLost = true })),
            .. Damaged(damaged ?? [], has),
        ];
        var written = status.WrittenAt.ToUnixTimeMilliseconds();
        if (!isExpected)
        {
            return Known(held.Select(range => new FleetGap(range, notShipped, range.MinTime)));
        }

        var newest = Math.Max(
            status.NewestSample ?? status.StartedAt.ToUnixTimeMilliseconds() - 1,
            status.Unshipped.Select(range => range.MaxTime).DefaultIfEmpty(long.MinValue).Max());
        var after = TimeSpans.Except([new TimeRange(newest + 1, long.MaxValue)], has);
        return FleetStatus.IsSilent(status, now)
            ? Known([
                .. held.Select(range => new FleetGap(range, notShipped, range.MinTime)),
                .. after.Select(range => new FleetGap(range, $"silent since {GoText.Rfc3339(written)}", written)),
            ])
            : Known(TimeSpans.Union([.. held, .. after]).Select(range => new FleetGap(range, notShipped, range.MinTime)));

        KnownCollector Known(IEnumerable<FleetGap> gaps) =>
            new(status.Cluster, status.Collector, labels, status.NewestSample, isExpected,
                [.. gaps.Concat(lost).OrderBy(gap => gap.Range.MinTime)])
            {
                Has = has,
                ClusterUid = isExpected && !FleetStatus.IsSilent(status, now) ? status.ClusterUid : "",
            };
    }

    /// <summary>What was lost with damaged parts of blocks.</summary>
    /// <param name="has">Times of which the bucket has all.</param>
    internal static IEnumerable<FleetGap> Damaged(IReadOnlyList<TimeRange> damaged, IReadOnlyList<TimeRange> has) =>
        TimeSpans.Except(TimeSpans.Union(damaged), has)
            .Select(range => new FleetGap(range, "damaged parts of a block are left out of it", range.MinTime) { IsLost = true });
}
