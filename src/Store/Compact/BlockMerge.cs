using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Compact;

/// <summary>
/// The series of several blocks in order, equal ones as one. Chunks that overlap nothing pass through as they are; those that overlap are
/// merged sample by sample; replicas are deduplicated as at query. Holds the chunks of one series at a time.
/// </summary>
/// <param name="blocks">Each with its external labels that tell replicas apart: blocks of different replicas have the same series.</param>
sealed class BlockMerge(IReadOnlyList<(Block Block, Labels Replica)> blocks)
{
    static readonly SelectHints s_all = new() { Range = TimeRange.All };

    /// <summary>Labels and chunks of each series; chunks are valid until the next is asked for.</summary>
    public IEnumerable<(Labels Labels, IEnumerable<Chunk> Chunks)> Series(CancellationToken cancellationToken)
    {
        var query = new QueryContext(cancellationToken);
        var sources = blocks.Select(b => b.Block.Select(query.Select(s_all, [])).GetEnumerator()).ToArray();
        try
        {
            var heads = new PriorityQueue<int, (Labels Labels, int Source)>(
                Comparer<(Labels Labels, int Source)>.Create(
                static (a, b) => a.Labels.CompareTo(b.Labels) is var order and not 0 ? order : a.Source.CompareTo(b.Source)));
            for (var i = 0; i < sources.Length; i++)
            {
                Advance(i);
            }

            var equal = new List<(Labels Replica, BlockSeries Series)>();
            var taken = new List<int>();
            while (heads.Count > 0)
            {
                equal.Clear();
                taken.Clear();
                while (heads.TryPeek(out var source, out var head) && (equal.Count == 0 || head.Labels == equal[0].Series.Labels))
                {
                    heads.Dequeue();
                    taken.Add(source);
                    equal.Add((blocks[source].Replica, sources[source].Current));
                }

                yield return (equal[0].Series.Labels, Merge(equal, blocks[0].Block.Meta.ResolutionMs));
                foreach (var source in taken)
                {
                    Advance(source);
                }
            }

            void Advance(int source)
            {
                if (sources[source].MoveNext())
                {
                    heads.Enqueue(source, (sources[source].Current.Labels, source));
                }
            }
        }
        finally
        {
            foreach (var source in sources)
            {
                source.Dispose();
            }
        }
    }

    static IEnumerable<Chunk> Merge(List<(Labels Replica, BlockSeries Series)> parts, long resolutionMs)
    {
        var name = parts[0].Series.Labels.ToString();
        var groups = parts.GroupBy(p => p.Replica).OrderBy(r => r.Key).ToList();
        var replicas = groups.ConvertAll(r => Chunks(r.Select(p => p.Series)));
        if (replicas.Count == 1)
        {
            return Joined(replicas[0], name);
        }

        if (replicas.Exists(r => r.Exists(c => c.Encoding == ChunkEncoding.Aggregates)))
        {
            var all = replicas.SelectMany(r => r).OrderBy(c => c.MinTime).ThenBy(c => c.MaxTime).ToList();
            var trimmed = replicas.ConvertAll(r => Trimmed(r, name).ToList());
            return !all.TrueForAll(c => c.Encoding == ChunkEncoding.Aggregates) ? Joined(all, name)
                : all.TrueForAll(c => !AggregatesChunk.IsHistogram(c, name, 0)) ? WindowMerge.Join(trimmed, resolutionMs, name)
                : all.TrueForAll(c => AggregatesChunk.IsHistogram(c, name, 0)) && HistogramWindowMerge.CanJoin(all, name)
                ? HistogramWindowMerge.Join(trimmed, resolutionMs, name)

                // Windows of different kinds can't be added to one another: of each chunk those behind the end of the chunks before are kept.
                : Joined(all, name);
        }

        return ChunkEncoder.Encode(DedupIterator.Join(
            [.. replicas.Select(r => new ChunkSeriesIterator(r, Aggregate.Raw, TimeRange.All, name))],
            DedupIterator.KindOf(parts[0].Series.Labels),
            isFirstJoined: groups[0].Key.IsEmpty));
    }

    /// <summary>The chunks of one replica's series in order of time; a chunk that two blocks have is there once.</summary>
    static List<Chunk> Chunks(IEnumerable<BlockSeries> parts)
    {
        var chunks = new List<Chunk>();
        foreach (var part in parts)
        {
            chunks.AddRange(part.Chunks());
        }

        var kept = new List<Chunk>(chunks.Count);
        foreach (var chunk in chunks.OrderBy(c => c.MinTime).ThenBy(c => c.MaxTime))
        {
            if (kept.Count == 0 || kept[^1].MinTime != chunk.MinTime || kept[^1].MaxTime != chunk.MaxTime
                || kept[^1].Encoding != chunk.Encoding || !kept[^1].Data.Span.SequenceEqual(chunk.Data.Span))
            {
                kept.Add(chunk);
            }
        }

        return kept;
    }

    static IEnumerable<Chunk> Joined(List<Chunk> chunks, string name)
    {
        for (var from = 0; from < chunks.Count;)
        {
            var (to, maxTime) = (from + 1, chunks[from].MaxTime);
            while (to < chunks.Count && chunks[to].MinTime <= maxTime)
            {
                maxTime = Math.Max(maxTime, chunks[to++].MaxTime);
            }

            if (to - from > 1)
            {
                foreach (var chunk in chunks[from].Encoding == ChunkEncoding.Aggregates
                    ? Trimmed(chunks[from..to], name)
                    : Encoded(chunks[from..to], name))
                {
                    yield return chunk;
                }

                from = to;
                continue;
            }

            to = SmallRun(chunks, from, name);
            if (to - from == 1)
            {
                yield return chunks[from];
            }
            else
            {
                foreach (var chunk in Encoded(chunks[from..to], name))
                {
                    yield return chunk;
                }
            }

            from = to;
        }
    }

    static IEnumerable<Chunk> Encoded(List<Chunk> chunks, string name) =>
        ChunkEncoder.Encode(new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, name));

    /// <summary>The end of a run of float chunks that fit into one: blocks of a short span leave many small ones.</summary>
    static int SmallRun(List<Chunk> chunks, int from, string name)
    {
        var (to, samples) = (from, 0);
        while (to < chunks.Count && chunks[to].Encoding == ChunkEncoding.Xor && (to == from || chunks[to].MinTime > chunks[to - 1].MaxTime)
            && (to + 1 == chunks.Count || chunks[to + 1].MinTime > chunks[to].MaxTime))
        {
            samples += ChunkIterators.Count(chunks[to], name, 0);
            if (samples > XorChunk.TargetSamples)
            {
                break;
            }

            to++;
        }

        return Math.Max(to, from + 1);
    }

    static IEnumerable<Chunk> Trimmed(List<Chunk> chunks, string name)
    {
        var last = long.MinValue;
        foreach (var chunk in chunks)
        {
            if (chunk.MinTime > last)
            {
                last = chunk.MaxTime;
                yield return chunk;
            }
            else if (chunk.MaxTime > last && AggregatesChunk.Without(chunk, Until(last), name) is { } rest)
            {
                last = rest.MaxTime;
                yield return rest;
            }
        }
    }

    static DeletedSpans Until(long time) => new([new TimeRange(long.MinValue, time)]);
}
