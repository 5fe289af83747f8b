using System.Diagnostics;
using System.Globalization;
using Observe.Benchmarks.QueryBench;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;

namespace Observe.Benchmarks.Head;

/// <summary>
/// How long Prometheus and Observe take from their start to ready after a kill, over the same log: that of targets whose scrapes overlapped,
/// so that their series were made in turns, and with the snapshots that a collector writes. Each is killed and started in turns; Prometheus is
/// measured both with the chunk files that its last run left and without.
/// </summary>
static class ReplayComparison
{
    static readonly TimeSpan s_patience = TimeSpan.FromMinutes(30);

    public static async Task<int> RunAsync(string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            options[arguments[i]] = arguments[i + 1];
        }

        var observe = Path.GetFullPath(options.GetValueOrDefault("--observe", "artifacts/bin/Observe/release/observe"));
        var targets = Number("--targets", 300);
        var interval = Number("--interval", 15);
        var hours = double.Parse(options.GetValueOrDefault("--hours", "2"), CultureInfo.InvariantCulture);
        var runs = Number("--runs", 3);
        var sizes = options.GetValueOrDefault("--series", "30000,300000").Split(',').Select(s => int.Parse(s, CultureInfo.InvariantCulture)).ToList();
        Console.WriteLine("| series | targets | interval | samples | log | Prometheus | with its chunk files | Observe | ratio | CPU Prometheus | CPU Observe |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var series in sizes)
        {
            await MeasureAsync(observe, series, targets, interval, (int)(hours * 3600 / interval), runs, options.GetValueOrDefault("--snapshots") != "no");
        }

        return 0;

        int Number(string name, int otherwise) =>
            options.TryGetValue(name, out var value) ? int.Parse(value, CultureInfo.InvariantCulture) : otherwise;
    }

    static async Task MeasureAsync(string observe, int series, int targets, int interval, int scrapes, int runs, bool hasSnapshots)
    {
        var folder = Directory.CreateTempSubdirectory("observe-replay-").FullName;
        try
        {
            var (ours, theirs) = (Path.Combine(folder, "observe"), Path.Combine(folder, "prometheus"));
            await WriteLogAsync(ours, series, targets, interval, scrapes, hasSnapshots);
            Copy(Path.Combine(ours, "wal"), Path.Combine(theirs, "wal"));
            var bytes = new DirectoryInfo(Path.Combine(ours, "wal")).EnumerateFiles().Sum(f => f.Length);
            var config = Path.Combine(folder, "observe.yml");
            await File.WriteAllTextAsync(config, "global: {external_labels: {cluster: replay}}\nscrape_configs: []\n");
            List<(double Seconds, double Processor)> prometheus = [], again = [], observed = [];
            for (var run = 0; run < runs; run++)
            {
                observed.Add(await ReadyAsync(
                    observe, folder, "collector", $"--config.file={config}", $"--data-dir={ours}",
                    $"--objstore.config={{type: FILESYSTEM, config: {{directory: {folder}/bucket}}}}", "--http-address=127.0.0.1:{port}",
                    "--grpc-address=127.0.0.1:0"));
                if (Directory.Exists(Path.Combine(theirs, "chunks_head")))
                {
                    Directory.Delete(Path.Combine(theirs, "chunks_head"), recursive: true);
                }

                foreach (var times in new[] { prometheus, again })
                {
                    times.Add(await ReadyAsync(
                        PeerProcess.Find("prometheus"), folder, "--config.file=/dev/null", $"--storage.tsdb.path={theirs}",
                        "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:{port}"));
                }
            }

            var (p, a, o) = (Median(prometheus), Median(again), Median(observed));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {series} | {targets} | {interval} s | {(long)series * scrapes} | {bytes >> 20} MiB | {p.Seconds:F1} s | {a.Seconds:F1} s | {o.Seconds:F1} s | {o.Seconds / Math.Min(p.Seconds, a.Seconds):F2} | {Math.Min(p.Processor, a.Processor):F1} s | {o.Processor:F1} s |"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static (double Seconds, double Processor) Median(List<(double Seconds, double Processor)> of) => of.Order().ElementAt(of.Count / 2);

    static async Task<(double Seconds, double Processor)> ReadyAsync(string program, string folder, params string[] arguments)
    {
        var start = Stopwatch.GetTimestamp();
        await using var server = await PeerProcess.StartAsync(program, Path.Combine(folder, "server.log"), s_patience, arguments);
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, server.ProcessorTime());
    }

    static async Task WriteLogAsync(string folder, int series, int targets, int interval, int scrapes, bool hasSnapshots)
    {
        await using var head = await HeadBlock.OpenAsync(
            new HeadOptions
            {
                Directory = folder,
                Time = TimeProvider.System,
                WalSyncInterval = TimeSpan.FromMinutes(1),
                SnapshotBytes = hasSnapshots ? new HeadOptions { Directory = folder, Time = TimeProvider.System }.SnapshotBytes : 0,
            },
            default);
        var appenders = Enumerable.Range(0, targets).Select(_ => head.Appender()).ToArray();
        var perTarget = series / targets;
        var references = new SeriesRef[targets][];
        for (var target = 0; target < targets; target++)
        {
            references[target] = new SeriesRef[perTarget];
        }

        var (values, random) = (new double[targets, perTarget], new Random(1));
        var first = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() - (scrapes * interval * 1000L);
        for (var i = 0; i < perTarget; i++)
        {
            for (var target = 0; target < targets; target++)
            {
                references[target][i] = appenders[target].GetOrAdd(HeadFootprint.LabelsOf(target, i));
            }
        }

        for (var scrape = 0; scrape < scrapes; scrape++)
        {
            for (var target = 0; target < targets; target++)
            {
                var time = first + (scrape * interval * 1000L) + (target * 7 % (interval * 1000));
                for (var i = 0; i < perTarget; i++)
                {
                    ref var value = ref values[target, i];
                    value = HeadFootprint.Next(i, value, random);
                    if (appenders[target].Append(references[target][i], time, value) != AppendResult.Appended)
                    {
                        throw new InvalidOperationException("a sample was refused");
                    }
                }

                appenders[target].Commit();
            }

            // As often as a collector looks whether something is to be cut.
            if (scrape % Math.Max(1, 30 / interval) == 0)
            {
                await head.CutAsync(force: false, default);
            }
        }

        Array.ForEach(appenders, appender => appender.Dispose());
    }

    static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var path in Directory.EnumerateFiles(from))
        {
            File.Copy(path, Path.Combine(to, Path.GetFileName(path)));
        }
    }
}
