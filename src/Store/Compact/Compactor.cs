using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

/// <summary>A block that can't be worked with, for a reason that no retry mends.</summary>
sealed class DamagedBlockException(BlockId id, string fault, Exception? inner = null)
    : IOException($"block {id} is damaged: {fault}", inner)
{
    public BlockId Id { get; } = id;

    public string Fault { get; } = fault;
}

/// <summary>
/// Makes one block of several, or a coarser block of one, and puts it into the bucket: download, merge, verify the result, upload
/// (meta.json last). Wherever it stops, the blocks that it read are as they were; the caller marks them for deletion once it has returned.
/// </summary>
sealed class Compactor(BucketBlocks blocks, CompactOptions options)
{
    readonly string _work = Path.Combine(options.Directory, "compact");

    /// <summary>Deletes what an earlier run left behind.</summary>
    public void Clean()
    {
        if (Directory.Exists(_work))
        {
            Directory.Delete(_work, recursive: true);
        }
    }

    /// <summary>The new block as it is in the bucket; null when the sources hold nothing that is not deleted.</summary>
    /// <exception cref="DamagedBlockException">A source is damaged.</exception>
    public Task<BlockMeta?> CompactAsync(IReadOnlyList<BlockMeta> plan, CancellationToken cancellationToken) =>
        MakeAsync(plan, (sources, parent) =>
        {
            using var writer = BlockWriter.Create(parent, NewId());
            var merge = new BlockMerge([.. sources.Zip(plan, (block, meta) => (block, Replica(meta)))]);
            foreach (var (labels, chunks) in merge.Series(cancellationToken))
            {
                writer.Add(labels, chunks);
            }

            return writer.Finish(Result(plan));
        }, cancellationToken);

    /// <summary>The downsampled block as it is in the bucket; null when the source holds nothing but staleness markers.</summary>
    /// <exception cref="DamagedBlockException">The source is damaged.</exception>
    public Task<BlockMeta?> DownsampleAsync(BlockMeta source, long resolutionMs, CancellationToken cancellationToken) =>
        MakeAsync([source], (sources, parent) =>
            Downsampler.Run(sources[0], parent, NewId(), resolutionMs, cancellationToken), cancellationToken);

    async Task<BlockMeta?> MakeAsync(
        IReadOnlyList<BlockMeta> plan, Func<IReadOnlyList<Block>, string, BlockMeta?> make, CancellationToken cancellationToken)
    {
        var folder = Path.Combine(_work, NewId().ToString());
        var parent = Path.Combine(folder, "new");
        Directory.CreateDirectory(folder);
        var sources = new List<Block>();
        try
        {
            foreach (var meta in plan)
            {
                sources.Add(await OpenAsync(meta, folder, cancellationToken));
            }

            if (Make(sources, () => make(sources, parent), parent, cancellationToken) is not { } made)
            {
                return null;
            }

            return await blocks.UploadAsync(Path.Combine(parent, made.Id.ToString()), options.Time.GetUtcNow(), cancellationToken);
        }
        finally
        {
            sources.ForEach(s => s.Dispose());
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>
    /// Makes a block and verifies it. Where that fails, the sources are verified too, to find out whether one of them is damaged.
    /// </summary>
    static BlockMeta? Make(IReadOnlyList<Block> sources, Func<BlockMeta?> make, string parent, CancellationToken cancellationToken)
    {
        try
        {
            if (make() is not { } made)
            {
                return null;
            }

            var faults = BlockVerifier.Verify(Path.Combine(parent, made.Id.ToString()), decode: false, cancellationToken);
            return faults.Count == 0
                ? made
                : throw new InvalidDataException(
                $"the block that was made is not sound and is not uploaded: {string.Join("; ", faults.Take(5))}");
        }
        catch (Exception e) when (e is CorruptionException or ArgumentException or InvalidDataException)
        {
            foreach (var source in sources)
            {
                if (BlockVerifier.Verify(source.Directory, decode: true, cancellationToken) is { Count: > 0 } faults)
                {
                    throw new DamagedBlockException(source.Meta.Id, faults[0], e);
                }
            }

            throw;
        }
    }

    async Task<Block> OpenAsync(BlockMeta meta, string folder, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await blocks.DownloadAsync(meta.Id, folder, cancellationToken);
                return Block.Open(Path.Combine(folder, meta.Id.ToString()));
            }
            catch (CorruptionException) when (attempt == 1)
            {
                // It may have been damaged on its way here.
            }
            catch (CorruptionException e)
            {
                throw new DamagedBlockException(meta.Id, e.Message, e);
            }
            catch (Exception e) when (e is ObjectNotFoundException or FileNotFoundException)
            {
                // Unless the whole block was deleted meanwhile, it lacks a file.
                if (await blocks.MetaAsync(meta.Id, cancellationToken) is null)
                {
                    throw;
                }

                throw new DamagedBlockException(meta.Id, e.Message, e);
            }
        }
    }

    BlockMeta Result(IReadOnlyList<BlockMeta> plan) => new()
    {
        Id = default,
        MinTime = plan.Min(m => m.MinTime),
        MaxTime = plan.Max(m => m.MaxTime),
        Compaction = new BlockCompaction
        {
            Level = plan.Max(m => m.Compaction.Level) + 1,
            Sources = [.. plan.SelectMany(m => m.Sources).Distinct().Order()],
            Parents = [.. plan.Select(m => new BlockParent(m.Id, m.MinTime, m.MaxTime))],
        },
        Thanos = new ThanosSection
        {
            Labels = new SortedDictionary<string, string>(
                StreamKey.Of(plan[0], options.ReplicaLabels).Labels.ToDictionary(), StringComparer.Ordinal),
            Downsample = new DownsampleSection { ResolutionMs = plan[0].ResolutionMs },
            Source = "compactor",
            Extensions = BlockOrigin.Joined(plan),
        },
    };

    /// <summary>What tells a block's replica apart: the replica labels among its external labels.</summary>
    Labels Replica(BlockMeta meta) => meta.ExternalLabels.Only(options.ReplicaLabels);

    BlockId NewId() => BlockId.New(options.Time.GetUtcNow(), options.Random);
}
