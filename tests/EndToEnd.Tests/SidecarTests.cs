using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>
/// A collector beside a real Prometheus that cuts a block every few seconds, and a query that shares nothing with them but the bucket: what
/// they answer is what Prometheus does, sample by sample, whoever of the two is killed or stopped.
/// </summary>
public sealed partial class SidecarTests(ITestOutputHelper output) : IDisposable
{
    static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);

    /// <summary>How often one of the two is ended; OBSERVE_SIDECAR_RESTARTS has more.</summary>
    static readonly int s_restarts = int.Parse(Environment.GetEnvironmentVariable("OBSERVE_SIDECAR_RESTARTS") is { Length: > 0 } more ? more : "4", CultureInfo.InvariantCulture);

    readonly string _folder = Checkout.NewFolder("sidecar");
    readonly HashSet<string> _cut = [];
    readonly List<string> _outputs = [];
    string _listen = "127.0.0.1:0";
    ChildProcess? _started;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    string Data => Path.Combine(_folder, "prometheus");

    string Bucket => Path.Combine(_folder, "bucket");

    string Objstore => $"--objstore.config={{type: FILESYSTEM, config: {{directory: '{Bucket}'}}}}";

    [Fact]
    public async Task Every_block_is_shipped_once_and_all_answer_as_Prometheus_does_through_restarts_of_either()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 3);
        Configure(exporter, "cluster: c, replica: a");
        var prometheus = await PrometheusAsync();
        var sidecar = await SidecarAsync();
        await using var query = await ObserveProcess.StartAsync("query", [Objstore, "--data-dir=" + Path.Combine(_folder, "query"), "--sync-block-duration=2s"]);
        try
        {
            for (var i = 0; i < s_restarts; i++)
            {
                await ScrapesAsync(exporter, 40);
                await AgreeAsync(sidecar, query);
                var isKilled = i % 2 == 0;
                if (i / 2 % 2 == 0)
                {
                    await EndAsync(prometheus, isKilled);
                    prometheus = await PrometheusAsync();
                }
                else
                {
                    await EndAsync(sidecar.Process, isKilled);
                    await sidecar.DisposeAsync();

                    // What is cut while nobody is there to see it is shipped later.
                    await ScrapesAsync(exporter, 40);
                    sidecar = await SidecarAsync();
                }
            }

            await ScrapesAsync(exporter, 40);
            await AgreeAsync(sidecar, query);
            NoteBlocks();
            await Eventually.TrueAsync(() => Task.FromResult(_cut.IsSubsetOf(InBucket())), s_limit, "all blocks in the bucket");
            var shipped = _outputs.Append(sidecar.Process.Output).SelectMany(text => text.Split('\n'))
                .Where(line => line.Contains("block is in the bucket", StringComparison.Ordinal)).Select(line => BlockName().Match(line).Value).ToList();
            output.WriteLine($"{_cut.Count} blocks, {shipped.Count} uploads");
            Assert.True(_cut.Count >= 3);
            Assert.Equal(shipped.Order(), shipped.Distinct().Order());
            Assert.Equal(_cut.Order(), InBucket().Order());
            foreach (var id in _cut)
            {
                var meta = BlockMeta.Parse(await File.ReadAllBytesAsync(Path.Combine(Bucket, id, "meta.json")), id);
                Assert.Equal("c", meta.ExternalLabels.Get("cluster"));
            }

            await StatusAsync(query);
        }
        finally
        {
            await prometheus.DisposeAsync();
            await sidecar.DisposeAsync();
        }
    }

    [Fact]
    public async Task Without_a_cluster_it_waits_and_says_so_and_goes_on_once_there_is_one()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        Configure(exporter, "replica: a");
        await using var prometheus = await PrometheusAsync();
        var starting = SidecarAsync();
        await Eventually.TrueAsync(
            () => Task.FromResult(_started is { } child && child.Output.Contains("no external label that names the cluster", StringComparison.Ordinal)), s_limit, "the reason");
        Assert.False(starting.IsCompleted);
        Configure(exporter, "cluster: c");
        await prometheus.SignalAsync("HUP");
        await using var sidecar = await starting;
        await Eventually.TrueAsync(async () => (await sidecar.QueryAsync("ledger{cluster=\"c\"}")).Count == 1, s_limit, "a sample");
        await Eventually.TrueAsync(
            async () => (await sidecar.GetAsync("api/v1/targets"))["data"]!["activeTargets"]!.AsArray() is [{ } target] && (string?)target["health"] == "up", s_limit, "a target");
        await Eventually.TrueAsync(async () => (await sidecar.GetAsync("api/v1/metadata?metric=ledger"))["data"]!["ledger"] is not null, s_limit, "metadata");
    }

    [GeneratedRegex("[0-7][0-9A-HJKMNP-TV-Z]{25}")]
    private static partial Regex BlockName();

    void Configure(LedgerExporter exporter, string labels)
    {
        Directory.CreateDirectory(Data);
        File.WriteAllText(
            Path.Combine(_folder, "prometheus.yml"),
            $"global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{{labels}}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n");
    }

    /// <summary>Starts it where it was before, if it was.</summary>
    async Task<ChildProcess> PrometheusAsync()
    {
        var process = ChildProcess.Start(Required.Peer("prometheus"), [
            "--config.file=" + Path.Combine(_folder, "prometheus.yml"),
            "--storage.tsdb.path=" + Data,
            "--storage.tsdb.min-block-duration=8s",
            "--storage.tsdb.max-block-duration=8s",
            "--web.listen-address=" + _listen,
        ]);
        await process.LineAsync("Server is ready to receive web requests");
        _listen = await process.ListeningAsync();
        return process;
    }

    async Task<ObserveProcess> SidecarAsync()
    {
        _started = null;
        string[] flags =
        [
            $"--prometheus.url=http://{_listen}", "--prometheus.tsdb.path=" + Data, "--data-dir=" + Path.Combine(_folder, "data"), "--collector.name=one", Objstore,
            "--live.interval=2s",
        ];
        return await ObserveProcess.StartAsync("collector", flags, s_limit, started: child => _started = child);
    }

    async Task EndAsync(ChildProcess process, bool isKilled)
    {
        if (isKilled)
        {
            await process.KillAsync();
        }
        else
        {
            Assert.Equal(0, await process.StopAsync());
        }

        _outputs.Add(process.Output);
    }

    async Task ScrapesAsync(LedgerExporter exporter, int count)
    {
        var until = exporter.Scrapes + count;
        await Eventually.TrueAsync(
            () =>
            {
                NoteBlocks();
                return Task.FromResult(exporter.Scrapes >= until);
            },
            s_limit, "scrapes");
    }

    void NoteBlocks() => _cut.UnionWith(Directory.GetDirectories(Data).Select(path => Path.GetFileName(path)!).Where(name => BlockId.TryParse(name, out _)));

    HashSet<string> InBucket() => [.. Directory.GetDirectories(Bucket).Where(path => File.Exists(Path.Combine(path, "meta.json"))).Select(path => Path.GetFileName(path)!)
        .Where(name => BlockId.TryParse(name, out _))];

    /// <summary>Up to a moment that has passed, sidecar and bucket come to have what Prometheus has, and nothing else.</summary>
    async Task AgreeAsync(ObserveProcess sidecar, ObserveProcess query)
    {
        using var http = new HttpClient();
        var time = (TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() - 2000) / 1000.0;
        var path = string.Create(CultureInfo.InvariantCulture, $"api/v1/query?time={time:F3}&query={Uri.EscapeDataString("{__name__=~\"ledger|up|scrape_samples_scraped\"}[15m]")}");
        var expected = Read(JsonNode.Parse(await http.GetStringAsync($"http://{_listen}/{path}"))!);
        Assert.True(expected.Count > 100);
        foreach (var (process, name) in new[] { (sidecar, "the sidecar"), (query, "the bucket") })
        {
            HashSet<(string Series, double Time, string Value)> got = [];
            try
            {
                await Eventually.TrueAsync(async () => (got = Read(await process.GetAsync(path))).SetEquals(expected), s_limit, $"agreement of {name}");
            }
            catch (TimeoutException e)
            {
                var (lacks, more) = (expected.Except(got).ToList(), got.Except(expected).ToList());
                Assert.Fail($"{e.Message}: {expected.Count} samples, {lacks.Count} are lacking, {more.Count} too many: {string.Join(' ', lacks.Concat(more).Order().Take(20))}\n{sidecar.Process.Output}");
            }
        }

        output.WriteLine($"{expected.Count} samples agree");
    }

    static HashSet<(string Series, double Time, string Value)> Read(JsonNode answer)
    {
        var read = new HashSet<(string, double, string)>();
        foreach (var series in answer["data"]!["result"]!.AsArray())
        {
            var name = $"{series!["metric"]!["__name__"]}/{series["metric"]!["series"]}";
            foreach (var sample in series["values"]!.AsArray().Cast<JsonArray>())
            {
                Assert.True(read.Add((name, (double)sample[0]!, (string)sample[1]!)));
            }
        }

        return read;
    }

    /// <summary>The fleet knows the collector, and its answers lack nothing.</summary>
    static async Task StatusAsync(ObserveProcess query)
    {
        await Eventually.TrueAsync(
            async () => (bool)(await query.GetAsync("api/v1/query?query=ledger"))["data"]!["completeness"]!["complete"]!, s_limit, "a complete answer");
        var clusters = (await query.GetAsync("api/v1/clusters")).ToJsonString();
        Assert.Contains("beside Prometheus 3.", clusters, StringComparison.Ordinal);
    }
}
