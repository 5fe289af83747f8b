using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>A configuration that was copied from one cluster to another, labels and all.</summary>
public sealed class IdentityTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("identity");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Two_clusters_under_one_set_of_labels_are_told_in_log_metric_list_and_answer()
    {
        await using var exporter = FakeExporter.Start("# TYPE a gauge\na 1\n");
        await using var first = await CollectorAsync(exporter, "one", "cluster 1");
        await using var query = await ObserveProcess.StartAsync(
            "query", [Bucket, "--data-dir=" + Path.Combine(_folder, "query"), "--sync-block-duration=1s"]);
        await Eventually.TrueAsync(async () => (await ClustersAsync(query)).Contains("\"one\"", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "its first status");
        Assert.DoesNotContain("more than one cluster", await ClustersAsync(query), StringComparison.Ordinal);

        await using var second = await CollectorAsync(exporter, "two", "cluster 2", "--cluster.refuse-foreign");
        Assert.Contains("cluster 1", await second.Process.LineAsync("another cluster writes under this collector's external labels"), StringComparison.Ordinal);
        Assert.Contains("\nobserve_collector_foreign_cluster 1", await second.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
        Assert.Contains("\nobserve_collector_foreign_cluster 0", await first.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
        await Eventually.TrueAsync(
            async () => (await ClustersAsync(query)).Contains("more than one cluster writes under {cluster=\\\"prod\\\"}", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "the conflict");
        await Eventually.TrueAsync(
            async () => (await query.Http.GetStringAsync("metrics")).Contains("\nobserve_cluster_shared_labels{cluster=\"prod\"} 2", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "the metric");
        var warnings = (await query.GetAsync("api/v1/query?query=a"))["warnings"]!.AsArray().Select(text => (string)text!).ToList();
        Assert.Contains(warnings, text => text.Contains("their series are mixed: collector one runs in \"cluster 1\", collector two runs in \"cluster 2\"", StringComparison.Ordinal));
        var other = await query.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("a{cluster=\"dev\"}"));
        Assert.Null(other["warnings"]);

        // It ships nothing under labels that are another's, and keeps what it gathered.
        await second.Process.LineAsync("nothing is shipped under");
        Assert.DoesNotContain(Directory.GetFiles(_folder, "meta.json", SearchOption.AllDirectories), file =>
            file.StartsWith(Path.Combine(_folder, "bucket"), StringComparison.Ordinal) && File.ReadAllText(file).Contains("\"two\"", StringComparison.Ordinal));
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(_folder, "two"), "meta.json", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Collectors_of_one_cluster_may_share_their_labels()
    {
        await using var exporter = FakeExporter.Start("# TYPE a gauge\na 1\n");
        await using var first = await CollectorAsync(exporter, "one", "cluster 1");
        await using var second = await CollectorAsync(exporter, "two", "cluster 1", "--cluster.refuse-foreign");
        await Eventually.TrueAsync(
            () => Task.FromResult(Directory.Exists(Path.Combine(_folder, "bucket")) && Directory.GetFiles(Path.Combine(_folder, "bucket"), "meta.json", SearchOption.AllDirectories)
                .Any(file => File.ReadAllText(file).Contains("\"two\"", StringComparison.Ordinal))),
            TimeSpan.FromSeconds(60), "the second one ships");
        Assert.Contains("\nobserve_collector_foreign_cluster 0", await second.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
    }

    string Bucket => $"--objstore.config={{type: FILESYSTEM, config: {{directory: '{Path.Combine(_folder, "bucket")}'}}}}";

    static Task<string> ClustersAsync(ObserveProcess query) => query.Http.GetStringAsync("api/v1/clusters");

    async Task<ObserveProcess> CollectorAsync(FakeExporter exporter, string name, string uid, params string[] more)
    {
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $$"""
            global: {scrape_interval: 1s, external_labels: {cluster: prod} }
            scrape_configs: [{job_name: a, static_configs: [{targets: ['{{exporter.Address}}'] } ] } ]
            """);
        return await ObserveProcess.StartAsync("collector", [
            Bucket,
            "--config.file=" + config,
            "--data-dir=" + Path.Combine(_folder, name),
            "--collector.name=" + name,
            "--cluster.uid=" + uid,
            "--storage.tsdb.min-block-duration=4s",
            .. more,
        ]);
    }
}
