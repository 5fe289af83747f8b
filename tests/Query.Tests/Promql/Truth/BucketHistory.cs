using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Api;
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

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// Two blocks of 40 hours at each resolution, and buckets with what is left of them: all, raw ones only of the second block, 5 minutes and
/// an hour, an hour alone; and mixed, where 5 minutes are left of the second half of the first block, which an hour is left of.
/// </summary>
public sealed class BucketHistory : IAsyncLifetime
{
    public const long Second = 1_000;
    public const long Minute = 60 * Second;
    public const long Hour = 60 * Minute;
    public const long Interval = 30 * Second;

    /// <summary>The beginning of an hour.</summary>
    public const long Start = 1_699_999_200_000;

    /// <summary>Where one block ends and the next begins.</summary>
    public const long Middle = Start + (40 * Hour);

    public const long End = Start + (80 * Hour);

    /// <summary>The last sample of <c>ended</c>, and the first of <c>late</c>: within an hour and within five minutes.</summary>
    public const long Ended = Start + (20 * Hour) + (17 * Minute) + (37 * Second);

    readonly TemporaryFolder _folder = new();
    readonly Dictionary<string, (MemoryBucket Bucket, BucketStore Store, ServedQuerier Served)> _stores = [];

    public IQuerier Truth { get; } = new MemoryQuerier(Series());

    public IQuerier Store(string name, bool isRemote) => isRemote ? _stores[name].Served : _stores[name].Store;

    public async ValueTask InitializeAsync()
    {
        var number = 0;
        var folders = new Dictionary<(int Half, long Resolution), string>();
        for (var half = 0; half < 2; half++)
        {
            folders[(half, 0)] = await WriteAsync(++number, Start + (half * 40 * Hour), 40, [TestBlocks.Id(100 + half), TestBlocks.Id(200 + half)]);
            foreach (var (from, to) in ((long, long)[])[(0, Downsampler.FiveMinutes), (Downsampler.FiveMinutes, Downsampler.OneHour)])
            {
                using var block = Block.Open(folders[(half, from)]);
                Assert.NotNull(Downsampler.Run(block, _folder.Path, TestBlocks.Id(++number), to, default));
                folders[(half, to)] = Folder(number);
            }
        }

        using (var quarter = Block.Open(await WriteAsync(200, Start + (20 * Hour), 20, [TestBlocks.Id(200)])))
        {
            Assert.NotNull(Downsampler.Run(quarter, _folder.Path, TestBlocks.Id(++number), Downsampler.FiveMinutes, default));
        }

        await OpenAsync("all", folders.Values);
        await OpenAsync("mixed", [Folder(number), folders[(0, Hour)], folders[(1, 0)]]);
        await OpenAsync("recent", folders.Where(f => f.Key is { Half: 0, Resolution: Hour } or { Half: 1, Resolution: 0 }).Select(f => f.Value));
        await OpenAsync("minutes", folders.Where(f => f.Key.Resolution > 0).Select(f => f.Value));
        await OpenAsync("hours", folders.Where(f => f.Key.Resolution == Hour).Select(f => f.Value));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (bucket, store, served) in _stores.Values)
        {
            await served.DisposeAsync();
            await store.DisposeAsync();
            await bucket.DisposeAsync();
        }

        _folder.Dispose();
    }

    async Task<string> WriteAsync(int number, long start, int hours, BlockId[] sources)
    {
        TestSeries[] series = [.. Series().Select(s => s with
        {
            Samples = [.. s.Samples.Where(x => x.Time >= start && x.Time < start + (hours * Hour))],
        })];
        var meta = TestBlocks.Meta(series, ("cluster", "a")) with { Compaction = new BlockCompaction { Sources = sources } };
        await TestBlocks.WriteAsync(_folder.Path, TestBlocks.Id(number), series, meta);
        return Folder(number);
    }

    string Folder(int number) => Path.Combine(_folder.Path, TestBlocks.Id(number).ToString());

    async Task OpenAsync(string name, IEnumerable<string> folders)
    {
        var bucket = new MemoryBucket(TimeProvider.System);
        foreach (var folder in folders)
        {
            await new BucketBlocks(bucket).UploadAsync(folder, DateTimeOffset.UnixEpoch, default);
        }

        var options = new BucketStoreOptions { Directory = Path.Combine(_folder.Path, name), Time = TimeProvider.System };
        var store = new BucketStore(bucket, options, new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);
        await store.SyncAsync(default);
        _stores[name] = (bucket, store, await ServedQuerier.StartAsync(store, new StoreDescription("store", [], TimeRange.All)));
    }

    /// <summary>A gauge, a counter that is reset, also where no sample of the block's edge shows it, and one of a constant rate.</summary>
    static IEnumerable<TestSeries> Series()
    {
        var random = new Random(11);
        var (gauge, counter, constant) = (new List<(long, double)>(), new List<(long, double)>(), new List<(long, double)>());
        var value = 0.0;
        for (var time = Start + (7 * Second); time < End; time += Interval)
        {
            gauge.Add((time, Math.Round((100 * Math.Sin(time / 5e6)) + (10 * random.NextDouble()), 3)));
            value = random.Next(500) == 0 ? random.Next(10) : value + random.Next(10);
            counter.Add((time, value));
            constant.Add((time, (time - Start) / Second));
        }

        return
        [
            Of("c_total", counter),
            Of("ended", gauge.Where(s => s.Item1 <= Ended)),
            Of("g", gauge),
            Of("k_total", constant),
            Of("late", gauge.Where(s => s.Item1 >= Ended)),
            Of("restarts", gauge.Where(s => (s.Item1 / Second) % 100_000 is > 40_000 or (< 38_000 and > 20_000) or (< 19_400 and > 9_000))),
        ];

        static TestSeries Of(string name, IEnumerable<(long, double)> samples) =>
            new(Labels.Of(("__name__", name), ("job", "x")), [.. samples]);
    }
}
