using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Fleet;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Blocks;

/// <summary>Whatever lies in a bucket as JSON is either read and safe in every use, or corruption; never an exception of another kind.</summary>
public sealed class DamagedMetaTests : IAsyncDisposable
{
    const int Rounds = 8_000;

    readonly string _folder = Checkout.NewFolder("damaged-meta");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    static readonly BlockMeta s_good = new()
    {
        Id = TestBlocks.Id(1),
        MinTime = 1_700_000_000_000,
        MaxTime = 1_700_007_200_000,
        Stats = new BlockStats { Samples = 10, Series = 2, Chunks = 2, Tombstones = 1 },
        Compaction = new BlockCompaction
        {
            Level = 2,
            Sources = [TestBlocks.Id(2), TestBlocks.Id(3)],
            Parents = [new BlockParent(TestBlocks.Id(2), 1_700_000_000_000, 1_700_003_600_000)],
            Hints = ["from-out-of-order"],
        },
        Thanos = new ThanosSection
        {
            Version = 1,
            Labels = new Dictionary<string, string> { ["cluster"] = "a", ["replica"] = "b" },
            Downsample = new DownsampleSection { ResolutionMs = 300_000 },
            Source = "compactor",
            SegmentFiles = ["000001"],
            Files = [new BlockFile("chunks/000001", 100, new FileHash("SHA256", "ab")), new BlockFile("index", 200), new BlockFile("meta.json")],
            IndexStats = new IndexStats(100, 200),
            Extensions = new System.Text.Json.Nodes.JsonObject { ["observe"] = new System.Text.Json.Nodes.JsonObject { ["collector"] = "c" } },
            UploadTime = DateTimeOffset.FromUnixTimeSeconds(1_700_010_000),
        },
    };

    public static TheoryData<int> Seeds => [1, 2, 3, 4];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task A_damaged_meta_is_corruption_or_safe_in_every_use(int seed)
    {
        var random = new Random(seed);
        List<byte[]> sound = [s_good.ToJson(), .. SharedMetas()];
        var read = 0;
        for (var i = 0; i < Rounds / Seeds.Count; i++)
        {
            var json = JsonDamage.Of(sound[random.Next(sound.Count)], random);
            try
            {
                if (Parsed(() => BlockMeta.Parse(json, "m")) is { } meta)
                {
                    read++;
                    await UseAsync(meta);
                }
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {i}: {e}\n{Encoding.UTF8.GetString(json)}");
            }
        }

        Assert.InRange(read, 100, (Rounds / Seeds.Count) - 100);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_damaged_mark_is_corruption_or_safe(int seed)
    {
        var random = new Random(seed);
        byte[][] sound =
        [
            MarkerJson.Write(new DeletionMark(TestBlocks.Id(1), 1_700_000_000, "d")),
            MarkerJson.Write(new NoCompactMark(TestBlocks.Id(1), 1_700_000_000, "manual", "d")),
            MarkerJson.Write(new NoDownsampleMark(TestBlocks.Id(1), 1_700_000_000, "manual", "d")),
        ];
        for (var i = 0; i < Rounds / Seeds.Count; i++)
        {
            var json = JsonDamage.Of(sound[random.Next(3)], random);
            try
            {
                if (Parsed(() => MarkerJson.Parse<DeletionMark>(json, TestBlocks.Id(1), "m")) is { } mark)
                {
                    MetaFilters.DeletionMarks(TimeSpan.FromHours(1))(
                        new MetaSet(_time.GetUtcNow(), new Dictionary<BlockId, BlockMeta> { [s_good.Id] = s_good }, new Dictionary<BlockId, DeletionMark> { [mark.Id] = mark }));
                }

                _ = Parsed(() => MarkerJson.Parse<NoCompactMark>(json, TestBlocks.Id(1), "m"));
                _ = Parsed(() => MarkerJson.Parse<NoDownsampleMark>(json, TestBlocks.Id(1), "m"));
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {i}: {e}\n{Encoding.UTF8.GetString(json)}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_damaged_status_is_corruption_or_safe(int seed)
    {
        var random = new Random(seed);
        var sound = new CollectorStatus
        {
            Cluster = "a",
            Collector = "c",
            Instance = "i",
            Labels = new Dictionary<string, string> { ["cluster"] = "a" },
            ProgramVersion = "1",
            ConfigHash = "h",
            StartedAt = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000),
            WrittenAt = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000),
            IntervalMs = 15_000,
            NewestSample = 1_700_000_000_000,
            Shipped = [new TimeRange(1, 2)],
            Unshipped = [new TimeRange(3, 4), new TimeRange(5, 9)],
            Series = 3,
            Rival = "r",
        }.ToJson();
        for (var i = 0; i < Rounds / Seeds.Count; i++)
        {
            var json = JsonDamage.Of(sound, random);
            try
            {
                if (Parsed(() => CollectorStatus.Parse(json, "s")) is { } status)
                {
                    var fleet = new FleetStatus([new ClusterStatus(status.Cluster, [status])], []);
                    fleet.Known([], _time.GetUtcNow());
                    _ = fleet.Clusters[0].Silent(_time.GetUtcNow()).Count + (fleet.Clusters[0].NewestSample ?? 0);
                    CollectorStatus.Parse(status.ToJson(), "s");
                }
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {i}: {e}\n{Encoding.UTF8.GetString(json)}");
            }
        }
    }

    [Theory]
    [InlineData("""{"files":[{}]}""")]
    [InlineData("""{"files":[null]}""")]
    [InlineData("""{"files":[{"rel_path":null}]}""")]
    [InlineData("""{"files":[{"rel_path":"index"},{"rel_path":"index"}]}""")]
    [InlineData("""{"files":[{"rel_path":"../../etc/cron.d/x"}]}""")]
    [InlineData("""{"files":[{"rel_path":"chunks"}]}""")]
    [InlineData("""{"files":[{"rel_path":"index","size_bytes":-1}]}""")]
    [InlineData("""{"labels":{"cluster":null}}""")]
    [InlineData("""{"labels":{"cluster":"a","cluster":"b"}}""")]
    [InlineData("""{"labels":{"":"a"}}""")]
    [InlineData("""{"downsample":{"resolution":-5}}""")]
    [InlineData("""{"source":null}""")]
    [InlineData("""{"segment_files":[null]}""")]
    public void What_no_block_says_is_corruption(string thanos) => Assert.Throws<CorruptionException>(() => BlockMeta.Parse(
        Encoding.UTF8.GetBytes($$"""{"ulid":"{{TestBlocks.Id(1)}}","minTime":1,"maxTime":2,"version":1,"thanos":{{thanos}}}"""), "m"));

    public static TheoryData<string> BadMetas =>
    [
        "",
        "null",
        """{"ulid":"$ID","minTime":$MIN,"maxTime":$MAX,"version":1,"thanos":{"labels":{"cluster":"a"},"files":[{}]}}""",
        """{"ulid":"$ID","minTime":$MIN,"maxTime":$MAX,"version":1,"thanos":{"labels":{"cluster":"a"},"files":[null]}}""",
        """{"ulid":"$ID","minTime":$MIN,"maxTime":$MAX,"version":1,"thanos":{"labels":{"cluster":null}}}""",
        """{"ulid":"$ID","minTime":$MIN,"maxTime":9223372036854775807,"version":1,"thanos":{"labels":{"cluster":"a"}}}""",
        """{"ulid":"$OTHER","minTime":$MIN,"maxTime":$MAX,"version":1,"thanos":{"labels":{"cluster":"a"}}}""",
        "$LARGE",
    ];

    [Theory]
    [MemberData(nameof(BadMetas))]
    public async Task One_bad_block_is_named_and_the_good_ones_are_served_and_compacted(string bad)
    {
        const long Hour = 3_600_000;
        const long Start = 1_700_006_400_000;
        using var logging = new LineLog();
        await using var bucket = new MemoryBucket(TimeProvider.System);
        var blocks = new BucketBlocks(bucket);
        for (var i = 0; i < 6; i++)
        {
            var (from, to) = (Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour));
            var series = new TestSeries(Labels.Of(("__name__", "x")), [(from, i), (from + 60_000, i)]);
            var meta = TestBlocks.Meta([series], ("cluster", "a")) with { MinTime = from, MaxTime = to };
            await TestBlocks.WriteAsync(_folder, TestBlocks.Id(i), [series], meta);
            await blocks.UploadAsync(Path.Combine(_folder, TestBlocks.Id(i).ToString()), _time.GetUtcNow() - TimeSpan.FromDays(1), default);
        }

        var id = TestBlocks.Id(9);
        await bucket.PutBytesAsync($"{id}/meta.json", Encoding.UTF8.GetBytes(bad
            .Replace("$ID", id.ToString(), StringComparison.Ordinal).Replace("$OTHER", TestBlocks.Id(0).ToString(), StringComparison.Ordinal)
            .Replace("$MIN", $"{Start}", StringComparison.Ordinal).Replace("$MAX", $"{Start + Hour}", StringComparison.Ordinal)
            .Replace("$LARGE", new string(' ', BlockMeta.MaxSize + 1), StringComparison.Ordinal)), PutCondition.None, default);

        var registry = Metrics.NewCustomRegistry();
        var options = new CompactOptions { Directory = Path.Combine(_folder, "compact"), Time = _time, Random = new Random(1) };
        var loop = new CompactLoop(bucket, options, new CompactMetrics(registry), logging.CreateLogger<CompactLoop>());
        var report = await loop.RunOnceAsync(default);
        Assert.Equal((1, 0), (report.Compactions, report.Failures));
        Assert.Contains(logging.Lines, line => line.Contains(id.ToString(), StringComparison.Ordinal));

        logging.Lines.Clear();
        var storeOptions = new BucketStoreOptions { Directory = Path.Combine(_folder, "store"), Time = _time };
        await using var store = new BucketStore(bucket, storeOptions, new BucketStoreMetrics(registry), logging.CreateLogger<BucketStore>());
        await store.SyncAsync(default);
        Assert.Contains(logging.Lines, line => line.Contains(id.ToString(), StringComparison.Ordinal));
        var text = await TextAsync(registry);
        Assert.Contains("thanos_blocks_meta_synced{state=\"corrupted-meta-json\"} 1", text, StringComparison.Ordinal);
        Assert.Contains("observe_compact_unreadable_blocks 1", text, StringComparison.Ordinal);

        var query = new QueryContext();
        var count = 0;
        await foreach (var series in store.SelectAsync(query.Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            count += TestBlocks.Floats(series).Count;
        }

        Assert.Equal(12, count);
        var missing = Assert.Single(query.Coverage.Missing);
        Assert.Equal((MissingPart.Block, $"{bucket.Name}/{id}"), (missing.Part, missing.Name));
        Assert.Empty(missing.LabelSets);
        Assert.Equal(["__name__", "cluster"], await store.LabelNamesAsync(query.Select(new SelectHints { Range = TimeRange.All }, [])));
        Assert.NotNull(store.Blocks().Single(block => block.Id == id).Fault);
    }

    static T? Parsed<T>(Func<T> parse)
        where T : class
    {
        try
        {
            return parse();
        }
        catch (CorruptionException)
        {
            return null;
        }
    }

    // What fetcher, planner, downsampling, retention, store, outbox and verifier do with a meta.
    async Task UseAsync(BlockMeta meta)
    {
        Assert.Equal(meta.Id, BlockMeta.Parse(meta.ToJson(), "again").Id);
        _ = StreamKey.Of(meta, []).ToString() + meta.ExternalLabels + meta.Range + Duration.Format(meta.MaxTime - meta.MinTime) + Duration.Format(meta.ResolutionMs);
        _ = meta.Thanos?.Extensions?.DeepClone().ToJsonString();
        var other = s_good with { Id = TestBlocks.Id(77) };
        var all = new Dictionary<BlockId, BlockMeta> { [other.Id] = other, [meta.Id] = meta };
        var marks = new Dictionary<BlockId, DeletionMark> { [meta.Id] = new(meta.Id, 1_700_000_000) };
        var set = new MetaSet(_time.GetUtcNow(), all, marks);
        MetaFilters.ConsistencyDelay(TimeSpan.FromMinutes(30))(set);
        MetaFilters.DeletionMarks(TimeSpan.FromHours(24))(set);
        MetaFilters.Duplicates()(set);
        MetaFilters.Time(new TimeRange(0, long.MaxValue))(set);
        MetaFilters.Labels([])(set);
        var options = new CompactOptions
        {
            Directory = _folder,
            Time = _time,
            Random = new Random(1),
            RetentionRaw = TimeSpan.FromDays(1),
            RetentionFiveMinutes = TimeSpan.FromDays(1),
            RetentionOneHour = TimeSpan.FromDays(1),
        };
        var retention = new Retention(all.Values, options, _time.GetUtcNow());
        retention.Past();
        retention.ToDownsample(Downsampler.FiveMinutes);
        retention.ToDownsample(Downsampler.OneHour);
        StreamKey.Superseded(all.Values);
        foreach (var group in Planner.Groups(all.Values, ["replica"]).Values)
        {
            Planner.Oversized(Planner.Next(group, options.LevelsMs, new HashSet<BlockId>()), options.MaxIndexBytes);
        }

        foreach (var resolution in new[] { 0, 300_000L, long.MaxValue })
        {
            ResolutionPlan.Of(all.Values, TimeRange.All, resolution);
        }

        await using var bucket = new MemoryBucket(_time);
        await bucket.PutBytesAsync($"{meta.Id}/meta.json", meta.ToJson(), PutCondition.None, default);
        var fetched = await new MetaFetcher(new BucketBlocks(bucket), new MetaFetcherOptions { Time = _time }, NullLogger.Instance).FetchAsync(default);
        Assert.Equal([meta.Id], fetched.Blocks.Keys);
        await using var store = new BucketStore(
            bucket, new BucketStoreOptions { Directory = _folder, Time = _time }, new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
        await store.SyncAsync(default);
        Assert.Single(store.LabelSets());
        Assert.Single(store.Blocks());
        _ = store.Range;
    }

    static async Task<string> TextAsync(CollectorRegistry registry)
    {
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text);
        return Encoding.UTF8.GetString(text.ToArray());
    }

    static IEnumerable<byte[]> SharedMetas() => Checkout.SharedPath("blocks") is { } folder
        ? Directory.GetFiles(folder, BlockMeta.FileName, SearchOption.AllDirectories).Select(File.ReadAllBytes)
        : [];
}
