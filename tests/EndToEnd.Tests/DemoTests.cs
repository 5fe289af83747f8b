using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Demo;
using Observe.EndToEnd.Tests.Repository;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary><c>observe demo</c>, as a stranger starts it.</summary>
public sealed class DemoTests(ITestOutputHelper output) : IDisposable
{
    readonly string _folder = Checkout.NewFolder("demo");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Three_clusters_are_there_within_a_minute_and_their_blocks_are_compacted()
    {
        var began = TimeProvider.System.GetTimestamp();
        await using var demo = await ObserveProcess.StartAsync("demo", ["--data-dir=" + _folder, "--demo.block-duration=20s"]);
        output.WriteLine($"ready after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F2} s");

        await Eventually.TrueAsync(
            async () => (await demo.QueryAsync("count by (cluster) (up)")).Count == 3, TimeSpan.FromSeconds(60), "three clusters");
        output.WriteLine($"three clusters after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F2} s");
        var targets = DemoFleet.Clusters.ToDictionary(c => c.Name, c => c.Exporters().Count());
        await Eventually.TrueAsync(
            async () => (await demo.QueryAsync("up == 1", "&dedup=false")).Count == targets.Values.Sum() + targets["prod"], TimeSpan.FromSeconds(30), "all targets up");

        var clusters = (await demo.QueryAsync("count by (cluster) (up)")).ToDictionary(c => (string)c.Metric["cluster"]!, c => c.Value);
        Assert.Equal(targets.ToDictionary(t => t.Key, t => t.Value.ToString(CultureInfo.InvariantCulture)).OrderBy(t => t.Key), clusters.OrderBy(c => c.Key));
        Assert.Equal(clusters["prod"], (await demo.QueryAsync("count(up{cluster=\"prod\"})"))[0].Value);
        var apart = await demo.QueryAsync("count by (replica) (up{cluster=\"prod\"})", "&dedup=false");
        Assert.Equal(["a", "b"], apart.Select(r => (string)r.Metric["replica"]!).Order());
        Assert.All(apart, replica => Assert.Equal(clusters["prod"], replica.Value));

        // What the dashboards ask for is there.
        foreach (var file in Directory.GetFiles(Path.Combine(Checkout.Root, "dashboards"), "*.json").Select(f => Path.GetFileName(f)!))
        {
            foreach (var query in DashboardTests.Queries(DashboardTests.Read(file)).Select(DashboardTests.WithVariables))
            {
                await Eventually.TrueAsync(
                    async () => (await demo.QueryAsync(query)).Count > 0, TimeSpan.FromSeconds(60), $"{file}: an answer to {query}");
            }
        }

        // Every role is at work: blocks come into the bucket, and the compactor makes larger ones of them.
        var bucket = Path.Combine(_folder, "bucket");
        await Eventually.TrueAsync(() => Task.FromResult(Metas(bucket).Any(m => (int)m["compaction"]!["level"]! > 1)), TimeSpan.FromMinutes(4), "a compacted block");
        var answer = await demo.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("count_over_time(up{cluster=\"prod\"}[5m])"));
        Assert.Null(answer["warnings"]);
        Assert.Equal(0, await demo.Process.StopAsync());
    }

    static IEnumerable<JsonNode> Metas(string bucket) => Directory.Exists(bucket)
        ? Directory.EnumerateFiles(bucket, "meta.json", SearchOption.AllDirectories).Select(f => JsonNode.Parse(File.ReadAllText(f))!)
        : [];
}
