using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Tsdb.Head;

namespace Observe.Benchmarks.Scrape;

/// <summary>
/// What scraping costs, from the wire into head and log: <c>dotnet run -c Release --project tests/Benchmarks -- scrape [targets] [interval]
/// [seconds]</c>. The farm runs in a process of its own and is not counted; nor is the first interval, in which series are made.
/// </summary>
static class ScrapeCost
{
    public static async Task RunAsync(string[] args)
    {
        var targets = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 300;
        var interval = args.Length > 1 ? args[1] : "10s";
        var seconds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 60;
        using var farm = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, "farm") { RedirectStandardOutput = true })!;
        var directory = Directory.CreateTempSubdirectory("observe-scrape-").FullName;
        try
        {
            var port = int.Parse((await farm.StandardOutput.ReadLineAsync())!.Split(' ')[1], CultureInfo.InvariantCulture);
            var addresses = string.Join(", ", Enumerable.Range(0, targets).Select(n => $"'{ScrapeFarm.Target(n, port)}'"));
            var config = CollectorConfig.Parse(
                $"global: {{scrape_interval: {interval}}}\nscrape_configs: [{{job_name: farm, static_configs: [{{targets: [{addresses}]}}]}}]", "farm", clusterRequired: false);
            var metrics = new ScrapeMetrics(new Prometheus.CollectorRegistry());
            await using var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = directory, Time = TimeProvider.System }, default);
            await using var manager = new ScrapeManager(head, new ScrapeOptions { Time = TimeProvider.System }, metrics, NullLoggerFactory.Instance);
            await manager.ApplyAsync(config, default);
            await Task.Delay(config.Global.ScrapeInterval * 2);

            var kernel = Process.GetCurrentProcess().PrivilegedProcessorTime;
            var (samples, cpu, allocated, scrapes) = (metrics.Samples.Value, Cpu(), GC.GetTotalAllocatedBytes(), metrics.ScrapeDuration.Count);
            await Task.Delay(TimeSpan.FromSeconds(seconds));
            (samples, cpu, allocated, scrapes) = (metrics.Samples.Value - samples, Cpu() - cpu, GC.GetTotalAllocatedBytes() - allocated, metrics.ScrapeDuration.Count - scrapes);

            var down = manager.Targets().Active.Count(t => t.Health != TargetHealth.Up);
            Tell("targets that are not up", down, "");
            Tell("series", head.SeriesCount, "");
            Tell("samples", samples, "");
            Tell("CPU per million samples", cpu.TotalSeconds / samples * 1e6, "s");
            Tell("of it in the kernel", (Process.GetCurrentProcess().PrivilegedProcessorTime - kernel).TotalSeconds / samples * 1e6, "s");
            Tell("allocated per scrape", allocated / (double)scrapes, "bytes");
            Tell("allocated per sample", allocated / samples, "bytes");
            Tell("resident", Environment.WorkingSet / 1048576.0, "MiB");
        }
        finally
        {
            farm.Kill();
            Directory.Delete(directory, recursive: true);
        }
    }

    static TimeSpan Cpu() => Process.GetCurrentProcess().TotalProcessorTime;

    static void Tell(string what, double value, string unit) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what,-28} {value,14:0.###} {unit}"));
}
