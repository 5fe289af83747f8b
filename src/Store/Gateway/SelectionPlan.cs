using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
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

    /// <summary>
    /// The spans of its stream, where it answers for one span that no other one of the stream overlaps; else null.
    /// </summary>
    public StreamSpans? Stream { get; set; }

    /// <summary>
    /// The range that a series is read in, of which these blocks have chunks, where the chunks of each lie in its own span as far as they
    /// lie in the range at all: then they can follow one another as they are. Else null.
    /// </summary>
    public static TimeRange? RangeOf(IReadOnlyList<PlannedBlock> sources, ReadOnlySpan<BlockMember> members)
    {
        var first = sources[members[0].Source];
        if (first.Stream is not { Range: var range } stream)
        {
            return null;
        }

        foreach (ref readonly var member in members)
        {
            var source = sources[member.Source];
            if (source.Stream != stream || !source.HasAllOf(member.Chunks.Span, range))
            {
                return null;
            }
        }

        return range;
    }

    bool HasAllOf(ReadOnlySpan<ChunkMeta> chunks, TimeRange range)
    {
        var own = Spans[0].Range;
        if (own == range)
        {
            return true;
        }

        foreach (ref readonly var chunk in chunks)
        {
            var inside = new TimeRange(chunk.MinTime, chunk.MaxTime).Intersect(range);
            if (!inside.IsEmpty && inside.Intersect(own) != inside)
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>The spans for which a stream answers.</summary>
sealed class StreamSpans(IReadOnlyList<(int Order, TimeRange Range)> spans)
{
    /// <summary>From the first to the last.</summary>
    public TimeRange Range { get; } = new(spans.Min(span => span.Range.MinTime), spans.Max(span => span.Range.MaxTime));

    public bool IsAlone(int order, TimeRange range) => spans.All(span => span.Order == order || !span.Range.Overlaps(range));
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
        var ranges = new List<(int Order, TimeRange Range)>();
        foreach (var span in spans)
        {
            order++;
            var range = span.ResolutionMs > 0 ? span.Range : span.Range.Intersect(selection.Range);
            if (!range.IsEmpty)
            {
                ranges.Add((order, range));
            }

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

        var ofStream = ranges.Count > 0 ? new StreamSpans(ranges) : null;
        foreach (var source in blocks.Keys.Select(sources.GetValueOrDefault).OfType<PlannedBlock>())
        {
            source.Stream = source.Spans is [var (number, own)] && ofStream!.IsAlone(number, own) ? ofStream : null;
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
