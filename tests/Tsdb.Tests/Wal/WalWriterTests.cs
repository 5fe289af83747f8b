using Microsoft.Extensions.Time.Testing;
using Observe.Testkit;
using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Wal;

public sealed class WalWriterTests : IDisposable
{
    readonly TestLog _log = new();

    public void Dispose() => _log.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(32 * 1024 - 8)]
    [InlineData(32 * 1024 - 7)]
    [InlineData(32 * 1024)]
    [InlineData(300_000)]
    public async Task Records_of_any_size_come_back_as_they_were(int size)
    {
        var random = new Random(size);
        var records = Enumerable.Range(0, 20).Select(i =>
        {
            var record = new byte[Math.Max(1, size - i)];
            random.NextBytes(record);
            record[0] = 2;
            return record;
        }).ToList();
        await _log.WriteAsync(records);
        var (read, damages) = _log.Read();
        Assert.Empty(damages);
        Assert.Equal(records, read);
    }

    [Fact]
    public async Task Every_end_of_a_page_is_written_and_read()
    {
        for (var tail = 0; tail < 20; tail++)
        {
            using var log = new TestLog();
            var records = new List<byte[]> { Noise(WalSegment.PageSize - (2 * WalSegment.HeaderSize) - tail - 5), Noise(5), Noise(40), Noise(3) };
            await log.WriteAsync(records);
            var (read, damages) = log.Read();
            Assert.Empty(damages);
            Assert.Equal(records, read);
        }
    }

    [Fact]
    public async Task Compressible_records_are_compressed()
    {
        byte[] record = [2, .. new byte[100_000]];
        await _log.WriteAsync([record]);
        Assert.InRange(new FileInfo(WalSegment.At(_log.Directory, 0).Path).Length, 1, 10_000);
        Assert.Equal(record, _log.Read().Records.Single());
    }

    [Fact]
    public async Task Segments_roll_at_their_size_and_no_record_crosses_them()
    {
        var records = Enumerable.Range(0, 50).Select(_ => Noise(10_000)).ToList();
        await _log.WriteAsync(records, segmentBytes: 2 * WalSegment.PageSize);
        var segments = WalSegment.List(_log.Directory);
        Assert.InRange(segments.Count, 8, 12);
        Assert.All(segments, s => Assert.InRange(new FileInfo(s.Path).Length, 1, 2 * WalSegment.PageSize));
        Assert.Equal(records, _log.Read().Records);
        Assert.Equal(records.Count, segments.Sum(s => TestLog.Read([s]).Records.Count));
    }

    [Fact]
    public async Task A_writer_begins_a_segment_of_its_own()
    {
        await _log.WriteAsync([[1, 2, 3]]);
        await _log.WriteAsync([[4, 5, 6]]);
        Assert.Equal([0, 1], WalSegment.List(_log.Directory).Select(s => s.Index));
        Assert.Equal([[1, 2, 3], [4, 5, 6]], _log.Read().Records);
    }

    [Fact]
    public async Task Nothing_of_a_refused_batch_stays_and_the_log_goes_on()
    {
        var disk = new FaultyDisk();
        await using var writer = _log.Open(disk: disk);
        using var batch = new WalBatch();
        var kept = new List<byte[]>();
        for (var i = 0; i < 200; i++)
        {
            var record = Noise(1 + (i * 37 % 5000));
            batch.Clear();
            batch.Add(record);
            var refuse = i % 3 == 1;
            disk.RefuseWrite = () => refuse;
            if (refuse)
            {
                Assert.Throws<IOException>(() => writer.Log(batch));
                continue;
            }

            writer.Log(batch);
            kept.Add(record);
        }

        var (read, damages) = _log.Read();
        Assert.Empty(damages);
        Assert.Equal(kept, read);
    }

    [Fact]
    public async Task A_batch_is_durable_after_the_next_sync_and_not_before()
    {
        var time = new FakeTimeProvider();
        await using var writer = _log.Open(interval: TimeSpan.FromSeconds(1), time: time);
        using var batch = new WalBatch();
        batch.Add(Noise(100));
        var durable = writer.DurableAsync(writer.Log(batch), CancellationToken.None).AsTask();
        Assert.False(durable.IsCompleted);
        await Eventually.TrueAsync(
            () =>
            {
                // The loop may begin to wait only after the first second.
                time.Advance(TimeSpan.FromSeconds(1));
                return Task.FromResult(durable.IsCompleted);
            },
            TimeSpan.FromSeconds(20),
            "the next sync");
        await durable;
        await writer.DurableAsync(0, CancellationToken.None);
    }

    [Fact]
    public async Task What_a_failed_sync_may_have_lost_is_written_again_into_the_next_segment()
    {
        var time = new FakeTimeProvider();
        var disk = new FaultyDisk();
        await using var writer = _log.Open(interval: TimeSpan.FromSeconds(1), time: time, disk: disk);
        using var batch = new WalBatch();
        byte[] first = Noise(50), second = Noise(60), third = Noise(70);
        batch.Add(first);
        var position = writer.Log(batch);
        writer.Sync();
        await writer.DurableAsync(position, CancellationToken.None).AsTask().WaitAsync(TimeSpan.FromSeconds(10));

        batch.Clear();
        batch.Add(second);
        position = writer.Log(batch);
        var refusals = 1;
        disk.RefuseSync = () => refusals-- > 0;
        writer.Sync();
        await writer.DurableAsync(position, CancellationToken.None).AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        batch.Clear();
        batch.Add(third);
        writer.Log(batch);

        // The first segment is the one that lies.
        Assert.Equal([second, third], TestLog.Read([WalSegment.At(_log.Directory, 1)]).Records);
        Assert.Equal([first, second, second, third], _log.Read().Records);
    }

    [Fact]
    public async Task A_disk_that_refuses_every_sync_acknowledges_nothing_until_it_recovers()
    {
        var disk = new FaultyDisk { RefuseSync = () => true };
        await using var writer = _log.Open(interval: TimeSpan.FromHours(1), disk: disk);
        using var batch = new WalBatch();
        var record = Noise(500);
        batch.Add(record);
        var position = writer.Log(batch);
        var durable = writer.DurableAsync(position, CancellationToken.None).AsTask();
        Assert.Throws<IOException>(writer.Sync);
        Assert.Throws<IOException>(writer.Sync);
        await Assert.ThrowsAsync<IOException>(() => durable);
        Assert.Throws<IOException>(() => writer.Log(batch));

        disk.RefuseSync = () => false;
        writer.Sync();
        await writer.DurableAsync(position, CancellationToken.None).AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(record, TestLog.Read([WalSegment.List(_log.Directory)[^1]]).Records.Single());
    }

    static byte[] Noise(int size)
    {
        var bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        bytes[0] = 2;
        return bytes;
    }
}
