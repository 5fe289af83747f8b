using System.Globalization;
using System.Text;

namespace Observe.Demo;

/// <summary>The demo's clusters, and the configuration of a collector for each of them.</summary>
static class DemoFleet
{
    public static IReadOnlyList<SimulatedCluster> Clusters { get; } = [new("dev", 1, 0.4), new("staging", 2, 0.7), new("prod", 3, 1.1)];

    /// <summary>Cluster and replica of each collector; only prod is a pair, so only there is a replica.</summary>
    public static IReadOnlyList<(SimulatedCluster Cluster, string? Replica)> Collectors { get; } =
        [(Clusters[0], null), (Clusters[1], null), (Clusters[2], "a"), (Clusters[2], "b")];

    /// <param name="address">HOST:PORT of the simulated exporters.</param>
    public static string Configuration(SimulatedCluster cluster, string? replica, string address)
    {
        var text = new StringBuilder("global:\n  scrape_interval: 5s\n  scrape_timeout: 4s\n  external_labels:\n");
        text.Append(CultureInfo.InvariantCulture, $"    cluster: {cluster.Name}\n");
        if (replica is not null)
        {
            text.Append(CultureInfo.InvariantCulture, $"    replica: {replica}\n");
        }

        text.Append("scrape_configs:\n");
        foreach (var job in cluster.Exporters().GroupBy(e => e.Job))
        {
            text.Append(CultureInfo.InvariantCulture, $"  - job_name: {job.Key}\n    static_configs:\n");
            foreach (var exporter in job)
            {
                text.Append(CultureInfo.InvariantCulture, $"      - targets: ['{address}']\n")
                    .Append(CultureInfo.InvariantCulture,
                    $"        labels: {{instance: {exporter.Instance}, __metrics_path__: {exporter.Path}}}\n");
            }
        }

        return text.ToString();
    }
}
