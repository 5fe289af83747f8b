using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Gateway;

/// <summary>A span of time that is answered from blocks of one resolution.</summary>
/// <param name="Range">Both ends inclusive. Where spans of one stream overlap, the first that has a series answers for it.</param>
readonly record struct ResolutionSpan(TimeRange Range, long ResolutionMs, IReadOnlyList<BlockMeta> Blocks);

/// <summary>
/// Chooses for each part of a range which resolution of one stream answers. The coarsest that will do comes first; where it has no
/// block finer ones fill in; where none of these has any, coarser ones do. Finer blocks with samples that no coarser block was made
/// of (a collector that came late) are asked beside them.
/// </summary>
static class ResolutionPlan
{
    /// <summary>
    /// Blocks end with their last sample, so neighbours do not touch: a gap below this between blocks is none.
    /// </summary>
    const long Tolerance = 300_000;

    /// <param name="stream">Blocks with the same external labels.</param>
    /// <param name="maxResolutionMs">The coarsest resolution that will do.</param>
    /// <returns>The one that goes before others first.</returns>
    public static IReadOnlyList<ResolutionSpan> Of(IEnumerable<BlockMeta> stream, TimeRange range, long maxResolutionMs)
    {
        var byResolution = stream.Where(meta => meta.Range.Overlaps(range))
            .GroupBy(meta => meta.ResolutionMs).ToDictionary(g => g.Key, g => g.ToList());
        var order = byResolution.Keys.Where(r => r <= maxResolutionMs).OrderDescending()
            .Concat(byResolution.Keys.Where(r => r > maxResolutionMs).Order());
        var spans = new List<ResolutionSpan>();
        var late = new List<ResolutionSpan>();
        var answered = new HashSet<BlockId>();
        var open = new List<TimeRange> { range };
        foreach (var resolution in order)
        {
            // A block all of whose samples are answered at another resolution has nothing to add, whatever gaps there are.
            var blocks = byResolution[resolution].Where(meta => !Sources(meta).All(answered.Contains)).ToList();
            var left = new List<TimeRange>();
            foreach (var gap in open)
            {
                var start = gap.MinTime;
                foreach (var covered in Covered(blocks, gap, Math.Max(resolution, Tolerance)))
                {
                    spans.Add(new ResolutionSpan(covered, resolution, [.. blocks.Where(meta => meta.Range.Overlaps(covered))]));
                    if (covered.MinTime > start)
                    {
                        left.Add(new TimeRange(start, covered.MinTime - 1));
                    }

                    start = covered.MaxTime == long.MaxValue ? long.MaxValue : covered.MaxTime + 1;
                }

                if (start <= gap.MaxTime && !(start == long.MaxValue && spans.Any(s => s.Range.MaxTime == long.MaxValue)))
                {
                    left.Add(gap with { MinTime = start });
                }
            }

            if (resolution <= maxResolutionMs)
            {
                late.AddRange(blocks.Where(meta => !Sources(meta).Any(answered.Contains))
                    .Select(meta => new ResolutionSpan(meta.Range.Intersect(range), resolution, [meta])));
            }

            answered.UnionWith(blocks.SelectMany(Sources));
            open = left;
        }

        late.RemoveAll(one => spans.Any(span => span.ResolutionMs == one.ResolutionMs && span.Range.Intersect(one.Range) == one.Range));
        return [.. spans, .. late];
    }

    static IReadOnlyList<BlockId> Sources(BlockMeta meta) => meta.Compaction.Sources.Count > 0 ? meta.Compaction.Sources : [meta.Id];

    // The parts of a span that blocks cover, small gaps closed.
    static List<TimeRange> Covered(List<BlockMeta> blocks, TimeRange within, long tolerance)
    {
        var covered = new List<TimeRange>();
        foreach (var meta in blocks.OrderBy(meta => meta.MinTime))
        {
            var part = meta.Range.Intersect(within);
            if (part.IsEmpty)
            {
                continue;
            }

            if (covered.Count > 0 && part.MinTime - covered[^1].MaxTime <= tolerance)
            {
                covered[^1] = covered[^1] with { MaxTime = Math.Max(covered[^1].MaxTime, part.MaxTime) };
            }
            else
            {
                covered.Add(part);
            }
        }

        return covered;
    }
}
