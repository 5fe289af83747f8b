using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>Chunks of one series and one resolution, and the part of time that they answer for.</summary>
/// <param name="Chunks">In order of MinTime, perhaps overlapping.</param>
readonly record struct SeriesPart(TimeRange Range, Chunk[] Chunks);

/// <summary>A series out of the chunks of all blocks that have it.</summary>
/// <param name="parts">In order of time, not overlapping.</param>
/// <param name="source">For messages: the blocks' bucket.</param>
sealed class BucketSeries(SeriesKey key, SeriesPart[] parts, SelectHints hints, string source) : Series(key.Labels)
{
    public override Labels Replica => key.Replica;

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
                        spans[order] = span = (range.Intersect(hints.Range), []);
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

        parts.Sort((a, b) => a.Range.MinTime.CompareTo(b.Range.MinTime));
        return new BucketSeries(key, [.. parts.Where(part => part.Chunks.Length > 0)], hints, source);
    }

    public override ISampleIterator Samples()
    {
        if (parts.Length == 1)
        {
            return new ChunkSeriesIterator(parts[0].Chunks, hints.Aggregate, parts[0].Range, source);
        }

        if (parts.Length > 1 && hints.Aggregate == Aggregate.Counter)
        {
            // A counter's value depends on the resets in all chunks before, so that one iterator has to read all of them.
            var all = new TimeRange(parts[0].Range.MinTime, parts[^1].Range.MaxTime);
            return new ChunkSeriesIterator(parts.SelectMany(part => part.Chunks).ToArray(), hints.Aggregate, all, source);
        }

        return new PartsIterator(parts, hints.Aggregate, source);
    }

    public override IEnumerable<Chunk>? Chunks() => parts.Length switch
    {
        0 => [],
        1 => parts[0].Chunks,
        // Chunks of two resolutions overlap where one takes over from the other.
        _ => null,
    };

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

    sealed class PartsIterator(SeriesPart[] parts, Aggregate aggregate, string source) : ISampleIterator
    {
        ChunkSeriesIterator? _current;
        int _next;
        long _seek = long.MinValue;

        public bool Read(SampleBatch batch)
        {
            while (true)
            {
                if (_current?.Read(batch) == true)
                {
                    return true;
                }

                _current?.Dispose();
                _current = null;
                if (_next == parts.Length)
                {
                    return false;
                }

                var part = parts[_next++];
                _current = new ChunkSeriesIterator(part.Chunks, aggregate, part.Range, source);
                _current.Seek(_seek);
            }
        }

        public void Seek(long timestamp)
        {
            _seek = Math.Max(_seek, timestamp);
            _current?.Seek(timestamp);
        }

        public void Dispose() => _current?.Dispose();
    }
}
