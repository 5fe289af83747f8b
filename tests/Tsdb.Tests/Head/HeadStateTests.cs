using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

/// <summary>What a start believes of the small files that a head lies beside, and of the clock.</summary>
public sealed class HeadStateTests(ITestOutputHelper output) : IAsyncDisposable
{
    const long Range = TestHead.Range;

    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    [Fact]
    public async Task One_bit_of_a_small_file_loses_no_sample_and_refuses_none()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(1_000, Range * 12 / 5));
        Assert.Single(await head.CutAsync(force: false, default));
        var kept = await TestHead.DumpAsync(head);
        const int seed = 1;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        foreach (var file in new[] { "head.json", Path.Combine(BlockOf(_test.Directory), BlockMeta.FileName) })
        {
            var whole = await File.ReadAllBytesAsync(Path.Combine(_test.Directory, file));
            for (var flip = 0; flip < 30; flip++)
            {
                var (at, bit) = (random.Next(whole.Length), random.Next(8));
                await CheckAsync(file, [.. whole[..at], (byte)(whole[at] ^ (1 << bit)), .. whole[(at + 1)..]], kept);
            }

            await CheckAsync(file, [], kept);
            await CheckAsync(file, whole[..^1], kept);
        }
    }

    /// <summary>A right checksum is no right content: a file of another folder, or of a program that was wrong.</summary>
    [Fact]
    public async Task A_cut_time_that_does_not_fit_the_log_is_not_believed()
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "m", Samples(1_000, Range * 12 / 5));
        await head.CutAsync(force: false, default);
        var kept = await TestHead.DumpAsync(head);
        var other = new TestHead();
        try
        {
            var later = await other.OpenAsync();
            TestHead.Append(later, "m", Samples(Range * 40, Range * 42));
            await later.CutAsync(force: true, default);
            await CheckAsync("head.json", await File.ReadAllBytesAsync(Path.Combine(other.Directory, "head.json")), kept);
        }
        finally
        {
            await other.CloseAsync();
        }
    }

    [Fact]
    public async Task What_lacks_behind_a_checkpoint_and_series_that_share_a_reference_are_named()
    {
        using (var writer = new SegmentWriter(Directory.CreateDirectory(Path.Combine(_test.Directory, "wal")).FullName, 0, 1 << 20, WalDisk.Real))
        using (var batch = new WalBatch())
        using (var record = new ByteWriter())
        {
            foreach (var (reference, name, time) in new[] { (1ul, "a", 1_000L), (1ul, "b", 2_000L), (2ul, "b", 3_000L), (1ul, "a", 4_000L) })
            {
                record.Clear();
                WalRecords.BeginSeries(record);
                WalRecords.Add(record, reference, Labels.Of((Labels.MetricName, name)));
                batch.Add(record.Written);
                record.Clear();
                WalRecords.Samples(record, [new WalSample(reference, time, time / 1_000)]);
                batch.Add(record.Written);
            }

            writer.Write(batch);
        }

        var head = await _test.OpenAsync();
        Assert.Equal("a: 1000=1 4000=4\nb: 3000=3", await TestHead.DumpAsync(head));
        Assert.Contains("ReferenceOfAnotherSeries", Assert.Single(head.Damages), StringComparison.Ordinal);

        var folder = _test.Copy(open: false);
        Directory.CreateDirectory(Path.Combine(folder, "wal", "checkpoint.00000007"));
        await using (var beside = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = Range, WalSyncInterval = TimeSpan.Zero }, default))
        {
            Assert.Equal("a: 1000=1 4000=4\nb: 3000=3", await TestHead.DumpAsync(beside));
            Assert.Contains(beside.Damages, damage => damage.Contains("checkpoint.00000007: its first segment is missing", StringComparison.Ordinal));
        }

        folder = _test.Copy(open: false);
        Directory.Delete(Path.Combine(folder, "wal"), recursive: true);
        Directory.CreateDirectory(Path.Combine(folder, "wal", "checkpoint.00000007"));
        await using var again = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = folder, Time = _test.Time, BlockRangeMs = Range, WalSyncInterval = TimeSpan.Zero }, default);
        Assert.Equal("", await TestHead.DumpAsync(again));
        Assert.Contains(again.Damages, damage => damage.Contains("checkpoint 7 lacks its first segment", StringComparison.Ordinal));
        Assert.Contains(again.Damages, damage => damage.Contains("the segments after checkpoint 7 are missing", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_clock_that_is_set_back_costs_no_sample_and_those_of_the_present_are_taken_again()
    {
        var start = _test.Time.GetUtcNow();
        var head = await _test.OpenAsync();
        var present = Now();
        TestHead.Append(head, "m", (present - 1_000, 1));
        _test.Time.Advance(TimeSpan.FromDays(10_000));
        var future = Now();
        TestHead.Append(head, "m", (future, 2), (future + 1_000, 3));
        Assert.Empty(await head.CutAsync(force: false, default).WaitAsync(TimeSpan.FromSeconds(30)) is { } first ? first.Skip(1) : []);

        _test.Time.AdjustTime(start);
        using var appender = head.Appender();
        var series = appender.GetOrAdd(Labels.Of(("__name__", "m")));
        Assert.NotEqual(AppendResult.Appended, appender.Append(series, present, 4));
        Assert.InRange(head.AheadOfClock, TimeSpan.FromDays(9_999), TimeSpan.FromDays(10_001));
        Assert.NotEmpty(await head.CutAsync(force: false, default));
        Assert.Equal(TimeSpan.Zero, head.AheadOfClock);
        Assert.Equal(1, head.HeadMetrics.SetBack.Value);
        TestHead.Append(head, "m", (present, 4), (present + 1_000, 5));
        Assert.Empty(await head.CutAsync(force: false, default));
        Assert.Equal($"m: {present}=4 {present + 1_000}=5", await TestHead.DumpAsync(head));

        head = await _test.OpenCopyAsync();
        Assert.Equal($"m: {present}=4 {present + 1_000}=5", await TestHead.DumpAsync(head));
        var blocks = Directory.EnumerateDirectories(_test.Directory).Where(d => BlockId.TryParse(Path.GetFileName(d), out _)).Select(Block.Open).ToList();
        Assert.Equal([(future, 2), (future + 1_000, 3)], await SamplesAsync(blocks, from: future));
        Assert.Equal([(present - 1_000, 1)], await SamplesAsync(blocks, to: future - 1));
        blocks.ForEach(block => block.Dispose());
    }

    [Fact]
    public async Task A_start_under_a_clock_that_was_set_back_takes_samples_of_the_present()
    {
        var head = await _test.OpenAsync();
        _test.Time.Advance(TimeSpan.FromDays(300));
        TestHead.Append(head, "m", (Now(), 1));
        await head.CutAsync(force: true, default);
        await head.DisposeAsync();

        _test.Time.AdjustTime(_test.Time.GetUtcNow() - TimeSpan.FromDays(300));
        head = await _test.OpenAsync();
        TestHead.Append(head, "m", (Now(), 2));
        Assert.Equal($"m: {Now()}=2", await TestHead.DumpAsync(head));
        Assert.Equal($"m: {Now()}=2", await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Fact]
    public async Task A_log_that_cannot_be_truncated_is_tried_again_before_samples_of_the_present_are_taken()
    {
        var start = _test.Time.GetUtcNow();
        var disk = new Wal.FaultyDisk();
        _test.Disk = disk;
        var head = await _test.OpenAsync();
        _test.Time.Advance(TimeSpan.FromDays(1));
        TestHead.Append(head, "m", (Now(), 1));
        _test.Time.AdjustTime(start);
        disk.RefuseSync = () => true;
        await head.CutAsync(force: false, default);
        Assert.True(head.AheadOfClock > TimeSpan.FromHours(23));
        disk.RefuseSync = () => false;
        await head.CutAsync(force: false, default);
        TestHead.Append(head, "m", (Now(), 2));
        Assert.Equal($"m: {Now()}=2", await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    long Now() => _test.Time.GetUtcNow().ToUnixTimeMilliseconds();

    async Task CheckAsync(string file, byte[] content, string kept)
    {
        var copy = _test.Copy(open: false);
        await File.WriteAllBytesAsync(Path.Combine(copy, file), content);
        await using var head = await HeadBlock.OpenAsync(
            new HeadOptions { Directory = copy, Time = _test.Time, BlockRangeMs = Range, WalSyncInterval = TimeSpan.Zero }, default);
        var text = System.Text.Encoding.UTF8.GetString(content);
        Assert.True((await TestHead.DumpAsync(head)).EndsWith(kept["m: ".Length..], StringComparison.Ordinal), $"{file}: {text}");
        using var appender = head.Appender();
        var result = appender.Append(appender.GetOrAdd(Labels.Of(("__name__", "m"))), (Range * 12 / 5) + 1_000, 1);
        Assert.True(result == AppendResult.Appended, $"{file}: {result} after {text}");
    }

    static string BlockOf(string directory) =>
        Path.GetFileName(Directory.EnumerateDirectories(directory).Single(d => BlockId.TryParse(Path.GetFileName(d), out _)));

    static async Task<List<(long Time, double Value)>> SamplesAsync(List<Block> blocks, long from = long.MinValue, long to = long.MaxValue)
    {
        var samples = new List<(long Time, double Value)>();
        foreach (var block in blocks.OrderBy(block => block.Meta.MinTime))
        {
            samples.AddRange((await TestHead.DumpAsync(block))["m: ".Length..].Split(' ').Select(sample => sample.Split('='))
                .Select(parts => (long.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture), double.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)))
                .Where(sample => sample.Item1 >= from && sample.Item1 <= to));
        }

        return samples;
    }

    static (long, double)[] Samples(long from, long to) =>
        [.. Enumerable.Range(0, (int)((to - from) / 1_000) + 1).Select(i => (from + (i * 1_000), (double)((from / 1_000) + i) % 10))];
}
