using Microsoft.Extensions.Logging;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Gateway;

public sealed record BucketStoreOptions
{
    /// <summary>For metas and index-headers; may be deleted at any time between runs.</summary>
    public required string Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>Blocks that are served; see <see cref="MetaFilters"/>. Duplicates and deletion marks are always filtered.</summary>
    public IReadOnlyList<MetaFilter> Filters { get; init; } = [];

    /// <summary>A block is served for so long after it was marked: others need time to learn of the block that replaces it.</summary>
    public TimeSpan IgnoreDeletionMarksDelay { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Bytes of pages of index and chunk files kept in memory; <c>--index-cache-size</c>.</summary>
    public long CacheBytes { get; init; } = 250L << 20;

    /// <summary>Bytes that one query may fetch; 0 is no limit; <c>--store.grpc.downloaded-bytes-limit</c>.</summary>
    public long MaxBytesPerQuery { get; init; }

    /// <summary>Bytes that all queries under way may hold; <c>--chunk-pool-size</c>.</summary>
    public long MaxBytes { get; init; } = 2L << 30;

    /// <summary>Requests of one query at the same time.</summary>
    public int Concurrency { get; init; } = 20;
}

/// <summary>A block that a store knows of.</summary>
/// <param name="Excluded">Null when it is served; else why not: a filter's word, <c>partial</c> or <c>corrupt-meta-json</c>.</param>
/// <param name="Meta">Null for the last two.</param>
public sealed record StoredBlock(BlockId Id, BlockMeta? Meta, DeletionMark? DeletionMark, string? Excluded, string? Fault);

/// <summary>
/// Serves the blocks of a bucket, raw and downsampled: index-headers on the local disk, everything else by range reads. A series has the
/// block's external labels besides its own.
/// </summary>
public sealed class BucketStore(IBucket bucket, BucketStoreOptions options, BucketStoreMetrics metrics, ILogger logger) : IQuerier, IAsyncDisposable
{
    /// <summary>Looks into the bucket and serves what is there from then on. The host calls it on an interval; ready after the first.</summary>
    /// <exception cref="BucketException">The bucket can't be read; what was known is served on.</exception>
    public Task SyncAsync(CancellationToken cancellationToken) => throw new NotImplementedException($"{bucket} {options} {metrics} {logger}");

    /// <summary>All blocks of the last look, in order of their ids.</summary>
    public IReadOnlyList<StoredBlock> Blocks() => throw new NotImplementedException();

    /// <summary>External labels of what is served, each set once.</summary>
    public IReadOnlyList<Labels> LabelSets() => throw new NotImplementedException();

    /// <summary>The span of what is served; empty where nothing is.</summary>
    public TimeRange Range => throw new NotImplementedException();

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
