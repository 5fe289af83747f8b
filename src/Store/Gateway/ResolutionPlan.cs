using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Gateway;

/// <summary>A span of time that is answered from blocks of one resolution.</summary>
/// <param name="Range">Both ends inclusive. Where spans of one stream overlap, the first that has a series answers for it.</param>
readonly record struct ResolutionSpan(TimeRange Range, long ResolutionMs, IReadOnlyList<BlockMeta> Blocks);

/// <summary>
/// Chooses for each part of a range which resolution of a stream answers. The coarsest that will do comes first; where it has no
/// block finer ones fill in; where none of these has any, coarser ones do. Finer blocks with samples that no coarser block was made
/// of (a collector that came late) are asked beside them. What blocks were made of is looked up over all streams: a deduplicated block is
/// of another stream than the replicas that it was made of, and than those of its resolutions that were made before.
/// </summary>
sealed class ResolutionPlan
{
    /// <summary>
    /// Blocks end with their last sample, so neighbours do not touch: a gap below this between blocks is none.
    /// </summary>
    const long Tolerance = 300_000;

    readonly Labels _labels;
    readonly ILookup<long, BlockMeta> _byResolution;
    readonly List<ResolutionSpan> _spans = [];
    readonly List<ResolutionSpan> _late = [];
    readonly TimeRange _range;
    List<TimeRange> _open;

    ResolutionPlan(Labels labels, IEnumerable<BlockMeta> blocks, TimeRange range)
    {
        _byResolution = blocks.Where(meta => meta.Range.Overlaps(range)).ToLookup(meta => meta.ResolutionMs);
        (_labels, _range, _open) = (labels, range, [range]);
    }

    /// <summary>The spans of one stream.</summary>
    public static IReadOnlyList<ResolutionSpan> Of(IEnumerable<BlockMeta> stream, TimeRange range, long maxResolutionMs) =>
        Of([(Labels.Empty, stream)], range, maxResolutionMs)[0];

    /// <param name="streams">External labels, and the blocks that have them.</param>
    /// <param name="maxResolutionMs">The coarsest resolution that will do.</param>
    /// <returns>For each stream its spans, the one that goes before others first.</returns>
    public static IReadOnlyList<IReadOnlyList<ResolutionSpan>> Of(
        IReadOnlyList<(Labels Labels, IEnumerable<BlockMeta> Blocks)> streams, TimeRange range, long maxResolutionMs)
    {
        var plans = streams.Select(stream => new ResolutionPlan(stream.Labels, stream.Blocks, range)).ToList();
        var resolutions = plans.SelectMany(plan => plan._byResolution.Select(blocks => blocks.Key)).Distinct().ToList();
        var order = resolutions.Where(r => r <= maxResolutionMs).OrderDescending()
            .Concat(resolutions.Where(r => r > maxResolutionMs).Order());
        var answered = new AnsweredSources();
        foreach (var resolution in order)
        {
            var taken = plans.ConvertAll(plan => plan.Take(resolution, resolution <= maxResolutionMs, answered));
            for (var i = 0; resolutions.Count > 1 && i < plans.Count; i++)
            {
                answered.Add(plans[i]._labels, taken[i]);
            }
        }

        return plans.ConvertAll(plan => plan.Spans());
    }

    // Answers what is open from the blocks of a resolution.
    List<BlockMeta> Take(long resolution, bool willDo, AnsweredSources answered)
    {
        // A block all of whose samples are answered at another resolution has nothing to add, whatever gaps there are.
        var blocks = _byResolution[resolution].Where(meta => !answered.HasAll(_labels, meta)).ToList();
        var left = new List<TimeRange>();
        foreach (var gap in _open)
        {
            var start = gap.MinTime;
            foreach (var covered in Covered(blocks, gap, Math.Max(resolution, Tolerance)))
            {
                _spans.Add(new ResolutionSpan(covered, resolution, [.. blocks.Where(meta => meta.Range.Overlaps(covered))]));
                if (covered.MinTime > start)
                {
                    left.Add(new TimeRange(start, covered.MinTime - 1));
                }

                start = covered.MaxTime == long.MaxValue ? long.MaxValue : covered.MaxTime + 1;
            }

            if (start <= gap.MaxTime && !(start == long.MaxValue && _spans.Any(s => s.Range.MaxTime == long.MaxValue)))
            {
                left.Add(gap with { MinTime = start });
            }
        }

        if (willDo)
        {
            _late.AddRange(blocks.Where(meta => !answered.HasAny(_labels, meta))
                .Select(meta => new ResolutionSpan(meta.Range.Intersect(_range), resolution, [meta])));
        }

        _open = left;
        return blocks;
    }

    List<ResolutionSpan> Spans()
    {
        _late.RemoveAll(one => _spans.Any(span => span.ResolutionMs == one.ResolutionMs && span.Range.Intersect(one.Range) == one.Range));
        return [.. _spans, .. _late];
    }

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

    /// <summary>The sources of the blocks that answer at the resolutions before, and in which streams these are.</summary>
    sealed class AnsweredSources
    {
        readonly Dictionary<BlockId, List<Labels>> _streams = [];

        public void Add(Labels stream, List<BlockMeta> blocks)
        {
            foreach (var source in blocks.SelectMany(meta => meta.Sources))
            {
                if (!_streams.TryGetValue(source, out var streams))
                {
                    _streams[source] = streams = [];
                }

                streams.Add(stream);
            }
        }

        public bool HasAll(Labels stream, BlockMeta meta) => _streams.Count > 0 && meta.Sources.All(source => Has(stream, source));

        public bool HasAny(Labels stream, BlockMeta meta) => _streams.Count > 0 && meta.Sources.Any(source => Has(stream, source));

        bool Has(Labels stream, BlockId source) => _streams.TryGetValue(source, out var streams)
            && streams.Exists(other => stream.HasAll(other) || other.HasAll(stream));
    }
}
