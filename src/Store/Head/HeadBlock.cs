using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Head;

public sealed record HeadOptions
{
    /// <summary>The collector's data folder: <c>wal/</c> and the blocks that were cut lie in it.</summary>
    public required string Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>The span of a block, and the grid that blocks are cut on. Milliseconds.</summary>
    public long BlockRangeMs { get; init; } = 2 * 3_600_000;

    /// <summary>How long a record may wait for its fsync: the group commit's interval. Zero: each commit is synced before it returns.</summary>
    public TimeSpan WalSyncInterval { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>The newest samples, in memory and in the write-ahead log; cut into blocks as they age.</summary>
public sealed class HeadBlock : IQuerier, IAsyncDisposable
{
    /// <summary>Opens the folder and replays its log; a damaged record is skipped, counted and named, never fatal.</summary>
    public static Task<HeadBlock> OpenAsync(HeadOptions options, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Oldest and newest sample, Unix milliseconds; empty while there is none.</summary>
    public TimeRange Range => throw new NotImplementedException();

    public long SeriesCount => throw new NotImplementedException();

    public HeadAppender Appender() => throw new NotImplementedException();

    /// <summary>Completes once everything up to a commit's position is on the disk: then it is acknowledged.</summary>
    public ValueTask DurableAsync(long position, CancellationToken cancellationToken) => throw new NotImplementedException();

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
