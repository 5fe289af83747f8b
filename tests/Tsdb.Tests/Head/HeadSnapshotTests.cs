using System.Globalization;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Tests.Wal;
using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

/// <summary>A start from a snapshot has what a start from the whole log has, and a snapshot that is not right costs nothing but time.</summary>
public sealed class HeadSnapshotTests(ITestOutputHelper output) : IAsyncDisposable
{
    const int Metrics = 12;

    static readonly int s_courses = int.Parse(Environment.GetEnvironmentVariable("SNAPSHOT_COURSES") ?? "6", CultureInfo.InvariantCulture);

    readonly TestHead _test = new() { SnapshotBytes = 1 };

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    static string Snapshot(string folder) => Path.Combine(folder, "head.snapshot");

    [Fact]
    public async Task Starts_have_what_was_there_after_random_courses()
    {
        var first = int.Parse(Environment.GetEnvironmentVariable("SNAPSHOT_SEED") ?? "1", CultureInfo.InvariantCulture);
        var snapshots = 0;
        for (var seed = first; seed < first + s_courses; seed++)
        {
            var test = new TestHead { SnapshotBytes = 1 };
            try
            {
                snapshots += await RunAsync(test, seed);
            }
            finally
            {
                await test.CloseAsync();
            }
        }

        output.WriteLine($"{snapshots} starts from snapshots");
        Assert.True(snapshots > s_courses / 3);
    }

    /// <summary>Returns how many starts read a snapshot instead of the log.</summary>
    async Task<int> RunAsync(TestHead test, int seed)
    {
        var (random, time, read) = (new Random(seed), 1_000L, 0);
        var head = await test.OpenAsync();
        using var blocks = new OpenBlocks();
        for (var step = 0; step < 40; step++)
        {
            switch (random.Next(8))
            {
                case 0:
                    await head.CutAsync(force: random.Next(12) == 0, default);
                    break;
                case 1:
                    var expected = await DumpAsync(head, test.Directory, blocks);
                    test.SnapshotBytes = random.Next(3);
                    head = await test.OpenCopyAsync();
                    Assert.Empty(head.Damages);
                    Assert.Equal((seed, step, expected), (seed, step, await DumpAsync(head, test.Directory, blocks)));
                    if (File.Exists(Snapshot(test.Directory)))
                    {
                        read++;
                        if (random.Next(4) == 0)
                        {
                            File.Delete(Snapshot(test.Directory));
                        }
                        else if (random.Next(2) == 0)
                        {
                            // What the snapshot stands for is not read.
                            await BlankAsync(test, head, expected, blocks);
                        }
                    }

                    break;
                default:
                    Append(head, random, ref time);
                    break;
            }
        }

        await head.CutAsync(force: true, default);
        foreach (var block in Directory.EnumerateDirectories(test.Directory).Where(d => BlockId.TryParse(Path.GetFileName(d), out _)))
        {
            Assert.Empty(BlockVerifier.Verify(block, decode: true, default));
        }

        return read;
    }

    static async Task BlankAsync(TestHead test, HeadBlock head, string expected, OpenBlocks blocks)
    {
        await head.CutAsync(force: false, default);
        var folder = test.Copy(open: false);
        var wal = Path.Combine(folder, "wal");
        if (!File.Exists(Snapshot(folder)))
        {
            return;
        }

        using (var reader = new HeadSnapshotReader(Snapshot(folder)))
        {
            foreach (var segment in WalSegment.List(wal).Where(segment => segment.Index <= reader.Header.Segment))
            {
                await File.WriteAllBytesAsync(segment.Path, new byte[new FileInfo(segment.Path).Length]);
            }
        }

        await using var again = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = folder, Time = test.Time, BlockRangeMs = TestHead.Range, WalSyncInterval = TimeSpan.Zero }, default);
        Assert.Equal(expected, await DumpAsync(again, folder, blocks));
    }

    static void Append(HeadBlock head, Random random, ref long time)
    {
        using var appender = head.Appender();
        for (var scrape = random.Next(1, 60); scrape > 0; scrape--)
        {
            time += random.Next(1, 2_000);
            for (var metric = 0; metric < Metrics; metric++)
            {
                if (random.Next(3) == 0)
                {
                    continue;
                }

                // Series come and go: those of the last number belong to a time.
                var name = metric == Metrics - 1 ? $"m{time / 50_000}" : $"m{metric}";
                var series = appender.GetOrAdd(Labels.Of((Labels.MetricName, name)));
                var start = metric % 4 == 3 && random.Next(3) > 0 ? time - 10 : 0;
                if (metric % 3 == 2 && random.Next(20) > 0)
                {
                    appender.Append(series, time, WalRecordsTests.TestHistogram(integer: metric % 2 == 0, custom: metric % 4 == 1), start);
                }
                else
                {
                    appender.Append(series, time, random.Next(30) == 0 ? StaleMarker.Value : random.Next(5) == 0 ? random.NextDouble() : time, start);
                }
            }

            appender.Commit();
        }
    }

    /// <summary>The first marker after a cut is one of histograms only where the head still knows that the series had them.</summary>
    static async Task<string> DumpAsync(HeadBlock head, string folder, OpenBlocks blocks) =>
        (await TestHead.DumpAsync(new MergeQuerier([head, blocks.Of(folder)]))).Replace("h0/stale", "NaN", StringComparison.Ordinal);

    [Fact]
    public async Task A_snapshot_that_is_not_right_costs_no_sample()
    {
        var head = await _test.OpenAsync();
        var (random, time) = (new Random(1), 1_000L);
        for (var i = 0; i < 10; i++)
        {
            Append(head, random, ref time);
        }

        await head.CutAsync(force: false, default);
        Append(head, random, ref time);
        var kept = await TestHead.DumpAsync(head);
        var whole = await File.ReadAllBytesAsync(Snapshot(_test.Directory));
        random = new Random(2);
        for (var i = 0; i < 60; i++)
        {
            var damaged = i == 0 ? [] : random.Next(2) == 0 ? whole[..random.Next(whole.Length)] : whole.ToArray();
            if (damaged.Length == whole.Length)
            {
                damaged[random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
            }

            var folder = _test.Copy(open: false);
            await File.WriteAllBytesAsync(Snapshot(folder), damaged);
            await using var again = await HeadBlock.OpenAsync(
                new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = TestHead.Range, WalSyncInterval = TimeSpan.Zero }, default);
            Assert.Equal(kept, await TestHead.DumpAsync(again));
            Assert.Empty(again.Damages);
        }
    }

    [Fact]
    public async Task A_series_of_which_no_sample_was_taken_before_a_snapshot_is_known_after_it()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "old", Samples(1_000, TestHead.Range * 3));
        await head.CutAsync(force: false, default);
        using (var appender = head.Appender())
        {
            // A cut comes in between, so that the sample is refused when it is committed, and its series has none.
            var series = appender.GetOrAdd(Labels.Of((Labels.MetricName, "m")));
            Assert.Equal(AppendResult.Appended, appender.Append(series, TestHead.Range * 5 / 2, 1));
            await head.CutAsync(force: true, default);
            appender.Commit();
        }

        File.Delete(Snapshot(_test.Directory));
        TestHead.Append(head, "old", [.. Enumerable.Range(0, 500).Select(i => ((TestHead.Range * 4) + i, 1.0))]);
        await head.CutAsync(force: false, default);
        Assert.True(File.Exists(Snapshot(_test.Directory)));
        TestHead.Append(head, "m", (TestHead.Range * 4, 7));
        var kept = await TestHead.DumpAsync(head);
        head = await _test.OpenCopyAsync();
        Assert.Equal(kept, await TestHead.DumpAsync(head));
        Assert.StartsWith("m: 400000=7", kept, StringComparison.Ordinal);
    }

    static (long, double)[] Samples(long from, long to) => [.. Enumerable.Range(0, (int)((to - from) / 10_000) + 1).Select(i => (from + (i * 10_000L), (double)i))];

    [Fact]
    public async Task A_snapshot_of_another_log_or_of_other_blocks_is_not_believed()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "old", (1_000, 1), (60_000, 2));
        await head.CutAsync(force: false, default);
        Assert.True(File.Exists(Snapshot(_test.Directory)));

        // The span of a block is another one: no chunk of the snapshot would fit into those that are cut.
        var folder = _test.Copy(open: false);
        await using (var other = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = 50_000, WalSyncInterval = TimeSpan.Zero }, default))
        {
            Assert.Equal("old: 1000=1 60000=2", await TestHead.DumpAsync(other));
            await other.CutAsync(force: true, default);
            Assert.All(
                Directory.EnumerateDirectories(folder).Where(d => BlockId.TryParse(Path.GetFileName(d), out _)),
                block => Assert.Empty(BlockVerifier.Verify(block, decode: true, default)));
        }

        // A log that was deleted, and began anew.
        folder = _test.Copy(open: false);
        Directory.Delete(Path.Combine(folder, "wal"), recursive: true);
        File.Move(Snapshot(folder), Path.Combine(folder, "kept"));
        for (var i = 0; i < 3; i++)
        {
            await using var anew = await HeadBlock.OpenAsync(
                new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = TestHead.Range, WalSyncInterval = TimeSpan.Zero }, default);
            TestHead.Append(anew, "new", (70_000 + i, i));
        }

        File.Move(Path.Combine(folder, "kept"), Snapshot(folder));
        await using var again = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = TestHead.Range, WalSyncInterval = TimeSpan.Zero }, default);
        Assert.Equal("new: 70000=0 70001=1 70002=2", await TestHead.DumpAsync(again));
        Assert.False(File.Exists(Snapshot(folder)));
    }

    /// <summary>The blocks of folders, opened for one look after another.</summary>
    sealed class OpenBlocks : IDisposable
    {
        LocalBlocks? _blocks;

        public LocalBlocks Of(string folder)
        {
            _blocks?.Dispose();
            return _blocks = new LocalBlocks(folder, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        }

        public void Dispose() => _blocks?.Dispose();
    }
}
