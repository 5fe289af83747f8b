using System.Collections.Concurrent;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Bytes;
using Observe.Store.Chunks;
using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Gateway;

/// <summary>Blocks with the same external labels.</summary>
sealed record BlockStream(Labels ExternalLabels, IReadOnlyList<BucketBlock> Blocks);

/// <summary>
/// One selection from the blocks of a bucket, in two passes: the index of each block says which series match and where their chunks
/// are; then series go out in batches, the chunks of a batch fetched together.
/// </summary>
sealed class BucketQuery(BucketStore store, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, ByteBudget budget)
{
    const int BatchSeries = 4_000;
    const int BatchChunks = 20_000;

    readonly HashSet<BlockId> _gone = [];
    readonly Dictionary<BlockId, BucketBlock> _held = [];

    /// <summary>A block of the selection.</summary>
    /// <param name="Matchers">Those that are not on external labels.</param>
    /// <param name="Spans">What it answers for: number of the span, lower ones first.</param>
    sealed record Source(BucketBlock Block, IReadOnlyList<Matcher> Matchers, List<(int Order, TimeRange Range)> Spans)
    {
        public TimeRange Hull => new(Spans.Min(s => s.Range.MinTime), Spans.Max(s => s.Range.MaxTime));
    }

    readonly record struct Member(int Source, ChunkMeta[] Chunks);

    sealed record MergedSeries(Labels Labels, List<Member> Members);

    public async IAsyncEnumerable<Series> SelectAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var count = 0;
        Labels? last = null;
        while (true)
        {
            var sources = Plan();
            var vanished = new ConcurrentBag<BlockId>();
            var merged = Merge(await EntriesAsync(sources, withChunks: true, vanished, cancellationToken));
            using var batches = Batches(merged, last).GetEnumerator();
            // The next batch is on its way while this one is read.
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var next = NextAsync(sources, batches, vanished, stop.Token);
            try
            {
                while (await next is { } batch && vanished.IsEmpty)
                {
                    next = NextAsync(sources, batches, vanished, stop.Token);
                    foreach (var series in batch)
                    {
                        if (hints.Limit > 0 && count == hints.Limit)
                        {
                            warnings.Add(Warnings.Truncated);
                            yield break;
                        }

                        count++;
                        last = series.Labels;
                        yield return series;
                    }
                }
            }
            finally
            {
                await stop.CancelAsync();
                await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            if (vanished.IsEmpty)
            {
                store.Queried(sources.Count, count);
                yield break;
            }

            await ReplaceAsync(vanished, cancellationToken);
        }
    }

    /// <summary>Labels of all series that match; the same may come more than once.</summary>
    public async Task VisitLabelsAsync(Action<Labels> visit, CancellationToken cancellationToken)
    {
        while (true)
        {
            var vanished = new ConcurrentBag<BlockId>();
            foreach (var entry in (await EntriesAsync(Plan(), withChunks: false, vanished, cancellationToken)).SelectMany(entries => entries))
            {
                visit(entry.Labels);
            }

            if (vanished.IsEmpty)
            {
                return;
            }

            await ReplaceAsync(vanished, cancellationToken);
        }
    }

    /// <summary>The index-headers of all blocks that a selection would ask.</summary>
    public async Task VisitHeadersAsync(Action<BucketBlock, IndexHeader> visit, CancellationToken cancellationToken)
    {
        while (true)
        {
            var vanished = new ConcurrentBag<BlockId>();
            var headers = new ConcurrentDictionary<BucketBlock, IndexHeader>();
            await Parallel.ForEachAsync(
                Plan().Select(source => source.Block),
                Parallelism(cancellationToken),
                async (block, token) => await TryAsync(block, async () => headers[block] = await block.HeaderAsync(token), vanished));
            foreach (var (block, header) in headers)
            {
                await TryAsync(
                    block,
                    () =>
                    {
                        visit(block, header);
                        return Task.CompletedTask;
                    },
                    vanished);
            }

            if (vanished.IsEmpty)
            {
                return;
            }

            await ReplaceAsync(vanished, cancellationToken);
        }
    }

    // On the threads of whoever asks: much of it computes.
    ParallelOptions Parallelism(CancellationToken cancellationToken) => new()
    {
        MaxDegreeOfParallelism = store.Options.Concurrency,
        TaskScheduler = TaskScheduler.Current,
        CancellationToken = cancellationToken,
    };

    // A block that can't be read is told of and left out, or noted as vanished.
    async Task TryAsync(BucketBlock block, Func<Task> read, ConcurrentBag<BlockId> vanished)
    {
        try
        {
            await read();
        }
        catch (CorruptionException e)
        {
            warnings.Add($"block {block.Name} is left out: {e.Message}");
        }
        catch (ObjectNotFoundException)
        {
            vanished.Add(block.Meta.Id);
        }
    }

    // Looks for what took the place of blocks that are gone; tells of those that nothing replaced.
    async Task ReplaceAsync(ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        var metas = vanished.Distinct().Select(id => _held[id].Meta).ToList();
        _gone.UnionWith(vanished);
        await store.ReplaceAsync(metas.Select(meta => meta.Id), cancellationToken);
        foreach (var meta in metas)
        {
            if (!store.HasReplacement(meta))
            {
                warnings.Add($"block {store.Name}/{meta.Id} vanished while it was read, and no other block has its samples");
            }
        }
    }

    public void Release()
    {
        foreach (var block in _held.Values)
        {
            block.Release();
        }

        _held.Clear();
    }

    List<Source> Plan()
    {
        // A block that can't be held was dropped since the state was read: the state has been swapped then.
        List<Source>? sources;
        while ((sources = TryPlan()) is null)
        {
        }

        return sources;
    }

    List<Source>? TryPlan()
    {
        var sources = new Dictionary<BlockId, Source>();
        var order = 0;
        foreach (var stream in store.Streams)
        {
            if (!TryStrip(stream.ExternalLabels, out var rest))
            {
                continue;
            }

            var blocks = stream.Blocks.Where(block => !_gone.Contains(block.Meta.Id)).ToDictionary(block => block.Meta.Id);
            foreach (var span in ResolutionPlan.Of(blocks.Values.Select(block => block.Meta), hints.Range, hints.MaxResolutionMs))
            {
                order++;
                TellCoarser(stream.ExternalLabels, span);
                foreach (var meta in span.Blocks)
                {
                    if (!Hold(blocks[meta.Id]))
                    {
                        return null;
                    }

                    if (!sources.TryGetValue(meta.Id, out var source))
                    {
                        sources[meta.Id] = source = new Source(blocks[meta.Id], rest, []);
                    }

                    source.Spans.Add((order, span.Range));
                }
            }
        }

        return [.. sources.Values];
    }

    void TellCoarser(Labels stream, ResolutionSpan span)
    {
        if (span.ResolutionMs > hints.MaxResolutionMs)
        {
            warnings.AddInfo(
                $"{stream}: there are no samples at the resolution that was asked for from {Iso(span.Range.MinTime)} to {Iso(span.Range.MaxTime)}; "
                + $"downsampled ones, every {Duration.Format(span.ResolutionMs)}, take their place");
        }
    }

    static string Iso(long timestamp) =>
        DateTimeOffset.FromUnixTimeMilliseconds(timestamp).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    bool Hold(BucketBlock block)
    {
        if (_held.ContainsKey(block.Meta.Id))
        {
            return true;
        }

        if (!block.TryTake())
        {
            return false;
        }

        _held[block.Meta.Id] = block;
        return true;
    }

    // Takes away the matchers on external labels; false when one of them does not match.
    bool TryStrip(Labels external, out IReadOnlyList<Matcher> rest)
    {
        var left = new List<Matcher>();
        rest = left;
        foreach (var matcher in matchers)
        {
            if (!external.TryGet(Utf8Order.Bytes(matcher.Name), out var value))
            {
                left.Add(matcher);
            }
            else if (!matcher.Matches(value))
            {
                return false;
            }
        }

        return true;
    }

    async Task<List<BlockEntry>[]> EntriesAsync(
        List<Source> sources, bool withChunks, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        var entries = new List<BlockEntry>[sources.Count];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, sources.Count),
            Parallelism(cancellationToken),
            async (i, token) =>
            {
                entries[i] = [];
                var (block, rest) = (sources[i].Block, sources[i].Matchers);
                await TryAsync(
                    block,
                    async () =>
                    {
                        var found = await block.EntriesAsync(rest, sources[i].Hull.Intersect(hints.Range), withChunks, budget, token);
                        Sort(found);
                        entries[i] = found;
                    },
                    vanished);
            });
        return entries;
    }

    // External labels may change the order of series: {a="1"} comes before {a="1", b="2"}, but with c="3" in both it comes after.
    static void Sort(List<BlockEntry> entries)
    {
        for (var i = 1; i < entries.Count; i++)
        {
            if (entries[i - 1].Labels.CompareTo(entries[i].Labels) > 0)
            {
                entries.Sort((a, b) => a.Labels.CompareTo(b.Labels));
                return;
            }
        }
    }

    static IEnumerable<MergedSeries> Merge(List<BlockEntry>[] lists)
    {
        var heads = new PriorityQueue<(int List, int At), Labels>();
        for (var i = 0; i < lists.Length; i++)
        {
            if (lists[i].Count > 0)
            {
                heads.Enqueue((i, 0), lists[i][0].Labels);
            }
        }

        MergedSeries? current = null;
        while (heads.TryDequeue(out var head, out var labels))
        {
            if (current is null || current.Labels != labels)
            {
                if (current is not null)
                {
                    yield return current;
                }

                current = new MergedSeries(labels, []);
            }

            current.Members.Add(new Member(head.List, lists[head.List][head.At].Chunks));
            if (head.At + 1 < lists[head.List].Count)
            {
                heads.Enqueue((head.List, head.At + 1), lists[head.List][head.At + 1].Labels);
            }
        }

        if (current is not null)
        {
            yield return current;
        }
    }

    static IEnumerable<List<MergedSeries>> Batches(IEnumerable<MergedSeries> merged, Labels? after)
    {
        var batch = new List<MergedSeries>();
        var chunks = 0;
        foreach (var series in merged)
        {
            if (after is { } last && series.Labels.CompareTo(last) <= 0)
            {
                continue;
            }

            batch.Add(series);
            chunks += series.Members.Sum(member => member.Chunks.Length);
            if (batch.Count == BatchSeries || chunks >= BatchChunks)
            {
                yield return batch;
                (batch, chunks) = ([], 0);
            }
        }

        if (batch.Count > 0)
        {
            yield return batch;
        }
    }

    async Task<List<Series>?> NextAsync(
        List<Source> sources, IEnumerator<List<MergedSeries>> batches, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken) =>
        vanished.IsEmpty && batches.MoveNext() ? await FetchAsync(sources, batches.Current, vanished, cancellationToken) : null;

    async Task<List<Series>> FetchAsync(
        List<Source> sources, List<MergedSeries> batch, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        if (hints.SkipSamples)
        {
            return [.. batch.Select(series => new BucketSeries(series.Labels, [], hints, store.Name))];
        }

        if (batch.TrueForAll(series => IsLocal(series, sources)))
        {
            return batch.ConvertAll<Series>(series => OpenLocal(series, sources));
        }

        var members = batch.SelectMany(series => series.Members).GroupBy(member => member.Source).ToList();
        var fetched = new ConcurrentDictionary<ChunkMeta[], Chunk[]>(ReferenceEqualityComparer.Instance);
        await Parallel.ForEachAsync(
            members,
            Parallelism(cancellationToken),
            async (group, token) =>
            {
                var block = sources[group.Key].Block;
                var metas = group.Select(member => member.Chunks).ToList();
                await TryAsync(
                    block,
                    async () =>
                    {
                        var chunks = await block.ChunksAsync(
                            metas, fault => warnings.Add($"a chunk of block {block.Name} is left out: {fault.Message}"), budget, token);
                        for (var i = 0; i < metas.Count; i++)
                        {
                            fetched[metas[i]] = chunks[i];
                        }
                    },
                    vanished);
            });

        return [.. batch.Select(series => Assemble(series, sources, fetched))];
    }

    // What lies on this machine, at one resolution, is read by whoever reads the series.
    static bool IsLocal(MergedSeries series, List<Source> sources) => series.Members.TrueForAll(
        member => sources[member.Source].Block.Local() is not null && sources[member.Source].Spans is [var span]
            && span == sources[series.Members[0].Source].Spans[0]);

    LocalSeries OpenLocal(MergedSeries series, List<Source> sources)
    {
        var parts = new LocalPart[series.Members.Count];
        for (var i = 0; i < parts.Length; i++)
        {
            parts[i] = new LocalPart(sources[series.Members[i].Source].Block.Local()!, series.Members[i].Chunks);
        }

        Array.Sort(parts, static (a, b) => a.Chunks[0].MinTime.CompareTo(b.Chunks[0].MinTime));
        return new LocalSeries(
            series.Labels, parts, sources[series.Members[0].Source].Spans[0].Range.Intersect(hints.Range), hints.Aggregate, warnings);
    }

    BucketSeries Assemble(MergedSeries series, List<Source> sources, ConcurrentDictionary<ChunkMeta[], Chunk[]> fetched)
    {
        var spans = new SortedDictionary<int, (TimeRange Range, List<Chunk> Chunks)>();
        foreach (var member in series.Members)
        {
            if (!fetched.TryGetValue(member.Chunks, out var chunks))
            {
                continue;
            }

            foreach (var (order, range) in sources[member.Source].Spans)
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
        return new BucketSeries(series.Labels, [.. parts.Where(part => part.Chunks.Length > 0)], hints, store.Name);
    }

    // What is left of a range that spans before it have not taken.
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
