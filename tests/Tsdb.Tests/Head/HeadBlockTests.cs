using System.Globalization;
using System.Text.Json;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Wal;
using Observe.Tsdb.Tests.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadBlockTests : IAsyncDisposable
{
    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    [Fact]
    public async Task A_second_head_on_the_folder_is_refused_with_the_reason()
    {
        await _test.OpenAsync();
        var refused = await Assert.ThrowsAsync<IOException>(() => _test.OpenAsync());
        Assert.Contains("in use by another process", refused.Message, StringComparison.Ordinal);
        await _test.OpenCopyAsync();
    }

    [Fact]
    public async Task What_was_committed_is_there_after_the_next_start_and_goes_on()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "a", (1_000, 1), (2_000, 2));
        TestHead.Append(head, "b", (1_500, 3));
        await head.DisposeAsync();

        head = await _test.OpenAsync();
        Assert.Equal(new TimeRange(1_000, 2_000), head.Range);
        Assert.Equal(2, head.SeriesCount);
        TestHead.Append(head, "a", (2_000, 9), (3_000, 4));
        TestHead.Append(head, "c", (3_500, 5));

        head = await _test.OpenCopyAsync();
        Assert.Equal("a: 1000=1 2000=2 3000=4\nb: 1500=3\nc: 3500=5", await TestHead.DumpAsync(head));
        var logged = new List<WalSeries>();
        foreach (var record in TestLog.Read([WalSegment.At(Path.Combine(_test.Directory, "wal"), 1)]).Records.Where(r => r[0] == (byte)WalRecordType.Series))
        {
            WalRecords.Series(record, logged, "", 0);
        }

        Assert.Equal(["c", "c"], logged.Select(s => s.Labels.Get("__name__")));
        Assert.Empty(head.Damages);
    }

    [Fact]
    public async Task Series_of_scrapes_that_overlapped_are_found_after_the_next_start()
    {
        var head = await _test.OpenAsync();
        using (var first = head.Appender())
        using (var second = head.Appender())
        {
            foreach (var name in new[] { "a", "b", "c" })
            {
                first.Append(first.GetOrAdd(Labels.Of(("__name__", name), ("job", "first"))), 1_000, 1);
                second.Append(second.GetOrAdd(Labels.Of(("__name__", name + "2"), ("job", "second"))), 1_000, 2);
            }

            second.Commit();
            first.Commit();
        }

        head = await _test.OpenCopyAsync();
        Assert.Equal("a: 1000=1\na2: 1000=2\nb: 1000=1\nb2: 1000=2\nc: 1000=1\nc2: 1000=2", await TestHead.DumpAsync(head));
        Assert.Equal([1u, 3u, 5u], head.Series.Postings.Select([new Matcher(MatchType.Equal, "job", "first")]).ToArray());
        TestHead.Append(head, "d", (2_000, 3));
        Assert.Equal("a2: 1000=2\nb2: 1000=2\nc2: 1000=2\nd: 2000=3", string.Join('\n', (await TestHead.DumpAsync(head)).Split('\n').Where(l => l[1] == '2' || l[0] == 'd')));
    }

    [Fact]
    public async Task Samples_over_many_chunks_come_back_from_memory_from_files_and_from_the_log()
    {
        var head = await _test.OpenAsync(range: 7_200_000);
        var random = new Random(1);
        var samples = Enumerable.Range(0, 3_000).Select(i => ((long)i * 5_000, Math.Round(random.NextDouble() * 1000, i % 5))).ToArray();
        TestHead.Append(head, "m", samples);
        var expected = "m: " + string.Join(' ', samples.Select(s => $"{s.Item1}={GoText.Float(s.Item2)}"));
        Assert.Equal(expected, await TestHead.DumpAsync(head));
        Assert.Equal(expected, await TestHead.DumpAsync(await _test.OpenCopyAsync(range: 7_200_000)));
        Assert.Equal(
            "m: " + string.Join(' ', samples.Where(s => s.Item1 is >= 3_000_001 and <= 9_000_000).Select(s => $"{s.Item1}={GoText.Float(s.Item2)}")),
            await TestHead.DumpAsync(head, 3_000_001, 9_000_000));
    }

    [Fact]
    public async Task Chunks_are_cut_at_120_samples_spread_evenly_and_at_the_end_of_the_range()
    {
        var head = await _test.OpenAsync(range: 7_200_000);
        TestHead.Append(head, "m", [.. Enumerable.Range(0, 1_000).Select(i => ((long)i * 15_000, 1.0))]);
        var chunks = await ChunksAsync(head);
        Assert.All(chunks, c => Assert.Equal(c.MinTime / 7_200_000, c.MaxTime / 7_200_000));
        Assert.Equal([120, 120, 120, 120, 120, 120, 120, 120, 40], chunks.Select(c => ChunkIterators.Count(c, "", 0)));
        Assert.Equal(9, head.Stats().Chunks);
    }

    [Fact]
    public async Task A_chunk_stays_within_a_kibibyte()
    {
        var head = await _test.OpenAsync(range: 7_200_000);
        var random = new Random(1);
        TestHead.Append(head, "m", [.. Enumerable.Range(0, 400).Select(i => ((long)i * 1_000, random.NextDouble()))]);
        Assert.All(await ChunksAsync(head), c => Assert.InRange(c.Data.Length, 1, 1024));
    }

    [Fact]
    public async Task A_damaged_record_costs_its_own_samples_only()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "a", [.. Enumerable.Range(1, 20).Select(i => (i * 1_000L, (double)i))]);
        var copy = _test.Copy(open: false);
        var segment = WalSegment.List(Path.Combine(copy, "wal")).Single().Path;
        var bytes = await File.ReadAllBytesAsync(segment);
        bytes[^40] ^= 1;
        await File.WriteAllBytesAsync(segment, bytes);
        await using var damaged = await HeadBlock.OpenAsync(new HeadOptions { Directory = copy, Time = TimeProvider.System, BlockRangeMs = TestHead.Range }, default);
        Assert.Equal("a: " + string.Join(' ', Enumerable.Range(1, 20).Where(i => i != 19).Select(i => $"{i}000={i}")), await TestHead.DumpAsync(damaged));
        Assert.Contains(segment, Assert.Single(damaged.Damages), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_record_of_series_costs_no_sample()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "a", (1_000, 1), (2_000, 2));
        var bytes = await File.ReadAllBytesAsync(WalSegment.At(Path.Combine(_test.Copy(open: false), "wal"), 0).Path);
        for (var at = 0; at < 2 * (WalSegment.HeaderSize + 20); at++)
        {
            var copy = _test.Copy(open: false);
            var damaged = (byte[])bytes.Clone();
            damaged[at] ^= 0x20;
            await File.WriteAllBytesAsync(WalSegment.At(Path.Combine(copy, "wal"), 0).Path, damaged);
            await using var again = await HeadBlock.OpenAsync(new HeadOptions { Directory = copy, Time = TimeProvider.System, BlockRangeMs = TestHead.Range }, default);
            Assert.Equal("a: 1000=1 2000=2", await TestHead.DumpAsync(again));
            Assert.Single(again.Damages);
        }
    }

    [Fact]
    public async Task What_the_disk_refuses_is_not_visible_and_may_be_appended_later()
    {
        var disk = new FaultyDisk();
        _test.Disk = disk;
        var head = await _test.OpenAsync();
        TestHead.Append(head, "a", (1_000, 1));
        disk.RefuseWrite = () => true;
        Assert.Throws<IOException>(() => TestHead.Append(head, "a", (2_000, 2)));
        Assert.Throws<IOException>(() => TestHead.Append(head, "b", (2_000, 2)));
        Assert.Equal("a: 1000=1", await TestHead.DumpAsync(head));
        disk.RefuseWrite = () => false;
        TestHead.Append(head, "b", (2_000, 2));
        TestHead.Append(head, "a", (2_000, 3));
        Assert.Equal("a: 1000=1 2000=3\nb: 2000=2", await TestHead.DumpAsync(head));
        head = await _test.OpenCopyAsync();
        Assert.Equal("a: 1000=1 2000=3\nb: 2000=2", await TestHead.DumpAsync(head));
        Assert.Empty(head.Damages);
    }

    [Fact]
    public async Task On_a_full_disk_commits_are_refused_until_there_is_room_again()
    {
        var folder = Checkout.NewFolder("full");
        if (!OperatingSystem.IsLinux() || (await ChildProcess.RunAsync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])).ExitCode != 0)
        {
            Directory.Delete(folder);
            return;
        }

        try
        {
            var data = Path.Combine(folder, "data");
            var ballast = Path.Combine(folder, "ballast");
            await File.WriteAllBytesAsync(ballast, new byte[700_000]);
            var options = new HeadOptions { Directory = data, Time = TimeProvider.System, BlockRangeMs = 1_000_000_000, WalSyncInterval = TimeSpan.Zero };
            var random = new Random(1);
            var expected = new Dictionary<long, double>();
            await using (var head = await HeadBlock.OpenAsync(options, default))
            {
                using var appender = head.Appender();
                var series = Enumerable.Range(0, 500).Select(i => appender.GetOrAdd(Labels.Of(("__name__", "m"), ("i", $"{i:D4}")))).ToArray();
                var refused = 0;
                for (var t = 1L; t <= 150; t++)
                {
                    var value = random.NextDouble();
                    foreach (var one in series)
                    {
                        Assert.Equal(AppendResult.Appended, appender.Append(one, t, value + one.Value));
                    }

                    try
                    {
                        appender.Commit();
                        expected[t] = value;
                    }
                    catch (IOException)
                    {
                        refused++;
                        if (refused == 5)
                        {
                            File.Delete(ballast);
                        }
                    }
                }

                Assert.Equal(5, refused);
                Assert.Equal(150 - 5, expected.Count);
            }

            await using var again = await HeadBlock.OpenAsync(options, default);
            Assert.Empty(again.Damages);
            Assert.Equal(500, again.SeriesCount);
            var first = (await TestHead.DumpAsync(again)).Split('\n')[0];
            Assert.Equal("m: " + string.Join(' ', expected.Select(e => $"{e.Key}={GoText.Float(e.Value + 1)}")), first);
        }
        finally
        {
            Assert.Equal(0, (await ChildProcess.RunAsync("umount", [folder])).ExitCode);
            Directory.Delete(folder);
        }
    }

    [Fact]
    public async Task Stats_name_the_largest()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        for (var i = 0; i < 12; i++)
        {
            appender.Append(appender.GetOrAdd(Labels.Of(("__name__", i % 3 == 0 ? "few" : "many"), ("instance", $"host-{i}"))), 1_000 + i, 1);
        }

        appender.Commit();
        var stats = head.Stats(2);
        Assert.Equal((12, 14, 12, new TimeRange(1_000, 1_011)), (stats.Series, stats.LabelPairs, stats.Chunks, stats.Range));
        Assert.Equal([new("many", 8), new("few", 4)], stats.SeriesByMetricName);
        Assert.Equal([new("instance", 12), new("__name__", 2)], stats.ValuesByLabelName);
        Assert.Equal([new("instance", 74), new("__name__", 44)], stats.BytesByLabelName);
        Assert.Equal([new("__name__=many", 8), new("__name__=few", 4)], stats.SeriesByLabelPair);
    }

    [Fact]
    public async Task Many_appenders_at_once_lose_nothing()
    {
        var head = await _test.OpenAsync();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            using var appender = head.Appender();
            for (var t = 1; t <= 200; t++)
            {
                for (var i = 0; i < 20; i++)
                {
                    appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "m"), ("worker", $"{worker}"), ("i", $"{i % (t + 1)}"))), t, worker);
                }

                appender.Commit();
            }
        })));
        Assert.Equal(80, head.SeriesCount);
        var dump = await TestHead.DumpAsync(head);
        Assert.Equal(dump, await TestHead.DumpAsync(await _test.OpenCopyAsync()));
        Assert.Equal(8, dump.Split('\n').Count(line => line.Split(' ').Length == 201));
    }

    [Fact]
    public async Task A_prometheus_replays_the_log_and_answers_as_the_head_does()
    {
        Required.Peer("prometheus");
        var start = DateTimeOffset.Parse("2026-01-01T00:00:00Z", CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();
        var head = await _test.OpenAsync(range: 7_200_000);
        using (var appender = head.Appender())
        {
            for (var t = 0; t < 300; t++)
            {
                for (var i = 0; i < 50; i++)
                {
                    appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "m"), ("i", $"{i}"))), start + (t * 15_000), (t * i) + 0.5);
                }

                var histogram = WalRecordsTests.TestHistogram(integer: true, custom: false);
                (histogram.Count, histogram.PositiveBuckets) = (20 + t, [5 + t, 3, 10]);
                appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "h"))), start + (t * 15_000), histogram);
                appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "fh"))), start + (t * 15_000), WalRecordsTests.TestHistogram(integer: false, custom: true));
                appender.Commit();
            }
        }

        var copy = _test.Copy(open: false);
        await using var prometheus = await PrometheusServer.StartAsync(copy);
        using var http = new HttpClient { BaseAddress = prometheus.Url };
        Assert.Equal("15000", await Value("sum(count_over_time(m[2h]))"));
        Assert.Equal(((Enumerable.Range(0, 300).Sum(t => (double)t) * 49 * 25) + (15_000 * 0.5)).ToString(CultureInfo.InvariantCulture), await Value("sum(sum_over_time(m[2h]))"));
        Assert.Equal("319", await Value("histogram_count(h)"));
        Assert.Equal("20.5", await Value("histogram_count(fh)"));
        Assert.DoesNotContain("level=ERROR", prometheus.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("level=WARN", prometheus.Output, StringComparison.Ordinal);

        async Task<string> Value(string query)
        {
            var at = (start + (299 * 15_000)) / 1000;
            using var answer = JsonDocument.Parse(await http.GetStringAsync(new Uri($"api/v1/query?query={Uri.EscapeDataString(query)}&time={at}", UriKind.Relative)));
            return answer.RootElement.GetProperty("data").GetProperty("result")[0].GetProperty("value")[1].GetString()!;
        }
    }

    static async Task<List<Chunk>> ChunksAsync(HeadBlock head)
    {
        var chunks = new List<Chunk>();
        await foreach (var series in head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            chunks.AddRange(series.Chunks()!);
        }

        return chunks;
    }
}
