using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Gateway;

/// <summary>Blocks with the same external labels.</summary>
sealed record BlockStream(Labels ExternalLabels, IReadOnlyList<BucketBlock> Blocks);

/// <summary>
/// One selection from the blocks of a bucket, in two passes: the index of each block says which series match and where their chunks
/// are; then series go out in batches, the chunks of a batch fetched together.
/// </summary>
sealed class BucketQuery(BucketStore store, Selection selection, ByteBudget budget) : IDisposable
{
    const int BatchSeries = 4_000;

    /// <summary>A search for labels in so many local blocks is not worth several threads.</summary>
    const int FewBlocks = 4;
    const int BatchChunks = 20_000;

    readonly SelectHints _hints = selection.Hints;
    readonly SelectionPlan _plan = new(store, selection);
    readonly List<BlockEntries> _entries = [];
    readonly List<BlockSelection> _local = [];
    readonly List<BlockPart[]> _parts = [];
    SeriesBatch? _spare;

    /// <summary>Series that go out together.</summary>
    sealed class SeriesBatch
    {
        /// <summary>What it is, and the number of the first member; the members end where the next series' begin.</summary>
        public List<(SeriesKey Key, int First)> Series { get; } = [];

        public List<BlockMember> Members { get; } = [];

        /// <summary>One for each of <see cref="Series"/>.</summary>
        public List<Series> Opened { get; } = [];

        public ReadOnlySpan<BlockMember> MembersOf(int series) =>
            CollectionsMarshal.AsSpan(
                Members)[Series[series].First..(series + 1 < Series.Count ? Series[series + 1].First : Members.Count)];
    }

    public async IAsyncEnumerable<Series> SelectAsync()
    {
        var (cancellationToken, count) = (selection.CancellationToken, new SeriesCount(selection));
        SeriesKey? last = null;
        selection.Query.ThrowIfOver();
        while (true)
        {
            var sources = _plan.Blocks();
            var vanished = new ConcurrentBag<BlockId>();
            var entries = await EntriesAsync(sources, vanished, cancellationToken);
            var merge = new EntryMerge(entries, [.. sources.Select(source => source.Replica)]);
            var after = last;
            // The next batch is on its way while this one is read.
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var next = NextAsync(sources, merge, after, vanished, stop.Token);
            try
            {
                while (await next is { } batch && vanished.IsEmpty)
                {
                    next = NextAsync(sources, merge, after, vanished, stop.Token);
                    for (var i = 0; i < batch.Opened.Count; i++)
                    {
                        if (!count.Add(batch.Series[i].Key.Labels))
                        {
                            yield break;
                        }

                        last = batch.Series[i].Key;
                        yield return batch.Opened[i];
                    }

                    _spare = batch;
                }
            }
            finally
            {
                // Cancelling costs a thread of the pool, so it is done only where something is under way.
                if (!next.IsCompleted)
                {
                    await stop.CancelAsync();
                }

                await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            if (vanished.IsEmpty)
            {
                store.Queried(sources.Count, count.Value);
                yield break;
            }

            await ReplaceAsync(vanished, cancellationToken);
        }
    }

    /// <summary>What each block of the selection has to say of labels.</summary>
    public async Task<IReadOnlyList<IReadOnlyList<string>>> SearchAsync(
        Func<PlannedBlock, BucketLabels, CancellationToken, Task<IReadOnlyList<string>>> search)
    {
        while (true)
        {
            selection.Query.ThrowIfOver();
            var (vanished, found) = (new ConcurrentBag<BlockId>(), new ConcurrentBag<IReadOnlyList<string>>());
            var sources = _plan.Blocks();
            if (sources.TrueForAll(source => source.Block.IsLocal && (sources.Count <= FewBlocks || source.Rest.Matchers.Count == 0)))
            {
                // Each has its answer sooner than a thread would begin with it.
                foreach (var source in sources)
                {
                    await SearchAsync(source, selection.CancellationToken);
                }
            }
            else
            {
                await Parallel.ForEachAsync(
                    sources, Parallelism(selection.CancellationToken), async (source, token) => await SearchAsync(source, token));
            }

            Task SearchAsync(PlannedBlock source, CancellationToken token) => TryAsync(
                source.Block,
                async () => found.Add(await source.Block.SearchAsync(labels => search(source, labels, token), budget)),
                vanished);

            if (vanished.IsEmpty)
            {
                return [.. found];
            }

            // Once more, with the blocks that replaced those that are gone.
            await ReplaceAsync(vanished, selection.CancellationToken);
        }
    }

    // On the caller's scheduler: much of the work computes and must not block the thread pool.
    ParallelOptions Parallelism(CancellationToken cancellationToken) => new()
    {
        MaxDegreeOfParallelism = store.Options.Concurrency,
        TaskScheduler = TaskScheduler.Current,
        CancellationToken = cancellationToken,
    };

    // A block that can't be read is reported as missing and left out; one that is gone is added to those that vanished.
    async Task TryAsync(BucketBlock block, Func<Task> read, ConcurrentBag<BlockId> vanished)
    {
        try
        {
            await read();
        }
        catch (CorruptionException e)
        {
            selection.Coverage.Add(Missing(MissingPart.Block, block.Meta, e.Message));
        }
        catch (ObjectNotFoundException)
        {
            vanished.Add(block.Meta.Id);
        }
    }

    // Looks for the blocks that replaced those that are gone; reports those that nothing replaced.
    async Task ReplaceAsync(ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        var metas = _plan.Forget(vanished);
        await store.ReplaceAsync(metas.Select(meta => meta.Id), cancellationToken);
        foreach (var meta in metas)
        {
            if (!store.HasReplacement(meta))
            {
                selection.Coverage.Add(Missing(MissingPart.VanishedBlock, meta, "it was deleted while it was read"));
            }
        }
    }

    Missing Missing(MissingPart part, BlockMeta meta, string reason) =>
        new(part, $"{store.Name}/{meta.Id}", [meta.ExternalLabels], meta.Range.Intersect(_hints.Range), reason);

    /// <summary>Releases the blocks, and returns arrays and budget.</summary>
    public void Dispose()
    {
        _plan.Dispose();
        _entries.ForEach(entries => entries.Dispose());
        _entries.Clear();
        _local.ForEach(local => local.Dispose());
        _local.Clear();
        _parts.ForEach(parts => ArrayPool<BlockPart>.Shared.Return(parts, clearArray: true));
        _parts.Clear();
        budget.Dispose();
    }

    async Task<BlockEntries[]> EntriesAsync(
        List<PlannedBlock> sources, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        var all = new BlockEntries[sources.Count];
        if (sources.TrueForAll(source => source.Block.IsLocal))
        {
            // One after the other, since each is read on all cores and waits for no request.
            for (var i = 0; i < all.Length; i++)
            {
                await ReadAsync(i, i > 0 ? all[i - 1] : null, cancellationToken);
            }

            return all;
        }

        await Parallel.ForEachAsync(
            Enumerable.Range(0, all.Length),
            Parallelism(cancellationToken),
            async (i, token) => await ReadAsync(i, null, token));
        return all;

        async Task ReadAsync(int i, BlockEntries? like, CancellationToken token)
        {
            var (block, rest, range) = (sources[i].Block, sources[i].Rest.Matchers, sources[i].Hull);
            var withChunks = block.Meta.NeedsChunks(range, _hints);
            await TryAsync(
                block,
                async () =>
                {
                    var entries = await block.EntriesAsync(
                        rest, _hints.Wanted, range, sources[i].External, withChunks, like, budget, token);
                    lock (_entries)
                    {
                        _entries.Add(entries);
                    }

                    entries.Sort();
                    all[i] = entries;
                },
                vanished);
            all[i] ??= new BlockEntries(Labels.Empty, range, withChunks, like: null);
        }
    }

    SeriesBatch? NextBatch(EntryMerge merge, SeriesKey? after)
    {
        var batch = _spare ?? new SeriesBatch();
        _spare = null;
        batch.Series.Clear();
        batch.Members.Clear();
        batch.Opened.Clear();
        var chunks = 0;
        while (batch.Series.Count < BatchSeries && chunks < BatchChunks)
        {
            var first = batch.Members.Count;
            if (!merge.Next(out var key, batch.Members))
            {
                break;
            }

            if (after is { } last && key.CompareTo(last) <= 0)
            {
                batch.Members.RemoveRange(first, batch.Members.Count - first);
                continue;
            }

            batch.Series.Add((key, first));
            for (var i = first; i < batch.Members.Count; i++)
            {
                chunks += batch.Members[i].Chunks.Length;
            }
        }

        return batch.Series.Count > 0 ? batch : null;
    }

    async Task<SeriesBatch?> NextAsync(
        List<PlannedBlock> sources,
        EntryMerge merge, SeriesKey? after, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        if (!vanished.IsEmpty || NextBatch(merge, after) is not { } batch)
        {
            return null;
        }

        await OpenAsync(sources, batch, vanished, cancellationToken);
        return batch;
    }

    async Task OpenAsync(
        List<PlannedBlock> sources, SeriesBatch batch, ConcurrentBag<BlockId> vanished, CancellationToken cancellationToken)
    {
        if (_hints.SkipSamples)
        {
            foreach (var (key, _) in batch.Series)
            {
                batch.Opened.Add(new BucketSeries(key, [], _hints, store.Name));
            }

            return;
        }

        if (OpenLocal(batch, sources))
        {
            return;
        }

        var bySource = Enumerable.Range(0, batch.Members.Count).GroupBy(member => batch.Members[member].Source).ToList();
        var fetched = new Chunk[batch.Members.Count][];
        await Parallel.ForEachAsync(
            bySource,
            Parallelism(cancellationToken),
            async (group, token) =>
            {
                var block = sources[group.Key].Block;
                var numbers = group.ToList();
                await TryAsync(
                    block,
                    async () =>
                    {
                        var chunks = await block.ChunksAsync(
                            numbers.ConvertAll(member => batch.Members[member]),
                            fault => selection.Coverage.Add(Missing(MissingPart.Chunk, block.Meta, fault.Message)),
                            budget,
                            token);
                        for (var i = 0; i < numbers.Count; i++)
                        {
                            fetched[numbers[i]] = chunks[i];
                        }
                    },
                    vanished);
            });

        for (var i = 0; i < batch.Series.Count; i++)
        {
            var (key, first) = batch.Series[i];
            var members = batch.MembersOf(i);
            batch.Opened.Add(PlannedBlock.RangeOf(sources, members) is { } range
                ? BucketSeries.Join(key, fetched.AsSpan(first, members.Length), range, _hints, store.Name)
                : BucketSeries.Assemble(key, Fetched(batch, i, sources, fetched), _hints, store.Name));
        }
    }

    // Where all chunks of a batch are on this machine and go out as they are, they are read only when their series are; else false.
    bool OpenLocal(SeriesBatch batch, List<PlannedBlock> sources)
    {
        var parts = ArrayPool<BlockPart>.Shared.Rent(batch.Members.Count);
        _parts.Add(parts);
        for (var i = 0; i < batch.Series.Count; i++)
        {
            var first = batch.Series[i].First;
            var members = batch.MembersOf(i);
            if (PlannedBlock.RangeOf(sources, members) is not { } range)
            {
                batch.Opened.Clear();
                return false;
            }

            for (var m = 0; m < members.Length; m++)
            {
                if (sources[members[m].Source].Block.Local() is not { } local)
                {
                    batch.Opened.Clear();
                    return false;
                }

                parts[first + m] = new BlockPart(local, members[m].Chunks);
            }

            if (members.Length > 1)
            {
                parts.AsSpan(first, members.Length).Sort(static (a, b) => a.Chunks.Span[0].MinTime.CompareTo(b.Chunks.Span[0].MinTime));
            }

            var (labels, replica) = batch.Series[i].Key;
            batch.Opened.Add(new BlockSeries(labels, parts, first, members.Length, Local(range, replica)));
        }

        return true;
    }

    BlockSelection Local(TimeRange range, Labels replica)
    {
        foreach (var known in _local)
        {
            if (known.Range == range && known.Replica == replica)
            {
                return known;
            }
        }

        var local = new BlockSelection(range, _hints.Aggregate, selection.Coverage, replica);
        _local.Add(local);
        return local;
    }

    static IEnumerable<(PlannedBlock, Chunk[])> Fetched(SeriesBatch batch, int series, List<PlannedBlock> sources, Chunk[]?[] fetched)
    {
        var first = batch.Series[series].First;
        for (var i = 0; i < batch.MembersOf(series).Length; i++)
        {
            if (fetched[first + i] is { } chunks)
            {
                yield return (sources[batch.Members[first + i].Source], chunks);
            }
        }
    }
}
