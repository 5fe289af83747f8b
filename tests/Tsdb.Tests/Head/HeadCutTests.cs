using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Wal;
using Observe.Tsdb.Tests.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadCutTests : IAsyncDisposable
{
    const long Range = TestHead.Range;

    /// <summary>So far that one range is due and no more.</summary>
    const long End = Range * 12 / 5;

    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    [Fact]
    public async Task A_range_is_cut_once_the_head_spans_one_and_a_half()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(Range + 20_000, Range + 20_000 + (Range * 3 / 2)));
        Assert.Empty(await head.CutAsync(force: false, default));
        TestHead.Append(head, "m", (3 * Range, 1));
        var block = Assert.Single(await head.CutAsync(force: false, default));
        using var cut = Block.Open(block);
        Assert.Equal((Range, 2 * Range), (cut.Meta.MinTime, cut.Meta.MaxTime));
        Assert.Equal(Text("m", Samples(Range + 20_000, (2 * Range) - 1)), await TestHead.DumpAsync(cut));
        Assert.Equal(Text("m", [.. Samples(2 * Range, Range + 20_000 + (Range * 3 / 2)), (3 * Range, 1)]), await TestHead.DumpAsync(head));
        Assert.Equal(new TimeRange(2 * Range, 3 * Range), head.Range);
        Assert.Empty(await head.CutAsync(force: false, default));
        using var appender = head.Appender();
        Assert.Equal(AppendResult.OutOfBounds, appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "late"))), (2 * Range) - 1, 1));
    }

    [Fact]
    public async Task Blocks_checkpoints_and_snapshots_are_written_where_they_are_told_to_be()
    {
        var counting = new CountingScheduler();
        _test.Background = counting;
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(20_000, Range * 5 / 2));
        Assert.Equal(0, counting.Tasks);
        Assert.Single(await head.CutAsync(force: false, default));
        Assert.Equal(3, counting.Tasks);
    }

    sealed class CountingScheduler : TaskScheduler
    {
        public int Tasks { get; private set; }

        protected override void QueueTask(Task task)
        {
            Tasks++;
            new Thread(() => TryExecuteTask(task)) { IsBackground = true }.Start();
        }

        protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

        protected override IEnumerable<Task> GetScheduledTasks() => [];
    }

    [Fact]
    public async Task Forced_all_is_cut_and_the_log_is_empty()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(20_000, (Range * 5 / 2) + 1_000));
        var blocks = await head.CutAsync(force: true, default);
        var metas = blocks.Select(b => Block.Open(b)).Select(b => (b.Meta.MinTime, b.Meta.MaxTime)).ToList();
        Assert.Equal([(0, Range), (Range, 2 * Range), (2 * Range, (Range * 5 / 2) + 1_001)], metas);
        Assert.True(head.Range.IsEmpty);
        Assert.Equal(0, head.SeriesCount);
        Assert.Equal("", await TestHead.DumpAsync(head));

        TestHead.Append(head, "m", (Range * 5 / 2, 1), ((Range * 5 / 2) + 1_001, 2));
        Assert.Equal($"m: {(Range * 5 / 2) + 1_001}=2", await TestHead.DumpAsync(head));
        head = await _test.OpenCopyAsync();
        Assert.Equal($"m: {(Range * 5 / 2) + 1_001}=2", await TestHead.DumpAsync(head));
        using var last = Block.Open((await head.CutAsync(force: true, default)).Single());
        Assert.Equal(((Range * 5 / 2) + 1_001, (Range * 5 / 2) + 1_002), (last.Meta.MinTime, last.Meta.MaxTime));
    }

    /// <summary>By that a reader of a bucket sees that between two blocks of a collector there is none that it lacks.</summary>
    [Fact]
    public async Task Blocks_that_follow_one_another_leave_no_time_between_them()
    {
        var head = await _test.OpenAsync();
        var times = new List<(long Min, long Max)>();
        async Task CutAsync(bool force) => times.AddRange(
            (await head.CutAsync(force, default)).Select(block => BlockMeta.Read(block)).Select(meta => (meta.MinTime, meta.MaxTime)));

        // Samples at 20 s of each range's first minute, and the last of each a minute before its end.
        TestHead.Append(head, "m", Samples(20_000, Range - 60_000));
        TestHead.Append(head, "m", Samples(Range + 20_000, (2 * Range) - 60_000));
        TestHead.Append(head, "m", Samples((2 * Range) + 20_000, (3 * Range) - 60_000));
        await CutAsync(force: false);
        await CutAsync(force: true);
        head = await _test.OpenCopyAsync();
        TestHead.Append(head, "m", Samples((3 * Range) - 30_000, (4 * Range) - 60_000));
        TestHead.Append(head, "m", Samples((4 * Range) + 20_000, (5 * Range) - 60_000));
        await CutAsync(force: true);
        Assert.Equal(6, times.Count);
        Assert.Equal(times.Skip(1).Select(block => block.Min), times.SkipLast(1).Select(block => block.Max));
    }

    /// <summary>Samples leave memory only once somebody knows the block that has them.</summary>
    [Fact]
    public async Task A_block_that_nobody_could_be_told_of_is_told_of_again_and_its_samples_stay_until_then()
    {
        var told = new List<string>();
        _test.BlockCut = (block, _) =>
        {
            told.Add(block);
            return told.Count == 1 ? throw new InvalidOperationException("nobody foresaw this") : ValueTask.CompletedTask;
        };
        var samples = Samples(20_000, End);
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", samples);
        await Assert.ThrowsAsync<InvalidOperationException>(() => head.CutAsync(force: false, default));
        Assert.Equal(Text("m", samples), await TestHead.DumpAsync(head));
        Assert.Empty(await head.CutAsync(force: false, default));
        Assert.Equal([told[0], told[0]], told);
        Assert.Equal(Text("m", [.. samples.Where(sample => sample.Item1 >= Range)]), await TestHead.DumpAsync(head));
        using var block = Block.Open(told[0]);
        Assert.Equal(Text("m", [.. samples.Where(sample => sample.Item1 < Range)]), await TestHead.DumpAsync(block));
    }

    [Fact]
    public async Task Chunks_stay_in_memory_while_no_file_may_be_made_for_them()
    {
        var head = await _test.OpenAsync(range: 1_000_000);
        var file = Path.Combine(_test.Directory, "head_chunks", "000001");
        Directory.CreateDirectory(file);
        var random = new Random(1);
        var samples = Enumerable.Range(0, 60_000).Select(i => (i * 10L, random.NextDouble())).ToArray();
        using (var appender = head.Appender())
        {
            var series = appender.GetOrAdd(Labels.Of(("__name__", "m")));
            foreach (var (time, value) in samples)
            {
                Assert.Equal(AppendResult.Appended, appender.Append(series, time, value));
            }

            appender.Commit();
        }

        Assert.Equal(Text("m", samples), await TestHead.DumpAsync(head));
        Directory.Delete(file);
    }

    [Fact]
    public async Task Whenever_the_process_dies_each_sample_is_in_one_block_or_in_the_head()
    {
        var whole = Samples(1_000, End);
        var atCut = new List<string>();
        _test.BlockCut = (_, _) =>
        {
            atCut.Add(_test.Copy(open: false));
            return ValueTask.CompletedTask;
        };
        var copies = new List<string>();
        var disk = new FaultyDisk();
        _test.Disk = disk;
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", whole);
        var before = _test.Copy(open: false);
        disk.RefuseWrite = disk.RefuseSync = () =>
        {
            copies.Add(_test.Copy(open: false));
            return false;
        };
        await head.CutAsync(force: false, default);
        Assert.InRange(copies.Count, 2, 10);
        copies.AddRange([before, _test.Copy(open: false), .. atCut]);

        // A crash between the block's rename and the state file.
        foreach (var copy in atCut)
        {
            File.Delete(Path.Combine(copy, "head.json"));
        }

        // A crash while a block was written.
        Directory.CreateDirectory(Path.Combine(before, $"{BlockId.New(DateTimeOffset.UnixEpoch, new Random(1))}.tmp"));
        foreach (var copy in copies)
        {
            await using var again = await HeadBlock.OpenAsync(new HeadOptions { Directory = copy, Time = TimeProvider.System, BlockRangeMs = Range }, default);
            await again.CutAsync(force: false, default);
            Assert.Empty(Directory.EnumerateDirectories(copy, "*.tmp"));
            Assert.Equal(Text("m", whole), await AllAsync(copy, again));
        }
    }

    [Fact]
    public async Task A_block_that_was_shipped_and_deleted_is_not_cut_again()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(1_000, End));

        // As if the log could not be truncated.
        var copy = _test.Copy(open: false);
        Directory.Delete((await head.CutAsync(force: false, default)).Single(), recursive: true);
        foreach (var path in Directory.EnumerateFileSystemEntries(Path.Combine(_test.Directory, "wal")).ToList())
        {
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }
        }

        foreach (var segment in WalSegment.List(Path.Combine(copy, "wal")))
        {
            File.Copy(segment.Path, WalSegment.At(Path.Combine(_test.Directory, "wal"), segment.Index).Path, overwrite: true);
        }

        head = await _test.OpenCopyAsync();
        Assert.Equal(Range, head.MinValidTime / Range * Range);
        Assert.Equal(new TimeRange(Range, End), head.Range);
        Assert.Empty(await head.CutAsync(force: false, default));
    }

    [Fact]
    public async Task Series_without_samples_are_dropped_and_their_labels_get_new_references()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var old = appender.GetOrAdd(Labels.Of(("__name__", "old"), ("only", "here")));
        appender.Append(old, 1_000, 1);
        appender.Commit();
        TestHead.Append(head, "m", Samples(1_000, End));
        await head.CutAsync(force: false, default);
        Assert.Equal(1, head.SeriesCount);
        Assert.Equal(AppendResult.UnknownSeries, appender.Append(old, End, 2));
        var again = appender.GetOrAdd(Labels.Of(("__name__", "old"), ("only", "here")));
        Assert.NotEqual(old, again);
        Assert.Equal(AppendResult.Appended, appender.Append(again, End, 2));
        appender.Commit();
        var expected = $"{Text("m", Samples(Range, End))}\nold: {End}=2";
        Assert.Equal(expected, await TestHead.DumpAsync(head));
        Assert.Equal(expected, await TestHead.DumpAsync(await _test.OpenCopyAsync()));
        Assert.Equal(["__name__", "only"], await head.LabelNamesAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])));
    }

    [Fact]
    public async Task A_series_with_pending_samples_stays_and_loses_none()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var idle = appender.GetOrAdd(Labels.Of(("__name__", "idle")));
        appender.Append(idle, 1_000, 1);
        appender.Commit();
        TestHead.Append(head, "m", Samples(1_000, End));
        Assert.Equal(AppendResult.Appended, appender.Append(idle, End, 2));
        await head.CutAsync(force: false, default);
        appender.Commit();
        Assert.StartsWith($"idle: {End}=2\n", await TestHead.DumpAsync(head), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_log_is_truncated_and_replays_to_the_same()
    {
        var head = await _test.OpenAsync();
        for (var i = 0; i < 6; i++)
        {
            TestHead.Append(head, "m", Samples((i * Range) + 1_000, (i + 1) * Range));
            await head.CutAsync(force: false, default);
        }

        var (checkpoint, segments) = Checkpoint.Replay(Path.Combine(_test.Directory, "wal"));
        Assert.NotEmpty(checkpoint);
        Assert.InRange(segments.Count, 1, 3);
        Assert.Equal(await TestHead.DumpAsync(head), await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Fact]
    public async Task Samples_that_a_reader_was_given_stay_readable_while_they_are_cut()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(1_000, End));
        var selected = head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).GetAsyncEnumerator();
        Assert.True(await selected.MoveNextAsync());
        var series = selected.Current;
        Assert.False(await selected.MoveNextAsync());
        var cutting = head.CutAsync(force: false, default);
        var batch = new SampleBatch(5_000);
        while (!Directory.EnumerateDirectories(_test.Directory).Any(d => BlockId.TryParse(Path.GetFileName(d), out _)))
        {
            await Task.Yield();
        }

        using (var samples = series.Samples())
        {
            Assert.True(samples.Read(batch));
            Assert.Equal(Samples(1_000, End).Length, batch.Count);
        }

        Assert.False(cutting.IsCompleted);
        await selected.DisposeAsync();
        Assert.Single(await cutting.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task Promtool_finds_each_sample_once_in_blocks_checkpoint_and_log()
    {
        var promtool = Required.Peer("promtool");
        var head = await _test.OpenAsync();
        for (var i = 0; i < 4; i++)
        {
            TestHead.Append(head, "m", Samples((i * Range) + 1_000, (i + 1) * Range));
            TestHead.Append(head, $"only_{i}", ((i + 1) * Range, i));
            await head.CutAsync(force: false, default);
        }

        var (exit, output) = await ChildProcess.RunAsync(promtool, ["tsdb", "dump", _test.Copy(open: false)]);
        Assert.Equal(0, exit);
        var lines = output.Split('\n').Where(l => l.StartsWith('{')).Order(StringComparer.Ordinal);
        var expected = Samples(1_000, 4 * Range).Select(s => $"{{__name__=\"m\"}} {s.Item2} {s.Item1}")
            .Concat(Enumerable.Range(0, 4).Select(i => $"{{__name__=\"only_{i}\"}} {i} {(i + 1) * Range}"));
        Assert.Equal(expected.Order(StringComparer.Ordinal), lines);
    }

    static async Task<string> AllAsync(string directory, HeadBlock head)
    {
        var parts = new List<(long From, string Samples)>();
        var blocks = Directory.EnumerateDirectories(directory).Where(d => BlockId.TryParse(Path.GetFileName(d), out _)).ToList();
        foreach (var path in blocks)
        {
            using var block = Block.Open(path);
            Assert.DoesNotContain(parts, p => p.From == block.Meta.MinTime);
            parts.Add((block.Meta.MinTime, (await TestHead.DumpAsync(block))["m: ".Length..]));
        }

        parts.Add((long.MaxValue, (await TestHead.DumpAsync(head))["m: ".Length..]));
        return "m: " + string.Join(' ', parts.OrderBy(p => p.From).Select(p => p.Samples));
    }

    static (long, double)[] Samples(long from, long to) =>
        [.. Enumerable.Range(0, (int)((to - from) / 1_000) + 1).Select(i => (from + (i * 1_000), (double)((from / 1_000) + i) % 10))];

    static string Text(string name, (long Time, double Value)[] samples) =>
        $"{name}: {string.Join(' ', samples.Select(s => $"{s.Time}={GoText.Float(s.Value)}"))}";
}
