using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>
/// A collector scrapes a node_exporter, a Prometheus and a ledger, and cuts blocks. Then a Prometheus on a copy of these blocks and
/// <c>observe query</c> on the bucket answer the same queries.
/// </summary>
public sealed class AgreementTests(ITestOutputHelper output) : IDisposable
{
    const int ScrapesWanted = 60;

    /// <summary>Asked at the end of the data as instant queries, and over all of it as range queries.</summary>
    static readonly string[] s_queries =
    [
        "up",
        "node_load1",
        "node_load1 offset 5s",
        "node_load1 @ end()",
        "ledger",
        "-ledger{series=\"1\"}",
        "ledger % 7 == bool 3",
        "ledger > 5 and on (series) ledger{series=~\"[0-4]\"}",
        "ledger unless ledger{series!~\"1|2\"}",
        "ledger{series=\"1\"} or node_load1",
        "rate(node_cpu_seconds_total[10s])",
        "irate(node_cpu_seconds_total{mode=\"user\"}[10s])",
        "increase(ledger[10s])",
        "delta(node_memory_MemFree_bytes[10s])",
        "deriv(node_memory_MemFree_bytes[10s])",
        "predict_linear(ledger[10s], 60)",
        "resets(ledger[20s])",
        "changes(ledger[10s])",
        "sum(rate(node_cpu_seconds_total[10s])) by (mode)",
        "sum without (cpu) (rate(node_cpu_seconds_total[10s]))",
        "avg by (mode) (rate(node_cpu_seconds_total[10s]))",
        "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[10s]))",
        "count by (job) ({job=~\".+\"})",
        "min(node_cpu_seconds_total) by (mode)",
        "max(node_cpu_seconds_total) by (mode)",
        "stddev(node_cpu_seconds_total) by (mode)",
        "stdvar by (mode) (node_cpu_seconds_total)",
        "quantile(0.9, node_cpu_seconds_total)",
        "topk(3, node_cpu_seconds_total)",
        "bottomk by (cpu) (2, node_cpu_seconds_total)",
        "count_values(\"value\", node_cpu_seconds_total > bool 1)",
        "group by (mode) (node_cpu_seconds_total)",
        "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[20s])))",
        "histogram_quantile(0.5, prometheus_http_response_size_bytes_bucket)",
        "avg_over_time(node_load1[15s])",
        "sum_over_time(ledger[10s])",
        "min_over_time(node_memory_MemFree_bytes[10s])",
        "max_over_time(node_memory_MemFree_bytes[10s])",
        "count_over_time(node_load1[10s])",
        "stddev_over_time(node_memory_MemFree_bytes[15s])",
        "quantile_over_time(0.5, node_memory_MemFree_bytes[15s])",
        "last_over_time(ledger[10s])",
        "present_over_time(ledger[10s])",
        "absent(no_such_metric{a=\"b\"})",
        "absent_over_time(no_such_metric[10s])",
        "max_over_time(rate(node_cpu_seconds_total{mode=\"user\"}[5s])[15s:1s])",
        "sum(node_filesystem_avail_bytes) / sum(node_filesystem_size_bytes)",
        "node_filesystem_avail_bytes / on (instance, device, mountpoint) group_left (fstype) node_filesystem_size_bytes",
        "node_memory_MemFree_bytes * on () group_left () count(up)",
        "label_replace(node_load1, \"host\", \"$1\", \"instance\", \"(.*):.*\")",
        "label_join(node_load1, \"both\", \"-\", \"job\", \"instance\")",
        "clamp(node_load1, 0.1, 0.2)",
        "round(node_load1 * 100, 5)",
        "abs(-node_load1) + ceil(node_load1) - floor(node_load1) * sqrt(node_load1) / exp(node_load1) ^ 2",
        "ln(node_memory_MemFree_bytes) + log2(node_memory_MemFree_bytes) + log10(node_memory_MemFree_bytes)",
        "sgn(node_load1 - node_load5)",
        "sort_desc(node_load1)",
        "scalar(sum(node_load1)) * 2",
        "vector(time())",
        "minute(vector(time())) + hour() + day_of_week() + days_in_month() + month() + year()",
        "timestamp(ledger{series=\"0\"})",
        "{__name__=~\"node_network_(receive|transmit)_bytes_total\", device=\"lo\"}",
        "1 + 2 * 3 ^ 2 % 5",
    ];

    readonly string _folder = Checkout.NewFolder("agreement");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Prometheus_on_our_blocks_and_we_answer_alike()
    {
        Required.Peer("prometheus");
        var promtool = Required.Peer("promtool");
        var bucket = Path.Combine(_folder, "bucket");
        await CollectAsync(bucket);
        var blocks = Directory.GetDirectories(bucket).Where(d => File.Exists(Path.Combine(d, "meta.json"))).ToList();
        Assert.True(blocks.Count >= 2, $"{blocks.Count} blocks");

        var copy = Directory.CreateDirectory(Path.Combine(_folder, "copy")).FullName;
        foreach (var block in blocks)
        {
            Copy(block, Path.Combine(copy, Path.GetFileName(block)));
        }

        await CheckWithPromtoolAsync(promtool, copy);
        Directory.Delete(Path.Combine(copy, "wal"));
        var range = Metas(blocks);
        await using var prometheus = await PrometheusServer.StartAsync(copy, "scrape_configs: []\n", "--enable-feature=promql-experimental-functions");
        await using var observe = await ObserveProcess.StartAsync(
            "query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);
        using var http = new HttpClient { BaseAddress = prometheus!.Url };

        var different = new List<string>();
        var empty = new List<string>();
        foreach (var query in s_queries)
        {
            var text = Uri.EscapeDataString(query);
            foreach (var path in (string[])[
                $"api/v1/query?query={text}&time={Seconds(range.MaxTime - 2000)}",
                $"api/v1/query_range?query={text}&start={Seconds(range.MinTime)}&end={Seconds(range.MaxTime)}&step=0.7"])
            {
                var (ours, theirs) = (Canonical(await AnswerAsync(observe.Http, path)), Canonical(await AnswerAsync(http, path)));
                if (theirs.Contains("\"result\":[]", StringComparison.Ordinal))
                {
                    empty.Add(path);
                }

                if (ours != theirs)
                {
                    different.Add($"{path}\nours   {Difference(ours, theirs)}\ntheirs {Difference(theirs, ours)}");
                }
            }
        }

        output.WriteLine($"{s_queries.Length} queries, instant and over a range, of which {empty.Count} answers are empty; {different.Count} differ");
        Assert.True(different.Count == 0, string.Join("\n\n", different));

        // Which have something depends on the moment at which the collector was stopped; most must have.
        Assert.True(empty.Count <= 12, string.Join('\n', empty));
    }

    async Task CollectAsync(string bucket)
    {
        await using var node = ChildProcess.Start(
            Required.Peer("prometheus-node-exporter"), ["--web.listen-address=127.0.0.1:0", "--no-collector.systemd"]);
        var nodeAddress = await node.ListeningAsync();
        await using var ledger = await LedgerExporter.StartAsync(series: 10);
        await using var source = await PrometheusServer.StartAsync(Directory.CreateDirectory(Path.Combine(_folder, "source")).FullName);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $"""
            global: {"{"}scrape_interval: 500ms, scrape_timeout: 500ms, external_labels: {"{"}cluster: agreement{"}"}{"}"}
            scrape_configs:
              - job_name: node
                static_configs: [{"{"}targets: ['{nodeAddress}']{"}"}]
              - job_name: prometheus
                static_configs: [{"{"}targets: ['{source!.Url.Authority}']{"}"}]
              - job_name: ledger
                static_configs: [{"{"}targets: ['{ledger.Address}']{"}"}]
            """);
        await using var collector = await ObserveProcess.StartAsync("collector", [
            "--config.file=" + config,
            "--data-dir=" + Path.Combine(_folder, "data"),
            "--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}",
            "--storage.tsdb.min-block-duration=8s",
        ]);
        await Eventually.TrueAsync(() => Task.FromResult(ledger.Scrapes >= ScrapesWanted), TimeSpan.FromMinutes(2), "enough scrapes");
        Assert.Equal(0, await collector.Process.StopAsync());
        _ledgerScrapes = ledger.Scrapes;
    }

    int _ledgerScrapes;

    /// <summary>promtool reads the blocks, and its dump of the ledger is what the ledger has shown.</summary>
    async Task CheckWithPromtoolAsync(string promtool, string folder)
    {
        var (exitCode, list) = await ChildProcess.RunAsync(promtool, ["tsdb", "list", folder]);
        Assert.True(exitCode == 0, list);
        (exitCode, var analysis) = await ChildProcess.RunAsync(promtool, ["tsdb", "analyze", folder]);
        Assert.True(exitCode == 0, analysis);
        Directory.CreateDirectory(Path.Combine(folder, "wal")); // dump reads one too
        (exitCode, var dump) = await ChildProcess.RunAsync(promtool, ["tsdb", "dump", "--match={__name__=\"ledger\"}", folder]);
        Assert.True(exitCode == 0, dump);
        for (var series = 0; series < 10; series++)
        {
            // A scrape that took too long leaves a staleness marker instead of its value, and nothing else is missing.
            var printed = dump.Split('\n').Where(l => l.Contains($"series=\"{series}\"", StringComparison.Ordinal))
                .Select(l => l[(l.LastIndexOf('}') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]).ToList();
            var values = printed.Where(v => v != "NaN").Select(v => long.Parse(v, CultureInfo.InvariantCulture)).ToList();
            Assert.Equal(values.Distinct().Order(), values);
            Assert.All(values, v => Assert.InRange(v, 1, _ledgerScrapes));
            Assert.InRange(values.Count, Math.Max(ScrapesWanted / 2, _ledgerScrapes - 1 - printed.Count(v => v == "NaN")), _ledgerScrapes);
        }
    }

    static (long MinTime, long MaxTime) Metas(IEnumerable<string> blocks)
    {
        var metas = blocks.Select(b => JsonNode.Parse(File.ReadAllText(Path.Combine(b, "meta.json")))!).ToList();
        return (metas.Min(m => (long)m["minTime"]!), metas.Max(m => (long)m["maxTime"]!));
    }

    static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    static async Task<JsonNode> AnswerAsync(HttpClient http, string path)
    {
        using var response = await http.GetAsync(path);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
    }

    /// <summary>
    /// Status and data, series without the label that only our bucket adds, in an order of their own unless the query sorts; nothing is
    /// missing where an answer says so.
    /// </summary>
    static string Canonical(JsonNode answer)
    {
        if (answer["data"] is JsonObject data && data.Remove("completeness", out var completeness))
        {
            Assert.True((bool)completeness!["complete"]!, completeness.ToJsonString());
        }

        if (answer["data"]?["result"] is JsonArray result && result.All(r => r is JsonObject))
        {
            foreach (var series in result)
            {
                var metric = series!["metric"]!.AsObject();
                metric.Remove("cluster");
                series["metric"] = new JsonObject(metric.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => KeyValuePair.Create(l.Key, l.Value?.DeepClone())));
            }

            answer["data"]!["result"] = new JsonArray([.. result.Select(r => r!.DeepClone()).OrderBy(r => r["metric"]!.ToJsonString(), StringComparer.Ordinal)]);
        }

        return new JsonObject { ["status"] = answer["status"]?.DeepClone(), ["error"] = answer["error"]?.DeepClone(), ["data"] = answer["data"]?.DeepClone() }.ToJsonString();
    }

    static string Difference(string text, string other)
    {
        var at = text.AsSpan().CommonPrefixLength(other);
        return text[Math.Max(0, at - 200)..Math.Min(text.Length, at + 200)];
    }

    static string Seconds(long milliseconds) => (milliseconds / 1000.0).ToString("F3", CultureInfo.InvariantCulture);
}
