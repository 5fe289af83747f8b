using System.Diagnostics;

namespace Observe.Benchmarks.QueryBench;

/// <summary>
/// The data set on disk, made once: <c>prometheus</c>, a data folder with three blocks of promtool's, and <c>bucket</c>, the same
/// blocks with <c>replica="a"</c> as their external label, which Observe takes off again as it deduplicates.
/// </summary>
sealed class FleetBlocks(string folder, string observe)
{
    public string Prometheus => Path.Combine(folder, "prometheus");

    public string Bucket => Path.Combine(folder, "bucket");

    public string ObjstoreConfig => $"{{type: FILESYSTEM, config: {{directory: \"{Bucket}\"}}}}";

    public async Task MakeAsync()
    {
        var done = Path.Combine(folder, "done");
        if (File.Exists(done))
        {
            await Console.Out.WriteLineAsync($"data: {folder}, {await File.ReadAllTextAsync(done)}");
            return;
        }

        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }

        Directory.CreateDirectory(Prometheus);
        Directory.CreateDirectory(Bucket);
        var clock = Stopwatch.GetTimestamp();
        var (series, samples) = (FleetData.Build(), 0L);
        const long Window = 2 * 3_600_000;
        for (var from = FleetData.StartMs; from < FleetData.EndMs; from += Window)
        {
            // One file for each block: promtool reads its whole input once for every block that it makes.
            var path = Path.Combine(folder, "samples.om");
            using (var file = new OpenMetricsFile(path))
            {
                foreach (var one in series)
                {
                    for (var time = from + one.Target.Offset; time < from + Window; time += FleetData.IntervalMs)
                    {
                        if (one.Target.IsUp(time))
                        {
                            one.Scrape(time, file);
                        }
                    }
                }

                samples += file.Lines;
            }

            await RunAsync(PeerProcess.Find("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", path, Prometheus);
            File.Delete(path);
        }

        var blocks = Directory.GetDirectories(Prometheus).Where(block => File.Exists(Path.Combine(block, "meta.json"))).Order().ToArray();
        if (blocks.Length != 3)
        {
            throw new InvalidOperationException($"promtool made {blocks.Length} blocks, not 3");
        }

        // The upload writes the labels into meta.json, hence copies.
        var copies = Directory.CreateDirectory(Path.Combine(folder, "upload")).FullName;
        await RunAsync("cp", ["-r", .. blocks, copies]);
        await RunAsync(observe, ["bucket", "upload", "--objstore.config", ObjstoreConfig, "--label", "replica=a", .. Directory.GetDirectories(copies)]);
        Directory.Delete(copies, recursive: true);
        await File.WriteAllTextAsync(
            done, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{samples} samples in 3 blocks, made in {Stopwatch.GetElapsedTime(clock).TotalSeconds:F0} s"));
        await Console.Out.WriteLineAsync($"data: {folder}, {await File.ReadAllTextAsync(done)}");
    }

    static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: exit {process.ExitCode}: {await output}");
        }
    }
}
