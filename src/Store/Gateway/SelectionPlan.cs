using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>A block of a selection.</summary>
/// <param name="Rest">The selection less the matchers on external labels.</param>
/// <param name="Spans">What it answers for: number of the span, lower ones first.</param>
/// <param name="External">Its external labels but for <paramref name="Replica"/>.</param>
/// <param name="Replica">Those of its external labels that tell replicas apart, which its series come without.</param>
sealed record PlannedBlock(BucketBlock Block, Selection Rest, List<(int Order, TimeRange Range)> Spans, Labels External, Labels Replica)
{
    public TimeRange Hull => new(Spans.Min(s => s.Range.MinTime), Spans.Max(s => s.Range.MaxTime));
}

/// <summary>
/// Which blocks answer a selection, and for which ranges: the streams whose external labels match, each at the resolutions there are.
/// </summary>
sealed class SelectionPlan(BucketStore store, Selection selection) : IDisposable
{
    readonly HashSet<BlockId> _gone = [];
    readonly Dictionary<BlockId, BucketBlock> _held = [];

    /// <summary>The blocks of the selection as the store stands now, held until this is disposed.</summary>
    public List<PlannedBlock> Blocks()
    {
        foreach (var block in store.Unreadable)
        {
            selection.Coverage.Add(new Missing(MissingPart.Block, $"{store.Name}/{block.Id}", [], selection.Range, block.Fault!));
        }

        // A block that can't be acquired was dropped after the state was read, and the store has a new state by then: plan once more.
        List<PlannedBlock>? sources;
        while ((sources = TryPlan()) is null)
        {
        }

        return sources;
    }

    List<PlannedBlock>? TryPlan()
    {
        var streams = new List<(BlockStream Stream, Selection Selection)>();
        foreach (var stream in store.Streams)
        {
            if (selection.Answer(stream.ExternalLabels) is { } rest)
            {
                streams.Add((stream, rest));
            }
        }

        var spans = ResolutionPlan.Of(
            [.. streams.Select(s => (s.Stream.ExternalLabels, s.Stream.Blocks.Select(b => b.Meta).Where(meta => !_gone.Contains(meta.Id))))],
            selection.Hints.WindowRange,
            selection.Hints.MaxResolutionMs);
        var sources = new Dictionary<BlockId, PlannedBlock>();
        var order = 0;
        for (var i = 0; i < streams.Count; i++)
        {
            if (!TryAdd(sources, streams[i].Stream, streams[i].Selection, spans[i], ref order))
            {
                return null;
            }
        }

        return [.. sources.Values];
    }

    bool TryAdd(
        Dictionary<BlockId, PlannedBlock> sources, BlockStream stream, Selection rest, IReadOnlyList<ResolutionSpan> spans, ref int order)
    {
        var external = stream.ExternalLabels.Without(selection.Hints.ReplicaLabels);
        var replica = stream.ExternalLabels.Only(selection.Hints.ReplicaLabels);
        var blocks = stream.Blocks.ToDictionary(block => block.Meta.Id);
        foreach (var span in spans)
        {
            order++;
            var range = span.ResolutionMs > 0 ? span.Range : span.Range.Intersect(selection.Range);
            Note(stream.ExternalLabels, span);
            foreach (var meta in span.Blocks.Where(meta => meta.Range.Overlaps(range)))
            {
                if (!Hold(blocks[meta.Id]))
                {
                    return false;
                }

                if (!sources.TryGetValue(meta.Id, out var source))
                {
                    sources[meta.Id] = source = new PlannedBlock(blocks[meta.Id], rest, [], external, replica);
                }

                source.Spans.Add((order, range));
            }
        }

        return true;
    }

    void Note(Labels stream, ResolutionSpan span)
    {
        var range = span.Range.Intersect(selection.Range);
        if (span.ResolutionMs > 0 && !range.IsEmpty)
        {
            selection.Coverage.Add(
                new ServedRange(selection.Matchers, stream, range, span.ResolutionMs, selection.Hints.MaxResolutionMs));
        }
    }

    bool Hold(BucketBlock block)
    {
        if (_held.ContainsKey(block.Meta.Id))
        {
            return true;
        }

        if (!block.TryAcquire())
        {
            return false;
        }

        _held[block.Meta.Id] = block;
        return true;
    }

    /// <summary>Plans without these blocks from now on, for they are gone; returns what they were.</summary>
    public List<BlockMeta> Forget(IReadOnlyCollection<BlockId> gone)
    {
        _gone.UnionWith(gone);
        return [.. gone.Distinct().Select(id => _held[id].Meta)];
    }

    /// <summary>Releases the blocks.</summary>
    public void Dispose()
    {
        foreach (var block in _held.Values)
        {
            block.Release();
        }

        _held.Clear();
    }
}
