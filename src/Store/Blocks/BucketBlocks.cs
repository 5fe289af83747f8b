using Observe.Store.Bucket;

namespace Observe.Store.Blocks;

/// <summary>
/// The protocol by which blocks come into and go out of a bucket. A block is there once its meta.json is: that is written last and
/// deleted first; what has none is partial.
/// </summary>
public sealed class BucketBlocks(IBucket bucket)
{
    public IBucket Bucket { get; } = bucket;

    /// <summary>
    /// Uploads chunks, then the index, reads them back (size and SHA-256), and only then writes meta.json, if there is none. Done
    /// already is no error, so a caller that was interrupted calls again.
    /// </summary>
    /// <param name="directory">A block's folder; its meta.json is rewritten with the upload's time.</param>
    /// <exception cref="BucketException">The bucket fails, or holds another block under this id.</exception>
    public Task<BlockMeta> UploadAsync(string directory, DateTimeOffset now, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Ids of all folders that are named as blocks are, partial ones among them, in order.</summary>
    public IAsyncEnumerable<BlockId> ListAsync(CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Null when there is no meta.json: the block is partial, or gone.</summary>
    /// <exception cref="Bytes.CorruptionException">meta.json is damaged, or names another block.</exception>
    public Task<BlockMeta?> MetaAsync(BlockId id, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Fetches a block into <c>parent/ULID</c>, checking sizes and hashes; a folder that is there already is replaced.</summary>
    public Task<BlockMeta> DownloadAsync(BlockId id, string parent, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>Deletes meta.json first, deletion-mark.json last.</summary>
    public Task DeleteAsync(BlockId id, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <summary>False when the block is marked already.</summary>
    public Task<bool> MarkForDeletionAsync(BlockId id, string details, DateTimeOffset now, CancellationToken cancellationToken) => throw new NotImplementedException();

    public Task<DeletionMark?> DeletionMarkAsync(BlockId id, CancellationToken cancellationToken) => throw new NotImplementedException();

    public Task<bool> MarkNoCompactAsync(BlockId id, string reason, string details, DateTimeOffset now, CancellationToken cancellationToken) => throw new NotImplementedException();

    public Task<NoCompactMark?> NoCompactMarkAsync(BlockId id, CancellationToken cancellationToken) => throw new NotImplementedException();

    public Task<bool> MarkNoDownsampleAsync(BlockId id, string reason, string details, DateTimeOffset now, CancellationToken cancellationToken) => throw new NotImplementedException();

    public Task<NoDownsampleMark?> NoDownsampleMarkAsync(BlockId id, CancellationToken cancellationToken) => throw new NotImplementedException();
}
