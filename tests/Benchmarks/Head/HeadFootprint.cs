using System.Diagnostics;
using System.Globalization;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Benchmarks.Head;

/// <summary>
/// What a head costs: <c>dotnet run -c Release --project tests/Benchmarks -- head [series] [scrapes]</c>. One line for each figure.
/// Series are those of 100 nodes, half of them constant, a quarter counters, a quarter gauges.
/// </summary>
static class HeadFootprint
{
    const int Targets = 100;

    public static async Task RunAsync(string[] args)
    {
        var series = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 100_000;
        var scrapes = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 120;
        var directory = Directory.CreateTempSubdirectory("observe-head-").FullName;
        try
        {
            var before = Resident();
            var options = new HeadOptions { Directory = directory, Time = TimeProvider.System };
            await using (var head = await HeadBlock.OpenAsync(options, default))
            {
                Fill(head, series, scrapes);
                Tell("series", head.SeriesCount, "");
                Tell("resident per series", (Resident() - before) / (double)series, "bytes");
                GC.Collect();
                Tell("managed heap per series", GC.GetTotalMemory(forceFullCollection: true) / (double)series, "bytes");
                Tell("of it labels and open chunks", head.MemoryBytes / (double)series, "bytes");
                Tell("log per sample", DirectoryBytes(Path.Combine(directory, "wal")) / (double)series / scrapes, "bytes");
            }

            var start = Stopwatch.GetTimestamp();
            await using (var head = await HeadBlock.OpenAsync(options, default))
            {
                Tell("replay", Stopwatch.GetElapsedTime(start).TotalSeconds, "s");
                start = Stopwatch.GetTimestamp();
                var blocks = await head.CutAsync(force: true, default);
                Tell("cut", Stopwatch.GetElapsedTime(start).TotalSeconds, "s");
                Tell("block per sample", blocks.Sum(DirectoryBytes) / (double)series / scrapes, "bytes");
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    static void Fill(HeadBlock head, int series, int scrapes)
    {
        using var appender = head.Appender();
        var start = Stopwatch.GetTimestamp();
        var references = new SeriesRef[series];
        for (var i = 0; i < series; i++)
        {
            references[i] = appender.GetOrAdd(LabelsOf(i / 1000, i % 1000));
        }

        Tell("series made", Stopwatch.GetElapsedTime(start).TotalNanoseconds / series, "ns");
        var perTarget = series / Targets;
        var values = new double[series];
        var random = new Random(1);
        var (allocated, elapsed) = (GC.GetAllocatedBytesForCurrentThread(), TimeSpan.Zero);
        for (var scrape = 0; scrape < scrapes; scrape++)
        {
            for (var i = 0; i < series; i++)
            {
                values[i] = Next(i, values[i], random);
            }

            var cpu = Environment.CpuUsage.TotalTime;
            for (var target = 0; target < Targets; target++)
            {
                var time = 1_700_000_000_000 + (scrape * 15_000L) + (target * 7);
                for (var i = target * perTarget; i < (target + 1) * perTarget; i++)
                {
                    if (appender.Append(references[i], time, values[i]) != AppendResult.Appended)
                    {
                        throw new InvalidOperationException("a sample was refused");
                    }
                }

                appender.Commit();
            }

            elapsed += Environment.CpuUsage.TotalTime - cpu;
        }

        Tell("append and commit per sample, CPU", elapsed.TotalNanoseconds / series / scrapes, "ns");
        Tell("allocated per sample", (GC.GetAllocatedBytesForCurrentThread() - allocated) / (double)series / scrapes, "bytes");
    }

    /// <summary>The value after another one of the i-th series.</summary>
    public static double Next(int i, double value, Random random) => (i % 4) switch
    {
        0 or 1 => i % 100,
        2 => value + random.Next(100),
        _ => Math.Round(random.NextDouble() * 1000, 2),
    };

    public static Labels LabelsOf(int target, int metric) => Labels.Of(
        ("__name__", $"node_subsystem_measure_number_{metric / 4}_total"), ("instance", $"10.0.{target / 256}.{target % 256}:9100"), ("job", "node-exporter"),
        ("namespace", "monitoring"), ("pod", $"node-exporter-{target * 7919:x8}"), ("container", "node-exporter"),
        ("node", $"ip-10-0-{target / 256}-{target % 256}.eu-central-1.compute.internal"), ("device", $"nvme{metric % 4}n1"), ("service", "node-exporter"));

    static long Resident()
    {
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }

    static long DirectoryBytes(string directory) =>
        new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);

    static void Tell(string what, double value, string unit) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {value:0.###} {unit}"));
}
