using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Compact;

public sealed class CompactLoopTests : IAsyncDisposable
{
    const long Hour = 3_600_000;
    const long Start = 1_700_006_400_000;

    readonly string _folder = Checkout.NewFolder("compact");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(Start + (24 * Hour)));
    readonly FileBucket _bucket;
    readonly BucketBlocks _blocks;
    readonly Random _random = new(4);

    public CompactLoopTests()
    {
        _bucket = new FileBucket(Path.Combine(_folder, "bucket"), TimeProvider.System);
        _blocks = new BucketBlocks(_bucket);
    }

    public async ValueTask DisposeAsync()
    {
        await _bucket.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Blocks_of_a_window_become_one_that_answers_as_they_did_and_are_marked()
    {
        var sources = new List<BlockId>();
        for (var i = 0; i < 6; i++)
        {
            sources.Add(await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Cluster("a"), Series("x", i), Series("y", i)));
        }

        var other = await BlockAsync(Start, Start + (2 * Hour), Cluster("b"), Series("x", 0));
        var before = await ReadAsync(sources);
        var report = await Loop().RunOnceAsync(default);
        Assert.Equal((1, 0, 4, 0, 0), (report.Compactions, report.Downsamplings, report.Marked, report.Deleted, report.Failures));
        var alive = await AliveAsync();
        var made = Assert.Single(alive, m => m.Compaction.Level == 2);
        Assert.Equal([other, .. sources[4..]], alive.Where(m => m.Compaction.Level == 1).Select(m => m.Id).OrderBy(i => i == other ? default : i));
        Assert.Equal((Start, Start + (8 * Hour)), (made.MinTime, made.MaxTime));
        Assert.Equal(sources[..4], made.Compaction.Sources);
        Assert.Equal(sources[..4], made.Compaction.Parents!.Select(p => p.Id));
        Assert.Equal("compactor", made.Thanos!.Source);
        Assert.Equal(Cluster("a"), made.ExternalLabels);
        Assert.Equal(before, await ReadAsync([made.Id, .. sources[4..]]));
        Assert.True((await Loop().RunOnceAsync(default)).IsIdle);
    }

    [Fact]
    public async Task Blocks_are_made_and_hashed_beside_the_thread_pool()
    {
        using var threads = ComputeThreads.ForBackground();
        var places = new PlacedRandom();
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("x", 0));
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("y", 0));
        var report = await Loop(o => o with { Background = threads, Random = places }).RunOnceAsync(default);
        Assert.Equal((1, 0), (report.Compactions, report.Failures));

        // The ids of the folder to work in and of the new block: before and after the first wait for the bucket.
        Assert.Equal([ThreadPlace.Background, ThreadPlace.Background], places.Asked);
    }

    /// <summary>Notes on which thread it is asked.</summary>
    sealed class PlacedRandom : Random
    {
        public List<string> Asked { get; } = [];

        public override void NextBytes(Span<byte> buffer)
        {
            Asked.Add(ThreadPlace.Current);
            base.NextBytes(buffer);
        }
    }

    [Fact]
    public async Task Overlapping_blocks_of_several_collectors_and_replicas_become_one_series_each()
    {
        // Two collectors of one cluster with series of their own, and a pair that watches the same.
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("node1", 0));
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("node2", 0));
        await BlockAsync(Start, Start + (2 * Hour), Labels.Of(("cluster", "p"), ("replica", "0")), Floats("up", Enumerable.Range(0, 240).Where(i => i is < 100 or > 150).Select(i => (Start + (i * 30_000L), 1.0))));
        await BlockAsync(Start, Start + (2 * Hour), Labels.Of(("cluster", "p"), ("replica", "1")), Floats("up", Enumerable.Range(0, 240).Select(i => (Start + 15_000 + (i * 30_000L), 2.0))));
        var report = await Loop(o => o with { ReplicaLabels = ["replica"] }).RunOnceAsync(default);
        Assert.Equal((2, 4, 0), (report.Compactions, report.Marked, report.Failures));
        var alive = await AliveAsync();
        Assert.Equal(["{cluster=\"a\"}", "{cluster=\"p\"}"], alive.Select(m => m.ExternalLabels.ToString()).Order());
        var nodes = await ReadAsync([alive.Single(m => m.ExternalLabels.Get("cluster") == "a").Id]);
        Assert.Equal(["{__name__=\"node1\"}", "{__name__=\"node2\"}"], nodes.Keys);
        var up = (await ReadAsync([alive.Single(m => m.ExternalLabels.Get("cluster") == "p").Id])).Values.Single();
        Assert.InRange(up.Count, 239, 241);
        Assert.Equal([1.0, 2.0], up.Select(s => s.Value).Distinct());
        Assert.All(up.Zip(up.Skip(1)), p => Assert.InRange(p.Second.Timestamp - p.First.Timestamp, 15_000, 45_000));
    }

    /// <summary>A reader of the bucket sees of each collector which times are in it.</summary>
    [Fact]
    public async Task A_block_that_is_made_of_others_says_what_it_has_of_each_collector()
    {
        Labels Replica(string name) => Labels.Of(("cluster", "p"), ("replica", name));
        (string, long, long) Has(string collector, int from, int to) => (collector, Start + (from * 2 * Hour), Start + (to * 2 * Hour) - 1);
        for (var i = 0; i < 5; i++)
        {
            await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Replica("0"), new BlockOrigin("a", "1", "h"), Series("x", i));
            if (i != 1)
            {
                await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Replica("1"), new BlockOrigin("b", "1", "h"), Series("x", i));
            }
        }

        await Loop(o => o with { ReplicaLabels = ["replica"] }).RunOnceAsync(default);
        var made = (await AliveAsync()).Where(m => m.Compaction.Level > 1).MaxBy(m => m.MaxTime - m.MinTime)!;
        Assert.Equal("{cluster=\"p\"}", made.ExternalLabels.ToString());
        Assert.Equal(
            [Has("a", 0, 4), Has("b", 0, 1), Has("b", 2, 4)],
            BlockOrigin.Collectors(made).Select(one => (one.Collector, one.Range.MinTime, one.Range.MaxTime)));
        Assert.Equal(
            [Has("a", 0, 5), Has("b", 0, 1), Has("b", 2, 5)],
            BlockOrigin.Collectors(made with
            {
                MaxTime = made.MaxTime + (2 * Hour),
                Thanos = made.Thanos! with
                {
                    Extensions = BlockOrigin.Joined([made, .. (await AliveAsync()).Where(m => m.Id != made.Id)]),
                },
            }).Select(one => (one.Collector, one.Range.MinTime, one.Range.MaxTime)));
    }

    [Fact]
    public async Task Long_blocks_are_downsampled_twice_and_old_ones_go()
    {
        await BlockAsync(Start, Start + (20 * Hour), Cluster("a"), Floats("x", Enumerable.Range(0, 20 * 60).Select(i => (Start + (i * 60_000L), (double)i))));
        var loop = Loop(o => o with { FiveMinutesAfterMs = 10 * Hour, OneHourAfterMs = 15 * Hour, RetentionRaw = TimeSpan.FromHours(30) });
        Assert.Equal(2, (await loop.RunOnceAsync(default)).Downsamplings);
        Assert.True((await loop.RunOnceAsync(default)).IsIdle);
        Assert.Equal([0, 300_000, 3_600_000], (await AliveAsync()).Select(m => m.ResolutionMs).Order());
        _time.Advance(TimeSpan.FromHours(27));
        Assert.Equal(1, (await loop.RunOnceAsync(default)).Marked);
        Assert.Equal([300_000, 3_600_000], (await AliveAsync()).Select(m => m.ResolutionMs).Order());
        _time.Advance(TimeSpan.FromHours(47));
        Assert.Equal(0, (await loop.RunOnceAsync(default)).Deleted);
        Assert.Equal(3, await CountAsync());
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, (await loop.RunOnceAsync(default)).Deleted);
        Assert.Equal(2, await CountAsync());
        var hours = (await AliveAsync()).Single(m => m.ResolutionMs == 3_600_000);
        var counts = (await ReadAsync([hours.Id], Aggregate.Count)).Values.Single();
        Assert.Equal((20, 1200.0), (counts.Count, counts.Sum(c => c.Value)));
    }

    [Fact]
    public async Task A_block_past_its_time_stays_until_a_sound_coarser_block_has_all_of_it()
    {
        // Two hours that nothing will be added to, which is too short to be downsampled for its own sake.
        var raw = await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("x", 0));
        var retaining = (CompactOptions o) => o with { RetentionRaw = TimeSpan.FromHours(40) };
        _time.Advance(TimeSpan.FromHours(24));
        await _blocks.MarkNoDownsampleAsync(raw, "manual", "", _time.GetUtcNow(), default);
        var registry = Prometheus.Metrics.NewCustomRegistry();
        var report = await Loop(retaining, registry).RunOnceAsync(default);
        Assert.Equal((0, 0, 0), (report.Downsamplings, report.Marked, report.Failures));
        using var text = new MemoryStream();
        await registry.CollectAndExportAsTextAsync(text);
        Assert.Contains("observe_compact_kept_past_retention_blocks 1\n", System.Text.Encoding.UTF8.GetString(text.ToArray()), StringComparison.Ordinal);

        // Made while raw is kept for ever, and found damaged later.
        await _bucket.DeleteAsync(BucketBlocks.Key(raw, NoDownsampleMark.FileName), default);
        Assert.Equal(1, (await Loop(o => o with { FiveMinutesAfterMs = Hour }).RunOnceAsync(default)).Downsamplings);
        var coarser = Assert.Single(await AliveAsync(), m => m.ResolutionMs > 0).Id;
        await _blocks.MarkNoCompactAsync(coarser, "damaged", "", _time.GetUtcNow(), default);
        Assert.True((await Loop(retaining).RunOnceAsync(default)).IsIdle);
        await _bucket.DeleteAsync(BucketBlocks.Key(coarser, NoCompactMark.FileName), default);
        Assert.Equal(1, (await Loop(retaining).RunOnceAsync(default)).Marked);
        Assert.Equal(coarser, Assert.Single(await AliveAsync()).Id);
    }

    [Fact]
    public async Task What_comes_late_is_downsampled_however_short_it_is_before_it_goes()
    {
        for (var i = 0; i < 3; i++)
        {
            await BlockAsync(Start + (i * 6 * Hour), Start + (((i * 6) + 2) * Hour), Cluster("a"), Series("x", i * 3));
        }

        _time.Advance(TimeSpan.FromDays(100));
        var report = await Loop(o => o with { RetentionRaw = TimeSpan.FromDays(2), RetentionFiveMinutes = TimeSpan.FromDays(20) }).RunOnceAsync(default);
        Assert.Equal((1, 4, 6, 0), (report.Compactions, report.Downsamplings, report.Marked, report.Failures));
        var alive = await AliveAsync();
        Assert.All(alive, m => Assert.Equal(3_600_000, m.ResolutionMs));
        Assert.Equal(720, (await ReadAsync(alive.Select(m => m.Id), Aggregate.Count)).Values.Single().Sum(s => s.Value));
    }

    [Theory]
    [InlineData("chunks/000001", 100)]
    [InlineData("index", 100)]
    public async Task A_damaged_block_is_left_alone_and_the_others_go_on(string file, int at)
    {
        var damaged = await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("x", 0));
        for (var i = 1; i < 6; i++)
        {
            await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Cluster("a"), Series("x", i));
        }

        var path = Path.Combine(_folder, "bucket", damaged.ToString(), file);
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 0x10;
        File.WriteAllBytes(path, bytes);
        var metrics = Prometheus.Metrics.NewCustomRegistry();
        var report = await Loop(registry: metrics).RunOnceAsync(default);
        Assert.Equal((1, 1, 3), (report.Failures, report.Compactions, report.Marked));
        Assert.Equal("damaged", (await _blocks.NoCompactMarkAsync(damaged, default))!.Reason);
        Assert.Null(await _blocks.DeletionMarkAsync(damaged, default));
        var made = Assert.Single(await AliveAsync(), m => m.Compaction.Level == 2);
        Assert.Equal((Start + (2 * Hour), Start + (8 * Hour)), (made.MinTime, made.MaxTime));
        Assert.True((await Loop().RunOnceAsync(default)).IsIdle);
        var text = new MemoryStream();
        await metrics.CollectAndExportAsTextAsync(text);
        Assert.Contains("observe_compact_quarantined_blocks 1", System.Text.Encoding.UTF8.GetString(text.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_compaction_that_was_broken_off_before_the_marks_is_finished_by_the_next_iteration()
    {
        var sources = new List<BlockId>();
        for (var i = 0; i < 5; i++)
        {
            sources.Add(await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Cluster("a"), Series("x", i)));
        }

        Assert.Equal(1, (await Loop().RunOnceAsync(default)).Compactions);
        foreach (var source in sources[..4])
        {
            await _bucket.DeleteAsync(BucketBlocks.Key(source, DeletionMark.FileName), default);
        }

        var report = await Loop().RunOnceAsync(default);
        Assert.Equal((0, 4, 0), (report.Compactions, report.Marked, report.Failures));
    }

    [Fact]
    public async Task Uploads_that_were_broken_off_go_after_a_day_without_a_write_and_young_ones_stay()
    {
        var broken = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(Start), _random);
        await _bucket.PutBytesAsync(BucketBlocks.Key(broken, "chunks/000001"), new byte[10], PutCondition.None, default);
        var written = (await _bucket.AttributesAsync(BucketBlocks.Key(broken, "chunks/000001"), default))!.LastModified;
        _time.SetUtcNow(written + TimeSpan.FromHours(47));
        Assert.Equal(0, (await Loop().RunOnceAsync(default)).Deleted);
        _time.SetUtcNow(written + TimeSpan.FromHours(48));
        Assert.Equal(1, (await Loop().RunOnceAsync(default)).Deleted);
        Assert.Equal(0, await CountAsync());
    }

    [Fact]
    public async Task Marked_blocks_are_neither_compacted_nor_downsampled()
    {
        var first = await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("x", 0));
        var second = await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("y", 0));
        await _blocks.MarkNoCompactAsync(first, "manual", "", _time.GetUtcNow(), default);
        await _blocks.MarkNoDownsampleAsync(second, "manual", "", _time.GetUtcNow(), default);
        var report = await Loop(o => o with { FiveMinutesAfterMs = Hour }).RunOnceAsync(default);
        Assert.Equal((0, 1, 0), (report.Compactions, report.Downsamplings, report.Failures));
        Assert.Equal([first], (await AliveAsync()).Single(m => m.ResolutionMs > 0).Compaction.Sources);
    }

    [Fact]
    public async Task Fresh_uploads_wait_and_a_bucket_that_fails_is_a_failed_iteration_not_an_end()
    {
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("x", 0));
        await BlockAsync(Start, Start + (2 * Hour), Cluster("a"), Series("y", 0));
        Assert.True((await Loop(o => o with { ConsistencyDelay = TimeSpan.FromMinutes(30) }).RunOnceAsync(default)).IsIdle);
        _time.Advance(TimeSpan.FromMinutes(30));
        Assert.Equal(1, (await Loop(o => o with { ConsistencyDelay = TimeSpan.FromMinutes(30) }).RunOnceAsync(default)).Compactions);
        var failing = new FailingBucket(_bucket);
        await using (failing)
        {
            Assert.Equal(1, (await Loop(bucket: failing).RunOnceAsync(default)).Failures);
        }

        Assert.True((await Loop().RunOnceAsync(default)).IsIdle);
    }

    [Fact]
    public async Task Broken_off_at_any_write_nothing_is_lost_and_the_next_iterations_finish()
    {
        var expected = default(string);
        for (var survives = 0; ; survives++)
        {
            var folder = Path.Combine(_folder, $"crash{survives}");
            await using var inner = new FileBucket(folder, TimeProvider.System);
            await CopyAsync(inner);
            var before = await TextAsync(inner);
            expected ??= before;
            Assert.Equal(expected, before);
            await using var crashing = new FailingBucket(inner) { WritesLeft = survives };
            var options = (CompactOptions o) => o with { FiveMinutesAfterMs = 4 * Hour, OneHourAfterMs = long.MaxValue, LevelsMs = [2 * Hour, 4 * Hour], ReplicaLabels = ["replica"] };
            var report = await Loop(options, bucket: crashing).RunOnceAsync(default);
            Assert.Equal(expected, await TextAsync(inner));

            // What was begun is finished by a process that knows nothing of it.
            for (var i = 0; i < 3; i++)
            {
                Assert.Equal(0, (await Loop(options, bucket: inner).RunOnceAsync(default)).Failures);
            }

            Assert.True((await Loop(options, bucket: inner).RunOnceAsync(default)).IsIdle);
            Assert.Equal(expected, await TextAsync(inner));
            if (report.Failures == 0)
            {
                Assert.True(survives > 8);
                return;
            }
        }

        async Task CopyAsync(IBucket to)
        {
            if (!Directory.Exists(Path.Combine(_folder, "bucket")) || await CountAsync() == 0)
            {
                for (var i = 0; i < 2; i++)
                {
                    await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Labels.Of(("cluster", "a"), ("replica", "0")), Series("x", i));
                    await BlockAsync(Start + (i * 2 * Hour), Start + ((i + 1) * 2 * Hour), Labels.Of(("cluster", "a"), ("replica", "1")), Series("x", i), Series("y", i));
                }

                await BlockAsync(Start + (4 * Hour), Start + (6 * Hour), Labels.Of(("cluster", "a")), Series("x", 2));
            }

            await foreach (var entry in _bucket.ListAsync("", recursive: true, default))
            {
                await using var content = await _bucket.GetAsync(entry.Key, default);
                using var copy = new MemoryStream();
                await content.CopyToAsync(copy);
                await to.PutAsync(entry.Key, copy, PutCondition.None, default);
            }
        }

        // What a reader sees: samples of all raw blocks that are not marked.
        async Task<string> TextAsync(IBucket bucket)
        {
            var blocks = new BucketBlocks(bucket);
            var seen = new SortedDictionary<string, SortedDictionary<long, double>>(StringComparer.Ordinal);
            await foreach (var id in blocks.ListAsync(default))
            {
                if (await blocks.MetaAsync(id, default) is not { ResolutionMs: 0 } || await blocks.DeletionMarkAsync(id, default) is not null)
                {
                    continue;
                }

                foreach (var (labels, samples) in await ReadAsync([id], from: blocks))
                {
                    seen.TryAdd(labels, []);
                    samples.ForEach(s => seen[labels].TryAdd(s.Timestamp, s.Value));
                }
            }

            return string.Join('\n', seen.Select(s => $"{s.Key}: {s.Value.Count} {s.Value.Keys.First()} {s.Value.Keys.Last()} {s.Value.Values.Sum()}"));
        }
    }

    CompactLoop Loop(Func<CompactOptions, CompactOptions>? change = null, CollectorRegistry? registry = null, IBucket? bucket = null)
    {
        var options = new CompactOptions { Directory = Path.Combine(_folder, "work"), Time = _time, Random = _random, ConsistencyDelay = TimeSpan.Zero };
        return new CompactLoop(
            bucket ?? _bucket, change is null ? options : change(options), new CompactMetrics(registry ?? Prometheus.Metrics.NewCustomRegistry()), NullLogger<CompactLoop>.Instance);
    }

    Task<BlockId> BlockAsync(long minTime, long maxTime, Labels external, params (Labels Labels, IEnumerable<Chunk> Chunks)[] series) =>
        BlockAsync(minTime, maxTime, external, null, series);

    async Task<BlockId> BlockAsync(
        long minTime, long maxTime, Labels external, BlockOrigin? origin, params (Labels Labels, IEnumerable<Chunk> Chunks)[] series)
    {
        var id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(maxTime + _random.Next(1000)), _random);
        using var writer = BlockWriter.Create(_folder, id);
        foreach (var (labels, chunks) in series.OrderBy(s => s.Labels))
        {
            writer.Add(labels, chunks);
        }

        writer.Finish(new BlockMeta
        {
            Id = id,
            MinTime = minTime,
            MaxTime = maxTime,
            Thanos = new ThanosSection { Labels = external.ToDictionary(), Source = "sidecar", Extensions = origin?.AddTo(null) },
        });
        await _blocks.UploadAsync(Path.Combine(_folder, id.ToString()), _time.GetUtcNow(), default);
        return id;
    }

    static (Labels, IEnumerable<Chunk>) Series(string name, int block) =>
        Floats(name, Enumerable.Range(0, 240).Select(i => (Start + (block * 2 * Hour) + (i * 30_000L), (double)((block * 240) + i))));

    static (Labels, IEnumerable<Chunk>) Floats(string name, IEnumerable<(long Timestamp, double Value)> samples)
    {
        var all = samples.ToArray();
        var batch = new SampleBatch(all.Length) { Count = all.Length };
        for (var i = 0; i < all.Length; i++)
        {
            (batch.Timestamps[i], batch.Values[i]) = all[i];
        }

        return (Labels.Of(("__name__", name)), ChunkEncoder.Encode(new OneBatch(batch)));
    }

    static Labels Cluster(string name) => Labels.Of(("cluster", name));

    async Task<List<BlockMeta>> AliveAsync()
    {
        var alive = new List<BlockMeta>();
        await foreach (var id in _blocks.ListAsync(default))
        {
            if (await _blocks.DeletionMarkAsync(id, default) is null)
            {
                alive.Add((await _blocks.MetaAsync(id, default))!);
            }
        }

        return alive;
    }

    async Task<int> CountAsync()
    {
        var count = 0;
        await foreach (var _ in _blocks.ListAsync(default))
        {
            count++;
        }

        return count;
    }

    async Task<SortedDictionary<string, List<(long Timestamp, double Value)>>> ReadAsync(
        IEnumerable<BlockId> ids, Aggregate aggregate = Aggregate.Raw, BucketBlocks? from = null)
    {
        var read = new SortedDictionary<string, List<(long, double)>>(StringComparer.Ordinal);
        foreach (var id in ids)
        {
            await (from ?? _blocks).DownloadAsync(id, Path.Combine(_folder, "read"), default);
            var directory = Path.Combine(_folder, "read", id.ToString());
            Assert.Empty(BlockVerifier.Verify(directory, decode: true, default));
            using var block = Block.Open(directory);
            foreach (var series in block.Select(new QueryContext().Select(new SelectHints { Range = TimeRange.All, Aggregate = aggregate }, [])))
            {
                if (!read.TryGetValue(series.Labels.ToString(), out var samples))
                {
                    read[series.Labels.ToString()] = samples = [];
                }

                samples.AddRange(Samples.Floats(series.Samples()));
            }
        }

        return read;
    }

    /// <summary>A bucket that can't be listed, or one that fails for good after some writes.</summary>
    sealed class FailingBucket(IBucket bucket) : IBucket
    {
        public int? WritesLeft { get; set; }

        public string Name => bucket.Name;

        public IAsyncEnumerable<BucketEntry> ListAsync(string prefix, bool recursive, CancellationToken cancellationToken) =>
            WritesLeft is null or < 0 ? throw new BucketException($"{Name}: can't be listed") : bucket.ListAsync(prefix, recursive, cancellationToken);

        public Task<Stream> GetAsync(string key, CancellationToken cancellationToken) => bucket.GetAsync(key, cancellationToken);

        public ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
            bucket.GetRangeAsync(key, offset, destination, cancellationToken);

        public Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken) => bucket.AttributesAsync(key, cancellationToken);

        public Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
        {
            Write();
            return bucket.PutAsync(key, content, condition, cancellationToken);
        }

        public Task DeleteAsync(string key, CancellationToken cancellationToken)
        {
            Write();
            return bucket.DeleteAsync(key, cancellationToken);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        void Write()
        {
            if (--WritesLeft < 0)
            {
                throw new BucketException($"{Name}: gone");
            }
        }
    }
}
