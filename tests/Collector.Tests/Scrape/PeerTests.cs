using System.Net.Http.Json;
using System.Text.Json;
using Observe.Collector.Config;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

/// <summary>Against the programs of others; each test is skipped where they are absent.</summary>
public sealed class PeerTests : IAsyncLifetime
{
    ManagerBench _bench = null!;

    public async ValueTask InitializeAsync() => _bench = await ManagerBench.StartAsync();

    public ValueTask DisposeAsync() => _bench.DisposeAsync();

    [Fact]
    public async Task A_node_exporter_is_scraped_to_the_last_sample()
    {
        await using var process = ChildProcess.Start(Required.Peer("prometheus-node-exporter"), ["--web.listen-address=127.0.0.1:0"]);
        var address = await process.ListeningAsync();
        await _bench.ApplyAsync($"- job_name: node\n  scrape_interval: 1s\n  static_configs: [{{targets: ['{address}']}}]\n");
        await _bench.UntilScrapedAsync(3);
        var scraped = (await _bench.SelectAsync(("__name__", "scrape_samples_scraped"))).Single().Samples[^1].Value;
        Assert.InRange(scraped, 300, 5000);
        var series = await _bench.SelectAsync(("job", "node"));
        Assert.InRange(series.Count, scraped + 5, scraped + 200);
        Assert.Contains(series, s => s.Labels.Get("__name__") == "node_load1" && s.Labels.Get("instance") == address);
        Assert.Contains(_bench.Manager.Metadata(), m => m.Metric == "node_load1" && m.Type == MetricType.Gauge && m.Help == "1m load average.");

        await process.KillAsync();
        await ManagerBench.UntilAsync(async () => (await _bench.SelectAsync(("__name__", "node_load1"))).Single().Samples is var s && StaleMarker.IsStale(s[^1].Value), "the marker");
        Assert.Equal(0, (await _bench.SelectAsync(("__name__", "up"))).Single().Samples[^1].Value);
    }

    [Fact]
    public async Task A_federated_Prometheus_keeps_its_timestamps_instances_and_jobs()
    {
        await using var exporter = FakeExporter.Start("m{a=\"x\"} 1\nm{a=\"own\",cluster=\"prod\"} 2\n");
        var folder = Path.Combine(_bench.Folder, "prometheus");
        Directory.CreateDirectory(folder);
        await using var prometheus = await PrometheusServer.StartAsync(folder, $$"""
            global:
              scrape_interval: 1s
              external_labels: {cluster: dev, region: eu}
            scrape_configs:
            - job_name: inner
              static_configs: [{targets: ['{{exporter.Address}}']}]
            """);
        await _bench.ApplyAsync($$"""
            - job_name: federate
              scrape_interval: 1s
              honor_labels: true
              metrics_path: /federate
              params: {'match[]': ['{job="inner"}', '{__name__="nothing"}']}
              static_configs: [{targets: ['{{prometheus.Url.Authority}}']}]

            """);
        await ManagerBench.UntilAsync(async () => (await _bench.SelectAsync(("__name__", "m"))) is { Count: 2 } m && m.TrueForAll(s => s.Samples.Count >= 2), "federated samples");

        var series = await _bench.SelectAsync(("__name__", "m"));
        Assert.Equal(
            [$$"""{__name__="m", a="own", instance="{{exporter.Address}}", job="inner", region="eu"}""", $$"""{__name__="m", a="x", exported_cluster="dev", instance="{{exporter.Address}}", job="inner", region="eu"}"""],
            series.Select(s => s.Labels.ToString()));

        using var http = new HttpClient();
        var inner = await http.GetFromJsonAsync<JsonElement>(new Uri(prometheus.Url, "api/v1/query?query=m%7Ba%3D%22x%22%7D%5B1h%5D"));
        var original = inner.GetProperty("data").GetProperty("result")[0].GetProperty("values").EnumerateArray()
            .Select(v => (long)Math.Round(v[0].GetDouble() * 1000)).ToHashSet();
        Assert.All(series[1].Samples, s => Assert.Contains(s.Timestamp, original));

        var up = await _bench.SelectAsync(("__name__", "up"));
        Assert.Equal(
            [$$"""{__name__="up", exported_cluster="dev", instance="{{exporter.Address}}", job="inner", region="eu"}""", $$"""{__name__="up", instance="{{prometheus.Url.Authority}}", job="federate"}"""],
            up.Select(s => s.Labels.ToString()));
    }

    [Fact]
    public async Task Targets_are_relabelled_as_Prometheus_relabels_them()
    {
        const string Jobs = """
            - job_name: plain
              static_configs:
              - targets: ['h1:1', 'h2:2', '[::1]:3']
                labels: {env: prod, __meta_zone: eu-west-1b, __tmp_x: y, team: 'Ä Team'}
            - job_name: relabelled
              metrics_path: /m e/x
              scheme: https
              params: {module: [a, b], 'q[]': ['{x="y z"}']}
              scrape_interval: 45s
              scrape_timeout: 7s
              relabel_configs:
              - {source_labels: [__address__], regex: '(.*):(\d+)', target_label: port, replacement: '$2'}
              - {source_labels: [__address__, env], separator: '@', regex: '(?P<host>[^:]+):.*@(.*)', target_label: 'x_${2}', replacement: '${host}-$$-$3'}
              - {action: hashmod, source_labels: [__address__], modulus: 7, target_label: shard}
              - {action: labelmap, regex: '__meta_(.+)', replacement: 'sd_$1'}
              - {action: uppercase, source_labels: [env], target_label: loud}
              - {action: lowercase, source_labels: [loud, port], target_label: quiet}
              - {action: drop, source_labels: [port], regex: '2'}
              - {action: keepequal, source_labels: [env], target_label: quiet_env}
              - {action: labeldrop, regex: 'lou.'}
              - {source_labels: [port], regex: '9', target_label: __param_module, replacement: nine}
              - {source_labels: [port], regex: '8', target_label: __scrape_interval__, replacement: 1m30s}
              static_configs:
              - targets: ['h1:1', 'h2:2', 'h3:8', 'h4:9']
                labels: {env: prod, quiet_env: prod, __meta_zone: eu-west-1b}
              - targets: ['gone:1']
                labels: {env: dev, quiet_env: prod}
            - job_name: kept
              static_configs: [{targets: ['a:1', 'b:2'], labels: {keep: 'x', same: 'a:1'}}]
              relabel_configs:
              - {action: dropequal, source_labels: [__address__], target_label: same}
              - {action: labelkeep, regex: '__.*|keep'}
              - {target_label: job, replacement: other}
              - {target_label: instance, replacement: mine}

            """;
        var folder = Path.Combine(_bench.Folder, "prometheus");
        Directory.CreateDirectory(folder);
        await using var prometheus = await PrometheusServer.StartAsync(folder, "scrape_configs:\n" + Jobs);
        await _bench.Manager.ApplyAsync(CollectorConfig.Parse("scrape_configs:\n" + Jobs, "x", clusterRequired: false), CancellationToken.None);
        using var http = new HttpClient();
        string[] theirs = [];
        await ManagerBench.UntilAsync(
            async () =>
            {
                var data = (await http.GetFromJsonAsync<JsonElement>(new Uri(prometheus.Url, "api/v1/targets"))).GetProperty("data");
                theirs = [.. data.GetProperty("activeTargets").EnumerateArray().Select(t => string.Join(" ", t.GetProperty("scrapePool"), t.GetProperty("scrapeUrl"),
                        Text(t.GetProperty("labels")), Text(t.GetProperty("discoveredLabels")), t.GetProperty("scrapeInterval"), t.GetProperty("scrapeTimeout")))
                    .Concat(data.GetProperty("droppedTargets").EnumerateArray().Select(t => "dropped " + Text(t.GetProperty("discoveredLabels")))).Order(StringComparer.Ordinal)];
                return theirs.Length == 10 && _bench.Manager.Targets().Active.Count == 7;
            },
            "targets of Prometheus");
        var snapshot = _bench.Manager.Targets();
        string[] ours = [.. snapshot.Active.Select(t => string.Join(" ", t.ScrapePool, t.ScrapeUrl, t.Labels, t.DiscoveredLabels, Duration.Format(t.ScrapeInterval), Duration.Format(t.ScrapeTimeout)))
            .Concat(snapshot.Dropped.Select(t => "dropped " + t.DiscoveredLabels)).Order(StringComparer.Ordinal)];
        Assert.Equal(string.Join('\n', theirs), string.Join('\n', ours));
    }

    static string Text(JsonElement labels) =>
        Labels.Of([.. labels.EnumerateObject().Select(l => (l.Name, l.Value.GetString()!)).Where(l => l.Name is not ("__convert_classic_histograms_to_nhcb__" or "__always_scrape_classic_histograms__" or "__scrape_native_histograms__"))]).ToString();
}
