using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>Chunks of one series and one resolution, and the part of time that they answer for.</summary>
/// <param name="Chunks">In order of MinTime, perhaps overlapping.</param>
readonly record struct SeriesPart(TimeRange Range, Chunk[] Chunks);

/// <summary>A series out of the chunks of all blocks that have it.</summary>
/// <param name="chunks">In order of MinTime.</param>
/// <param name="source">For messages: the blocks' bucket.</param>
sealed class BucketSeries(SeriesKey key, Chunk[] chunks, SelectHints hints, string source) : Series(key.Labels)
{
    public override Labels Replica => key.Replica;

    /// <summary>Makes a series of chunks that were fetched and go out as they are.</summary>
    /// <param name="fetched">Of each block; null where it could not be read.</param>
    public static BucketSeries Join(SeriesKey key, ReadOnlySpan<Chunk[]?> fetched, TimeRange range, SelectHints hints, string source)
    {
        var chunks = fetched.Length == 1 ? fetched[0] ?? [] : new Chunk[Count(fetched)];
        if (fetched.Length > 1)
        {
            var at = 0;
            foreach (var some in fetched)
            {
                some?.CopyTo(chunks, at);
                at += some?.Length ?? 0;
            }
        }

        chunks.AsSpan().Sort(static (a, b) => a.MinTime.CompareTo(b.MinTime));
        return new BucketSeries(key, chunks, hints, source) { Range = range };
    }

    /// <summary>Makes a series of chunks that were fetched. Where spans of its blocks overlap, the one of lower order counts.</summary>
    public static BucketSeries Assemble(
        SeriesKey key, IEnumerable<(PlannedBlock Block, Chunk[] Chunks)> fetched, SelectHints hints, string source)
    {
        var spans = new SortedDictionary<int, (TimeRange Range, List<Chunk> Chunks)>();
        foreach (var (block, chunks) in fetched)
        {
            foreach (var (order, range) in block.Spans)
            {
                var inside = chunks.Where(c => c.MinTime <= range.MaxTime && c.MaxTime >= range.MinTime).ToList();
                if (inside.Count > 0)
                {
                    if (!spans.TryGetValue(order, out var span))
                    {
                        spans[order] = span = (range, []);
                    }

                    span.Chunks.AddRange(inside);
                }
            }
        }

        var parts = new List<SeriesPart>();
        foreach (var (range, chunks) in spans.Values)
        {
            chunks.Sort((a, b) => a.MinTime.CompareTo(b.MinTime));
            parts.AddRange(Free(range, parts).Select(free => new SeriesPart(
                free, [.. chunks.Where(c => c.MinTime <= free.MaxTime && c.MaxTime >= free.MinTime)])).ToList());
        }

        parts.RemoveAll(part => part.Chunks.Length == 0);
        parts.Sort((a, b) => a.Range.MinTime.CompareTo(b.Range.MinTime));
        return parts switch
        {
            [] => new BucketSeries(key, [], hints, source),
            [var (range, chunks)] => new BucketSeries(key, chunks, hints, source) { Range = range },
            _ => new BucketSeries(key, Joined(parts, hints.Aggregate == Aggregate.Counter, source), hints, source)
            {
                Range = new TimeRange(parts[0].Range.MinTime, parts[^1].Range.MaxTime),
            },
        };
    }

    static int Count(ReadOnlySpan<Chunk[]?> fetched)
    {
        var count = 0;
        foreach (var chunks in fetched)
        {
            count += chunks?.Length ?? 0;
        }

        return count;
    }

    TimeRange Range { get; init; }

    public override ISampleIterator Samples() => new ChunkSeriesIterator(chunks, hints.Aggregate, Range, source);

    public override IEnumerable<Chunk> Chunks() => chunks;

    static Chunk[] Joined(List<SeriesPart> parts, bool areCounters, string source)
    {
        var joined = new List<Chunk>();
        for (var i = 0; i < parts.Count; i++)
        {
            var (part, chunks) = (parts[i], Cut(parts[i], i > 0, i < parts.Count - 1, source));
            if (areCounters && joined.Count > 0 && chunks.Count > 0)
            {
                if (joined[^1].Encoding == ChunkEncoding.Aggregates && parts[i - 1].Chunks[^1].MaxTime > parts[i - 1].Range.MaxTime)
                {
                    joined[^1] = CounterSeam.FitEnd(joined[^1], chunks[0], source);
                }
                else if (chunks[0].Encoding == ChunkEncoding.Aggregates && part.Chunks[0].MinTime < part.Range.MinTime)
                {
                    chunks[0] = CounterSeam.FitBeginning(chunks[0], joined[^1], source);
                }
            }

            joined.AddRange(chunks);
        }

        return [.. joined];
    }

    // Where one resolution takes over from another, a chunk of each reaches into the other's range. A chunk of which nothing lies in
    // another part's range stays as it is.
    static List<Chunk> Cut(SeriesPart part, bool hasPrevious, bool hasNext, string source)
    {
        var outside = new List<TimeRange>();
        if (hasPrevious)
        {
            outside.Add(new TimeRange(long.MinValue, part.Range.MinTime - 1));
        }

        if (hasNext)
        {
            outside.Add(new TimeRange(part.Range.MaxTime + 1, long.MaxValue));
        }

        return new DeletedSpans([.. outside]).Cut(part.Chunks, source);
    }

    // What is left of a range when the ranges of the parts before are taken out.
    static List<TimeRange> Free(TimeRange range, List<SeriesPart> taken)
    {
        var free = new List<TimeRange> { range };
        foreach (var part in taken)
        {
            free = [.. free.SelectMany(one => Cut(one, part.Range))];
        }

        return free;
    }

    static IEnumerable<TimeRange> Cut(TimeRange range, TimeRange hole)
    {
        if (!range.Overlaps(hole))
        {
            yield return range;
            yield break;
        }

        if (range.MinTime < hole.MinTime)
        {
            yield return range with { MaxTime = hole.MinTime - 1 };
        }

        if (range.MaxTime > hole.MaxTime)
        {
            yield return range with { MinTime = hole.MaxTime + 1 };
        }
    }
}
