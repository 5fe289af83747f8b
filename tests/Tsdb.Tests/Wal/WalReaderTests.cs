using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Wal;

public sealed class WalReaderTests : IDisposable
{
    readonly TestLog _log = new();

    public void Dispose() => _log.Dispose();

    /// <summary>Records of which each is found by its first bytes, some of them over several pages, some of them compressed.</summary>
    static List<byte[]> Records(params int[] sizes) => [.. sizes.Select((size, i) =>
    {
        var record = new byte[size];
        new Random(i).NextBytes(record);
        if (i % 3 == 2)
        {
            record.AsSpan(size / 4).Clear();
        }

        record[0] = (byte)(1 + (i % 13));
        return record;
    })];

    [Fact]
    public async Task A_flipped_bit_costs_at_most_the_record_it_is_in()
    {
        var records = Records(40, 90, 133, 1, 300, 20, 75);
        await _log.WriteAsync(records);
        var segment = WalSegment.At(_log.Directory, 0);
        var whole = await File.ReadAllBytesAsync(segment.Path);
        for (var bit = 0; bit < whole.Length * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            await File.WriteAllBytesAsync(segment.Path, damaged);
            var (read, damages) = TestLog.Read([segment]);
            CheckLost(records, read, 1, $"bit {bit}");
            Assert.True(damages.Count <= 1, $"bit {bit}: {string.Join("; ", damages)}");
        }
    }

    [Fact]
    public async Task A_page_that_the_disk_does_not_give_costs_the_records_that_lie_in_it()
    {
        var records = Records([.. Enumerable.Range(0, 400).Select(i => 500 + i), 70_000, 200, 300]);
        await _log.WriteAsync(records);
        var segments = WalSegment.List(_log.Directory);
        var pages = (int)(new FileInfo(segments[0].Path).Length / WalSegment.PageSize) + 1;
        for (var bad = 0; bad < pages; bad++)
        {
            using var reader = new WalReader(segments, disk: new FaultyDisk { UnreadablePage = bad });
            var read = new List<byte[]>();
            while (reader.Next())
            {
                read.Add(reader.Record.ToArray());
            }

            Assert.Contains("can't be read", reader.Damages[0].What, StringComparison.Ordinal);
            Assert.Equal(bad * WalSegment.PageSize, reader.Damages[0].Offset);
            CheckLost(records, read, 80, $"page {bad}");
        }
    }

    [Fact]
    public async Task A_segment_that_is_there_twice_or_missing_is_named()
    {
        await _log.WriteAsync(Records(40, 50));
        await _log.WriteAsync(Records(60, 70));
        await _log.WriteAsync(Records(80, 90));
        File.Copy(WalSegment.At(_log.Directory, 1).Path, Path.Combine(_log.Directory, "1"));
        File.Delete(WalSegment.At(_log.Directory, 0).Path);
        var (records, damages) = _log.Read();
        Assert.Equal([60, 70, 60, 70, 80, 90], records.Select(record => record.Length));
        Assert.Equal("a segment of this number is there twice", Assert.Single(damages).What);
        File.Delete(WalSegment.At(_log.Directory, 1).Path);
        File.Delete(Path.Combine(_log.Directory, "1"));
        await _log.WriteAsync(Records(40));
        await _log.WriteAsync(Records(40));
        File.Delete(WalSegment.At(_log.Directory, 3).Path);
        Assert.Equal("the segments after 2 are missing", Assert.Single(_log.Read().Damages).What);
    }

    [Fact]
    public async Task A_flipped_bit_in_a_record_of_many_pages_costs_that_record()
    {
        var records = Records(40, 150_000, 60, 70_000, 10_000, 50, 33_000, 32_761, 9);
        await _log.WriteAsync(records);
        var segment = WalSegment.At(_log.Directory, 0);
        var whole = await File.ReadAllBytesAsync(segment.Path);
        var headers = Enumerable.Range(0, whole.Length / WalSegment.PageSize).SelectMany(p => Enumerable.Range(p * WalSegment.PageSize, 7));
        foreach (var at in headers.Concat(Enumerable.Range(0, 20).Select(i => i * 79_193 % whole.Length)))
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var damaged = (byte[])whole.Clone();
                damaged[at] ^= (byte)(1 << bit);
                await File.WriteAllBytesAsync(segment.Path, damaged);
                CheckLost(records, TestLog.Read([segment]).Records, 1, $"byte {at} bit {bit}");
            }
        }
    }

    [Fact]
    public async Task A_log_cut_off_anywhere_gives_the_records_before_the_cut_and_no_damage()
    {
        var records = Records(40, 90, 133, 1, 300, 20, 75);
        await _log.WriteAsync(records);
        var segment = WalSegment.At(_log.Directory, 0);
        var whole = await File.ReadAllBytesAsync(segment.Path);
        for (var length = 0; length <= whole.Length; length++)
        {
            await File.WriteAllBytesAsync(segment.Path, whole[..length]);
            var (read, damages) = TestLog.Read([segment]);
            Assert.Equal(records.Take(read.Count), read);
            Assert.Empty(damages);
        }

        Assert.Equal(records, TestLog.Read([segment]).Records);
    }

    [Fact]
    public async Task A_torn_record_in_the_middle_of_the_log_leaves_the_next_segment_whole()
    {
        await _log.WriteAsync(Records(100, 70_000));
        var first = WalSegment.At(_log.Directory, 0);
        await File.WriteAllBytesAsync(first.Path, (await File.ReadAllBytesAsync(first.Path))[..40_000]);
        await _log.WriteAsync([[1, 2, 3]]);
        var (read, damages) = _log.Read();
        Assert.Equal([Records(100)[0], [1, 2, 3]], read);
        Assert.Empty(damages);
    }

    [Fact]
    public async Task Overwritten_pages_cost_the_records_in_them()
    {
        var records = Records([.. Enumerable.Repeat(5000, 40)]);
        await _log.WriteAsync(records);
        var segment = WalSegment.At(_log.Directory, 0);
        var bytes = await File.ReadAllBytesAsync(segment.Path);
        new Random(1).NextBytes(bytes.AsSpan(WalSegment.PageSize, WalSegment.PageSize));
        await File.WriteAllBytesAsync(segment.Path, bytes);
        var (read, damages) = TestLog.Read([segment]);
        CheckLost(records, read, 12, "a page");
        Assert.NotEmpty(damages);
        Assert.All(damages, d => Assert.StartsWith(_log.Directory, d.File, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_missing_segment_is_named_and_the_others_are_read()
    {
        var records = Records(50, 60, 70);
        foreach (var record in records)
        {
            await _log.WriteAsync([record]);
        }

        File.Delete(WalSegment.At(_log.Directory, 1).Path);
        var (read, damages) = _log.Read();
        Assert.Equal([records[0], records[2]], read);
        Assert.Contains("missing", Assert.Single(damages).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_or_zero_filled_segment_is_no_damage()
    {
        await _log.WriteAsync([[1, 2, 3]]);
        await File.WriteAllBytesAsync(WalSegment.At(_log.Directory, 1).Path, []);
        await File.WriteAllBytesAsync(WalSegment.At(_log.Directory, 2).Path, new byte[100_000]);
        await _log.WriteAsync([[4]]);
        var (read, damages) = _log.Read();
        Assert.Equal([[1, 2, 3], [4]], read);
        Assert.Empty(damages);
    }

    [Fact]
    public void Random_bytes_are_no_records_and_no_exception()
    {
        var random = new Random(7);
        for (var i = 0; i < 30; i++)
        {
            var bytes = new byte[random.Next(100_000)];
            random.NextBytes(bytes);
            var segment = WalSegment.At(_log.Directory, 0);
            File.WriteAllBytes(segment.Path, bytes);
            Assert.Empty(TestLog.Read([segment]).Records);
        }
    }

    static void CheckLost(List<byte[]> written, List<byte[]> read, int most, string what)
    {
        var next = 0;
        foreach (var record in read)
        {
            var found = written.FindIndex(next, w => w.AsSpan().SequenceEqual(record));
            Assert.True(found >= 0, $"{what}: a record that was never written");
            next = found + 1;
        }

        Assert.True(written.Count - read.Count <= most, $"{what}: {written.Count - read.Count} records lost");
    }
}
