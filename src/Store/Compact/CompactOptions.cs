using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

public sealed record CompactOptions
{
    /// <summary>
    /// Where blocks lie while they are worked on, and what is known of the bucket between runs; what is left over there is deleted at the
    /// start.
    /// </summary>
    public required string Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>For the ids of new blocks.</summary>
    public required Random Random { get; init; }

    /// <summary>Where blocks are made and verified.</summary>
    public TaskScheduler Background { get; init; } = TaskScheduler.Default;

    /// <summary>Spans of blocks in milliseconds, rising: what collectors write, then what is made of it.</summary>
    public IReadOnlyList<long> LevelsMs { get; init; } = [2 * Hour, 8 * Hour, 2 * Day, 14 * Day];

    /// <summary>External labels that tell replicas apart: blocks that differ in nothing else are deduplicated into one.</summary>
    public IReadOnlyCollection<string> ReplicaLabels { get; init; } = [];

    public bool Downsampling { get; init; } = true;

    /// <summary>The span that a raw block must have to be downsampled to 5 minutes. Milliseconds.</summary>
    public long FiveMinutesAfterMs { get; init; } = 40 * Hour;

    /// <summary>The span that a block of 5 minutes must have to be downsampled to an hour. Milliseconds.</summary>
    public long OneHourAfterMs { get; init; } = 10 * Day;

    /// <summary>
    /// How long blocks of a resolution are kept after their last sample; zero: for ever. While downsampling is on, none goes before a
    /// coarser block has all that is in it.
    /// </summary>
    public TimeSpan RetentionRaw { get; init; }

    public TimeSpan RetentionFiveMinutes { get; init; }

    public TimeSpan RetentionOneHour { get; init; }

    /// <summary>How long after its upload a block is looked at first.</summary>
    public TimeSpan ConsistencyDelay { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>How long after its mark a block is deleted; readers must have left it by then.</summary>
    public TimeSpan DeleteDelay { get; init; } = TimeSpan.FromHours(48);

    /// <summary>How long nothing must have come into a folder without a meta.json before it is deleted as a broken upload.</summary>
    public TimeSpan PartialUploadDelay { get; init; } = TimeSpan.FromHours(48);

    /// <summary>Bytes of index that the blocks of one compaction may have together.</summary>
    public long MaxIndexBytes { get; init; } = 64L << 30;

    /// <summary>
    /// Why blocks of a resolution would have to go before they can be downsampled, with the flag that says so; null where they would not.
    /// </summary>
    public string? RetentionFault()
    {
        return Downsampling
            ? Fault("raw", RetentionRaw, FiveMinutesAfterMs, "5m") ?? Fault("5m", RetentionFiveMinutes, OneHourAfterMs, "1h")
            : null;

        static string? Fault(string resolution, TimeSpan kept, long spanMs, string coarser) =>
            kept > TimeSpan.Zero && kept < TimeSpan.FromMilliseconds(spanMs)
                ? $"--retention.resolution-{resolution}: {Duration.Format(kept)} is too short: blocks of {resolution} are downsampled to "
                    + $"{coarser} once they span {Duration.Format(spanMs)}; keep them at least so long, or set --downsampling.disable"
                : null;
    }

    const long Hour = 3_600_000;

    const long Day = 24 * Hour;
}
