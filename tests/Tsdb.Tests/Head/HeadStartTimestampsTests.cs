using CsCheck;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Tests.Wal;
using Observe.Tsdb.Wal;
using Prometheus;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadStartTimestampsTests : IAsyncDisposable
{
    static readonly Labels M = Labels.Of((Labels.MetricName, "m"));

    /// <summary>What the next sample is: 0 to 6 floats, then histograms; whether it has a start; whether the counter starts anew.</summary>
    static readonly Gen<(int Kind, bool HasStart, bool Restarts)[]> s_steps = Gen.Select(
        Gen.Int[0, 10], Gen.Int[0, 9].Select(i => i > 1), Gen.Int[0, 9].Select(i => i == 0)).Array[1, 400];

    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    [Fact]
    public Task Samples_with_and_without_come_back_from_head_log_block_and_bucket() => s_steps.SampleAsync(
        async steps =>
        {
            var test = new TestHead();
            try
            {
                await CheckAsync(test, steps);
            }
            finally
            {
                await test.CloseAsync();
            }
        },
        iter: 15,
        threads: 1);

    [Fact]
    public async Task A_series_without_keeps_its_encodings_and_its_records()
    {
        var head = await _test.OpenAsync();
        using (var appender = head.Appender())
        {
            var series = appender.GetOrAdd(M);
            for (var t = 1; t <= 300; t++)
            {
                appender.Append(series, t * 10, t, startTimestamp: 0);
                appender.Commit();
            }

            appender.Append(series, 5_000, WalRecordsTests.TestHistogram(integer: true, custom: false), startTimestamp: 0);
            appender.Commit();
        }

        Assert.Equal([ChunkEncoding.Xor, ChunkEncoding.Histogram], (await EncodingsAsync(head)).Distinct());
        Assert.Equal(
            [WalRecordType.Series, WalRecordType.Samples, WalRecordType.Histograms],
            TestLog.Read(WalSegment.List(Path.Combine(_test.Directory, "wal"))).Records.Select(r => (WalRecordType)r[0]).Distinct());
    }

    [Fact]
    public async Task A_start_opens_a_chunk_that_has_room_for_it_and_what_has_none_goes_in_too()
    {
        var head = await _test.OpenAsync();
        var (integer, custom) = (WalRecordsTests.TestHistogram(true, false), WalRecordsTests.TestHistogram(false, true));
        using var appender = head.Appender();
        var series = appender.GetOrAdd(M);
        appender.Append(series, 1, 1.0);
        appender.Append(series, 2, 2.0, startTimestamp: 1);
        appender.Append(series, 3, StaleMarker.Value);
        appender.Append(series, 4, 4.0, startTimestamp: 3);
        appender.Commit();
        appender.Append(series, 10, integer);
        appender.Append(series, 11, integer, startTimestamp: 9);
        appender.Append(series, 12, integer);
        appender.Commit();
        appender.Append(series, 13, StaleMarker.Value);
        appender.Commit();
        appender.Append(series, 20, custom, startTimestamp: 9);
        appender.Commit();
        appender.Append(series, 30, 5.0, startTimestamp: 9);
        appender.Commit();
        Assert.Equal(
            [
                ChunkEncoding.Xor, ChunkEncoding.Xor2, ChunkEncoding.Histogram, ChunkEncoding.HistogramWithStart,
                ChunkEncoding.FloatHistogramWithStart, ChunkEncoding.Xor2,
            ],
            await EncodingsAsync(head));
        const string Expected =
            "m: 1=1 2=2@1 3=NaN 4=4@3 10=h20/12.25 11=h20/12.25@9 12=h20/12.25 13=h0/stale 20=h20.5/12.25@9 30=5@9";
        Assert.Equal(Expected, await TestHead.DumpAsync(head));
        Assert.Equal(Expected, await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Theory]
    [InlineData(1, AppendResult.Appended)]
    [InlineData(2, AppendResult.DuplicateTimestamp)]
    public async Task A_sample_that_is_there_already_is_judged_by_its_value(double value, AppendResult expected)
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var series = appender.GetOrAdd(M);
        appender.Append(series, 1_000, 1.0, startTimestamp: 500);
        appender.Commit();
        Assert.Equal(expected, appender.Append(series, 1_000, value, startTimestamp: 600));
        Assert.Equal(AppendResult.OutOfOrder, appender.Append(series, 999, value, startTimestamp: 600));
        appender.Commit();
        Assert.Equal("m: 1000=1@500", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task Chunks_are_as_many_as_without()
    {
        var head = await _test.OpenAsync(range: 10_000_000);
        var without = Labels.Of((Labels.MetricName, "n"));
        using var appender = head.Appender();
        for (var t = 1; t <= 1_000; t++)
        {
            appender.Append(appender.GetOrAdd(M), t * 1_000, t, startTimestamp: 500);
            appender.Append(appender.GetOrAdd(without), t * 1_000, t);
            appender.Commit();
        }

        var encodings = await EncodingsAsync(head);
        Assert.Equal(encodings.Count(e => e == ChunkEncoding.Xor), encodings.Count(e => e == ChunkEncoding.Xor2));
    }

    [Fact]
    public async Task A_checkpoint_keeps_them()
    {
        var head = await _test.OpenAsync();
        var samples = Enumerable.Range(1, 30).Select(i => (Time: i * TestHead.Range / 10, Start: i % 3 == 0 ? 0 : (i * 1_000) + 7)).ToArray();
        using (var appender = head.Appender())
        {
            foreach (var (time, start) in samples)
            {
                appender.Append(appender.GetOrAdd(M), time, 1.5, start);
                appender.Append(appender.GetOrAdd(Labels.Of((Labels.MetricName, "n"))), time, WalRecordsTests.TestHistogram(true, true), start);
                appender.Commit();
            }
        }

        for (var i = 0; i < 3; i++)
        {
            head = await _test.OpenCopyAsync();
        }

        Assert.NotEmpty(await head.CutAsync(force: false, default));
        Assert.NotEmpty(Checkpoint.Replay(Path.Combine(_test.Directory, "wal")).Checkpoint);
        var left = samples.Where(s => s.Time >= head.Range.MinTime).ToArray();
        Assert.NotEmpty(left);
        var expected = $"m: {string.Join(' ', left.Select(s => $"{s.Time}=1.5{At(s.Start)}"))}\n"
            + $"n: {string.Join(' ', left.Select(s => $"{s.Time}=h20/12.25{At(s.Start)}"))}";
        Assert.Equal(expected, await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    static async Task CheckAsync(TestHead test, (int Kind, bool HasStart, bool Restarts)[] steps)
    {
        var head = await test.OpenAsync();
        var expected = new List<string>();
        using (var appender = head.Appender())
        {
            var series = appender.GetOrAdd(M);
            var (time, start) = (0L, 1L);
            foreach (var (kind, hasStart, restarts) in steps)
            {
                start = restarts ? time : start;
                time += 300;
                var given = hasStart ? start : 0;
                if (kind <= 6)
                {
                    Assert.Equal(AppendResult.Appended, appender.Append(series, time, kind, given));
                    expected.Add($"{time}={kind}{At(given)}");
                }
                else
                {
                    var histogram = WalRecordsTests.TestHistogram(kind % 2 == 0, kind >= 9);
                    Assert.Equal(AppendResult.Appended, appender.Append(series, time, histogram, given));
                    expected.Add(FormattableString.Invariant($"{time}=h{histogram.Count}/12.25{At(given)}"));
                }

                appender.Commit();
            }
        }

        var text = $"m: {string.Join(' ', expected)}";
        Assert.Equal(text, await TestHead.DumpAsync(head));
        head = await test.OpenCopyAsync();
        Assert.Empty(head.Damages);
        Assert.Equal(text, await TestHead.DumpAsync(head));

        var encodings = await EncodingsAsync(head);
        var clock = new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));
        var bucket = new MemoryBucket(clock);
        var inBlocks = new List<ChunkEncoding>();
        foreach (var path in await head.CutAsync(force: true, default))
        {
            using var block = Block.Open(path);
            inBlocks.AddRange(await EncodingsAsync(block));
            await new BucketBlocks(bucket).UploadAsync(path, clock.GetUtcNow(), default);
        }

        Assert.Equal(encodings, inBlocks);
        var directory = Checkout.NewFolder("store");
        await using (var store = new BucketStore(
            bucket, new BucketStoreOptions { Directory = directory, Time = clock },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance))
        {
            await store.SyncAsync(default);
            Assert.Equal(text, await TestHead.DumpAsync(store));
        }

        Directory.Delete(directory, recursive: true);
    }

    static string At(long start) => start == 0 ? "" : $"@{start}";

    static async Task<List<ChunkEncoding>> EncodingsAsync(IQuerier querier)
    {
        var encodings = new List<ChunkEncoding>();
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            encodings.AddRange(series.Chunks()!.Select(c => c.Encoding));
        }

        return encodings;
    }
}
