using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>What a collector makes of Debian's node_exporter and of a Prometheus that it federates.</summary>
public sealed class RealInputTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("input");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Exporters_and_a_federated_Prometheus_carry_the_cluster_and_a_stopped_one_goes_stale()
    {
        Required.Peer("prometheus");
        await using var node = ChildProcess.Start(
            Required.Peer("prometheus-node-exporter"), ["--web.listen-address=127.0.0.1:0", "--no-collector.systemd"]);
        var nodeAddress = await node.ListeningAsync();

        await using var exporter = await LedgerExporter.StartAsync(series: 3);
        await using var prometheus = await PrometheusServer.StartAsync(Directory.CreateDirectory(Path.Combine(_folder, "prometheus")).FullName, $"""
            global: {"{"}scrape_interval: 1s, external_labels: {"{"}cluster: theirs{"}"}{"}"}
            scrape_configs:
              - job_name: ledger
                static_configs: [{"{"}targets: ['{exporter.Address}']{"}"}]
            """);

        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $"""
            global: {"{"}scrape_interval: 1s, external_labels: {"{"}cluster: ours{"}"}{"}"}
            scrape_configs:
              - job_name: node
                static_configs: [{"{"}targets: ['{nodeAddress}']{"}"}]
              - job_name: federate
                honor_labels: true
                metrics_path: /federate
                params: {"{"}'match[]': ['{"{"}job="ledger"{"}"}']{"}"}
                static_configs: [{"{"}targets: ['{prometheus.Url.Authority}']{"}"}]
            """);
        await using var collector = await ObserveProcess.StartAsync("collector", [
            "--config.file=" + config,
            "--data-dir=" + Path.Combine(_folder, "data"),
            "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
        ]);

        // Federated series keep job, instance and the source's own timestamps; the source's cluster moves aside.
        await Eventually.TrueAsync(
            async () => (await collector.QueryAsync("ledger")).Count == 3, TimeSpan.FromSeconds(30), "federated series");
        Assert.All(await collector.QueryAsync("ledger"), series =>
        {
            Assert.Equal("ours", (string?)series.Metric["cluster"]);
            Assert.Equal("theirs", (string?)series.Metric["exported_cluster"]);
            Assert.Equal("ledger", (string?)series.Metric["job"]);
            Assert.Equal(exporter.Address, (string?)series.Metric["instance"]);
        });
        var ours = await TimestampsAsync(collector.Http);
        using var source = new HttpClient { BaseAddress = prometheus.Url };
        Assert.Subset(await TimestampsAsync(source), ours);

        // Everything from the node carries the cluster, and nothing has another.
        var count = (await collector.QueryAsync("count({job=\"node\"})"))[0].Value;
        Assert.True(int.Parse(count, CultureInfo.InvariantCulture) > 200, count);
        Assert.Equal(count, (await collector.QueryAsync("count({job=\"node\", cluster=\"ours\"})"))[0].Value);
        Assert.Equal("1", (await collector.QueryAsync("up{job=\"node\"}"))[0].Value);

        await node.KillAsync();
        await Eventually.TrueAsync(
            async () => (await collector.QueryAsync("up{job=\"node\"}"))[0].Value == "0", TimeSpan.FromSeconds(10), "up 0 of a stopped exporter");
        Assert.Empty(await collector.QueryAsync("node_load1"));
        var targets = await collector.GetAsync("api/v1/targets?state=active");
        var down = targets["data"]!["activeTargets"]!.AsArray().Single(t => (string)t!["scrapePool"]! == "node")!;
        Assert.Equal("down", (string?)down["health"]);
        Assert.Contains("refused", (string?)down["lastError"], StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Those of all samples of one series of the ledger.</summary>
    static async Task<HashSet<double>> TimestampsAsync(HttpClient server)
    {
        var answer = JsonNode.Parse(await server.GetStringAsync(new Uri("api/v1/query?query=ledger%7Bseries%3D%220%22%7D%5B1h%5D", UriKind.Relative)));
        return [.. answer!["data"]!["result"]![0]!["values"]!.AsArray().Select(sample => (double)sample![0]!)];
    }
}
