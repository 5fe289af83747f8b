using Observe.Store.Blocks;
using Observe.Tsdb.Blocks;

namespace Observe.Store.Compact;

/// <summary>
/// Decides what to compact: pure functions of metas. The rules are Prometheus's for levels, save that blocks that overlap are always
/// merged first, the newest among them, since the collectors of a cluster and the replicas of a pair write such blocks.
/// </summary>
static class Planner
{
    /// <summary>The streams that are compacted each on its own.</summary>
    public static IReadOnlyDictionary<StreamKey, IReadOnlyList<BlockMeta>> Groups(
        IEnumerable<BlockMeta> blocks, IReadOnlyCollection<string> replicaLabels) => blocks
        .GroupBy(meta => StreamKey.Of(meta, replicaLabels))
        .ToDictionary(
            group => group.Key,
            group => (IReadOnlyList<BlockMeta>)[.. group.OrderBy(m => m.MinTime).ThenBy(m => m.MaxTime).ThenBy(m => m.Id)]);

    /// <summary>The blocks of a group to be made one next; empty when there is nothing to do.</summary>
    /// <param name="group">Sorted by MinTime.</param>
    /// <param name="levels">Spans of blocks in milliseconds, rising; the first is what collectors write.</param>
    /// <param name="leftAlone">Blocks marked as not to be compacted.</param>
    public static IReadOnlyList<BlockMeta> Next(IReadOnlyList<BlockMeta> group, IReadOnlyList<long> levels, IReadOnlySet<BlockId> leftAlone)
    {
        var free = group.Where(m => !leftAlone.Contains(m.Id)).ToList();
        var overlapping = Overlapping(free, levels[^1]);
        if (overlapping.Count > 0)
        {
            return overlapping;
        }

        // The newest block is left out, since more blocks may come for its range.
        var adjacent = Adjacent([.. group.SkipLast(1)], levels, leftAlone);
        return adjacent.Count > 0 ? adjacent : Deleted([.. free.Where(m => m.Id != group[^1].Id)], levels);
    }

    /// <summary>The block with the largest index, where the indexes of a plan are too large together; else null.</summary>
    public static BlockMeta? Oversized(IReadOnlyList<BlockMeta> plan, long maxIndexBytes)
    {
        static long Index(BlockMeta meta) => meta.Thanos?.Files?.FirstOrDefault(f => f.Path == "index")?.Size ?? 0;
        return plan.Sum(Index) > maxIndexBytes ? plan.MaxBy(Index) : null;
    }

    /// <summary>The first run of blocks that overlap one another, as far as the result stays within the longest span.</summary>
    static List<BlockMeta> Overlapping(List<BlockMeta> blocks, long longest)
    {
        for (var first = 0; first + 1 < blocks.Count; first++)
        {
            var end = first + 1;
            var maxTime = blocks[first].MaxTime;
            while (end < blocks.Count && blocks[end].MinTime < maxTime
                && (end == first + 1 || Math.Max(maxTime, blocks[end].MaxTime) - blocks[first].MinTime <= longest))
            {
                maxTime = Math.Max(maxTime, blocks[end++].MaxTime);
            }

            if (end - first > 1)
            {
                return blocks[first..end];
            }
        }

        return [];
    }

    static List<BlockMeta> Adjacent(List<BlockMeta> blocks, IReadOnlyList<long> levels, IReadOnlySet<BlockId> leftAlone)
    {
        if (blocks.Count == 0)
        {
            return [];
        }

        var newest = blocks[^1].MinTime;
        foreach (var span in levels.Skip(1))
        {
            foreach (var window in Windows(blocks, span))
            {
                // Complete, or so old that nothing more will come into it.
                var complete = window[^1].MaxTime - window[0].MinTime == span || window[^1].MaxTime <= newest;
                if (window.Count < 2 || !complete || window.Any(m => m.Compaction.Failed))
                {
                    continue;
                }

                if (Runs(window, leftAlone).FirstOrDefault(run => run.Count > 1) is { } run)
                {
                    return run;
                }
            }
        }

        return [];
    }

    /// <summary>Blocks that lie as a whole in one window of the grid, window by window.</summary>
    static IEnumerable<List<BlockMeta>> Windows(List<BlockMeta> blocks, long span) => blocks
        .Select(meta => (Meta: meta, Start: Floor(meta.MinTime, span)))
        .Where(b => b.Meta.MaxTime <= b.Start + span)
        .GroupBy(b => b.Start)
        .OrderBy(window => window.Key)
        .Select(window => window.Select(b => b.Meta).ToList());

    static long Floor(long time, long span) => time - (((time % span) + span) % span);

    /// <summary>The blocks between those that are left alone, since no compacted block may span a block that is not in it.</summary>
    static IEnumerable<List<BlockMeta>> Runs(List<BlockMeta> window, IReadOnlySet<BlockId> leftAlone)
    {
        var run = new List<BlockMeta>();
        foreach (var meta in window)
        {
            if (!leftAlone.Contains(meta.Id))
            {
                run.Add(meta);
                continue;
            }

            yield return run;
            run = [];
        }

        yield return run;
    }

    /// <summary>A large block with more tombstones than a twentieth of its series.</summary>
    static IReadOnlyList<BlockMeta> Deleted(IReadOnlyList<BlockMeta> blocks, IReadOnlyList<long> levels)
    {
        var block = blocks.LastOrDefault(m =>
            m.MaxTime - m.MinTime >= levels[levels.Count / 2] && m.Stats.Tombstones > 0.05 * (m.Stats.Series + 1));
        return block is null ? [] : [block];
    }
}
