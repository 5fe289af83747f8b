using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Store.Tests.Gateway;

/// <summary>A bucket store over a bucket in memory, or one that is a folder.</summary>
sealed class StoreFixture(bool local = false) : IAsyncDisposable
{
    FileBucket? _local;

    public string Folder { get; } = Checkout.NewFolder("bucket-store");

    public MemoryBucket Bucket { get; } = new(TimeProvider.System);

    /// <summary>The bucket in memory, or <see cref="LocalFolder"/>.</summary>
    public IBucket Served => local ? _local ??= new FileBucket(LocalFolder, TimeProvider.System) : Bucket;

    public string LocalFolder => Path.Combine(Folder, "bucket");

    public BucketBlocks Blocks => new(Served);

    public CollectorRegistry Registry { get; } = Metrics.NewCustomRegistry();

    public BucketStore Open(Func<BucketStoreOptions, BucketStoreOptions>? with = null)
    {
        var options = new BucketStoreOptions { Directory = Path.Combine(Folder, "cache"), Time = TimeProvider.System };
        return new BucketStore(Served, with?.Invoke(options) ?? options, new BucketStoreMetrics(Registry), NullLogger.Instance);
    }

    public async Task<BlockMeta> AddAsync(int id, BlockMeta meta, params TestSeries[] series)
    {
        Assert.NotNull(await TestBlocks.WriteAsync(Folder, TestBlocks.Id(id), series, meta));
        return await Blocks.UploadAsync(Path.Combine(Folder, TestBlocks.Id(id).ToString()), DateTimeOffset.UnixEpoch, default);
    }

    public Task<BlockMeta> AddAsync(int id, (string, string)[] external, params TestSeries[] series) =>
        AddAsync(id, TestBlocks.Meta(series, external), series);

    /// <summary>Puts a block of others into the bucket, file by file.</summary>
    public async Task CopyAsync(string directory)
    {
        foreach (var path in Directory.GetFiles(directory, "*", SearchOption.AllDirectories))
        {
            var key = $"{Path.GetFileName(directory)}/{Path.GetRelativePath(directory, path).Replace('\\', '/')}";
            await Bucket.PutBytesAsync(key, await File.ReadAllBytesAsync(path), PutCondition.None, default);
        }
    }

    public static async Task<List<(Labels Labels, List<(long Time, double Value)> Samples)>> ReadAsync(
        IQuerier store, SelectHints? hints = null, QueryContext? query = null, params Matcher[] matchers)
    {
        var read = new List<(Labels, List<(long, double)>)>();
        await foreach (var series in store.SelectAsync((query ?? new QueryContext()).Select(hints ?? new SelectHints { Range = TimeRange.All }, matchers)))
        {
            read.Add((series.Labels.Copy(), TestBlocks.Floats(series)));
        }

        return read;
    }

    public async ValueTask DisposeAsync()
    {
        await Bucket.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>The suite over series whose cluster is an external label and whose samples lie in two blocks each.</summary>
public class BucketStoreTests : QuerierSuite, IAsyncDisposable
{
    readonly StoreFixture _fixture;

    public BucketStoreTests()
        : this(local: false)
    {
    }

    protected BucketStoreTests(bool local) => _fixture = new StoreFixture(local);

    public async ValueTask DisposeAsync()
    {
        await _fixture.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        var id = 0;
        foreach (var stream in series.GroupBy(s => s.Labels.Get("cluster")))
        {
            var inside = stream.Select(s => s with { Labels = s.Labels.Without("cluster") }).ToList();
            var times = inside.SelectMany(s => s.Samples.Select(x => x.Time)).Order().ToList();
            var middle = times.Count == 0 ? 0 : times[times.Count / 2];
            foreach (var half in new[] { false, true })
            {
                TestSeries[] part =
                [
                    .. inside.Select(s => s with { Samples = [.. s.Samples.Where(x => x.Time >= middle == half)], Histograms = half ? s.Histograms : [] })
                        .Where(s => s.Samples.Length + s.Histograms.Length > 0),
                ];
                if (part.Length > 0)
                {
                    await _fixture.AddAsync(++id, stream.Key.Length == 0 ? [] : [("cluster", stream.Key)], part);
                }
            }
        }

        var store = _fixture.Open();
        await store.SyncAsync(default);
        Assert.Equal(id, store.Blocks().Count(b => b.Excluded is null));
        return store;
    }
}

public sealed class BucketStoreFaultTests : IAsyncDisposable
{
    static readonly (string, string)[] s_dev = [("cluster", "dev")];

    readonly StoreFixture _fixture = new();

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    static TestSeries Series(string name, int from, int count) =>
        new(Labels.Of(("__name__", name)), [.. Enumerable.Range(from, count).Select(i => (i * 1_000L, (double)i))]);

    [Fact]
    public async Task External_labels_win_over_the_series_own_and_series_stay_sorted()
    {
        await _fixture.AddAsync(
            1,
            [("c", "x")],
            new TestSeries(Labels.Of(("a", "1")), (1, 1)),
            new TestSeries(Labels.Of(("a", "1"), ("b", "2")), (1, 2)),
            new TestSeries(Labels.Of(("a", "2"), ("c", "own")), (1, 3)));
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        Assert.Equal(
            ["{a=\"1\", b=\"2\", c=\"x\"}", "{a=\"1\", c=\"x\"}", "{a=\"2\", c=\"x\"}"],
            (await StoreFixture.ReadAsync(store)).Select(s => s.Labels.ToString()));
        Assert.Empty(await StoreFixture.ReadAsync(store, null, null, new Matcher(MatchType.Equal, "c", "own")));
        Assert.Equal([Labels.Of(("c", "x"))], store.LabelSets());
        Assert.Equal(new TimeRange(1, 1), store.Range);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Replica_labels_are_left_off_and_replicas_come_one_after_another(bool local)
    {
        await using var fixture = new StoreFixture(local);
        TestSeries[] early = [new(Labels.Of(("__name__", "x"), ("a", "1")), (0, 1)), new(Labels.Of(("__name__", "x"), ("s", "1")), (0, 2))];
        TestSeries[] late = [new(Labels.Of(("__name__", "x"), ("a", "1")), (7_200_000, 3))];
        TestSeries[] other = [new(Labels.Of(("__name__", "x"), ("a", "1")), (5, 9)), new(Labels.Of(("__name__", "x"), ("replica", "own")), (5, 4))];
        await fixture.AddAsync(1, [("cluster", "c"), ("replica", "r1")], early);
        await fixture.AddAsync(2, [("cluster", "c"), ("replica", "r1")], late);
        await fixture.AddAsync(3, [("cluster", "c"), ("replica", "r2")], other);
        await fixture.AddAsync(4, [("cluster", "d")], other);
        await using var store = fixture.Open();
        await store.SyncAsync(default);

        var hints = new SelectHints { Range = TimeRange.All, ReplicaLabels = ["replica"] };
        var read = await StoreFixture.ReadAsync(store, hints);
        Assert.Equal(
            [
                """{__name__="x", a="1", cluster="c"} 0:1 7200000:3""",
                """{__name__="x", a="1", cluster="c"} 5:9""",
                """{__name__="x", a="1", cluster="d"} 5:9""",
                """{__name__="x", cluster="c", replica="own"} 5:4""",
                """{__name__="x", cluster="c", s="1"} 0:2""",
                """{__name__="x", cluster="d", replica="own"} 5:4""",
            ],
            read.Select(s => s.Labels + " " + string.Join(' ', s.Samples.Select(p => $"{p.Time}:{p.Value}"))));
        Assert.Single(await StoreFixture.ReadAsync(store, hints, null, new Matcher(MatchType.Equal, "replica", "r2")));
        Assert.Equal(2, (await StoreFixture.ReadAsync(store, hints, null, new Matcher(MatchType.Equal, "replica", "own"))).Count);
        Assert.Equal(5, (await StoreFixture.ReadAsync(new DedupQuerier(store, ["replica"]))).Count);
    }

    [Fact]
    public async Task Every_flipped_byte_is_told_or_changes_nothing()
    {
        TestSeries[] series = [Series("a", 0, 130), Series("b", 0, 3)];
        var meta = await _fixture.AddAsync(1, s_dev, series);
        foreach (var file in new[] { "index", "chunks/000001" })
        {
            var key = $"{meta.Id}/{file}";
            var good = await _fixture.Bucket.GetBytesAsync(key, 1 << 20, default);
            for (var at = 0; at < good.Length; at += 2)
            {
                var bytes = (byte[])good.Clone();
                bytes[at] ^= (byte)(1 << (at % 8));
                await _fixture.Bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
                if (Directory.Exists(Path.Combine(_fixture.Folder, "cache")))
                {
                    Directory.Delete(Path.Combine(_fixture.Folder, "cache"), recursive: true);
                }

                await using var store = new BucketStore(
                    _fixture.Bucket, new BucketStoreOptions { Directory = Path.Combine(_fixture.Folder, "cache"), Time = TimeProvider.System, CacheBytes = 0 },
                    new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
                await store.SyncAsync(default);
                var query = new QueryContext();
                var read = await StoreFixture.ReadAsync(store, null, query);
                if (query.Coverage.IsEmpty)
                {
                    Assert.Equal(series.Select(s => s.Samples), read.Select(s => s.Samples.ToArray()));
                }
                else
                {
                    Assert.Contains(meta.Id.ToString(), Assert.Single(query.Coverage.Warnings()), StringComparison.Ordinal);
                    // What is left is right.
                    Assert.All(read.SelectMany(s => s.Samples), sample => Assert.Equal(sample.Time / 1_000.0, sample.Value));
                }
            }

            await _fixture.Bucket.PutBytesAsync(key, good, PutCondition.None, default);
        }
    }

    [Fact]
    public async Task A_damaged_chunk_costs_that_chunk_only()
    {
        var meta = await _fixture.AddAsync(1, s_dev, Series("a", 0, 360));
        var key = $"{meta.Id}/chunks/000001";
        var bytes = await _fixture.Bucket.GetBytesAsync(key, 1 << 20, default);
        bytes[20] ^= 1;
        await _fixture.Bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var query = new QueryContext();
        var samples = Assert.Single(await StoreFixture.ReadAsync(store, null, query)).Samples;
        Assert.Equal(Enumerable.Range(120, 240), samples.Select(s => (int)s.Value));
        Assert.Contains("000001 at 8: checksum", Assert.Single(query.Coverage.Warnings()), StringComparison.Ordinal);
    }

    /// <summary>A compactor replaces two blocks by one, and deletes them, at any moment of a query.</summary>
    [Fact]
    public async Task A_block_that_vanishes_during_a_query_is_replaced_by_the_one_that_was_made_of_it()
    {
        for (var moment = 0; ; moment++)
        {
            await using var fixture = new StoreFixture();
            var first = await fixture.AddAsync(1, s_dev, Series("a", 0, 200), Series("b", 0, 200));
            var second = await fixture.AddAsync(2, s_dev, Series("a", 200, 200), Series("b", 200, 200));
            await using var store = fixture.Open(options => options with { CacheBytes = 0 });
            await store.SyncAsync(default);
            TestSeries[] whole = [Series("a", 0, 400), Series("b", 0, 400)];
            var compacted = TestBlocks.Meta(whole, s_dev) with
            {
                Compaction = new BlockCompaction { Level = 2, Sources = [first.Id, second.Id] },
            };
            var left = moment;
            var done = false;
            fixture.Bucket.Fault = (_, _) =>
            {
                if (!done && left-- == 0)
                {
                    done = true;
                    fixture.Bucket.Fault = null;
                    fixture.AddAsync(3, compacted, whole).GetAwaiter().GetResult();
                    fixture.Blocks.DeleteAsync(first.Id, default).GetAwaiter().GetResult();
                    fixture.Blocks.DeleteAsync(second.Id, default).GetAwaiter().GetResult();
                }

                return null;
            };
            var query = new QueryContext();
            var read = await StoreFixture.ReadAsync(store, null, query);
            fixture.Bucket.Fault = null;
            Assert.Empty(query.Coverage.Warnings());
            Assert.Equal(whole.Select(s => s.Samples), read.Select(s => s.Samples.ToArray()));
            if (!done)
            {
                Assert.InRange(moment, 6, 60);
                return;
            }
        }
    }

    [Fact]
    public async Task A_bucket_that_was_not_looked_into_yet_may_hold_anything_and_gives_no_answer()
    {
        await using var fixture = new StoreFixture();
        await fixture.AddAsync(1, [("cluster", "a")], Series("m", 0, 10));
        await using var store = fixture.Open();
        Assert.Equal(TimeRange.All, store.Range);
        await Assert.ThrowsAsync<BucketException>(() => StoreFixture.ReadAsync(store));
        var selection = new QueryContext().Select(new SelectHints { Range = TimeRange.All }, []);
        await Assert.ThrowsAsync<BucketException>(async () => await store.LabelNamesAsync(selection));
        await Assert.ThrowsAsync<BucketException>(async () => await store.LabelValuesAsync("cluster", selection));
        await store.SyncAsync(default);
        Assert.NotEqual(TimeRange.All, store.Range);
        Assert.Single(await StoreFixture.ReadAsync(store));
    }

    [Fact]
    public async Task A_block_that_vanishes_without_replacement_is_told()
    {
        var meta = await _fixture.AddAsync(1, s_dev, Series("a", 0, 10));
        await _fixture.AddAsync(2, s_dev, Series("a", 20, 10));
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        await _fixture.Blocks.DeleteAsync(meta.Id, default);
        var query = new QueryContext();
        Assert.Equal(10, Assert.Single(await StoreFixture.ReadAsync(store, null, query)).Samples.Count);
        Assert.Contains($"{meta.Id} vanished", Assert.Single(query.Coverage.Warnings()), StringComparison.Ordinal);
        Assert.Equal([TestBlocks.Id(2)], store.Blocks().Select(b => b.Id));
    }

    [Fact]
    public async Task A_limit_of_bytes_is_told_before_anything_is_fetched()
    {
        await _fixture.AddAsync(1, s_dev, Series("a", 0, 10));
        await using (var store = _fixture.Open(options => options with { MaxBytesPerQuery = 10 }))
        {
            await store.SyncAsync(default);
            var error = await Assert.ThrowsAsync<LimitException>(() => StoreFixture.ReadAsync(store));
            Assert.Contains("--store.grpc.downloaded-bytes-limit", error.Message, StringComparison.Ordinal);
        }

        await using var full = _fixture.Open(options => options with { MaxBytes = 100 });
        await full.SyncAsync(default);
        Assert.Contains("--chunk-pool-size", (await Assert.ThrowsAsync<LimitException>(() => StoreFixture.ReadAsync(full))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Memory_that_a_query_held_is_given_back()
    {
        await _fixture.AddAsync(1, s_dev, Series("a", 0, 1_000));
        await using var store = _fixture.Open(options => options with { MaxBytes = 200_000 });
        await store.SyncAsync(default);
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(1_000, Assert.Single(await StoreFixture.ReadAsync(store)).Samples.Count);
        }
    }

    [Fact]
    public async Task A_second_query_asks_the_bucket_for_nothing_and_a_restarted_store_for_no_header()
    {
        await _fixture.AddAsync(1, s_dev, Series("a", 0, 1_000));
        var requests = new ConcurrentBag<string>();
        _fixture.Bucket.Fault = (operation, key) =>
        {
            requests.Add($"{operation} {key[(key.IndexOf('/', StringComparison.Ordinal) + 1)..]}");
            return null;
        };
        await using (var store = _fixture.Open())
        {
            await store.SyncAsync(default);
            Assert.Equal(["Get meta.json", "List "], requests.Order());
            requests.Clear();
            await StoreFixture.ReadAsync(store);
            Assert.Equal(["Get tombstones", "GetRange chunks/000001", "GetRange index", "GetRange index"], requests.Order());
            requests.Clear();
            await StoreFixture.ReadAsync(store);
            Assert.Empty(requests);
        }

        await using var again = new BucketStore(
            _fixture.Bucket, new BucketStoreOptions { Directory = Path.Combine(_fixture.Folder, "cache"), Time = TimeProvider.System },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
        await again.SyncAsync(default);
        Assert.Equal(["List "], requests.Order());
        requests.Clear();
        await again.LabelNamesAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, []));
        Assert.Empty(requests);
    }
}
