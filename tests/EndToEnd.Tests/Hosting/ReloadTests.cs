using System.Net;
using System.Text.RegularExpressions;
using Observe.Collector.Config;
using Observe.Commands;
using Observe.Store.Bucket;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>Reloads at a bad time, and reloads that break off half-way: each is counted, answered with its reason, and changes nothing.</summary>
public sealed partial class ReloadTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("reload");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_reload_while_the_log_is_replayed_is_refused_and_the_replay_goes_on()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 100);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, Config(exporter, "100ms"));
        string[] flags =
        [
            "--config.file=" + config,
            "--data-dir=" + Path.Combine(_folder, "data"),
            "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
            "--web.enable-lifecycle",
            "--wal.sync-interval=0s",
        ];
        string shown;
        await using (var first = await ObserveProcess.StartAsync("collector", flags))
        {
            await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > 5), TimeSpan.FromSeconds(30), "scrapes");
            shown = Assert.Single(await first.QueryAsync("max(ledger)")).Value;
            await first.Process.KillAsync();
        }

        using var replay = new HeldReplay(Path.Combine(_folder, "data", "wal"));
        await using var process = ChildProcess.Start(
            ObserveProcess.Program, ["collector", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", .. flags]);
        using var http = new HttpClient { BaseAddress = new Uri("http://" + HttpField().Match(await process.LineAsync("msg=listening")).Groups[1].Value) };
        await replay.ReachedAsync();
        await NotReadyAsync();
        await File.WriteAllTextAsync(config, Config(exporter, "200ms"));
        using (var refused = await http.PostAsync("-/reload", null))
        {
            Assert.Equal(HttpStatusCode.InternalServerError, refused.StatusCode);
            Assert.Contains("the start is not done yet", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        await process.LineAsync("configuration could not be reloaded");
        var before = Refusals();
        await process.SignalAsync("HUP");
        await Eventually.TrueAsync(() => Task.FromResult(Refusals() == before + 1), TimeSpan.FromSeconds(30), "a refusal of the signal");
        Assert.Contains("prometheus_config_last_reload_successful 0\n", await http.GetStringAsync("metrics"), StringComparison.Ordinal);
        await NotReadyAsync();
        replay.Release();
        await process.LineAsync("is ready: ");
        Assert.Contains("prometheus_config_last_reload_successful 0\n", await http.GetStringAsync("metrics"), StringComparison.Ordinal);
        Assert.Contains("scrape_interval: 100ms", await http.GetStringAsync("api/v1/status/config"), StringComparison.Ordinal);
        Assert.Contains($",\"{shown}\"]", await http.GetStringAsync("api/v1/query?query=" + Uri.EscapeDataString("ledger{series=\"0\"}[1h]")), StringComparison.Ordinal);
        using (var accepted = await http.PostAsync("-/reload", null))
        {
            Assert.Equal(HttpStatusCode.OK, accepted.StatusCode);
        }

        Assert.Contains("prometheus_config_last_reload_successful 1\n", await http.GetStringAsync("metrics"), StringComparison.Ordinal);
        Assert.Contains("scrape_interval: 200ms", await http.GetStringAsync("api/v1/status/config"), StringComparison.Ordinal);
        Assert.Equal(0, await process.StopAsync());

        int Refusals() => Regex.Count(process.Output, "configuration could not be reloaded");

        async Task NotReadyAsync()
        {
            using var ready = await http.GetAsync("-/ready");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
            Assert.Contains("is starting", await ready.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
    }

    /// <summary>Of three jobs one changes, one goes and one comes; the one that comes cannot be made.</summary>
    [Fact]
    public async Task A_reload_that_breaks_off_half_way_leaves_all_jobs_as_they_were()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        await using var found = await LedgerExporter.StartAsync(series: 1);
        await using var going = await LedgerExporter.StartAsync(series: 1);
        await using var coming = await LedgerExporter.StartAsync(series: 1);
        var unforeseen = new Unforeseen();
        var files = Path.Combine(_folder, "targets.json");
        await WriteTargetsAsync(exporter);
        var config = Parse($"{{job_name: stays, file_sd_configs: [{{files: ['{files}']}}]}}", Static("goes", going));
        CollectorRole? collector = null;
        await using var host = await RunningHost.StartAsync(h => [collector = new CollectorRole(h, new MemoryBucket(TimeProvider.System), new CollectorOptions
        {
            Load = () => config,
            Folder = Path.Combine(_folder, "data"),
            Name = "a",
            Registry = h.Registry,
        })]);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > 1 && going.Scrapes > 1), "scrapes");
        var old = config;
        config = Parse($"{{job_name: stays, params: {{a: [b]}}, file_sd_configs: [{{files: ['{files}']}}]}}", Static("comes", coming));
        config = config with
        {
            ScrapeConfigs = [.. config.ScrapeConfigs.Select(job => job.JobName == "stays"
                ? job : job with { ScrapeProtocols = new UnforeseenList<string>(unforeseen, job.ScrapeProtocols) })],
        };

        // The first time as the client of its scrapes is made.
        unforeseen.Throw("ScrapeClient");
        var (status, text) = await host.PostAsync("-/reload");
        Assert.Equal((500, "failed to reload config: nobody foresaw this in ScrapeClient"), (status, text));
        Assert.Equal(0, await host.MetricAsync("prometheus_config_last_reload_successful"));
        Assert.Contains(host.Log, line => line.StartsWith("Error: configuration could not be reloaded", StringComparison.Ordinal)
            && line.Contains("KeyNotFoundException: nobody foresaw this", StringComparison.Ordinal));
        Assert.Same(old, collector!.Config);
        Assert.Equal(["goes", "stays"], collector.Scrape!.Pools());
        var scrapes = going.Scrapes;
        await WriteTargetsAsync(exporter, found);
        await host.UntilAsync(() => Task.FromResult(found.Scrapes > 1 && going.Scrapes > scrapes + 1), "what was found since, and the job that was to go");
        Assert.Equal(0, coming.Scrapes);
        Assert.DoesNotContain(collector.Scrape.Targets().Active, target => target.ScrapeUrl.Contains("a=b", StringComparison.Ordinal));

        Assert.Equal(200, (await host.PostAsync("-/reload")).Status);
        Assert.Equal(1, await host.MetricAsync("prometheus_config_last_reload_successful"));
        Assert.Equal(["comes", "stays"], collector.Scrape.Pools());
        await host.UntilAsync(() => Task.FromResult(coming.Scrapes > 1), "the job that comes");
        await host.UntilAsync(
            () => Task.FromResult(collector.Scrape.Targets().Active.Count(target => target.ScrapeUrl.Contains("a=b", StringComparison.Ordinal)) == 2), "the job that changes");
        Assert.Equal(0, await host.StopAsync());

        async Task WriteTargetsAsync(params LedgerExporter[] exporters)
        {
            await File.WriteAllTextAsync(files + ".new", $"[{{\"targets\": [{string.Join(", ", exporters.Select(e => $"\"{e.Address}\""))}]}}]");
            File.Move(files + ".new", files, overwrite: true);
        }
    }

    static string Config(LedgerExporter exporter, string interval) =>
        $"global: {{scrape_interval: {interval}, scrape_timeout: {interval}, external_labels: {{cluster: a}}}}\nscrape_configs:\n- {Static("ledger", exporter)}\n";

    static string Static(string job, LedgerExporter exporter) => $"{{job_name: {job}, static_configs: [{{targets: ['{exporter.Address}']}}]}}";

    static CollectorConfig Parse(params string[] jobs) => CollectorConfig.Parse(
        $"global: {{scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {{cluster: a}}}}\nscrape_configs: [{string.Join(", ", jobs)}]", "test");

    [GeneratedRegex(@" http=(\S+)")]
    private static partial Regex HttpField();
}
