using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// Replicas as they lie in a bucket and in heads: each writes blocks, cut at random times; neighbours are compacted, with deduplication or
/// without; sources may lie beside what was made of them; the newest samples are in the heads.
/// </summary>
sealed class StoredReplicas : IAsyncDisposable
{
    static readonly string[] s_names = ["a", "b", "c"];

    readonly TemporaryFolder _folder = new();
    readonly MemoryBucket _bucket = new(TimeProvider.System);
    readonly List<HeadBlock> _heads = [];
    readonly List<TimeRange> _deduplicated = [];
    readonly IReadOnlyList<ReplicaSet> _sets;
    BucketStore? _store;
    int _blocks;

    StoredReplicas(IReadOnlyList<ReplicaSet> sets) => _sets = sets;

    /// <summary>Answers with the replicas of each series made one.</summary>
    public IQuerier Querier { get; private set; } = null!;

    /// <summary>Where blocks were cut before they were deduplicated.</summary>
    public IReadOnlyList<long> Edges => [.. _deduplicated.SelectMany(range => new[] { range.MinTime, range.MaxTime + 1 }).Distinct()];

    public static async Task<StoredReplicas> CreateAsync(IReadOnlyList<ReplicaSet> sets, Random random, long start, long end)
    {
        var stored = new StoredReplicas(sets);
        try
        {
            var cuts = Enumerable.Range(0, random.Next(1, 5)).Select(_ => random.NextInt64(start + 1, end)).Distinct().Order().ToList();
            var edges = cuts.Prepend(start - 3_600_000).ToList();
            for (var at = 0; at + 1 < edges.Count;)
            {
                var to = Math.Min(edges.Count - 1, at + random.Next(1, 3));
                await stored.AddBlocksAsync(random, edges[at..(to + 1)]);
                at = to;
            }

            await stored.OpenAsync(edges[^1]);
            return stored;
        }
        catch
        {
            await stored.DisposeAsync();
            throw;
        }
    }

    /// <summary>What the replicas of a set are as one series: deduplicated blocks are a replica of their own, before all others.</summary>
    public Scrape[] Union(ReplicaSet set)
    {
        var ofBlocks = _deduplicated.SelectMany(range => ReplicaUnion.Of(
            set.Replicas.Select(r => Array.FindAll(r, s => range.Contains(s.Time))))).ToArray();
        return _deduplicated.Count == 0 ? ReplicaUnion.Of(set.Replicas) : ReplicaUnion.Of(
            set.Replicas.Select(r => Array.FindAll(r, s => !_deduplicated.Exists(range => range.Contains(s.Time)))).Prepend(ofBlocks),
            isFirstJoined: ofBlocks.Length > 0);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var head in _heads)
        {
            await head.DisposeAsync();
        }

        if (_store is not null)
        {
            await _store.DisposeAsync();
        }

        await _bucket.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>Blocks between neighbouring edges, of each replica, and perhaps what a compactor makes of them.</summary>
    async Task AddBlocksAsync(Random random, List<long> edges)
    {
        var blocks = new List<BlockMeta>();
        foreach (var (from, to) in edges.Zip(edges.Skip(1)))
        {
            foreach (var replica in s_names)
            {
                if (await WriteAsync(replica, new TimeRange(from, to - 1)) is { } meta)
                {
                    blocks.Add(meta);
                }
            }
        }

        var isDeduplicating = random.Next(2) == 0;
        if (!isDeduplicating && random.Next(2) == 0)
        {
            return;
        }

        var compactor = new Compactor(new BucketBlocks(_bucket), new CompactOptions
        {
            Directory = Path.Combine(_folder.Path, "compact"), Time = TimeProvider.System, Random = random,
            ReplicaLabels = isDeduplicating ? ["replica"] : [],
        });
        foreach (var plan in blocks.GroupBy(meta => isDeduplicating ? Labels.Empty : meta.ExternalLabels).Where(plan => plan.Count() > 1))
        {
            await compactor.CompactAsync([.. plan], default);
        }

        if (isDeduplicating)
        {
            _deduplicated.Add(new TimeRange(edges[0], edges[^1] - 1));
        }

        if (isDeduplicating && random.Next(2) == 0)
        {
            foreach (var source in blocks)
            {
                await new BucketBlocks(_bucket).DeleteAsync(source.Id, default);
            }
        }
    }

    async Task<BlockMeta?> WriteAsync(string replica, TimeRange range)
    {
        var id = TestBlocks.Id(++_blocks);
        using (var writer = BlockWriter.Create(_folder.Path, id))
        {
            foreach (var series in Series(replica, range))
            {
                writer.Add(series.Labels, ChunkEncoder.Encode(series.Samples(range)));
            }

            var external = new SortedDictionary<string, string> { ["replica"] = replica };
            if (writer.Finish(new BlockMeta
            {
                Id = default, MinTime = range.MinTime, MaxTime = range.MaxTime + 1, Thanos = new ThanosSection { Labels = external, Source = "sidecar" },
            }) is null)
            {
                return null;
            }
        }

        return await new BucketBlocks(_bucket).UploadAsync(Path.Combine(_folder.Path, id.ToString()), DateTimeOffset.UnixEpoch, default);
    }

    async Task OpenAsync(long headFrom)
    {
        _store = new BucketStore(
            _bucket, new BucketStoreOptions { Directory = Path.Combine(_folder.Path, "store"), Time = TimeProvider.System },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
        await _store.SyncAsync(default);
        var queriers = new List<IQuerier> { _store };
        foreach (var replica in s_names)
        {
            var head = await HeadBlock.OpenAsync(
                new HeadOptions { Directory = Path.Combine(_folder.Path, replica), Time = TimeProvider.System, BlockRangeMs = 1L << 50 }, default);
            _heads.Add(head);
            using (var appender = head.Appender())
            {
                foreach (var series in Series(replica, new TimeRange(headFrom, long.MaxValue - 1)))
                {
                    var reference = appender.GetOrAdd(series.Labels);
                    for (var i = 0; i < series.Times.Length; i++)
                    {
                        _ = series.Values is { } values
                            ? appender.Append(reference, series.Times[i], values[i])
                            : appender.Append(reference, series.Times[i], series.Histograms![i]);
                    }
                }

                appender.Commit();
            }

            queriers.Add(new ExternalLabelsQuerier(head, () => Labels.Of(("replica", replica))));
        }

        Querier = new DedupQuerier(new MergeQuerier(queriers), ["replica"]);
    }

    /// <summary>The series of one replica that have samples in a range, in order.</summary>
    IEnumerable<TruthSeries> Series(string replica, TimeRange range)
    {
        var number = Array.IndexOf(s_names, replica);
        return _sets.Where(set => number < set.Replicas.Count)
            .SelectMany(set => set.Series(replica, set.Replicas[number])).Select(series => series.Within(range.MinTime, range.MaxTime))
            .Where(series => series.Times.Length > 0).OrderBy(series => series.Labels);
    }
}
