using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Blocks;

/// <summary>Blocks of one look into a bucket, on the way through the filters.</summary>
public sealed class MetaSet(
    DateTimeOffset now, IReadOnlyDictionary<BlockId, BlockMeta> blocks, IReadOnlyDictionary<BlockId, DeletionMark> marks)
{
    readonly Dictionary<BlockId, BlockMeta> _blocks = new(blocks);
    readonly Dictionary<BlockId, (BlockMeta Meta, string Reason)> _excluded = [];

    public DateTimeOffset Now { get; } = now;

    /// <summary>Blocks that no filter has taken out so far.</summary>
    public IReadOnlyDictionary<BlockId, BlockMeta> Blocks => _blocks;

    /// <summary>Deletion marks of all blocks, whether they are still in the set or not.</summary>
    public IReadOnlyDictionary<BlockId, DeletionMark> DeletionMarks { get; } = marks;

    /// <summary>Blocks that were taken out, each with the word that says why.</summary>
    public IReadOnlyDictionary<BlockId, (BlockMeta Meta, string Reason)> Excluded => _excluded;

    /// <param name="reason">One of the states that Thanos's metric of synced blocks has: <c>time-excluded</c>, <c>duplicate</c>, ….</param>
    public void Exclude(BlockId id, string reason)
    {
        if (_blocks.Remove(id, out var meta))
        {
            _excluded[id] = (meta, reason);
        }
    }
}

/// <summary>Takes blocks out of a set.</summary>
public delegate void MetaFilter(MetaSet set);

/// <summary>The filters between what is in a bucket and what a component works on.</summary>
public static class MetaFilters
{
    /// <summary>Blocks without a sample in the range go.</summary>
    public static MetaFilter Time(TimeRange range) => set => Exclude(set, "time-excluded", meta => !meta.Range.Overlaps(range));

    /// <summary>
    /// Blocks whose external labels the rules drop go. The block's id stands in <c>__block_id</c>, so that <c>hashmod</c> can shard.
    /// </summary>
    public static MetaFilter Labels(IReadOnlyList<RelabelRule> rules)
    {
        var labels = new LabelsBuilder();
        return set => Exclude(set, "label-excluded", meta =>
            !RelabelRule.Apply(rules, labels.Reset(meta.ExternalLabels).Set("__block_id", meta.Id.ToString())));
    }

    /// <summary>Blocks whose sources are all in another block of the same stream go, replicas of a deduplicated block too.</summary>
    public static MetaFilter Duplicates() => set =>
    {
        foreach (var (block, _) in StreamKey.Superseded(set.Blocks.Values))
        {
            set.Exclude(block.Id, "duplicate");
        }
    };

    /// <summary>Blocks that were marked for deletion longer ago than the delay go.</summary>
    public static MetaFilter DeletionMarks(TimeSpan delay) => set => Exclude(set, "marked-for-deletion", meta =>
        set.DeletionMarks.TryGetValue(meta.Id, out var mark) && set.Now - mark.DeletionTime > delay);

    /// <summary>
    /// Blocks that came into the bucket less than the delay ago go, unless a compactor made them: what they are made of goes when they
    /// are seen.
    /// </summary>
    public static MetaFilter ConsistencyDelay(TimeSpan delay) => set => Exclude(set, "too-fresh", meta =>
        meta.Thanos?.Source is not ("compactor" or "compactor.repair" or "bucket.repair")
        && set.Now - (meta.Thanos?.UploadTime ?? DateTimeOffset.FromUnixTimeMilliseconds(meta.Id.Timestamp)) < delay);

    static void Exclude(MetaSet set, string reason, Func<BlockMeta, bool> excluded)
    {
        foreach (var meta in set.Blocks.Values.Where(excluded).ToList())
        {
            set.Exclude(meta.Id, reason);
        }
    }
}
