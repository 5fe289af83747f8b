using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Gateway;

/// <summary>
/// A block's tombstones, read as a whole and copied to the local disk. Most blocks have none; that too is kept there, so that the bucket is
/// asked once.
/// </summary>
static class TombstonesCopy
{
    /// <param name="path">Of the copy; where there is none, or it is damaged, it is made from the bucket.</param>
    /// <exception cref="CorruptionException">The tombstones in the bucket are damaged or too large.</exception>
    public static async Task<Tombstones> OpenAsync(IBucket bucket, BlockId id, string path, CancellationToken cancellationToken)
    {
        if (File.Exists(path))
        {
            try
            {
                return Tombstones.Parse(await File.ReadAllBytesAsync(path, cancellationToken), path);
            }
            catch (CorruptionException)
            {
                File.Delete(path);
            }
        }

        var key = BucketBlocks.Key(id, Tombstones.FileName);
        var source = $"{bucket.Name}/{key}";
        var file = Tombstones.EmptyFile.ToArray();
        try
        {
            file = await bucket.GetBytesAsync(key, Tombstones.MaxSize, cancellationToken);
        }
        catch (ObjectNotFoundException)
        {
        }
        catch (BucketException e) when (e.Failure == BucketFailure.TooLarge)
        {
            throw new CorruptionException(source, Tombstones.MaxSize, "is larger than any block's tombstones", e);
        }

        var tombstones = Tombstones.Parse(file, source);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        DurableFile.Write(path, file);
        return tombstones;
    }
}
