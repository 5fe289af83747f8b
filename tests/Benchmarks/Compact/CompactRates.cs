using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Benchmarks.Compact;

/// <summary>
/// Samples a second of CPU time that compaction and downsampling work through, whole: download from a folder, merge, verify, upload.
/// <c>dotnet run -c Release -- compact [series]</c>
/// </summary>
static class CompactRates
{
    const long Start = 1_700_006_400_000;
    const long TwoHours = 7_200_000;
    const long Interval = 15_000;

    public static async Task RunAsync(string[] arguments)
    {
        var series = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 2_000;
        var folder = Path.Combine(Path.GetTempPath(), $"observe-compact-{Environment.ProcessId}");
        try
        {
            await MeasureAsync("adjacent blocks (chunks pass through)", series, Path.Combine(folder, "a"), overlapping: false, replicas: false, downsample: false);
            await MeasureAsync("overlapping blocks (encoded anew)", series, Path.Combine(folder, "o"), overlapping: true, replicas: false, downsample: false);
            await MeasureAsync("two replicas (deduplicated)", series, Path.Combine(folder, "r"), overlapping: true, replicas: true, downsample: false);
            await MeasureAsync("downsampling to 5m", series, Path.Combine(folder, "d"), overlapping: false, replicas: false, downsample: true);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static async Task MeasureAsync(string what, int series, string folder, bool overlapping, bool replicas, bool downsample)
    {
        await using var bucket = new FileBucket(Path.Combine(folder, "bucket"), TimeProvider.System);
        var blocks = new BucketBlocks(bucket);
        var random = new Random(1);
        var samples = 0L;
        var count = overlapping ? 2 : 4;
        for (var i = 0; i < count; i++)
        {
            var id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(Start + i), random);
            var (from, to) = overlapping ? (Start, Start + (2 * TwoHours)) : (Start + (i * TwoHours), Start + ((i + 1) * TwoHours));
            using var writer = BlockWriter.Create(folder, id);
            for (var s = 0; s < series; s++)
            {
                var labels = Labels.Of(("__name__", "container_cpu_usage_seconds_total"), ("pod", s.ToString("D6", CultureInfo.InvariantCulture)), ("namespace", (s / 50).ToString("D4", CultureInfo.InvariantCulture)));
                writer.Add(labels, Chunks(from + (overlapping ? i * 5_000 : 0), to, random));
            }

            var meta = writer.Finish(new BlockMeta
            {
                Id = id,
                MinTime = from,
                MaxTime = to,
                Thanos = new ThanosSection { Labels = replicas ? new Dictionary<string, string> { ["replica"] = $"{i}" } : new Dictionary<string, string> { ["cluster"] = "a" } },
            })!;
            samples += meta.Stats.Samples;
            await blocks.UploadAsync(Path.Combine(folder, id.ToString()), DateTimeOffset.UnixEpoch, default);
            Directory.Delete(Path.Combine(folder, id.ToString()), recursive: true);
        }

        var loop = new CompactLoop(
            bucket,
            new CompactOptions
            {
                Directory = Path.Combine(folder, "work"),
                Time = TimeProvider.System,
                Random = random,
                ConsistencyDelay = TimeSpan.Zero,
                ReplicaLabels = ["replica"],
                Downsampling = downsample,
                FiveMinutesAfterMs = 1,
                OneHourAfterMs = long.MaxValue,
                LevelsMs = downsample ? [2 * TwoHours] : [TwoHours, TwoHours * (overlapping ? 2 : 3)],
            },
            new CompactMetrics(Prometheus.Metrics.NewCustomRegistry()),
            NullLogger<CompactLoop>.Instance);
        var process = Process.GetCurrentProcess();
        var (cpu, clock) = (process.TotalProcessorTime, Stopwatch.GetTimestamp());
        var report = await loop.RunOnceAsync(default);
        process.Refresh();
        cpu = process.TotalProcessorTime - cpu;
        samples = overlapping || downsample ? samples : samples / 4 * 3;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {report}, {samples} samples, CPU {cpu.TotalSeconds:F2} s = {samples / cpu.TotalSeconds / 1e6:F2} M samples/s, wall {Stopwatch.GetElapsedTime(clock).TotalSeconds:F2} s, peak {process.PeakWorkingSet64 >> 20} MiB"));
    }

    static IEnumerable<Chunk> Chunks(long from, long to, Random random)
    {
        var open = new XorAppender(new byte[1024]);
        var (first, value) = (from, 0.0);
        for (var time = from; time < to; time += Interval)
        {
            if (open.Count == 0)
            {
                (open, first) = (new XorAppender(new byte[1024]), time);
            }

            open.Append(time, value += random.Next(100));
            if (open.Count == XorChunk.TargetSamples || time + Interval >= to)
            {
                yield return new Chunk(first, time, ChunkEncoding.Xor, open.Written.ToArray());
                open = default;
            }
        }
    }
}
