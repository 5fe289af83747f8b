using Microsoft.Extensions.Logging;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;

namespace Observe.Store.Compact;

/// <summary>
/// Deletes blocks whose mark is old enough, and uploads that were broken off. A block that can't be deleted does not stop the others.
/// </summary>
sealed partial class BlockCleaner(BucketBlocks blocks, CompactOptions options, CompactMetrics metrics, ILogger logger)
{
    public async Task<int> CleanAsync(MetaView view, CancellationToken cancellationToken)
    {
        var deleted = 0;
        foreach (var (id, mark) in view.DeletionMarks.OrderBy(m => m.Key))
        {
            if (options.Time.GetUtcNow() - mark.DeletionTime >= options.DeleteDelay
                && await DeleteAsync(id, "deleted marked block", cancellationToken))
            {
                metrics.BlocksCleaned.Inc();
                deleted++;
            }
        }

        foreach (var id in view.Partial)
        {
            try
            {
                if (await IsBrokenOffAsync(id, cancellationToken))
                {
                    metrics.PartialUploadsDeleted.Inc();
                    deleted += await DeleteAsync(id, "deleted broken upload", cancellationToken) ? 1 : 0;
                }
            }
            catch (BucketException e)
            {
                metrics.CleanupFailures.Inc();
                LogNotDeleted(id, e.Message);
            }
        }

        return deleted;
    }

    /// <summary>
    /// Whether a folder without meta.json is no upload under way: its newest object is old, or its deletion was begun. The age of the id
    /// says nothing, since uploads may be slow or of old blocks.
    /// </summary>
    async Task<bool> IsBrokenOffAsync(BlockId id, CancellationToken cancellationToken)
    {
        var newest = DateTimeOffset.MinValue;
        var deletion = false;
        await foreach (var entry in blocks.Bucket.ListAsync($"{id}/", recursive: true, cancellationToken))
        {
            newest = entry.LastModified > newest ? entry.LastModified : newest;
            deletion |= entry.Key == BucketBlocks.Key(id, DeletionMark.FileName);
            if (entry.Key == BucketBlocks.Key(id, BlockMeta.FileName))
            {
                // The upload was completed after the bucket was listed.
                return false;
            }
        }

        return newest != DateTimeOffset.MinValue && (deletion || options.Time.GetUtcNow() - newest >= options.PartialUploadDelay);
    }

    async Task<bool> DeleteAsync(BlockId id, string what, CancellationToken cancellationToken)
    {
        try
        {
            await blocks.DeleteAsync(id, cancellationToken);
            LogDeleted(what, id);
            return true;
        }
        catch (BucketException e)
        {
            metrics.CleanupFailures.Inc();
            LogNotDeleted(id, e.Message);
            return false;
        }
    }

    [LoggerMessage(LogLevel.Information, "{What}: block={Block}")]
    partial void LogDeleted(string what, BlockId block);

    [LoggerMessage(LogLevel.Warning, "block could not be deleted, the next iteration tries again: block={Block} err={Error}")]
    partial void LogNotDeleted(BlockId block, string error);
}
