using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Tests.Wal;
using Observe.Tsdb.Wal;
using Prometheus;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class WalFollowerTests : IAsyncDisposable
{
    readonly string _folder = Checkout.NewFolder("follower");
    readonly FakeTimeProvider _time = new();
    readonly TestHead _source = new();
    readonly WalFollowerMetrics _metrics = new(Metrics.NewCustomRegistry());
    readonly List<IAsyncDisposable> _opened = [];

    string Log => Path.Combine(_folder, "wal");

    public async ValueTask DisposeAsync()
    {
        foreach (var opened in _opened)
        {
            await opened.DisposeAsync();
        }

        await _source.CloseAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Wherever the writer is in the midst of a record, what is read is whole, and in the end it is what a replay reads.</summary>
    [Fact]
    public async Task A_log_that_is_read_while_it_is_written_gives_what_a_replay_of_it_gives()
    {
        for (var seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            using var log = new TestLog();
            await log.WriteAsync(Records(random), segmentBytes: 2 * WalSegment.PageSize);
            var (head, follower) = await OpenAsync();
            using (follower)
            {
                foreach (var segment in WalSegment.List(log.Directory))
                {
                    var bytes = await File.ReadAllBytesAsync(segment.Path);
                    Directory.CreateDirectory(Log);
                    await using var file = new FileStream(
                        Path.Combine(Log, Path.GetFileName(segment.Path)), FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
                    for (var at = 0; at < bytes.Length;)
                    {
                        var more = Math.Min(bytes.Length - at, random.Next(4) == 0 ? random.Next(1, 40_000) : random.Next(1, 3_000));
                        await file.WriteAsync(bytes.AsMemory(at, more));
                        at += more;
                        follower.Read(default);
                    }
                }

                var replayed = await HeadBlock.OpenAsync(Options(Copied(log.Directory)) with { HasLog = true }, default);
                _opened.Add(replayed);
                Assert.True(await TestHead.DumpAsync(replayed) == await TestHead.DumpAsync(head), $"seed {seed}");
                Assert.True(replayed.Damages.Count == 0, $"seed {seed}");
                Assert.True(_metrics.Restarts.Value == seed + 1 && _metrics.Corruptions.Value == 0, $"seed {seed}: {_metrics.Restarts.Value} restarts, {_metrics.Corruptions.Value} damages");
            }

            Directory.Delete(Log, recursive: true);
        }
    }

    [Fact]
    public async Task What_is_read_from_a_checkpoint_is_what_was_followed_through_it()
    {
        var source = await _source.OpenAsync();
        var (followed, first) = await OpenAsync(Path.Combine(_source.Directory, "wal"));
        using var _ = first;
        for (var i = 0; i < 40; i++)
        {
            TestHead.Append(source, $"a{i % 7}", (i * 10_000, i));
            first.Read(default);
            await source.CutAsync(force: false, default);
        }

        first.Read(default);
        first.Read(default);
        var (late, second) = await OpenAsync(Path.Combine(_source.Directory, "wal"));
        using var __ = second;
        second.Read(default);
        Assert.NotNull(Checkpoint.Last(Path.Combine(_source.Directory, "wal")));
        var held = source.Range.MinTime;
        var expected = await TestHead.DumpAsync(source, held);
        Assert.Equal(expected, await TestHead.DumpAsync(followed, held));
        Assert.Equal(expected, await TestHead.DumpAsync(late, held));
    }

    /// <summary>Prometheus drops a series that has no samples any more and may give its number away only with new labels.</summary>
    [Fact]
    public async Task A_series_that_was_dropped_too_early_is_found_again()
    {
        using var log = new TestLog();
        await log.WriteAsync([Series((1, "a"), (2, "b")), Samples((1, 1_000, 1), (2, 1_000, 1))]);
        var (head, follower) = await OpenAsync(log.Directory);
        using var _ = follower;
        follower.Read(default);
        await follower.DropAsync(2_000, default);
        Assert.Equal("", await TestHead.DumpAsync(head));
        await log.WriteAsync([Samples((1, 3_000, 3)), Series((2, "c")), Samples((2, 3_000, 4))]);
        follower.Read(default);
        Assert.Equal("c: 3000=4", await TestHead.DumpAsync(head));
        _time.Advance(TimeSpan.FromMinutes(6));
        follower.Read(default);
        follower.Read(default);
        Assert.Equal("a: 3000=3\nc: 3000=4", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task A_log_that_was_written_anew_is_read_anew()
    {
        using (var log = new TestLog())
        {
            await log.WriteAsync([Series((1, "a")), Samples((1, 1_000, 1)), Samples((1, 2_000, 2))]);
            Copied(log.Directory, Log);
        }

        var (head, follower) = await OpenAsync();
        using var _ = follower;
        follower.Read(default);
        Directory.Delete(Log, recursive: true);
        using (var log = new TestLog())
        {
            await log.WriteAsync([Series((1, "a")), Samples((1, 1_000, 1)), Series((2, "b")), Samples((2, 2_500, 2))]);
            Copied(log.Directory, Log);
        }

        follower.Read(default);
        follower.Read(default);
        Assert.Equal("a: 1000=1 2000=2\nb: 2500=2", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task A_damaged_place_costs_its_record_and_is_waited_for_at_the_end_of_the_log()
    {
        using var log = new TestLog();
        await log.WriteAsync([Series((1, "a")), Samples((1, 1_000, 1)), Samples((1, 2_000, 2)), Samples((1, 3_000, 3))]);
        var path = WalSegment.List(log.Directory)[0].Path;
        var bytes = await File.ReadAllBytesAsync(path);
        var damaged = bytes.ToArray();
        damaged[^(3 * (bytes.Length / 8))] ^= 0x40;
        await File.WriteAllBytesAsync(path, damaged);
        var (head, follower) = await OpenAsync(log.Directory);
        using var _ = follower;
        follower.Read(default);
        var before = await TestHead.DumpAsync(head);
        Assert.DoesNotContain("3000=3", before, StringComparison.Ordinal);
        for (var i = 0; i < 10; i++)
        {
            follower.Read(default);
        }

        Assert.Contains("3000=3", await TestHead.DumpAsync(head), StringComparison.Ordinal);
        Assert.NotEqual("a: 1000=1 2000=2 3000=3", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task Beyond_the_limit_new_series_are_left_out()
    {
        using var log = new TestLog();
        await log.WriteAsync([Series((1, "a"), (2, "b"), (3, "c")), Samples((1, 1_000, 1), (2, 1_000, 2), (3, 1_000, 3))]);
        var (head, follower) = await OpenAsync(log.Directory, limit: 2);
        using var _ = follower;
        follower.Read(default);
        Assert.Equal("a: 1000=1\nb: 1000=2", await TestHead.DumpAsync(head));
    }

    static byte[] Series(params (ulong Ref, string Name)[] series)
    {
        using var record = new ByteWriter(64);
        WalRecords.BeginSeries(record);
        foreach (var (reference, name) in series)
        {
            WalRecords.Add(record, reference, Labels.Of((Labels.MetricName, name)));
        }

        return record.Written.ToArray();
    }

    static byte[] Samples(params (ulong Ref, long Time, double Value)[] samples)
    {
        using var record = new ByteWriter(64);
        WalRecords.Samples(record, samples.Select(sample => new WalSample(sample.Ref, sample.Time, sample.Value)).ToArray());
        return record.Written.ToArray();
    }

    /// <summary>Scrapes of targets that come and go, records that are shorter than a header and longer than a page.</summary>
    static List<byte[]> Records(Random random)
    {
        var (records, series, time) = (new List<byte[]>(), new List<ulong>(), 1_000L);
        for (var i = random.Next(5, 40); i > 0; i--)
        {
            if (series.Count == 0 || random.Next(4) == 0)
            {
                var more = Enumerable.Range(series.Count + 1, random.Next(5) == 0 ? 2_000 : random.Next(1, 30)).Select(n => (ulong)n).ToArray();
                series.AddRange(more);
                records.Add(Series([.. more.Select(n => (n, $"m{n:D5}"))]));
            }

            time += random.Next(1, 2_000);
            records.Add(Samples([.. series.Where(_ => random.Next(3) > 0).Select(n => (n, time, (double)random.Next()))]));
        }

        return records;
    }

    static string Copied(string log, string? to = null)
    {
        to ??= Path.Combine(Directory.CreateTempSubdirectory("observe-replayed-").FullName, "wal");
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(log))
        {
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        }

        return Path.GetDirectoryName(to)!;
    }

    async Task<(HeadBlock Head, WalFollower Follower)> OpenAsync(string? log = null, long limit = 0)
    {
        var head = await HeadBlock.OpenAsync(Options(Path.Combine(_folder, $"head-{_opened.Count}")), default);
        _opened.Add(head);
        return (head, new WalFollower(new WalFollowerOptions
        {
            Directory = log ?? Log,
            Head = head,
            SeriesLimit = limit,
            Time = _time,
            Metrics = _metrics,
            Logger = NullLogger.Instance,
        }));
    }

    HeadOptions Options(string folder) => new() { Directory = folder, Time = _time, BlockRangeMs = TestHead.Range, HasLog = false };
}
