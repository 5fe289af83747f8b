using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Benchmarks.QueryBench;

namespace Observe.Benchmarks.IngestBench;

/// <summary>
/// What it costs to scrape: Prometheus, VictoriaMetrics and Observe in turn over the same targets. Counted are the processor time of the
/// program that scrapes, its resident memory, its heap, and what it writes.
/// </summary>
static class IngestComparison
{
    /// <summary>Intervals until all targets were scraped at least twice, which makes their series and warms the programs.</summary>
    const int WarmUpIntervals = 3;

    const int Windows = 6;

    sealed record Scrapes(int Targets, int IntervalSeconds, double Minutes, string? Range, string Folder, string Observe);

    /// <summary>A program that was measured.</summary>
    sealed record Figures(
        string Name, int Down, long Served, long Stored, double Series, double[] Windows, double System, double Resident, double Peak, double Heap, double Disk, double Block)
    {
        public double Median => Windows.Order().ElementAt(Windows.Length / 2);

        /// <summary>The program has the samples that it was sent.</summary>
        public bool IsWhole => Down == 0 && Math.Abs(Stored - Served) <= Served / 200;
    }

    public static async Task<int> RunAsync(string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            options[arguments[i]] = arguments[i + 1];
        }

        var only = options.GetValueOrDefault("--only", "prometheus,victoria,observe,observe-no-live").Split(',');
        var folder = Directory.CreateTempSubdirectory("observe-ingest-").FullName;
        var scrapes = new Scrapes(
            int.Parse(options.GetValueOrDefault("--targets", "300"), CultureInfo.InvariantCulture),
            int.Parse(options.GetValueOrDefault("--interval", "10"), CultureInfo.InvariantCulture),
            double.Parse(options.GetValueOrDefault("--minutes", "5"), CultureInfo.InvariantCulture),
            options.GetValueOrDefault("--block-range"), folder, Path.GetFullPath(options.GetValueOrDefault("--observe", "artifacts/bin/Observe/release/observe")));
        try
        {
            await using var pages = await PageServer.StartAsync(folder, TimeSpan.FromSeconds(scrapes.IntervalSeconds));
            Console.WriteLine($"{scrapes.Targets} targets every {scrapes.IntervalSeconds} s, {pages.Samples} samples in {pages.CompressedBytes} bytes each; "
                + $"{scrapes.Minutes} minutes; blocks of {scrapes.Range ?? "two hours"}");
            Console.WriteLine("| program | samples sent | stored | series | CPU s per million | of it in the kernel | lowest, highest window | resident KiB a series | peak | heap | bytes a sample on disk | in blocks |");
            Console.WriteLine("|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|");
            var measured = new List<Figures>();
            foreach (var name in only)
            {
                var figures = await MeasureAsync(name, scrapes, pages);
                measured.Add(figures);
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {figures.Name} | {figures.Served} | {figures.Stored} | {figures.Series} | {figures.Median:F2} | {figures.System:F2} | {figures.Windows.Min():F2}, {figures.Windows.Max():F2} | "
                    + $"{figures.Resident:F2} | {figures.Peak:F2} | {figures.Heap:F2} | {figures.Disk:F2} | {(figures.Block > 0 ? figures.Block.ToString("F2", CultureInfo.InvariantCulture) : "")} |"));
            }

            PrintRatios(measured);
            foreach (var figures in measured.Where(f => !f.IsWhole))
            {
                Console.WriteLine($"{figures.Name} has {figures.Stored} of {figures.Served} samples; {figures.Down} targets are down");
            }

            return measured.All(f => f.IsWhole) ? 0 : 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static void PrintRatios(List<Figures> measured)
    {
        foreach (var ours in measured.Where(f => f.Name.StartsWith("observe", StringComparison.Ordinal)))
        {
            foreach (var peer in measured.Where(f => !f.Name.StartsWith("observe", StringComparison.Ordinal)))
            {
                var blocks = ours.Block > 0 && peer.Block > 0 ? (ours.Block / peer.Block).ToString("F2", CultureInfo.InvariantCulture) : "not measured";
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{ours.Name} / {peer.Name}: CPU {ours.Median / peer.Median:F2}, resident {ours.Resident / peer.Resident:F2}, bytes in blocks {blocks}"));
            }
        }
    }

    static async Task<Figures> MeasureAsync(string name, Scrapes scrapes, PageServer pages)
    {
        var folder = Directory.CreateDirectory(Path.Combine(scrapes.Folder, name)).FullName;
        var config = Path.Combine(folder, "scrape.yml");
        var external = name.StartsWith("observe", StringComparison.Ordinal) ? ", external_labels: {cluster: bench}" : "";
        var targets = string.Join(", ", Enumerable.Range(0, scrapes.Targets).Select(n => $"'{pages.Target(n)}'"));
        await File.WriteAllTextAsync(
            config,
            $"global: {{scrape_interval: {scrapes.IntervalSeconds}s{external}}}\nscrape_configs: [{{job_name: node, static_configs: [{{targets: [{targets}]}}]}}]\n");
        var grpc = $"127.0.0.1:{PeerProcess.FreePort()}";
        await using var program = await PeerProcess.StartAsync(ProgramOf(name, scrapes), Path.Combine(folder, "log"), ArgumentsOf(name, scrapes, folder, config, grpc));
        await Task.Delay(TimeSpan.FromSeconds(WarmUpIntervals * scrapes.IntervalSeconds));

        var window = TimeSpan.FromMinutes(scrapes.Minutes) / Windows;
        var (rates, resident, system) = (new double[Windows], new List<long>(), program.SystemTime());
        var (from, begun) = (TimeProvider.System.GetUtcNow(), pages.Served);
        for (var i = 0; i < Windows; i++)
        {
            var (cpu, served) = (program.ProcessorTime(), pages.Served);
            var end = Stopwatch.GetTimestamp() + (long)(window.TotalSeconds * Stopwatch.Frequency);
            while (Stopwatch.GetTimestamp() < end)
            {
                await Task.Delay(TimeSpan.FromSeconds(1));
                resident.Add(program.ResidentMemory());
            }

            rates[i] = (program.ProcessorTime() - cpu) / (pages.Served - served) * 1e6;
        }

        var (to, sent) = (TimeProvider.System.GetUtcNow(), pages.Served - begun);
        system = (program.SystemTime() - system) / sent * 1e6;
        var heap = await HeapAsync(program);
        var (stored, series, down) = await AnswersAsync(name, scrapes, folder, program, grpc, from, to);
        var all = Math.Max(1, sent * ((to - from) + TimeSpan.FromSeconds(WarmUpIntervals * scrapes.IntervalSeconds)) / (to - from));
        var (blocks, inBlocks) = Blocks(folder);
        return new Figures(
            name, down, sent, stored, series, rates, system, resident.Average() / 1024 / series, program.PeakMemory() / 1024.0 / series, heap / 1024 / series,
            Bytes(folder) / all, inBlocks == 0 ? 0 : (double)blocks / inBlocks);
    }

    static string ProgramOf(string name, Scrapes scrapes) => name switch
    {
        "prometheus" => PeerProcess.Find("prometheus"),
        "victoria" => PeerProcess.Find("victoria-metrics"),
        _ => scrapes.Observe,
    };

    static string[] ArgumentsOf(string name, Scrapes scrapes, string folder, string config, string grpc) => name switch
    {
        "prometheus" =>
        [
            $"--config.file={config}", $"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:{port}",
            .. scrapes.Range is { } range ? new[] { $"--storage.tsdb.min-block-duration={range}", $"--storage.tsdb.max-block-duration={range}" } : [],
        ],
        "victoria" => [$"-promscrape.config={config}", $"-storageDataPath={folder}/data", "-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y", "-search.latencyOffset=0s"],
        _ =>
        [
            "collector", $"--config.file={config}", $"--data-dir={folder}/data", $"--objstore.config={{type: FILESYSTEM, config: {{directory: {folder}/bucket}}}}",
            "--http-address=127.0.0.1:{port}", $"--grpc-address={grpc}",
            .. scrapes.Range is { } range ? new[] { $"--storage.tsdb.min-block-duration={range}" } : [],
            .. name == "observe-no-live" ? new[] { "--live.interval=0s" } : [],
        ],
    };

    /// <summary>Samples in a range of time, series at its end, targets that are down: as the program itself answers.</summary>
    static async Task<(long Stored, double Series, int Down)> AnswersAsync(
        string name, Scrapes scrapes, string folder, PeerProcess program, string grpc, DateTimeOffset from, DateTimeOffset to)
    {
        if (name == "victoria")
        {
            await program.GetAsync("/internal/force_flush");
        }

        // What was scraped a moment ago may be on its way.
        await Task.Delay(TimeSpan.FromSeconds(2));
        var seconds = (int)(to - from).TotalSeconds;
        var stored = 0.0;
        foreach (var metric in await MetricsAsync(program))
        {
            stored += await AskAsync(program, $"sum(count_over_time({metric}{{job=\"node\"}}[{seconds}s]))", to);
        }

        var series = await AskAsync(program, "count({job=\"node\"})", to);
        var up = await AskAsync(program, "sum(up{job=\"node\"})", to);
        return ((long)stored, series, scrapes.Targets - (int)up);
    }

    /// <summary>The names of what is on the page.</summary>
    static async Task<IEnumerable<string>> MetricsAsync(PeerProcess program)
    {
        var (_, answer) = await program.GetAsync("/api/v1/label/__name__/values");
        return JsonNode.Parse(answer)!["data"]!.AsArray().Select(name => (string)name!)
            .Where(name => name != "up" && !name.StartsWith("scrape_", StringComparison.Ordinal));
    }

    static async Task<double> AskAsync(PeerProcess program, string promql, DateTimeOffset time)
    {
        var (_, answer) = await program.GetAsync(string.Create(
            CultureInfo.InvariantCulture, $"/api/v1/query?query={Uri.EscapeDataString(promql)}&time={time.ToUnixTimeMilliseconds() / 1000.0:F3}"));
        var result = JsonNode.Parse(answer)?["data"]?["result"]?.AsArray();
        return result is { Count: > 0 } ? double.Parse((string)result[0]!["value"]![1]!, CultureInfo.InvariantCulture) : 0;
    }

    /// <summary>Bytes of the program's heap, in use or not, as it says itself.</summary>
    static async Task<double> HeapAsync(PeerProcess program)
    {
        var (_, page) = await program.GetAsync("/metrics");
        foreach (var line in System.Text.Encoding.UTF8.GetString(page).Split('\n'))
        {
            if (line.StartsWith("go_memstats_heap_inuse_bytes ", StringComparison.Ordinal) || line.StartsWith("dotnet_total_memory_bytes ", StringComparison.Ordinal))
            {
                return double.Parse(line.AsSpan(line.IndexOf(' ', StringComparison.Ordinal)), CultureInfo.InvariantCulture);
            }
        }

        return double.NaN;
    }

    static long Bytes(string folder) => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);

    /// <summary>Bytes and samples of the blocks in a folder; one that is both here and in the bucket counts once.</summary>
    static (long Bytes, long Samples) Blocks(string folder)
    {
        var seen = new HashSet<string>();
        var (bytes, samples) = (0L, 0L);
        foreach (var meta in Directory.EnumerateFiles(folder, "meta.json", SearchOption.AllDirectories))
        {
            var block = Path.GetDirectoryName(meta)!;
            if (seen.Add(Path.GetFileName(block)))
            {
                bytes += Bytes(block);
                samples += (long)(JsonNode.Parse(File.ReadAllBytes(meta))!["stats"]!["numSamples"] ?? 0);
            }
        }

        return (bytes, samples);
    }
}
