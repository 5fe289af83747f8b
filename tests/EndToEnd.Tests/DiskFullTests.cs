using System.Globalization;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>A collector on a small disk of its own that fills up, again and again, and is killed while it is full.</summary>
public sealed class DiskFullTests(ITestOutputHelper output)
{
    static readonly int s_cycles = int.Parse(Environment.GetEnvironmentVariable("DISK_FULL_CYCLES") ?? "2", CultureInfo.InvariantCulture);

    [Fact]
    public async Task A_full_disk_costs_no_sample_that_was_shown_and_ends_by_itself()
    {
        var folder = Checkout.NewFolder("full");
        var (disk, config, filler) = (Path.Combine(folder, "disk"), Path.Combine(folder, "observe.yml"), Path.Combine(folder, "disk", "filler"));
        Directory.CreateDirectory(disk);
        var (mounted, said) = await ChildProcess.RunAsync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", disk]);
        Assert.SkipUnless(mounted == 0, $"no disk can be mounted here: {said}");
        try
        {
            await using var exporter = await LedgerExporter.StartAsync(series: 200);
            await File.WriteAllTextAsync(config, $"""
                global: {"{"}scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {"{"}cluster: full{"}"}{"}"}
                scrape_configs:
                  - job_name: ledger
                    static_configs: [{"{"}targets: ['{exporter.Address}']{"}"}]
                """);
            var (seen, recoveries) = (new HashSet<long>(), new List<TimeSpan>());
            for (var cycle = 0; cycle < s_cycles; cycle++)
            {
                await using var collector = await ObserveProcess.StartAsync("collector", [
                    "--config.file=" + config,
                    "--data-dir=" + Path.Combine(disk, "data"),
                    "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(folder, "bucket") + "}}",
                    "--storage.tsdb.min-block-duration=20s",
                    "--storage.size-limit=0",
                    "--storage.snapshot-after=1MB",
                    "--wal.sync-interval=0s",
                ]);
                Assert.Contains(" 0 damaged places", collector.Process.Output, StringComparison.Ordinal);
                await GrowsAsync(collector, exporter.Scrapes);
                Fill(filler);
                await Eventually.TrueAsync(
                    async () => (string)(await collector.GetAsync("api/v1/targets"))["data"]!["activeTargets"]![0]!["health"]! == "down",
                    TimeSpan.FromSeconds(60),
                    "a scrape that cannot be stored");

                // Queries go on, and what they have shown stays.
                await KeepAsync(collector, seen);
                File.Delete(filler);
                var freed = TimeProvider.System.GetTimestamp();
                await GrowsAsync(collector, exporter.Scrapes);
                recoveries.Add(TimeProvider.System.GetElapsedTime(freed));
                await KeepAsync(collector, seen);
                Fill(filler);
                await collector.Process.KillAsync();
                File.Delete(filler);
            }

            recoveries.Sort();
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{s_cycles} cycles, {seen.Count} samples of the series kept, stored again {recoveries[^1].TotalSeconds:F2} s (most) after there was room"));
            Assert.True(recoveries[^1] < TimeSpan.FromSeconds(30));
        }
        finally
        {
            await ChildProcess.RunAsync("umount", ["-l", disk]);
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Waits for samples that are newer than a scrape.</summary>
    static Task GrowsAsync(ObserveProcess collector, int scrape) => Eventually.TrueAsync(
        async () => (await collector.QueryAsync("ledger{series=\"7\"}")) is [var (_, value)] && long.Parse(value, CultureInfo.InvariantCulture) > scrape,
        TimeSpan.FromSeconds(60),
        "newer samples");

    /// <summary>All samples of a series that were ever shown are shown again.</summary>
    static async Task KeepAsync(ObserveProcess collector, HashSet<long> seen)
    {
        var answer = await collector.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("ledger{series=\"7\"}[1d]"));
        Assert.Null(answer["warnings"]);
        HashSet<long> values = [.. answer["data"]!["result"]!.AsArray().SelectMany(s => s!["values"]!.AsArray()).Select(s => long.Parse((string)s![1]!, CultureInfo.InvariantCulture))];
        Assert.True(seen.IsSubsetOf(values), $"lost: {string.Join(' ', seen.Except(values).Order())}\n{collector.Process.Output}");
        seen.UnionWith(values);
    }

    static void Fill(string path)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        foreach (var size in new[] { 1 << 20, 4096 })
        {
            try
            {
                var zeroes = new byte[size];
                while (true)
                {
                    file.Write(zeroes);
                }
            }
            catch (IOException)
            {
                // Full, but for less than that.
            }
        }
    }
}
