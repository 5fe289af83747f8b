using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Live;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Live;

/// <summary>What is broken in the bucket, or with a clock, is told and harms nothing beside it.</summary>
public sealed class LiveDamageTests : IAsyncDisposable
{
    static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(WrittenSlices.IntervalMs);

    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000));
    readonly MemoryBucket _bucket;

    public LiveDamageTests() => _bucket = new MemoryBucket(_time);

    public ValueTask DisposeAsync() => _bucket.DisposeAsync();

    [Fact]
    public async Task A_damaged_slice_is_counted_once_is_asked_for_for_a_time_only_and_closes_nothing_behind_it()
    {
        var slices = new WrittenSlices(_bucket, _time, "n");
        await slices.WriteAsync();
        using var reader = new WatchedReader(_bucket, _time);
        await reader.LookAsync(slices.Status());
        await reader.PollAsync(s_interval);
        await slices.WriteAsync();
        await DamageAsync(slices.Key(2));
        var asked = CountRequests(slices.Key(2));
        for (var i = 0; i < 60; i++)
        {
            await reader.PollAsync(s_interval);
            await slices.WriteAsync();
            await reader.LookAsync(slices.Status());
            await reader.PollAsync(TimeSpan.FromSeconds(1));
            await reader.LookAsync(slices.Status());
            Assert.Equal(long.MaxValue, reader.Live.Covered("c", "n")[^1].MaxTime);
        }

        Assert.Equal([1, .. Enumerable.Range(3, 60)], await slices.ReadAsync(reader.Live));
        Assert.DoesNotContain(reader.Live.Covered("c", "n"), range => range.Contains(slices.Times[1]));
        Assert.Equal(1, await reader.MetricAsync("observe_live_corrupt_slices_total"));
        Assert.Equal(1, await reader.MetricAsync("observe_live_missing_slices_total"));
        Assert.InRange(asked(), 2, 25);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(SliceKey.MaxSequence)]
    public async Task However_many_slices_are_missing_those_of_other_windows_and_collectors_come_soon(int missing)
    {
        var (slices, neighbour) = (new WrittenSlices(_bucket, _time, "n"), new WrittenSlices(_bucket, _time, "other"));
        await slices.WriteAsync();
        await neighbour.WriteAsync();
        var gone = new LiveWindow(
            SliceKey.Window(_time.GetUtcNow().AddHours(-2), 7), missing, _time.GetUtcNow().ToUnixTimeMilliseconds() - 3_600_000,
            _time.GetUtcNow().AddHours(-2).ToUnixTimeMilliseconds(), _time.GetUtcNow().AddHours(-1).ToUnixTimeMilliseconds(), "d");
        using var reader = new WatchedReader(_bucket, _time);
        var requests = CountRequests("observe/live/c/n/" + gone.Name);
        for (var i = 0; i < 8; i++)
        {
            await reader.LookAsync(slices.Status(gone), neighbour.Status());
            await reader.PollAsync(s_interval);
            await slices.WriteAsync();
            await neighbour.WriteAsync();
        }

        await reader.PollAsync(s_interval);
        Assert.Equal(Enumerable.Range(1, 9).Select(n => (double)n), await slices.ReadAsync(reader.Live));
        Assert.Equal(Enumerable.Range(1, 9).Select(n => (double)n), await neighbour.ReadAsync(reader.Live));
        Assert.DoesNotContain(reader.Live.Covered("c", "n"), range => range.Contains(gone.MaxTime));
        Assert.InRange(requests(), 1, 2_000);
    }

    [Fact]
    public async Task A_part_of_an_interval_that_is_missing_is_told()
    {
        // Of an interval of very many samples there are several slices, and only the last of them has a span of time.
        var slices = new WrittenSlices(_bucket, _time, "n") { Header = header => header.Sequence == 2 ? header with { To = header.From } : header };
        await slices.WriteAsync();
        _time.Advance(s_interval);
        await slices.WriteAsync();
        await slices.WriteAsync();
        _time.Advance(s_interval);
        await slices.WriteAsync();
        using var whole = new WatchedReader(_bucket, _time);
        await whole.LookAsync(slices.Status());
        await whole.PollAsync(TimeSpan.FromSeconds(5));
        Assert.Contains(whole.Live.Covered("c", "n"), range => range.Contains(slices.Times[1]));
        var part = await _bucket.GetBytesAsync(slices.Key(2), Slice.MaxSize, default);
        await _bucket.DeleteAsync(slices.Key(2), default);
        using var reader = new WatchedReader(_bucket, _time);
        await reader.LookAsync(slices.Status());
        await reader.PollAsync(3 * s_interval);
        Assert.DoesNotContain(reader.Live.Covered("c", "n"), range => range.Contains(slices.Times[1]));
        Assert.Contains(reader.Live.Covered("c", "n"), range => range.Contains(slices.Times[3]));
        await _bucket.PutBytesAsync(slices.Key(2), part, PutCondition.None, default);
        await reader.LookAsync(slices.Status());
        Assert.Contains(reader.Live.Covered("c", "n"), range => range.Contains(slices.Times[1]));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task A_reader_whose_clock_is_set_goes_on_reading(int hours)
    {
        var slices = new WrittenSlices(_bucket, _time, "n");
        var clock = new SetClock(_time);
        using var reader = new WatchedReader(_bucket, _time, clock: clock);
        await slices.WriteAsync();
        await reader.LookAsync(slices.Status());
        await reader.PollAsync(s_interval);
        clock.Offset = TimeSpan.FromHours(hours);
        for (var i = 0; i < 4; i++)
        {
            await slices.WriteAsync();
            await reader.PollAsync(s_interval + TimeSpan.FromSeconds(1));
        }

        Assert.Equal([1, 2, 3, 4, 5], await slices.ReadAsync(reader.Live));
    }

    [Fact]
    public async Task A_list_of_windows_that_changes_to_and_fro_has_nothing_read_again()
    {
        // Two collectors that were given one name each replace the other's status.
        var (one, two) = (new WrittenSlices(_bucket, _time, "n"), new WrittenSlices(_bucket, _time, "n")
        {
            Window = SliceKey.Window(_time.GetUtcNow(), 2),
        });
        using var reader = new WatchedReader(_bucket, _time);
        for (var i = 0; i < 100; i++)
        {
            await one.WriteAsync();
            await two.WriteAsync();
            await reader.LookAsync(i % 2 == 0 ? one.Status() : two.Status());
            await reader.PollAsync(s_interval);
        }

        Assert.InRange(await reader.MetricAsync("observe_live_slices_read_total"), 190, 210);
    }

    [Fact]
    public async Task Memory_is_bounded_also_while_chunks_are_open_and_one_collector_takes_no_other_along()
    {
        var far = new WrittenSlices(_bucket, _time, "far") { Series = 4_000 };
        var small = new WrittenSlices(_bucket, _time, "small") { Series = 10 };
        await small.WriteAsync();
        _time.Advance(s_interval);
        using var reader = new WatchedReader(_bucket, _time, memory: 2_100_000);
        for (var i = 0; i < 20; i++)
        {
            await far.WriteAsync();
            await small.WriteAsync();
            await reader.LookAsync(far.Status(), small.Status());
            await reader.PollAsync(s_interval);
            Assert.InRange(await reader.MetricAsync("observe_live_memory_bytes"), 0, 2_100_000);
        }

        Assert.InRange(await reader.MetricAsync("observe_live_shed_total"), 1, 40);

        Assert.Equal(21, (await small.ReadAsync(reader.Live)).Count);
        Assert.Equal(long.MaxValue, reader.Live.Covered("c", "small")[^1].MaxTime);
        Assert.True((await far.ReadAsync(reader.Live)).Count >= 1);
    }

    [Fact]
    public async Task A_status_that_is_too_large_keeps_no_collector_from_writing()
    {
        await _bucket.PutBytesAsync(CollectorStatus.Key("c", "one"), new byte[CollectorStatus.MaxSize + 1], PutCondition.None, default);
        await using var collector = new LiveCollector(_bucket, _time, "one", "a");
        await collector.OpenAsync();
        collector.Scrape();
        _time.Advance(s_interval);
        Assert.True(await collector.SendAsync());
        await using var reader = new LiveReader(_bucket, _time);
        await reader.SyncAsync();
        await reader.PollAsync();
        Assert.Equal(collector.Ledger.Count, (await reader.ReadAsync(collector.External)).Count);
    }

    [Fact]
    public async Task A_window_that_cannot_be_deleted_keeps_no_other_from_being_deleted()
    {
        var (one, two) = (new WrittenSlices(_bucket, _time, "a"), new WrittenSlices(_bucket, _time, "b"));
        await one.WriteAsync();
        await two.WriteAsync();
        _time.Advance(SliceCleaner.Kept + TimeSpan.FromDays(1));
        _bucket.Fault = (operation, key) => operation == BucketOperation.Delete && key == one.Key(1) ? new BucketException("no") : null;
        await Assert.ThrowsAsync<BucketException>(() => new SliceCleaner(_bucket, _time, NullLogger.Instance).CleanAsync(default));
        Assert.Equal([one.Key(1)], _bucket.Keys);
    }

    [Fact]
    public async Task Windows_that_were_deleted_since_their_collector_is_gone_are_not_asked_for()
    {
        var slices = new WrittenSlices(_bucket, _time, "n");
        await slices.WriteAsync();
        var status = slices.Status() with { WrittenAt = _time.GetUtcNow() };
        await new FleetMember(_bucket, "c", "n").WriteAsync(status, default);
        using var before = new WatchedReader(_bucket, _time);
        await before.LookAsync(status);
        await before.PollAsync(s_interval);
        _time.Advance(SliceCleaner.Kept + TimeSpan.FromDays(1));
        Assert.Equal(1, await new SliceCleaner(_bucket, _time, NullLogger.Instance).CleanAsync(default));
        using var after = new WatchedReader(_bucket, _time);
        foreach (var reader in (WatchedReader[])[before, after])
        {
            await reader.LookAsync(status);
            var requests = CountRequests("observe/live/");
            await reader.PollAsync(TimeSpan.FromMinutes(2));
            Assert.Empty(await slices.ReadAsync(reader.Live));
            Assert.Equal(0, requests());
        }
    }

    [Fact]
    public async Task A_collector_whose_clock_is_set_back_goes_on_in_another_window_that_readers_follow()
    {
        await using var collector = new LiveCollector(_bucket, _time, "one", "a");
        await collector.OpenAsync();
        collector.Scrape();
        _time.Advance(s_interval);
        Assert.True(await collector.SendAsync());
        var before = _bucket.Keys.Where(IsSlice).ToList();
        _time.AdjustTime(_time.GetUtcNow().AddHours(-3));
        for (var i = 0; i < 3; i++)
        {
            _time.Advance(s_interval);
            Assert.True(await collector.SendAsync());
        }

        var after = _bucket.Keys.Where(IsSlice).Except(before).ToList();
        Assert.Equal(3, after.Count);
        foreach (var key in after)
        {
            var slice = Assert.Single(Slice.Parse(await _bucket.GetBytesAsync(key, Slice.MaxSize, default), key));
            Assert.InRange(_time.GetUtcNow().ToUnixTimeMilliseconds() - slice.Header.To, -1, 60_000);
        }

        using var reader = new WatchedReader(_bucket, _time);
        await reader.LookAsync(await StatusAsync("one"));
        await reader.PollAsync(s_interval);
        var requests = CountRequests("observe/live/");
        for (var i = 0; i < 20; i++)
        {
            Assert.True(await collector.SendAsync());
            await reader.PollAsync(s_interval);
        }

        Assert.InRange(requests(), 15, 40);
    }

    [Fact]
    public async Task Slices_of_large_labels_are_cut_so_that_they_can_be_read()
    {
        var folder = Checkout.NewFolder("live");
        await using var head = await Tsdb.Head.HeadBlock.OpenAsync(new Tsdb.Head.HeadOptions { Directory = folder, Time = _time }, default);
        using var writer = new SliceWriter(new SliceWriterOptions
        {
            Bucket = _bucket,
            Cluster = "c",
            Collector = "n",
            ExternalLabels = () => Labels.Of(("cluster", "c")),
            Interval = s_interval,
            BlockRangeMs = 7_200_000,
            Data = "d",
            Run = 1,
            Head = head,
            Local = head,
            Shipped = () => [],
            Time = _time,
            Metrics = new SliceWriterMetrics(Prometheus.Metrics.NewCustomRegistry()),
        });
        const int Series = 1_300;
        using (var appender = head.Appender())
        {
            for (var i = 0; i < Series; i++)
            {
                var series = appender.GetOrAdd(Labels.Of(("__name__", "m"), ("text", new string('x', 55_000) + i)));
                Assert.Equal(Tsdb.Ingest.AppendResult.Appended, appender.Append(series, _time.GetUtcNow().ToUnixTimeMilliseconds(), i));
            }

            appender.Commit();
        }

        await writer.SealAsync(default);
        await writer.SendAsync(default);
        var samples = 0;
        foreach (var key in _bucket.Keys.Where(IsSlice))
        {
            using var unpacked = Assert.Single(Slice.Parse(await _bucket.GetBytesAsync(key, Slice.MaxSize, default), key)).Unpack();
            samples += unpacked.Floats.Length;
        }

        Assert.Equal(Series, samples);
    }

    [Fact]
    public async Task Slices_that_claim_more_than_there_can_be_are_refused_before_anything_is_allocated()
    {
        foreach (var header in (Func<SliceHeader, SliceHeader>[])
        [
            header => header with { Samples = 1L << 31 }, header => header with { Series = int.MaxValue },
            header => header with { Range = new TimeRange(header.Range.MinTime + 1, header.Range.MaxTime + 5) },
            header => header with { Range = new TimeRange(header.Range.MinTime - 5, header.Range.MaxTime - 1) },
            header => header with { Samples = 2 }, header => header with { Series = 2 },
        ])
        {
            await using var bucket = new MemoryBucket(_time);
            var slices = new WrittenSlices(bucket, _time, "n") { Header = header };
            await slices.WriteAsync();
            var bytes = await bucket.GetBytesAsync(slices.Key(1), Slice.MaxSize, default);
            Assert.Throws<Tsdb.Bytes.CorruptionException>(() => Slice.Parse(bytes, "slice").Single().Unpack());
        }
    }

    static bool IsSlice(string key) => key.StartsWith(SliceKey.Folder, StringComparison.Ordinal);

    /// <summary>Counts from here on; what is returned says how many there were.</summary>
    Func<int> CountRequests(string prefix)
    {
        var count = 0;
        _bucket.Fault = (operation, key) =>
        {
            count += operation is not (BucketOperation.Put or BucketOperation.Delete) && key.StartsWith(prefix, StringComparison.Ordinal) ? 1 : 0;
            return null;
        };
        return () => count;
    }

    async Task DamageAsync(string key)
    {
        var bytes = await _bucket.GetBytesAsync(key, Slice.MaxSize, default);
        bytes[bytes.Length / 2] ^= 4;
        await _bucket.PutBytesAsync(key, bytes, PutCondition.None, default);
    }

    async Task<CollectorStatus> StatusAsync(string collector)
    {
        var key = CollectorStatus.Key("c", collector);
        return CollectorStatus.Parse(await _bucket.GetBytesAsync(key, CollectorStatus.MaxSize, default), key);
    }

    /// <summary>A clock that somebody sets, whereas time goes on evenly.</summary>
    sealed class SetClock(FakeTimeProvider time) : TimeProvider
    {
        public TimeSpan Offset { get; set; }

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow() + Offset;

        public override long GetTimestamp() => time.GetTimestamp();

        public override long TimestampFrequency => time.TimestampFrequency;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            time.CreateTimer(callback, state, dueTime, period);
    }
}
