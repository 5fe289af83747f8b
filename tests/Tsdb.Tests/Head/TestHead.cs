using Microsoft.Extensions.Time.Testing;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Tests.Head;

/// <summary>A folder with a head in it, which can be opened, left as by kill -9, and opened again.</summary>
sealed class TestHead
{
    public const long Range = 100_000;

    readonly List<HeadBlock> _opened = [];
    readonly List<string> _folders = [Checkout.NewFolder("head")];

    public string Directory => _folders[^1];

    public Func<string, CancellationToken, ValueTask>? BlockCut { get; set; }

    public WalDisk? Disk { get; set; }

    public long SnapshotBytes { get; set; }

    public FakeTimeProvider Time { get; } = new();

    public TaskScheduler Background { get; set; } = TaskScheduler.Default;

    public async Task<HeadBlock> OpenAsync(long range = Range)
    {
        var head = await HeadBlock.OpenAsync(
            new HeadOptions
            {
                Directory = Directory,
                Time = Time,
                Background = Background,
                BlockRangeMs = range,
                WalSyncInterval = TimeSpan.Zero,
                BlockCut = BlockCut,
                Disk = Disk,
                SnapshotBytes = SnapshotBytes,
            },
            default);
        _opened.Add(head);
        return head;
    }

    /// <summary>What a killed process leaves behind: the folder as it is at this moment, while the old head goes on in its own.</summary>
    public Task<HeadBlock> OpenCopyAsync(long range = Range)
    {
        Copy();
        return OpenAsync(range);
    }

    /// <summary>Copies the folder; <see cref="Directory"/> is the copy from now on when it is to be opened here.</summary>
    public string Copy(bool open = true)
    {
        var copy = Checkout.NewFolder("head");
        var from = Directory;
        _folders.Insert(open ? _folders.Count : 0, copy);
        foreach (var path in System.IO.Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(p => Path.GetFileName(p) != "lock"))
        {
            var to = Path.Combine(copy, Path.GetRelativePath(from, path));
            System.IO.Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.WriteAllBytes(to, ReadShared(path));
        }

        return copy;
    }

    public static CommitTicket Append(HeadBlock head, string metric, params (long Time, double Value)[] samples)
    {
        using var appender = head.Appender();
        foreach (var (time, value) in samples)
        {
            appender.Append(appender.GetOrAdd(Labels.Of((Labels.MetricName, metric))), time, value);
            appender.Commit();
        }

        return appender.Commit();
    }

    /// <summary>Series and samples as text, a line each; a start timestamp that is known follows an @.</summary>
    public static async Task<string> DumpAsync(IQuerier querier, long minTime = long.MinValue, long maxTime = long.MaxValue)
    {
        var lines = new List<string>();
        var batch = new SampleBatch(50);
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = new TimeRange(minTime, maxTime) }, [])))
        {
            var samples = new List<string>();
            using var iterator = series.Samples();
            while (iterator.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    var start = batch.HasStartTimestamps && batch.StartTimestamps[i] != 0 ? $"@{batch.StartTimestamps[i]}" : "";
                    samples.Add((batch.Kind == SampleKind.Float
                        ? $"{batch.Timestamps[i]}={GoText.Float(batch.Values[i])}"
                        : FormattableString.Invariant($"{batch.Timestamps[i]}=h{batch.Histograms[i].Count}/{(batch.Histograms[i].IsStale ? "stale" : batch.Histograms[i].Sum)}")) + start);
                }
            }

            lines.Add($"{series.Labels.Get(Labels.MetricName)}: {string.Join(' ', samples)}");
        }

        return string.Join('\n', lines);
    }

    public async Task CloseAsync()
    {
        foreach (var head in _opened)
        {
            await head.DisposeAsync();
        }

        _folders.ForEach(f => System.IO.Directory.Delete(f, recursive: true));
    }

    static byte[] ReadShared(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        return bytes;
    }
}
