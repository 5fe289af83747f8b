using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Live;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Live;

public sealed class LiveStoreTests : QuerierSuite, IAsyncDisposable
{
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
    readonly MemoryBucket _bucket;
    readonly Dictionary<string, ReadOnlyMemory<byte>> _hashes = [];

    public LiveStoreTests() => _bucket = new MemoryBucket(_time);

    public ValueTask DisposeAsync() => _bucket.DisposeAsync();

    static string Window(int number) => SliceKey.Window(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000), (uint)number);

    /// <summary>What the suite asks of every querier, asked of series of which each external label set is a collector of its own.</summary>
    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        var collectors = new List<CollectorStatus>();
        foreach (var (number, cluster) in series.GroupBy(one => one.Labels.Only("cluster")).Index())
        {
            using var builder = new SliceBuilder();
            foreach (var one in cluster)
            {
                builder.Add(one.Labels.Without("cluster"), new OneBatch([.. Batches(one)]));
            }

            collectors.Add(await WriteAsync($"n{number}", 1, builder.Pack(), cluster.Key));
        }

        return await OpenAsync(collectors);
    }

    [Theory]
    [InlineData(1, 60)]
    [InlineData(200, 12)]
    public async Task A_slice_costs_little_more_than_a_request(int collectors, int slices)
    {
        using var builder = new SliceBuilder();
        builder.Add(Labels.Of(("__name__", "up")), new OneBatch());
        var empty = builder.Pack();
        var statuses = new List<CollectorStatus>();
        for (var i = 0; i < collectors; i++)
        {
            statuses.Add(await WriteAsync(Name(i), 1, empty, Labels.Of(("cluster", "c"))));
        }

        var live = await OpenAsync(statuses);
        var requests = 0;
        _bucket.Fault = (operation, _) =>
        {
            requests += operation == BucketOperation.Put ? 0 : 1;
            return null;
        };
        var (written, late) = (0, 0L);
        for (var tick = 0; tick < slices * 60; tick++)
        {
            if (tick == 120)
            {
                // By then the reader knows when they write.
                (requests, written) = (0, 0);
            }

            // Each collector writes every 15 s, at a moment of its own.
            for (var i = tick % 60; i < collectors; i += 60)
            {
                await WriteAsync(Name(i), 2 + (tick / 60), empty, Labels.Of(("cluster", "c")));
                written++;
            }

            await live.PollAsync(default);
            late += Enumerable.Range(0, Math.Min(collectors, 60)).Count(i => live.Covered("c", Name(i)).Count == 0);
            _time.Advance(TimeSpan.FromMilliseconds(250));
        }

        Assert.InRange(requests / (double)written, 0.9, 1.35);
        Assert.Equal(0, late);

        static string Name(int number) => "n" + number.ToString(CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task Memory_is_bounded_and_what_was_dropped_is_told()
    {
        using var builder = new SliceBuilder();
        var statuses = new List<CollectorStatus>();
        for (var slice = 1; slice <= 20; slice++)
        {
            for (var series = 0; series < 200; series++)
            {
                var batch = new SampleBatch { Count = 1 };
                (batch.Timestamps[0], batch.Values[0]) = (_time.GetUtcNow().ToUnixTimeMilliseconds(), series);
                builder.Add(Labels.Of(("__name__", $"m{slice}"), ("n", series.ToString(CultureInfo.InvariantCulture))), new OneBatch(batch));
            }

            statuses = [await WriteAsync("n", slice, builder.Pack(), Labels.Of(("cluster", "c")))];
            _time.Advance(TimeSpan.FromSeconds(15));
        }

        var whole = await OpenAsync(statuses);
        Assert.Equal(4_000, await CountAsync(whole));
        var small = await OpenAsync(statuses, memory: 500_000);
        Assert.InRange(await CountAsync(small), 200, 1_500);
        Assert.True(small.Covered("c", "n")[0].MinTime > whole.Covered("c", "n")[0].MinTime + 15_000);
    }

    [Fact]
    public async Task A_damaged_slice_gives_no_value_and_its_neighbours_give_theirs()
    {
        var statuses = new List<CollectorStatus>();
        for (var slice = 1; slice <= 3; slice++)
        {
            using var builder = new SliceBuilder();
            var batch = new SampleBatch { Count = 1 };
            (batch.Timestamps[0], batch.Values[0]) = (_time.GetUtcNow().ToUnixTimeMilliseconds(), slice);
            builder.Add(Labels.Of(("__name__", "m")), new OneBatch(batch));
            statuses = [await WriteAsync("n", slice, builder.Pack(), Labels.Of(("cluster", "c")))];
            _time.Advance(TimeSpan.FromMinutes(5));
        }

        var key = SliceKey.Of("c", "n", Window(1), 2);
        var bytes = await _bucket.GetBytesAsync(key, Slice.MaxSize, default);
        bytes[bytes.Length / 2] ^= 4;
        await _bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
        var live = await OpenAsync(statuses);
        var query = new QueryContext();
        var values = new List<double>();
        await foreach (var series in live.SelectAsync(query.Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            values.AddRange(Samples.Floats(series.Samples()).Select(sample => sample.Value));
        }

        Assert.Equal([1, 3], values);
        Assert.DoesNotContain(live.Covered("c", "n"), range => range.Contains(1_700_000_400_000 + 300_000));
    }

    [Fact]
    public async Task Slices_of_collectors_that_are_gone_are_deleted_after_a_time()
    {
        using var builder = new SliceBuilder();
        var status = await WriteAsync("n", 1, builder.Pack(), Labels.Of(("cluster", "c")));
        var stray = await WriteAsync("stray", 1, builder.Pack(), Labels.Of(("cluster", "c")));
        await new FleetMember(_bucket, "c", "n").WriteAsync(status with { WrittenAt = _time.GetUtcNow() }, default);
        var cleaner = new SliceCleaner(_bucket, _time, NullLogger.Instance);
        Assert.Equal(0, await cleaner.CleanAsync(default));
        _time.Advance(TimeSpan.FromDays(13));
        Assert.Equal(0, await cleaner.CleanAsync(default));
        _time.Advance(TimeSpan.FromDays(2));
        Assert.Equal(2, await cleaner.CleanAsync(default));
        Assert.DoesNotContain(_bucket.Keys, key => key.StartsWith(SliceKey.Folder, StringComparison.Ordinal));
        Assert.Equal("stray", stray.Collector);
    }

    static IEnumerable<SampleBatch> Batches(TestSeries series)
    {
        var floats = new SampleBatch(Math.Max(1, series.Samples.Length));
        foreach (var (time, value) in series.Samples)
        {
            (floats.Timestamps[floats.Count], floats.Values[floats.Count]) = (time, value);
            floats.Count++;
        }

        var histograms = new SampleBatch(Math.Max(1, series.Histograms.Length)) { Kind = SampleKind.Histogram };
        foreach (var (time, value) in series.Histograms)
        {
            (histograms.Timestamps[histograms.Count], histograms.Histograms[histograms.Count]) = (time, value);
            histograms.Count++;
        }

        return new[] { floats, histograms }.Where(batch => batch.Count > 0).OrderBy(batch => batch.Timestamps[0]);
    }

    static async Task<int> CountAsync(LiveStore live)
    {
        var count = 0;
        await foreach (var series in live.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            count += Samples.Floats(series.Samples()).Count;
        }

        return count;
    }

    async Task<LiveStore> OpenAsync(IReadOnlyList<CollectorStatus> collectors, long memory = 1 << 30)
    {
        var live = new LiveStore(new LiveStoreOptions
        {
            Bucket = _bucket,
            Time = _time,
            MemoryLimit = memory,
            Metrics = new LiveStoreMetrics(Metrics.NewCustomRegistry()),
        });
        await live.UpdateAsync(new FleetStatus([new ClusterStatus("c", collectors)], []), [], default);
        for (var i = 0; i < 5; i++)
        {
            await live.PollAsync(default);
        }

        return live;
    }

    /// <summary>Writes a slice of the last 15 seconds, and returns the status that names it.</summary>
    async Task<CollectorStatus> WriteAsync(string collector, int number, PackedSamples samples, Labels external)
    {
        var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        var header = new SliceHeader
        {
            Cluster = "c",
            Collector = collector,
            Window = Window(1),
            Sequence = number,
            Data = "d",
            Labels = external,
            From = now - 15_000,
            To = now,
            IntervalMs = 15_000,
            Previous = _hashes.GetValueOrDefault(collector, new byte[SliceHeader.HashSize]),
            Series = samples.Series,
            Samples = samples.Samples,
            Range = samples.Range,
        };
        var bytes = Slice.Seal(header, samples);
        _hashes[collector] = bytes.AsMemory(bytes.Length - SliceHeader.HashSize);
        await _bucket.PutBytesAsync(header.Key, bytes, PutCondition.None, default);
        return new CollectorStatus
        {
            Cluster = "c",
            Collector = collector,
            Instance = "i",
            Labels = external.ToDictionary(),
            ProgramVersion = "1",
            ConfigHash = "c",
            StartedAt = _time.GetUtcNow(),
            WrittenAt = _time.GetUtcNow(),
            IntervalMs = 15_000,
            Live = new LiveStatus
            {
                IntervalMs = 15_000,
                Data = "d",
                Windows = [new LiveWindow(header.Window, number, now, samples.Range.MinTime, samples.Range.MaxTime, "d")],
            },
        };
    }
}
