using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Query.Tests.Promql.History;

/// <summary>
/// Three clusters of pairs, as their collectors' blocks came into a bucket and the compactor made of them what is left after some time; and
/// the truth, the one uninterrupted series of each target.
/// </summary>
sealed class MonthBuckets : IAsyncDisposable
{
    const long Hour = 3_600_000;
    const long Day = 24 * Hour;

    readonly TemporaryFolder _folder = new();
    readonly FakeTimeProvider _time = new();
    readonly Dictionary<string, MemoryBucket> _buckets = [];
    readonly Dictionary<string, (BucketStore Store, IQuerier Querier)> _stores = [];
    readonly Random _random = new(5);
    int _blocks;

    MonthBuckets(int days) => (Days, EndTime) = (days, StartTime + (days * Day));

    /// <summary>With less than a month there are fewer blocks, and they are downsampled sooner, so that all resolutions are there.</summary>
    public bool IsShort => Days < 30;

    /// <summary>The span of collectors' blocks.</summary>
    long Span => IsShort ? 8 * Hour : 2 * Hour;

    /// <summary>Three days before the edge of two blocks of 14 days.</summary>
    public static long StartTime { get; } = (1_400 * 14 * Day) - (3 * Day);

    public long EndTime { get; }

    public int Days { get; }

    /// <summary>An edge of two blocks of every resolution, around which is asked.</summary>
    public long Edge => StartTime + (IsShort ? Days / 2 * Day : 17 * Day);

    public IQuerier Truth => _stores["truth"].Querier;

    /// <summary>
    /// What is left: everything; windows of an hour, and raw samples after an edge of blocks; windows of 5 minutes and an hour; those of an hour.
    /// </summary>
    public IQuerier this[string name] => _stores[name].Querier;

    /// <summary>Samples and bytes of the blocks of a resolution, in milliseconds.</summary>
    public Dictionary<long, (long Samples, long Bytes, int Blocks)> Sizes { get; } = [];

    public static async Task<MonthBuckets> MakeAsync(int days, int seed)
    {
        var month = new MonthBuckets(days);
        foreach (var bucket in (string[])["truth", "pairs"])
        {
            month._buckets[bucket] = new MemoryBucket(month._time);
        }

        await month.WriteAsync(seed);
        await month.CompactAsync("pairs", "replica");
        await month.OpenAsync("truth", "truth", _ => true);
        await month.OpenAsync("all", "pairs", _ => true);
        await month.OpenAsync("1h, raw", "pairs", block => block.ResolutionMs == (block.MinTime < month.Edge ? Downsampler.OneHour : 0));
        await month.OpenAsync("5m+1h", "pairs", block => block.ResolutionMs > 0);
        await month.OpenAsync("1h", "pairs", block => block.ResolutionMs == Downsampler.OneHour);
        return month;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (store, _) in _stores.Values)
        {
            await store.DisposeAsync();
        }

        foreach (var bucket in _buckets.Values)
        {
            await bucket.DisposeAsync();
        }

        _folder.Dispose();
    }

    async Task WriteAsync(int seed)
    {
        MonthCluster[] clusters =
        [
            new("a", 15_000, StartTime, EndTime, seed), new("b", 30_000, StartTime, EndTime, seed + 1_000), new("c", 20_000, StartTime, EndTime, seed + 2_000),
        ];
        foreach (var cluster in clusters)
        {
            var truth = new Dictionary<Labels, TestSeries>();
            for (var from = StartTime; from < EndTime; from += Span)
            {
                var (whole, first, second) = cluster.Next(from, from + Span);
                await AddAsync("pairs", first, from, Span, ("cluster", cluster.Name), ("replica", "0"));
                await AddAsync("pairs", second, from, Span, ("cluster", cluster.Name), ("replica", "1"));
                foreach (var series in whole)
                {
                    truth[series.Labels] = truth.TryGetValue(series.Labels, out var before)
                        ? before with { Samples = [.. before.Samples, .. series.Samples], Histograms = [.. before.Histograms, .. series.Histograms] }
                        : series;
                }

                if ((from + Span) % Day == 0)
                {
                    await AddAsync("truth", [.. truth.Values], from + Span - Day, Day, ("cluster", cluster.Name));
                    truth.Clear();
                }
            }
        }
    }

    async Task AddAsync(string bucket, IReadOnlyList<TestSeries> series, long from, long span, params (string, string)[] external)
    {
        if (series.Count == 0)
        {
            return;
        }

        var id = TestBlocks.Id(++_blocks);
        await TestBlocks.WriteAsync(
            _folder.Path, id, series, TestBlocks.Meta(series, external) with { MinTime = from, MaxTime = from + span });
        var folder = Path.Combine(_folder.Path, id.ToString());
        await new BucketBlocks(_buckets[bucket]).UploadAsync(folder, DateTimeOffset.UnixEpoch, default);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Lets the compactor do what it does while the blocks are young, and then what it does once they have to go.</summary>
    async Task CompactAsync(string bucket, params string[] replicaLabels)
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(EndTime + Hour));
        var options = new CompactOptions
        {
            Directory = Path.Combine(_folder.Path, "compact-" + bucket),
            Time = time,
            Random = _random,
            ReplicaLabels = replicaLabels,
            ConsistencyDelay = TimeSpan.Zero,
        };
        if (IsShort)
        {
            options = options with { LevelsMs = [Span, Day], FiveMinutesAfterMs = 20 * Hour, OneHourAfterMs = 20 * Hour };
        }

        await RunAsync(options);
        time.SetUtcNow(DateTimeOffset.FromUnixTimeMilliseconds(EndTime + (60 * Day)));
        await RunAsync(options with { RetentionRaw = TimeSpan.FromDays(2), RetentionFiveMinutes = TimeSpan.FromDays(10) });

        async Task RunAsync(CompactOptions now)
        {
            var loop = new CompactLoop(
                _buckets[bucket], now, new CompactMetrics(Metrics.NewCustomRegistry()), NullLogger<CompactLoop>.Instance);
            CompactReport report;
            do
            {
                report = await loop.RunOnceAsync(default);
                Assert.Equal((0, null), (report.Failures, report.SyncError));
            }
            while (!report.IsIdle);
        }
    }

    /// <summary>Opens some of a bucket's blocks, marked for deletion or not.</summary>
    async Task OpenAsync(string name, string bucket, Func<BlockMeta, bool> isLeft)
    {
        var store = new BucketStore(
            _buckets[bucket],
            new BucketStoreOptions
            {
                Directory = Path.Combine(_folder.Path, name),
                Time = _time,
                Filters = [set => Exclude(set, isLeft)],
                IgnoreDeletionMarksDelay = TimeSpan.FromDays(1_000),
            },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
        await store.SyncAsync(default);
        _stores[name] = (store, new DedupQuerier(store, ["replica"]));
        if (name == "all")
        {
            foreach (var stored in store.Blocks().Where(b => b.Excluded is null))
            {
                var size = Sizes.GetValueOrDefault(stored.Meta!.ResolutionMs);
                var files = stored.Meta.Thanos!.Files!.Sum(f => f.Size);
                Sizes[stored.Meta.ResolutionMs] = (size.Samples + stored.Meta.Stats.Samples, size.Bytes + files, size.Blocks + 1);
            }
        }
    }

    static void Exclude(MetaSet set, Func<BlockMeta, bool> isLeft)
    {
        foreach (var block in set.Blocks.Values.Where(block => !isLeft(block)).ToList())
        {
            set.Exclude(block.Id, "expired");
        }
    }
}
