using System.Diagnostics;

namespace Observe.Benchmarks.QueryBench;

/// <summary>
/// The data set on disk, made once: <c>prometheus</c>, a data folder with three blocks of promtool's, and <c>bucket</c>, the same
/// blocks with <c>replica="a"</c> as their external label, which Observe takes off again as it deduplicates. <c>pair</c> is the bucket with
/// the blocks of a second replica besides, which scrapes the same targets at another phase.
/// </summary>
sealed class FleetBlocks(string folder, string observe)
{
    /// <summary>How much later the second replica scrapes, in milliseconds.</summary>
    const long SecondPhase = 7_300;

    public string Prometheus => Path.Combine(folder, "prometheus");

    public string Bucket => Path.Combine(folder, "bucket");

    public string Pair => Path.Combine(folder, "pair");

    public string ObjstoreConfig => Objstore(Bucket);

    public string PairConfig => Objstore(Pair);

    static string Objstore(string bucket) => $"{{type: FILESYSTEM, config: {{directory: \"{bucket}\"}}}}";

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

        Directory.CreateDirectory(Bucket);
        var clock = Stopwatch.GetTimestamp();
        var samples = await ScrapeAsync(Prometheus, 0);
        await UploadAsync(Prometheus, Bucket, "replica=a");
        await File.WriteAllTextAsync(
            done, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{samples} samples in 3 blocks, made in {Stopwatch.GetElapsedTime(clock).TotalSeconds:F0} s"));
        await Console.Out.WriteLineAsync($"data: {folder}, {await File.ReadAllTextAsync(done)}");
    }

    /// <summary>Makes the bucket of the pair, once.</summary>
    public async Task MakePairAsync()
    {
        var (done, second) = (Path.Combine(folder, "pair.done"), Path.Combine(folder, "second"));
        if (File.Exists(done))
        {
            return;
        }

        foreach (var left in new[] { Pair, second }.Where(Directory.Exists))
        {
            Directory.Delete(left, recursive: true);
        }

        await RunAsync("cp", "-r", Bucket, Pair);
        await ScrapeAsync(second, SecondPhase);
        await UploadAsync(second, Pair, "replica=b");
        Directory.Delete(second, recursive: true);
        await File.WriteAllTextAsync(done, "");
    }

    /// <summary>Writes the blocks of one replica, as Prometheus would; returns how many samples they have.</summary>
    async Task<long> ScrapeAsync(string blocks, long phase)
    {
        Directory.CreateDirectory(blocks);
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
                    for (var time = from + ((one.Target.Offset + phase) % FleetData.IntervalMs); time < from + Window; time += FleetData.IntervalMs)
                    {
                        if (one.Target.IsUp(time))
                        {
                            one.Scrape(time, file);
                        }
                    }
                }

                samples += file.Lines;
            }

            await RunAsync(PeerProcess.Find("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", path, blocks);
            File.Delete(path);
        }

        return samples;
    }

    async Task UploadAsync(string from, string bucket, string label)
    {
        var blocks = Directory.GetDirectories(from).Where(block => File.Exists(Path.Combine(block, "meta.json"))).Order().ToArray();
        if (blocks.Length != 3)
        {
            throw new InvalidOperationException($"promtool made {blocks.Length} blocks, not 3");
        }

        // The upload writes the labels into meta.json, hence copies.
        var copies = Directory.CreateDirectory(Path.Combine(folder, "upload")).FullName;
        await RunAsync("cp", ["-r", .. blocks, copies]);
        await RunAsync(observe, ["bucket", "upload", "--objstore.config", Objstore(bucket), "--label", label, .. Directory.GetDirectories(copies)]);
        Directory.Delete(copies, recursive: true);
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
