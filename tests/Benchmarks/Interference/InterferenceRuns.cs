using System.Globalization;
using System.Text.RegularExpressions;
using Grpc.Core;
using Grpc.Net.Client;
using Observe.Benchmarks.QueryBench;
using Observe.Benchmarks.Scrape;
using Observe.Store.Api.Wire;

namespace Observe.Benchmarks.Interference;

/// <summary>
/// How late scrapes come while the same process answers queries over everything, compacts, serves its store API, or all of it:
/// <c>interference [--observe PATH] [--seconds 30] [--cases idle,queries,compaction,series,all] [--data FOLDER]</c>.
/// </summary>
static class InterferenceRuns
{
    const int Targets = 50;
    const int SeriesPerTarget = 1_000;
    const int IntervalMs = 1_000;

    /// <summary>Series of each of 16 blocks.</summary>
    const int BlockSeries = 20_000;

    static readonly TimeSpan s_settling = TimeSpan.FromSeconds(8);

    public static async Task RunAsync(string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            options[arguments[i]] = arguments[i + 1];
        }

        var observe = Path.GetFullPath(options.GetValueOrDefault("--observe", "artifacts/bin/Observe/release/observe"));
        var folder = Path.GetFullPath(options.GetValueOrDefault("--data", "artifacts/interference"));
        var seconds = int.Parse(options.GetValueOrDefault("--seconds", "30"), CultureInfo.InvariantCulture);
        var blocks = new ReplicaBlocks(Path.Combine(folder, "blocks"), BlockSeries, clusters: 8);
        await blocks.MakeAsync();
        Console.WriteLine($"{observe}: {Targets * SeriesPerTarget} samples/s from {Targets} targets, {seconds} s each; milliseconds behind the schedule");
        Console.WriteLine($"{"case",-11} {"scrapes",7} {"missed",7} {"p50",8} {"p99",8} {"max",8} {"scrape took",12} {"load",6}  done beside it, CPU seconds");
        foreach (var name in options.GetValueOrDefault("--cases", "idle,queries,compaction,series,all").Split(','))
        {
            await MeasureAsync(name, observe, Path.Combine(folder, "run"), blocks, TimeSpan.FromSeconds(seconds));
        }
    }

    static async Task MeasureAsync(string name, string observe, string folder, ReplicaBlocks blocks, TimeSpan time)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }

        await blocks.LinkAsync(Path.Combine(folder, "bucket"));
        using var exporters = await TimedExporters.StartAsync(SeriesPerTarget);
        var addresses = string.Join(", ", Enumerable.Range(0, Targets).Select(n => $"'{ScrapeFarm.Target(n, exporters.Port)}'"));
        var config = Path.Combine(folder, "observe.yml");
        await File.WriteAllTextAsync(
            config,
            $"global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{cluster: here}}}}\n"
            + $"scrape_configs: [{{job_name: farm, static_configs: [{{targets: [{addresses}]}}]}}]\n");
        var compacts = name is "compaction" or "all";
        var grpc = PeerProcess.FreePort().ToString(CultureInfo.InvariantCulture);
        await using var server = await PeerProcess.StartAsync(
            observe, Path.Combine(folder, "log"), "all", "--http-address=127.0.0.1:{port}", $"--grpc-address=127.0.0.1:{grpc}", $"--config.file={config}",
            $"--data-dir={folder}/data", $"--objstore.config={{type: FILESYSTEM, config: {{directory: \"{folder}/bucket\"}}}}",
            "--deduplication.replica-label=replica", "--wait-interval=1s", $"--consistency-delay={(compacts ? "0s" : "87600h")}");
        await Task.Delay(s_settling);
        await exporters.ArrivalsAsync();

        var (queries, frames, cpu) = (0, 0, server.ProcessorTime());
        using var end = new CancellationTokenSource(time);
        var loads = new List<Task>();
        for (var client = 0; client < 2; client++)
        {
            if (name is "queries" or "all")
            {
                loads.Add(LoopAsync(() => QueryAsync(server.Address, blocks, () => Interlocked.Increment(ref queries), end.Token), end.Token));
            }

            if (name is "series" or "all")
            {
                loads.Add(LoopAsync(() => SeriesAsync($"http://127.0.0.1:{grpc}", blocks, () => Interlocked.Increment(ref frames), end.Token), end.Token));
            }
        }

        await Task.WhenAll([Task.Delay(time), .. loads]);
        var lateness = ScrapeLateness.Of(await exporters.ArrivalsAsync(), IntervalMs);
        cpu = server.ProcessorTime() - cpu;
        using var client2 = new HttpClient { Timeout = TimeSpan.FromMinutes(2) };
        var took = await client2.GetStringAsync(new Uri(
            server.Address, $"/api/v1/query?query={Uri.EscapeDataString($"max(max_over_time(scrape_duration_seconds{{job=\"farm\"}}[{time.TotalSeconds:F0}s]))")}"));
        var metrics = await client2.GetStringAsync(new Uri(server.Address, "/metrics"));
        var compactions = Regex.Matches(metrics, """^thanos_compact_group_compactions_total\{[^}]*\} (\d+)""", RegexOptions.Multiline)
            .Sum(m => int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture));
        var longest = Regex.Match(took, "\"([0-9.]+)\"\\]").Groups[1].Value is { Length: > 0 } text ? double.Parse(text, CultureInfo.InvariantCulture) * 1000 : double.NaN;
        var load = (await File.ReadAllTextAsync("/proc/loadavg")).Split(' ')[0];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-11} {lateness} {longest,9:F0} ms {load,6}  {queries} queries, {frames} messages of series, {compactions} compactions; {cpu:F1}"));
    }

    static async Task LoopAsync(Func<Task> work, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await work();
            }
            catch (Exception e) when ((e is OperationCanceledException or RpcException or HttpRequestException) && cancellationToken.IsCancellationRequested)
            {
            }
        }
    }

    static async Task QueryAsync(Uri address, ReplicaBlocks blocks, Action answered, CancellationToken cancellationToken)
    {
        using var client = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(5) };
        const string Everything = "{__name__=~\".+\"}";
        string[] paths =
        [
            $"/api/v1/query?query={Uri.EscapeDataString($"count({Everything})")}",
            $"/api/v1/query_range?query={Uri.EscapeDataString($"sum by (job) (rate({Everything}[5m]))")}&start={blocks.Start / 1000}&end={blocks.End / 1000}&step=60",
            $"/api/v1/query?query={Uri.EscapeDataString($"count({Everything})")}&time={(blocks.End / 1000) - 60}",
        ];
        foreach (var path in paths)
        {
            using var response = await client.GetAsync(new Uri(path, UriKind.Relative), cancellationToken);
            response.EnsureSuccessStatusCode();
            await response.Content.CopyToAsync(Stream.Null, cancellationToken);
            answered();
        }
    }

    static async Task SeriesAsync(string address, ReplicaBlocks blocks, Action received, CancellationToken cancellationToken)
    {
        using var channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { MaxReceiveMessageSize = null });
        var request = new SeriesRequest { MinTime = blocks.Start, MaxTime = long.MaxValue, ResponseBatchSize = 64 };
        request.Matchers.Add(new LabelMatcher { Name = "__name__", Value = ".+", Type = LabelMatcher.Types.Type.Re });
        using var call = new Store.Api.Wire.Store.StoreClient(channel).Series(request, cancellationToken: cancellationToken);
        while (await call.ResponseStream.MoveNext(cancellationToken))
        {
            received();
        }
    }
}
