using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>What the program says when something is wrong with what it was given. Each message names the place, and nothing is lost.</summary>
public sealed class BadInputTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("bad");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_bad_configuration_is_refused_with_all_its_faults()
    {
        var config = await FileAsync("observe.yml", """
            global:
              scrape_interval: soon
              external_labels: {cluster: bad}
            scrape_configs:
              - job_name: a
                scrape_intervall: 5s
              - job_name: a
                static_configs: [{targets: ['127.0.0.1:1']}]
            """);
        var (exitCode, text) = await ObserveProcess.RunAsync("collector", "--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"));
        Assert.Equal(1, exitCode);
        Assert.Contains(config + ":2", text, StringComparison.Ordinal);
        Assert.Contains("scrape_intervall", text, StringComparison.Ordinal);
        Assert.Contains(config + ":7", text, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);

        (exitCode, text) = await ObserveProcess.RunAsync("check", "config", config);
        Assert.Equal(1, exitCode);
        Assert.Contains(config + ":6", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--query.timeout=soon", "--query.timeout")]
    [InlineData("--data-dir", "--data-dir")]
    [InlineData("--no-such-flag=1", "--no-such-flag")]
    [InlineData("--http-address=nowhere", "--http-address")]
    [InlineData("--enable-feature=magic", "magic")]
    [InlineData("--objstore.config={type: S3, config: {bukket: x}}", "bukket")]
    public async Task A_bad_flag_is_refused_by_name(string flag, string named)
    {
        var (exitCode, text) = await ObserveProcess.RunAsync("query", "--endpoint=127.0.0.1:1", "--grpc-address=127.0.0.1:0", flag);
        Assert.NotEqual(0, exitCode);
        Assert.Contains(named, text, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_reload_keeps_the_old_configuration()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        var good = $"global: {{scrape_interval: 1s, external_labels: {{cluster: reload}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n";
        var config = await FileAsync("observe.yml", good);
        await using var collector = await ObserveProcess.StartAsync("collector", [
            "--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"), "--web.enable-lifecycle",
            "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
        ]);
        await Eventually.TrueAsync(async () => (await collector.QueryAsync("up")).Count == 1, TimeSpan.FromSeconds(20), "a first scrape");

        await File.WriteAllTextAsync(config, good + "rubbish: true\n");
        using var refused = await collector.Http.PostAsync("-/reload", null);
        Assert.Equal(System.Net.HttpStatusCode.InternalServerError, refused.StatusCode);
        Assert.Contains("rubbish", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains("prometheus_config_last_reload_successful 0", await collector.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
        var before = exporter.Scrapes;
        await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > before + 1), TimeSpan.FromSeconds(10), "scraping goes on");

        await File.WriteAllTextAsync(config, good.Replace("job_name: ledger", "job_name: renamed", StringComparison.Ordinal));
        await collector.Process.SignalAsync("HUP");
        await Eventually.TrueAsync(
            async () => (await collector.QueryAsync("up{job=\"renamed\"}")).Count == 1, TimeSpan.FromSeconds(20), "the new configuration");
        Assert.Equal(0, await collector.Process.StopAsync());
    }

    [Fact]
    public async Task A_bucket_out_of_reach_loses_nothing_and_is_named()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        var config = await FileAsync("observe.yml",
            $"global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{cluster: away}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n");
        string[] flags = ["--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"), "--storage.tsdb.min-block-duration=2s", "--http-grace-period=5s"];
        using var closed = new RefusingPort();
        await using (var collector = await ObserveProcess.StartAsync("collector",
            [.. flags, $"--objstore.config={{type: S3, config: {{bucket: b, endpoint: '{closed.Address}', insecure: true, access_key: KEY, secret_key: hunter2}}}}"]))
        {
            await collector.Process.LineAsync(closed.Address);
            await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > 40), TimeSpan.FromSeconds(30), "scraping without a bucket");
            Assert.True((await collector.QueryAsync("ledger")).Count == 1);
            await collector.Process.StopAsync();
            Assert.DoesNotContain("hunter2", collector.Process.Output, StringComparison.Ordinal);
        }

        var bucket = Path.Combine(_folder, "bucket");
        await using (var collector = await ObserveProcess.StartAsync("collector", [.. flags, "--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}"]))
        {
            await collector.Process.StopAsync();
        }

        await using var query = await ObserveProcess.StartAsync("query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);
        var kept = int.Parse((await query.QueryAsync("count_over_time(ledger[1h])"))[0].Value, System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(kept, exporter.Scrapes - 3, exporter.Scrapes);
    }

    [Theory]
    [InlineData("sum(", 400, "parse error")]
    [InlineData("no_such_function(up)", 400, "unknown function")]
    [InlineData("count_values(\"a\", vector(1)) * on() group_left() vector(", 400, "parse error")]
    public async Task A_bad_query_says_where(string query, int status, string text)
    {
        await using var process = await ObserveProcess.StartAsync("query", ["--endpoint=127.0.0.1:1"]);
        using var response = await process.Http.GetAsync("api/v1/query?query=" + Uri.EscapeDataString(query));
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Contains(text, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--query.max-query-length=20", "sum by (cluster) (rate(up[5m]))")]
    [InlineData("--query.max-samples=2", "sum_over_time(vector(1)[1m:1s])")]
    public async Task A_query_over_a_limit_is_told_the_limit_and_its_flag(string flag, string query)
    {
        await using var process = await ObserveProcess.StartAsync("query", ["--endpoint=127.0.0.1:1", flag]);
        using var response = await process.Http.GetAsync("api/v1/query?query=" + Uri.EscapeDataString(query));
        Assert.Equal(System.Net.HttpStatusCode.UnprocessableEntity, response.StatusCode);
        Assert.Contains(flag.Split('=')[0], await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_corrupt_block_is_named_and_the_others_are_answered_from()
    {
        var bucket = Path.Combine(_folder, "bucket");
        await using (var exporter = await LedgerExporter.StartAsync(series: 50))
        {
            var config = await FileAsync("observe.yml",
                $"global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{cluster: bits}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n");
            await using var collector = await ObserveProcess.StartAsync("collector", [
                "--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"), "--storage.tsdb.min-block-duration=2s",
                "--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}",
            ]);
            await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > 40), TimeSpan.FromSeconds(60), "scrapes");
            await collector.Process.StopAsync();
        }

        // The fullest: one that was cut after nothing but failed scrapes has none of the series that are asked for.
        var damaged = Directory.GetDirectories(bucket).Where(d => File.Exists(Path.Combine(d, "meta.json")))
            .MaxBy(d => new FileInfo(Path.Combine(d, "chunks", "000001")).Length)!;
        var chunks = Path.Combine(damaged, "chunks", "000001");
        var bytes = await File.ReadAllBytesAsync(chunks);
        for (var at = 8; at < bytes.Length; at += 7)
        {
            bytes[at] ^= 0x10;
        }

        await File.WriteAllBytesAsync(chunks, bytes);
        string[] objstore = ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}"];
        var (exitCode, verified) = await ObserveProcess.RunAsync("bucket", "verify", objstore[0]);
        Assert.Equal(1, exitCode);
        Assert.Contains(Path.GetFileName(damaged), verified, StringComparison.Ordinal);
        await using var query = await ObserveProcess.StartAsync("query", [.. objstore, "--data-dir=" + Path.Combine(_folder, "query")]);
        var answer = await query.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("count(last_over_time(ledger[1h]))"));
        Assert.Equal("50", (string?)answer["data"]!["result"]![0]!["value"]![1]);
        Assert.Contains(Path.GetFileName(damaged), answer["warnings"]!.ToJsonString(), StringComparison.Ordinal);
    }

    async Task<string> FileAsync(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        await File.WriteAllTextAsync(path, content);
        return path;
    }
}
