using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Blocks;

/// <summary>
/// The protocol by which blocks come into and go out of a bucket. A block is there once its meta.json is: that is written last and
/// deleted first; what has none is partial.
/// </summary>
public sealed class BucketBlocks(IBucket bucket)
{
    const int HashBytes = 128 << 10;

    public IBucket Bucket { get; } = bucket;

    /// <summary>The key of a block's file.</summary>
    /// <param name="path">Relative to the block, with slashes.</param>
    public static string Key(BlockId id, string path) => $"{id}/{path}";

    /// <summary>Uploads a block with the meta.json of its folder; see the other one.</summary>
    public Task<BlockMeta> UploadAsync(string directory, DateTimeOffset now, CancellationToken cancellationToken) =>
        UploadAsync(directory, BlockMeta.Read(directory), now, cancellationToken);

    /// <summary>
    /// Uploads chunks, then the index, reads them back (size and SHA-256), and only then writes meta.json. Done already is no error, so a
    /// caller that was interrupted calls again: files that are in the bucket whole are not sent twice, and a meta.json that a write or a
    /// store has damaged is replaced where all files are this block's.
    /// </summary>
    /// <param name="directory">A block's folder, which stays as it is.</param>
    /// <param name="meta">What its meta.json says; the bucket's has all files, hashes and the upload's time besides.</param>
    /// <returns>The meta as it is in the bucket.</returns>
    /// <exception cref="BucketException">
    /// The bucket fails, gives back other bytes than it was given, or holds another block under this id.
    /// </exception>
    public async Task<BlockMeta> UploadAsync(string directory, BlockMeta meta, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var files = BlockFiles.Content(directory).Select(file => BlockFiles.Describe(directory, file)).ToList();
        var key = Key(meta.Id, BlockMeta.FileName);
        var replaced = await Bucket.AttributesAsync(key, cancellationToken);
        if (replaced is not null)
        {
            var there = await WholeMetaAsync(meta.Id, cancellationToken);
            if (there is not null && SameContent(there, files))
            {
                return there;
            }

            if (there is not null && !await HasAllAsync(meta.Id, files, cancellationToken))
            {
                throw Conflict(meta.Id);
            }
        }

        foreach (var file in files)
        {
            await UploadFileAsync(directory, meta.Id, file, cancellationToken);
        }

        meta = meta with
        {
            Thanos = (meta.Thanos ?? new ThanosSection()) with
            {
                Files = [.. files, new BlockFile(BlockMeta.FileName)],
                UploadTime = now,
            },
        };
        var json = meta.ToJson();
        var condition = replaced is null ? PutCondition.Absent : PutCondition.Match(replaced.ETag);
        if (await Bucket.PutBytesAsync(key, json, condition, cancellationToken) == PutResult.ConditionFailed)
        {
            // Somebody was faster, or an earlier attempt of this one, whose answer was lost.
            var there = await WholeMetaAsync(meta.Id, cancellationToken);
            return there is not null && SameContent(there, files) ? there : throw Changed(key);
        }

        if (!(await Bucket.GetBytesAsync(key, BlockMeta.MaxSize, cancellationToken)).AsSpan().SequenceEqual(json))
        {
            throw Changed(key);
        }

        return meta;
    }

    /// <summary>Ids of all folders that are named as blocks are, partial ones among them, in order.</summary>
    public async IAsyncEnumerable<BlockId> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var entry in Bucket.ListAsync("", recursive: false, cancellationToken))
        {
            if (entry.IsFolder && BlockId.TryParse(entry.Key[..^1], out var id))
            {
                yield return id;
            }
        }
    }

    /// <summary>
    /// The files of all folders that are named as blocks are, in order of key, each with its path within the block.
    /// </summary>
    public async IAsyncEnumerable<(BlockId Id, string Path, BucketEntry Entry)> ListFilesAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var entry in Bucket.ListAsync("", recursive: true, cancellationToken))
        {
            // An id begins with a digit of octal. What comes behind, such as live slices, may be far more than the blocks.
            if (entry.Key[0] > '7')
            {
                yield break;
            }

            if (entry.Key.Length > BlockId.TextLength && entry.Key[BlockId.TextLength] == '/'
                && BlockId.TryParse(entry.Key[..BlockId.TextLength], out var id))
            {
                yield return (id, entry.Key[(BlockId.TextLength + 1)..], entry);
            }
        }
    }

    /// <summary>Null when there is no meta.json: the block is partial, or gone.</summary>
    /// <exception cref="CorruptionException">meta.json is damaged, too large, or names another block.</exception>
    public async Task<BlockMeta?> MetaAsync(BlockId id, CancellationToken cancellationToken)
    {
        if (await ReadAsync(id, BlockMeta.FileName, cancellationToken) is not { } json)
        {
            return null;
        }

        var meta = BlockMeta.Parse(json, Name(id, BlockMeta.FileName));
        if (meta.Id != id)
        {
            CorruptionException.Throw(Name(id, BlockMeta.FileName), 0, $"names block {meta.Id}");
        }

        return meta;
    }

    /// <summary>Fetches a block into <c>parent/ULID</c>, checking sizes and hashes; a folder that is there already is replaced.</summary>
    /// <exception cref="CorruptionException">A file is not what meta.json says.</exception>
    /// <exception cref="ObjectNotFoundException">The block is not there, or lacks a file.</exception>
    public async Task<BlockMeta> DownloadAsync(BlockId id, string parent, CancellationToken cancellationToken)
    {
        var meta = await MetaAsync(id, cancellationToken) ?? throw new ObjectNotFoundException(Bucket.Name, Key(id, BlockMeta.FileName));
        var directory = Path.Combine(parent, id.ToString());
        var temporary = directory + BlockWriter.TemporarySuffix;
        foreach (var old in new[] { temporary, directory }.Where(Directory.Exists))
        {
            Directory.Delete(old, recursive: true);
        }

        Directory.CreateDirectory(Path.Combine(temporary, "chunks"));
        var known = (meta.Thanos?.Files ?? []).ToDictionary(file => file.Path);
        await foreach (var entry in Bucket.ListAsync($"{id}/", recursive: true, cancellationToken))
        {
            var path = entry.Key[(BlockId.TextLength + 1)..];
            if (path is "index" or Tombstones.FileName || (path.StartsWith("chunks/", StringComparison.Ordinal) && BlockFiles.IsPath(path)))
            {
                known.TryAdd(path, new BlockFile(path, entry.Size));
            }
        }

        foreach (var file in known.Values.Where(file => file.Path != BlockMeta.FileName))
        {
            await DownloadFileAsync(id, file, temporary, cancellationToken);
        }

        DurableFile.Write(Path.Combine(temporary, BlockMeta.FileName), meta.ToJson());
        DurableFile.Rename(temporary, directory);
        return meta;
    }

    /// <summary>Deletes meta.json first, deletion-mark.json last.</summary>
    public async Task DeleteAsync(BlockId id, CancellationToken cancellationToken)
    {
        await Bucket.DeleteAsync(Key(id, BlockMeta.FileName), cancellationToken);
        var mark = Key(id, DeletionMark.FileName);
        var keys = new List<string>();
        await foreach (var entry in Bucket.ListAsync($"{id}/", recursive: true, cancellationToken))
        {
            keys.Add(entry.Key);
        }

        foreach (var key in keys.Where(key => key != mark))
        {
            await Bucket.DeleteAsync(key, cancellationToken);
        }

        await Bucket.DeleteAsync(mark, cancellationToken);
    }

    /// <summary>False when the block is marked already.</summary>
    public Task<bool> MarkForDeletionAsync(BlockId id, string details, DateTimeOffset now, CancellationToken cancellationToken) =>
        MarkAsync(id, DeletionMark.FileName, new DeletionMark(id, now.ToUnixTimeSeconds(), details), cancellationToken);

    public Task<DeletionMark?> DeletionMarkAsync(BlockId id, CancellationToken cancellationToken) =>
        MarkOfAsync<DeletionMark>(id, DeletionMark.FileName, cancellationToken);

    /// <summary>False when the block is marked already.</summary>
    /// <param name="reason">See <see cref="NoCompactMark"/>.</param>
    public Task<bool> MarkNoCompactAsync(
        BlockId id, string reason, string details, DateTimeOffset now, CancellationToken cancellationToken) =>
        MarkAsync(id, NoCompactMark.FileName, new NoCompactMark(id, now.ToUnixTimeSeconds(), reason, details), cancellationToken);

    public Task<NoCompactMark?> NoCompactMarkAsync(BlockId id, CancellationToken cancellationToken) =>
        MarkOfAsync<NoCompactMark>(id, NoCompactMark.FileName, cancellationToken);

    /// <summary>False when the block is marked already.</summary>
    public Task<bool> MarkNoDownsampleAsync(
        BlockId id, string reason, string details, DateTimeOffset now, CancellationToken cancellationToken) =>
        MarkAsync(id, NoDownsampleMark.FileName, new NoDownsampleMark(id, now.ToUnixTimeSeconds(), reason, details), cancellationToken);

    public Task<NoDownsampleMark?> NoDownsampleMarkAsync(BlockId id, CancellationToken cancellationToken) =>
        MarkOfAsync<NoDownsampleMark>(id, NoDownsampleMark.FileName, cancellationToken);

    static bool SameContent(BlockMeta there, List<BlockFile> files) =>
        there.Thanos?.Files is { } known
            && files.All(file => known.Any(k => k.Path == file.Path && k.Size == file.Size && k.Hash == file.Hash));

    BucketException Conflict(BlockId id) => new($"{Bucket.Name}: there is another block {id} already; this one is not uploaded")
    {
        Failure = BucketFailure.Changed,
    };

    BucketException Changed(string key) => new($"{Bucket.Name}: {key} reads back as other bytes than were written")
    {
        Failure = BucketFailure.Damaged,
    };

    /// <summary>Null when there is no meta.json, or one that can't be read.</summary>
    async Task<BlockMeta?> WholeMetaAsync(BlockId id, CancellationToken cancellationToken)
    {
        try
        {
            return await MetaAsync(id, cancellationToken);
        }
        catch (CorruptionException)
        {
            return null;
        }
    }

    async Task<bool> HasAllAsync(BlockId id, List<BlockFile> files, CancellationToken cancellationToken)
    {
        foreach (var file in files)
        {
            if (!await HasAsync(id, file, cancellationToken))
            {
                return false;
            }
        }

        return true;
    }

    async Task<bool> HasAsync(BlockId id, BlockFile file, CancellationToken cancellationToken) =>
        (await Bucket.AttributesAsync(Key(id, file.Path), cancellationToken))?.Size == file.Size
            && await HashAsync(Key(id, file.Path), cancellationToken) == file.Hash!.Value;

    string Name(BlockId id, string path) => $"{Bucket.Name}/{Key(id, path)}";

    async Task UploadFileAsync(string directory, BlockId id, BlockFile file, CancellationToken cancellationToken)
    {
        var key = Key(id, file.Path);
        if (await HasAsync(id, file, cancellationToken))
        {
            return;
        }

        await using (var content = File.OpenRead(Path.Combine(directory, file.Path)))
        {
            await Bucket.PutAsync(key, content, PutCondition.None, cancellationToken);
        }

        if (await HashAsync(key, cancellationToken) != file.Hash!.Value)
        {
            throw Changed(key);
        }
    }

    Task<string> HashAsync(string key, CancellationToken cancellationToken) => Bucket.ReadAsync(
        key,
        async content =>
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[HashBytes];
            int read;

            // Not SHA256.HashDataAsync: that computes on the thread pool, whoever asks.
            while ((read = await content.ReadAsync(buffer, cancellationToken)) > 0)
            {
                hash.AppendData(buffer, 0, read);
            }

            return Convert.ToHexStringLower(hash.GetHashAndReset());
        },
        cancellationToken);

    async Task DownloadFileAsync(BlockId id, BlockFile file, string directory, CancellationToken cancellationToken)
    {
        var path = Path.Combine(directory, file.Path);
        await Bucket.ReadAsync(
            Key(id, file.Path),
            async content =>
            {
                await using var local = File.Create(path);
                await content.CopyToAsync(local, cancellationToken);
                DurableFile.Sync(local.SafeFileHandle, path);
                return true;
            },
            cancellationToken);
        var found = BlockFiles.Describe(directory, file.Path);
        if (found.Size != file.Size || (file.Hash is { Function: BlockFiles.Sha256 } hash && found.Hash!.Value != hash.Value))
        {
            CorruptionException.Throw(Name(id, file.Path), 0, "its size or SHA-256 is not what meta.json says");
        }
    }

    async Task<bool> MarkAsync<TMark>(BlockId id, string file, TMark mark, CancellationToken cancellationToken) =>
        await Bucket.PutBytesAsync(Key(id, file), MarkerJson.Write(mark), PutCondition.Absent, cancellationToken) == PutResult.Written;

    async Task<TMark?> MarkOfAsync<TMark>(BlockId id, string file, CancellationToken cancellationToken)
        where TMark : class, IBlockMark =>
        await ReadAsync(id, file, cancellationToken) is { } json ? MarkerJson.Parse<TMark>(json, id, Name(id, file)) : null;

    async Task<byte[]?> ReadAsync(BlockId id, string file, CancellationToken cancellationToken)
    {
        try
        {
            return await Bucket.GetBytesAsync(Key(id, file), BlockMeta.MaxSize, cancellationToken);
        }
        catch (ObjectNotFoundException)
        {
            return null;
        }
        catch (BucketException e) when (e.Failure == BucketFailure.TooLarge)
        {
            throw new CorruptionException(Name(id, file), BlockMeta.MaxSize, "is larger than any of its kind", e);
        }
    }
}
