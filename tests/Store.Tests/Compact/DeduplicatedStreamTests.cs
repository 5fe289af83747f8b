using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Store.Tests.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Compact;

/// <summary>A bucket in which a pair's deduplicated blocks lie beside their sources, which stay until readers have left them.</summary>
public sealed class DeduplicatedStreamTests : IAsyncDisposable
{
    const long Window = 7_200_000;
    const long Start = 1_700_006_400_000;
    const long FiveMinutes = 300_000;

    static readonly string[] s_replicas = ["a", "b"];

    readonly StoreFixture _fixture = new();
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(Start + (12 * Window)));
    readonly Random _random = new(10);
    int _blocks;

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Every_query_is_answered_as_from_the_deduplicated_blocks_alone(bool isMarked, bool isDownsampledBefore)
    {
        for (var window = 0; window < 3; window++)
        {
            await AddPairAsync(window);
        }

        if (isDownsampledBefore)
        {
            Assert.InRange((await RunAsync()).Downsamplings, 2, 12);
        }

        Assert.InRange((await RunAsync("replica")).Compactions, 3, 9);
        var sources = await MarkedAsync();
        Assert.InRange(sources.Count, 6, 24);
        if (!isMarked)
        {
            await UnmarkAsync(sources);
        }

        // The next blocks of the pair are there and not deduplicated yet.
        await AddPairAsync(3);
        await using var beside = await OpenAsync("beside");
        var (seen, counts) = (await AnswersAsync(beside), await CountsAsync(beside));
        foreach (var source in sources)
        {
            await _fixture.Blocks.DeleteAsync(source, default);
        }

        await using var alone = await OpenAsync("alone");
        Assert.Equal(await AnswersAsync(alone), seen);
        Assert.Equal(await CountsAsync(alone), counts);

        // 15 s between samples, at each edge of two blocks too.
        Assert.All(counts, count => Assert.Equal(4, count));
    }

    [Theory]
    [InlineData("replica")]
    [InlineData]
    public async Task Nothing_is_made_of_the_sources_again_whatever_the_replica_labels_are_and_whether_they_can_be_marked(params string[] replicaLabels)
    {
        for (var window = 0; window < 3; window++)
        {
            await AddPairAsync(window);
        }

        await RunAsync();
        await RunAsync("replica");
        var sources = await MarkedAsync();
        await UnmarkAsync(sources);
        _fixture.Bucket.Fault = (operation, key) =>
            operation == BucketOperation.Put && key.EndsWith(DeletionMark.FileName, StringComparison.Ordinal)
                ? new BucketException($"{key} can't be written") : null;
        var report = await RunAsync(replicaLabels);
        Assert.Equal((0, 0, 0, 1), (report.Compactions, report.Downsamplings, report.Marked, report.Failures));
        _fixture.Bucket.Fault = null;
        report = await RunAsync(replicaLabels);
        Assert.Equal((0, 0, sources.Count, 0), (report.Compactions, report.Downsamplings, report.Marked, report.Failures));
        Assert.Equal(sources, await MarkedAsync());
        Assert.True((await RunAsync(replicaLabels)).IsIdle);
    }

    /// <summary>Two hours of both replicas, 15 s between samples; one lacks ten minutes within.</summary>
    async Task AddPairAsync(int window)
    {
        foreach (var replica in s_replicas)
        {
            var first = Start + (window * Window) + (replica == "a" ? 1_000 : 8_300);
            var samples = Enumerable.Range(0, 480).Where(i => window != 1 || replica == "b" || i is < 200 or >= 240)
                .Select(i => (first + (i * 15_000L), (double)((window * 480) + i))).ToArray();
            TestSeries[] series = [new(Labels.Of(("__name__", "work_total")), samples), new(Labels.Of(("__name__", "up")), samples)];
            await _fixture.AddAsync(
                ++_blocks,
                TestBlocks.Meta(series, ("cluster", "prod"), ("replica", replica)) with
                {
                    MinTime = Start + (window * Window),
                    MaxTime = Start + ((window + 1) * Window),
                },
                series);
        }
    }

    Task<CompactReport> RunAsync(params string[] replicaLabels) => new CompactLoop(
        _fixture.Served,
        new CompactOptions
        {
            Directory = Path.Combine(_fixture.Folder, "work"),
            Time = _time,
            Random = _random,
            ReplicaLabels = replicaLabels,
            FiveMinutesAfterMs = Window,
            ConsistencyDelay = TimeSpan.Zero,
        },
        new CompactMetrics(Metrics.NewCustomRegistry()),
        NullLogger<CompactLoop>.Instance).RunOnceAsync(default);

    async Task<List<BlockId>> MarkedAsync()
    {
        var marked = new List<BlockId>();
        await foreach (var id in _fixture.Blocks.ListAsync(default))
        {
            if (await _fixture.Blocks.DeletionMarkAsync(id, default) is not null)
            {
                marked.Add(id);
            }
        }

        return marked;
    }

    async Task UnmarkAsync(List<BlockId> blocks)
    {
        foreach (var id in blocks)
        {
            await _fixture.Bucket.DeleteAsync(BucketBlocks.Key(id, DeletionMark.FileName), default);
        }
    }

    async Task<BucketStore> OpenAsync(string folder)
    {
        var store = new BucketStore(
            _fixture.Served,
            new BucketStoreOptions { Directory = Path.Combine(_fixture.Folder, folder), Time = _time },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()),
            NullLogger.Instance);
        await store.SyncAsync(default);
        return store;
    }

    /// <summary>What a store answers, raw and downsampled, replicas deduplicated or not, around the edges of blocks and over all.</summary>
    static async Task<List<string>> AnswersAsync(BucketStore store)
    {
        var answers = new List<string>();
        var all = new QueryContext().Select(new SelectHints { Range = TimeRange.All }, []);
        answers.Add(string.Join(',', await store.LabelNamesAsync(all)));
        answers.Add(string.Join(',', await store.LabelValuesAsync("replica", all)));
        answers.Add(string.Join(',', store.LabelSets()));
        var ranges = Enumerable.Range(0, 5).Select(edge => Start + (edge * Window)).Select(edge => new TimeRange(edge - 90_000, edge + 90_000));
        foreach (var range in ranges.Append(TimeRange.All))
        {
            foreach (var resolution in new[] { 0, FiveMinutes })
            {
                var hints = new SelectHints { Range = range, MaxResolutionMs = resolution, Aggregate = resolution > 0 ? Aggregate.Count : Aggregate.Raw };
                answers.Add($"{range} {resolution} of the blocks: {Text(await StoreFixture.ReadAsync(store, hints))}");
                answers.Add($"{range} {resolution} deduplicated: {Text(await StoreFixture.ReadAsync(Deduplicated(store), hints))}");
                answers.Add(
                    $"{range} {resolution} told: {Text(await StoreFixture.ReadAsync(Deduplicated(store), hints with { ReplicaLabels = ["replica"] }))}");
            }
        }

        return answers;
    }

    /// <summary><c>count_over_time[1m]</c> of each series, every 7 s around the edges of blocks.</summary>
    static async Task<List<int>> CountsAsync(BucketStore store)
    {
        var counts = new List<int>();
        for (var edge = Start + Window; edge <= Start + (3 * Window); edge += Window)
        {
            for (var at = edge - 70_000; at <= edge + 130_000; at += 7_000)
            {
                var hints = new SelectHints { Range = new TimeRange(at - 59_999, at), WindowMs = 60_000, Function = "count_over_time" };
                counts.AddRange((await StoreFixture.ReadAsync(Deduplicated(store), hints)).Select(series => series.Samples.Count));
            }
        }

        return counts;
    }

    static DedupQuerier Deduplicated(BucketStore store) => new(store, ["replica"]);

    static string Text(List<(Labels Labels, List<(long Time, double Value)> Samples)> series) =>
        string.Join(' ', series.Select(s => s.Labels + " " + string.Join(' ', s.Samples.Select(p => $"{p.Time - Start}:{p.Value}"))));
}
