using System.Globalization;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>A collector that is killed with SIGKILL, again and again, under load.</summary>
public sealed class KillTests(ITestOutputHelper output) : IDisposable
{
    static readonly int s_kills = int.Parse(Environment.GetEnvironmentVariable("KILL_LOOPS") ?? "30", CultureInfo.InvariantCulture);

    /// <summary>Each is scraped ten times a second.</summary>
    static readonly int s_series = int.Parse(Environment.GetEnvironmentVariable("KILL_SERIES") ?? "200", CultureInfo.InvariantCulture);

    /// <summary>How long each start took is said; that one took long is no loss.</summary>
    static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    readonly string _folder = Checkout.NewFolder("kill");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_a_collector_has_shown_is_there_after_every_kill()
    {
        await using var exporter = await LedgerExporter.StartAsync(s_series);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $"""
            global: {"{"}scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {"{"}cluster: kill{"}"}{"}"}
            scrape_configs:
              - job_name: ledger
                static_configs: [{"{"}targets: ['{exporter.Address}']{"}"}]
            """);
        const int seed = 20261123;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var seen = new SortedSet<long>[3];
        var restarts = new List<TimeSpan>();
        for (var kill = 0; kill <= s_kills; kill++)
        {
            var began = TimeProvider.System.GetTimestamp();
            await using var collector = await ObserveProcess.StartAsync("collector", [
                "--config.file=" + config,
                "--data-dir=" + Path.Combine(_folder, "data"),
                "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
                "--storage.tsdb.min-block-duration=20s",
                "--wal.sync-interval=0s",
                "--storage.snapshot-after=256KB",
            ], s_patience);
            restarts.Add(TimeProvider.System.GetElapsedTime(began));
            var started = exporter.Scrapes;
            var wanted = started + 1 + random.Next(12);
            await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > wanted), s_patience, "scraping after a restart");
            for (var i = 0; i < seen.Length; i++)
            {
                var now = await ValuesAsync(collector, i * 97 % s_series);
                var lost = seen[i]?.Except(now).ToList() ?? [];
                Assert.True(lost.Count == 0, $"after kill {kill}, series {i * 97 % s_series} lacks {string.Join(' ', lost)} of {seen[i]?.Count}\n{collector.Process.Output}");
                seen[i] = now;
            }

            if (kill > 0 && kill % 100 == 0)
            {
                output.WriteLine($"{kill} kills, 0 lost of {seen[0]!.Count}");
            }

            await collector.Process.KillAsync();
        }

        restarts.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{s_kills} kills, {exporter.Scrapes} scrapes served, {seen[0].Count} kept; ready again after {restarts[restarts.Count / 2].TotalSeconds:F2} s (median), {restarts[restarts.Count * 99 / 100].TotalSeconds:F2} s (99 %), {restarts[^1].TotalSeconds:F2} s (most)"));
        Assert.InRange(seen[0].Count, s_kills, exporter.Scrapes);
    }

    /// <summary>All values of a series, each of which is the number of the scrape that showed it.</summary>
    static async Task<SortedSet<long>> ValuesAsync(ObserveProcess collector, int series)
    {
        var answer = await collector.GetAsync("api/v1/query?query=" + Uri.EscapeDataString($"ledger{{series=\"{series}\"}}[1d]"));
        Assert.Null(answer["warnings"]);
        var values = new SortedSet<long>();
        long last = 0;
        foreach (var sample in answer["data"]!["result"]!.AsArray().SelectMany(s => s!["values"]!.AsArray()))
        {
            var value = long.Parse((string)sample![1]!, CultureInfo.InvariantCulture);
            Assert.True(value > last, $"{value} follows {last}");
            last = value;
            values.Add(value);
        }

        return values;
    }
}
