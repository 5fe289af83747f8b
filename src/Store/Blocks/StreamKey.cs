using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Blocks;

/// <summary>
/// What the blocks of a stream have in common: the external labels but for those that tell replicas apart, and the resolution. Filters,
/// planner, retention and gateway ask here which blocks belong together, and which one has all that is in another.
/// </summary>
public readonly record struct StreamKey(Labels Labels, long ResolutionMs)
{
    public static StreamKey Of(BlockMeta meta, IReadOnlyCollection<string> replicaLabels) =>
        new(meta.ExternalLabels.Without(replicaLabels), meta.ResolutionMs);

    /// <summary>
    /// Blocks all of whose sources are in another block of their stream, each with that one: a compaction is done with them. Sources
    /// tell replicas apart where nobody says which labels do.
    /// </summary>
    public static IReadOnlyList<(BlockMeta Block, BlockMeta By)> Superseded(IEnumerable<BlockMeta> blocks)
    {
        var superseded = new List<(BlockMeta, BlockMeta)>();
        var kept = new Dictionary<(BlockId Source, long ResolutionMs), List<(BlockMeta Meta, HashSet<BlockId> Sources)>>();

        // Larger blocks first; among equals the one that lost a replica label stays, then the one that was compacted more often, then the
        // older one.
        foreach (var block in blocks.OrderByDescending(m => m.Sources.Count).ThenBy(m => m.ExternalLabels.Count)
            .ThenByDescending(m => m.Compaction.Level).ThenBy(m => m.Id))
        {
            HashSet<BlockId> sources = [.. block.Sources];
            if (kept.TryGetValue((block.Sources[0], block.ResolutionMs), out var others)
                && others.Find(k => sources.IsSubsetOf(k.Sources) && IsInStreamOf(block, k.Meta)) is { Meta: { } by })
            {
                superseded.Add((block, by));
                continue;
            }

            foreach (var source in sources)
            {
                if (!kept.TryGetValue((source, block.ResolutionMs), out others))
                {
                    kept[(source, block.ResolutionMs)] = others = [];
                }

                others.Add((block, sources));
            }
        }

        return superseded;
    }

    /// <summary>
    /// Whether another block of the same sources is of the block's stream: it has the same resolution, and no external label that the
    /// block lacks, for deduplication removes labels and adds none.
    /// </summary>
    public static bool IsInStreamOf(BlockMeta block, BlockMeta other) =>
        other.ResolutionMs == block.ResolutionMs && block.ExternalLabels.HasAll(other.ExternalLabels);

    /// <summary><c>resolution@labels</c>, for logs and as an order.</summary>
    public override string ToString() => $"{ResolutionMs}@{Labels}";
}
