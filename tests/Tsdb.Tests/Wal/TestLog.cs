using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Wal;
using Prometheus;

namespace Observe.Tsdb.Tests.Wal;

/// <summary>A folder for one test, with a log in it.</summary>
sealed class TestLog : IDisposable
{
    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("observe-wal-").FullName;

    public WalWriter Open(int segmentBytes = 1 << 20, TimeSpan interval = default, TimeProvider? time = null, WalDisk? disk = null)
    {
        var segments = WalSegment.List(Directory);
        return new WalWriter(
            Directory, segments.Count == 0 ? 0 : segments[^1].Index + 1, segmentBytes, interval, time ?? TimeProvider.System,
            new WalMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance, disk);
    }

    /// <summary>Logs each record as a batch of its own.</summary>
    public async Task WriteAsync(IEnumerable<byte[]> records, int segmentBytes = 1 << 20)
    {
        await using var writer = Open(segmentBytes);
        using var batch = new WalBatch();
        foreach (var record in records)
        {
            batch.Add(record);
            writer.Log(batch);
            batch.Clear();
        }
    }

    public (List<byte[]> Records, IReadOnlyList<WalDamage> Damages) Read() => Read(WalSegment.List(Directory));

    public static (List<byte[]> Records, IReadOnlyList<WalDamage> Damages) Read(List<WalSegment> segments)
    {
        using var reader = new WalReader(segments);
        var records = new List<byte[]>();
        while (reader.Next())
        {
            records.Add(reader.Record.ToArray());
        }

        return (records, reader.Damages);
    }

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);
}

/// <summary>A disk that refuses when it is told to.</summary>
sealed class FaultyDisk : WalDisk
{
    public Func<bool> RefuseWrite { get; set; } = () => false;

    public Func<bool> RefuseSync { get; set; } = () => false;

    /// <summary>Reading stops in front of it, and fails in it.</summary>
    public int? UnreadablePage { get; set; }

    public override int Read(SafeFileHandle file, Span<byte> into, long offset)
    {
        if (UnreadablePage is { } page)
        {
            var (from, to) = (page * WalSegment.PageSize, (page + 1) * WalSegment.PageSize);
            if (offset >= from && offset < to)
            {
                throw new IOException("Input/output error");
            }

            into = offset < from && offset + into.Length > from ? into[..(int)(from - offset)] : into;
        }

        return base.Read(file, into, offset);
    }

    public override void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset)
    {
        if (RefuseWrite())
        {
            base.Write(file, bytes[..(bytes.Length / 2)], offset);
            throw new IOException("No space left on device");
        }

        base.Write(file, bytes, offset);
    }

    public override void SyncData(SafeFileHandle file, string path)
    {
        if (RefuseSync())
        {
            throw new IOException($"fdatasync {path}: Input/output error");
        }

        base.SyncData(file, path);
    }
}
