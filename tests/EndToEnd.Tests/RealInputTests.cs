using System.Globalization;
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
        if (Checkout.Peer("prometheus-node-exporter") is not { } nodeExporter || Checkout.Peer("prometheus") is null)
        {
            return;
        }

        var port = ChildProcess.FreePort();
        var nodeAddress = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
        await using var node = ChildProcess.Start(nodeExporter, ["--web.listen-address=" + nodeAddress, "--no-collector.systemd"]);
        await node.LineAsync("Listening on");

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
                static_configs: [{"{"}targets: ['{prometheus!.Url.Authority}']{"}"}]
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
        var ours = (await collector.QueryAsync("timestamp(ledger{series=\"0\"})"))[0].Value;
        Assert.NotEqual(ours, (await collector.QueryAsync("timestamp(up{job=\"federate\"})"))[0].Value);

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
}
