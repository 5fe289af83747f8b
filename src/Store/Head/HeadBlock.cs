using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Model;
using Observe.Store.Querying;
using Prometheus;

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

    /// <summary>The size at which the log starts its next segment. Bytes.</summary>
    public int WalSegmentBytes { get; init; } = 128 << 20;

    /// <summary>Where the head's metrics go; null: nowhere.</summary>
    public CollectorRegistry? Metrics { get; init; }

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>
    /// Called with the folder of each block that <see cref="HeadBlock.CutAsync"/> has put in place, before its samples leave the head:
    /// whoever reads blocks and head together opens the block here and misses nothing.
    /// </summary>
    public Func<string, CancellationToken, ValueTask>? BlockCut { get; init; }
}

/// <summary>The newest samples, in memory and in the write-ahead log; cut into blocks as they age.</summary>
public sealed class HeadBlock : IQuerier, IAsyncDisposable
{
    /// <summary>Opens the folder and replays its log; a damaged record is skipped, counted and named, never fatal.</summary>
    /// <exception cref="IOException">Another process has the folder open, or it can't be written.</exception>
    public static Task<HeadBlock> OpenAsync(HeadOptions options, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Oldest and newest sample, Unix milliseconds; empty while there is none.</summary>
    public TimeRange Range => throw new NotImplementedException();

    /// <summary>Samples before it are OutOfBounds: they are in a block already, or too far behind the newest sample. Unix milliseconds.</summary>
    public long MinValidTime => throw new NotImplementedException();

    public long SeriesCount => throw new NotImplementedException();

    public HeadAppender Appender() => throw new NotImplementedException();

    /// <summary>Completes once everything up to a commit's position is on the disk: then it is acknowledged.</summary>
    /// <exception cref="IOException">The disk refused; whether it is there after a crash is not known.</exception>
    public ValueTask DurableAsync(long position, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>
    /// Cuts each whole range that is due (the head spans more than 1.5 ranges) into a block, drops its samples from memory and log,
    /// and returns the folders of the new blocks, oldest first. With <paramref name="force"/> all samples are cut, the last range
    /// as far as it goes: what a graceful stop does once nobody appends any more. One call at a time; others wait.
    /// </summary>
    /// <exception cref="IOException">A block could not be written; its samples stay in head and log, and a later call tries again.</exception>
    public Task<IReadOnlyList<string>> CutAsync(bool force, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>What <c>/api/v1/status/tsdb</c> shows: the largest <paramref name="limit"/> of each kind.</summary>
    public HeadStats Stats(int limit = 10) => throw new NotImplementedException();

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    /// <summary>Syncs and closes the log; samples stay in it for the next start.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
