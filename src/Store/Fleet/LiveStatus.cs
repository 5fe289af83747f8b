namespace Observe.Store.Fleet;

/// <summary>What of a collector's live slices is in the bucket.</summary>
/// <remarks>Format: docs/format/fleet.md.</remarks>
public sealed record LiveStatus
{
    /// <summary>How often a slice is written, milliseconds.</summary>
    public required long IntervalMs { get; init; }

    /// <summary>Names the collector's data folder.</summary>
    public required string Data { get; init; }

    /// <summary>Windows whose slices are in the bucket, oldest first.</summary>
    public IReadOnlyList<LiveWindow> Windows { get; init => field = value ?? field; } = [];
}

/// <summary>A run of numbered slices.</summary>
/// <param name="Name">Of its folder.</param>
/// <param name="Last">The newest number.</param>
/// <param name="Until">All that was committed before this is in the slices, Unix milliseconds.</param>
/// <param name="MinTime">Of the samples, Unix milliseconds.</param>
/// <param name="MaxTime">Inclusive; less than MinTime where there are no samples.</param>
/// <param name="Data">
/// The data folder that the samples were in: of one that is gone, no block will be made but from the slices.
/// </param>
public sealed record LiveWindow(string Name, int Last, long Until, long MinTime, long MaxTime, string Data)
{
    /// <summary>When blocks in the bucket were found to have all of its samples; null before.</summary>
    public DateTimeOffset? Shipped { get; init; }
}
