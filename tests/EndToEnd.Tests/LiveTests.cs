using System.Text.Json.Nodes;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>A collector and a query that share nothing but a bucket: what was measured can be queried before there is a block of it.</summary>
public sealed class LiveTests(S3Server server, ITestOutputHelper output) : IClassFixture<S3Server>, IDisposable
{
    static readonly TimeSpan s_fresh = TimeSpan.FromSeconds(30);
    readonly string _folder = Checkout.NewFolder("live-way");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public Task Samples_are_fresh_through_a_folder_and_none_is_lost_by_a_kill() =>
        RunAsync($"--objstore.config={{type: FILESYSTEM, config: {{directory: '{Path.Combine(_folder, "bucket")}'}}}}");

    [Fact]
    public async Task Samples_are_fresh_through_S3_and_none_is_lost_by_a_kill()
    {
        var s3 = await server.NewBucketAsync();
        await RunAsync(
            $"--objstore.config={{type: S3, config: {{bucket: {s3.Bucket}, endpoint: '{server.Endpoint}', insecure: true, access_key: {S3Server.AccessKey}, secret_key: {S3Server.SecretKey}, bucket_lookup_type: path}}}}");
    }

    async Task RunAsync(string objstore)
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 3);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config,
            $"global: {{scrape_interval: 500ms, scrape_timeout: 500ms, external_labels: {{cluster: c, replica: a}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n");
        string[] flags = ["--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"), "--collector.name=one", objstore, "--live.interval=2s"];
        await using var query = await ObserveProcess.StartAsync("query", [objstore, "--data-dir=" + Path.Combine(_folder, "query"), "--sync-block-duration=2s"]);
        await using (var killed = await ObserveProcess.StartAsync("collector", flags))
        {
            await FreshAsync(query, exporter);
        }

        await using (var again = await ObserveProcess.StartAsync("collector", flags))
        {
            await FreshAsync(query, exporter);
            var own = await ReadAsync(again);
            await Eventually.TrueAsync(async () => (await ReadAsync(query)).IsSupersetOf(own), s_fresh, "all that the collector has");
            Assert.Equal(0, await again.Process.StopAsync());
            own = [.. own.Where(sample => sample.Time > own.Max(one => one.Time) - 60)];
            await Eventually.TrueAsync(async () => (await ReadAsync(query)).IsSupersetOf(own), s_fresh, "the same from the block");
        }
    }

    /// <summary>What is scraped now can be queried soon, and the answer says that it lacks nothing.</summary>
    async Task FreshAsync(ObserveProcess query, LedgerExporter exporter)
    {
        var (began, scrapes) = (TimeProvider.System.GetTimestamp(), exporter.Scrapes + 1);
        await Eventually.TrueAsync(
            async () => (await query.QueryAsync($"count(max_over_time(ledger{{cluster=\"c\"}}[5m]) >= {scrapes})")) is [(_, "3")], s_fresh, "a fresh sample");
        output.WriteLine($"fresh after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s");
        await Eventually.TrueAsync(
            async () => (bool)(await query.GetAsync("api/v1/query?query=ledger"))["data"]!["completeness"]!["complete"]!, s_fresh, "a complete answer");
    }

    /// <summary>The samples of the ledger; none comes twice.</summary>
    static async Task<HashSet<(string Series, double Time, string Value)>> ReadAsync(ObserveProcess process)
    {
        var read = new HashSet<(string, double, string)>();
        foreach (var series in (await process.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("ledger[10m]")))["data"]!["result"]!.AsArray())
        {
            foreach (var sample in series!["values"]!.AsArray().Cast<JsonArray>())
            {
                Assert.True(read.Add(((string)series["metric"]!["series"]!, (double)sample[0]!, (string)sample[1]!)));
            }
        }

        return read;
    }
}
