using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Wal;

public sealed class CheckpointTests : IDisposable
{
    readonly TestLog _log = new();

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task A_checkpoint_keeps_what_is_still_needed_and_drops_its_segments()
    {
        await _log.WriteAsync([Series(1), Series(2), Samples(new(1, 100, 1), new(2, 100, 2))]);
        await _log.WriteAsync([Samples(new(1, 200, 3), new(2, 200, 4))]);
        await _log.WriteAsync([Samples(new WalSample(1, 300, 5))]);
        Assert.Empty(Checkpoint.Create(_log.Directory, 1, series => series == 1, 150, 1 << 20));

        Assert.Equal([2], WalSegment.List(_log.Directory).Select(s => s.Index));
        Assert.Equal("series 1: 1@200=3 1@300=5", Replay());
        Assert.Equal(1, Checkpoint.Last(_log.Directory)!.Value.Index);
    }

    [Fact]
    public async Task A_checkpoint_takes_the_one_before_it_along()
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1))]);
        await _log.WriteAsync([Samples(new WalSample(1, 200, 2))]);
        await _log.WriteAsync([Samples(new WalSample(1, 300, 3))]);
        Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20);
        Checkpoint.Create(_log.Directory, 1, _ => true, 150, 1 << 20);
        Assert.Equal("series 1: 1@200=2 1@300=3", Replay());
        Assert.Single(Directory.GetDirectories(_log.Directory));
    }

    [Fact]
    public async Task A_crash_after_the_rename_leaves_nothing_to_replay_twice()
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1))]);
        await _log.WriteAsync([Samples(new WalSample(1, 200, 2))]);
        var first = await File.ReadAllBytesAsync(WalSegment.At(_log.Directory, 0).Path);
        Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20);
        await File.WriteAllBytesAsync(WalSegment.At(_log.Directory, 0).Path, first);
        Directory.CreateDirectory(Path.Combine(_log.Directory, "checkpoint.00000001.tmp"));

        var whole = Replay();
        Assert.Equal("series 1: 1@100=1 1@200=2", whole);
        Checkpoint.RemoveReplaced(_log.Directory);
        Assert.Equal([1], WalSegment.List(_log.Directory).Select(s => s.Index));
        Assert.Single(Directory.GetDirectories(_log.Directory));
        Assert.Equal(whole, Replay());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task A_damaged_checkpoint_gives_way_to_what_it_was_made_of_while_that_is_there(bool isSecond, bool isCut)
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1))]);
        await _log.WriteAsync([Samples(new WalSample(1, 200, 2))]);
        await _log.WriteAsync([Samples(new WalSample(1, 300, 3))]);
        await _log.WriteAsync([Samples(new WalSample(1, 400, 4))]);
        if (isSecond)
        {
            Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20);
        }

        var before = Path.Combine(_log.Directory, "..", Path.GetFileName(_log.Directory) + "-before");
        Copy(_log.Directory, before);
        try
        {
            var whole = Replay();
            Checkpoint.Create(_log.Directory, 2, _ => true, 0, 1 << 20);
            Copy(before, _log.Directory);

            // Beside the segments that it stands for, a checkpoint that is whole is used.
            var with = Replay();
            Assert.Null(Checkpoint.RemoveReplaced(_log.Directory));
            Assert.Equal(with, Replay());
            await _log.WriteAsync([Samples(new WalSample(1, 500, 5))]);
            Checkpoint.Create(_log.Directory, 3, _ => true, 0, 1 << 20);
            Copy(before, _log.Directory);
            var path = Path.Combine(_log.Directory, "checkpoint.00000003", "00000000");
            var bytes = await File.ReadAllBytesAsync(path);
            bytes[^20] ^= 1;
            await File.WriteAllBytesAsync(path, isCut ? bytes[..^20] : bytes);

            Assert.Contains("checkpoint.00000003", Checkpoint.RemoveReplaced(_log.Directory), StringComparison.Ordinal);
            Assert.Equal(whole + " 1@500=5", Replay());
            Assert.False(Directory.Exists(Path.GetDirectoryName(path)));
        }
        finally
        {
            Directory.Delete(before, recursive: true);
        }
    }

    [Fact]
    public async Task What_a_damaged_checkpoint_stood_for_stays_lost_once_it_is_gone()
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1)), Samples(new WalSample(1, 110, 1))]);
        await _log.WriteAsync([Samples(new WalSample(1, 200, 2))]);
        Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20);
        var path = Path.Combine(_log.Directory, "checkpoint.00000000", "00000000");
        var bytes = await File.ReadAllBytesAsync(path);
        await File.WriteAllBytesAsync(path, bytes[..^5]);
        Assert.Null(Checkpoint.RemoveReplaced(_log.Directory));
        Assert.Equal("series 1: 1@100=1 1@200=2", Replay());
        using var reader = new WalReader(WalSegment.List(Path.GetDirectoryName(path)!), isComplete: true);
        while (reader.Next())
        {
        }

        Assert.Single(reader.Damages);
    }

    static void Copy(string from, string to)
    {
        foreach (var path in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, path));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(path, copy, overwrite: true);
        }
    }

    [Fact]
    public async Task A_checkpoint_that_can_not_be_written_changes_nothing()
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1))]);
        await _log.WriteAsync([Samples(new WalSample(1, 200, 2))]);
        var disk = new FaultyDisk { RefuseWrite = () => true };
        Assert.Throws<IOException>(() => Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20, disk));
        disk = new FaultyDisk { RefuseSync = () => true };
        Assert.Throws<IOException>(() => Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20, disk));
        Assert.Empty(Directory.GetDirectories(_log.Directory));
        Assert.Equal("series 1: 1@100=1 1@200=2", Replay());
    }

    [Fact]
    public async Task Damage_in_a_segment_does_not_stop_its_checkpoint()
    {
        await _log.WriteAsync([Series(1), Samples(new WalSample(1, 100, 1)), Samples(new WalSample(1, 200, 2))]);
        await _log.WriteAsync([Samples(new WalSample(1, 300, 3))]);
        var path = WalSegment.At(_log.Directory, 0).Path;
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[^40] ^= 0x10;
        await File.WriteAllBytesAsync(path, bytes);
        Assert.Single(Checkpoint.Create(_log.Directory, 0, _ => true, 0, 1 << 20));
        Assert.Equal("series 1: 1@200=2 1@300=3", Replay());
    }

    string Replay()
    {
        var (checkpoint, segments) = Checkpoint.Replay(_log.Directory);
        var (series, samples) = (new List<WalSeries>(), new List<WalSample>());
        foreach (var record in TestLog.Read(checkpoint).Records.Concat(TestLog.Read(segments).Records))
        {
            if (record[0] == (byte)WalRecordType.Series)
            {
                WalRecords.Series(record, series, "log", 0);
            }
            else
            {
                WalRecords.Samples(record, samples, "log", 0);
            }
        }

        return $"series {string.Join(' ', series.Select(s => s.Ref))}: {string.Join(' ', samples.Select(s => FormattableString.Invariant($"{s.Ref}@{s.Time}={s.Value}")))}";
    }

    static byte[] Series(ulong series)
    {
        using var record = new ByteWriter();
        WalRecords.BeginSeries(record);
        WalRecords.Add(record, series, Labels.Of(("__name__", $"series_{series}")));
        return record.Written.ToArray();
    }

    static byte[] Samples(params WalSample[] samples)
    {
        using var record = new ByteWriter();
        WalRecords.Samples(record, samples);
        return record.Written.ToArray();
    }
}
