using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Ui;

/// <summary>The page in a real browser; what is done there stands in src/Query/ui/tests.</summary>
public sealed class PageTests(ITestOutputHelper output) : IDisposable
{
    static readonly string s_ui = Path.Combine(Checkout.Root, "src", "Query", "ui");
    static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    readonly string _folder = Checkout.NewFolder("page");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_demo_is_explored_by_typing_clicking_and_dragging()
    {
        RequireBrowser();
        await using var demo = await ObserveProcess.StartAsync("demo", ["--data-dir=" + _folder, "--demo.block-duration=20s"]);
        await Eventually.TrueAsync(
            async () => (await demo.QueryAsync("count by (cluster) (rate(http_requests_total[30s] offset 20s))")).Count == 3, TimeSpan.FromSeconds(60), "rates of three clusters");
        await BrowseAsync("demo", demo.Url);
    }

    [Fact]
    public async Task Hostile_texts_are_shown_as_text()
    {
        RequireBrowser();
        await using var exporter = FakeExporter.Start(Hostile(HostileTexts.All));
        await using var all = await ScrapeAsync(exporter);
        await Eventually.TrueAsync(
            async () => (await all.GetAsync("api/v1/targets"))["data"]!["activeTargets"]![0]!["health"]!.ToString() != "unknown", TimeSpan.FromSeconds(30), "a scrape");
        Assert.Equal("", (await all.GetAsync("api/v1/targets"))["data"]!["activeTargets"]![0]!["lastError"]!.ToString());
        await Eventually.TrueAsync(
            async () => (await all.QueryAsync("count(hostile)")) is [{ Value: var count }] && int.Parse(count, CultureInfo.InvariantCulture) == HostileTexts.All.Count,
            TimeSpan.FromSeconds(30),
            "every text is a label's value");
        await BrowseAsync("hostile", all.Url, ("PAGE_STRINGS", JsonSerializer.Serialize(HostileTexts.All, s_plain)));
    }

    [Fact]
    public async Task A_missing_cluster_is_named()
    {
        RequireBrowser();
        var now = TimeProvider.System.GetUtcNow();
        foreach (var (cluster, written) in new[] { ("dev", now), ("staging", now), ("prod", now.AddHours(-3)) })
        {
            var status = Path.Combine(_folder, "observe", "fleet", cluster, cluster + "-0.json");
            Directory.CreateDirectory(Path.GetDirectoryName(status)!);
            await File.WriteAllTextAsync(status, $$"""
                {"version":1,"cluster":"{{cluster}}","collector":"{{cluster}}-0","instance":"i","labels":{"cluster":"{{cluster}}"},"programVersion":"0.1.0","configHash":"c0ffee00","startedAt":"{{written.AddDays(-1):O}}","writtenAt":"{{written:O}}","intervalMs":900000,"newestSample":{{written.ToUnixTimeMilliseconds()}},"targetsUp":3,"targetsDown":0,"series":100}
                """);
        }

        using var nobody = new RefusingPort();
        var gone = nobody.Address;
        await using var query = await QueryAsync("--endpoint=" + gone);
        await BrowseAsync("missing", query.Url, ("PAGE_MISSING", gone));
    }

    [Fact]
    public async Task A_fleet_of_fifty_is_told_in_rows()
    {
        RequireBrowser();
        var now = TimeProvider.System.GetUtcNow();
        foreach (var (number, node) in Enumerable.Range(0, 100).Select(i => (Number: i / 2, Node: i % 2)))
        {
            var (cluster, written) = ($"c{number:00}", number == 7 && node == 0 ? now.AddHours(-3) : now);
            var status = Path.Combine(_folder, "observe", "fleet", cluster, $"node-{node}.json");
            Directory.CreateDirectory(Path.GetDirectoryName(status)!);
            await File.WriteAllTextAsync(status, $$"""
                {"version":1,"cluster":"{{cluster}}","collector":"node-{{node}}","instance":"i","programVersion":"{{(number == 11 ? "0.3.0" : "0.4.0")}}",
                "labels":{"cluster":"{{cluster}}","region":"{{(number % 2 == 0 ? "eu" : "us")}}"{{(number == 14 ? $",\"replica\":\"{node}\"" : "")}}},
                "configHash":"{{(number == 12 ? "badc0ffe" : "c0ffee00")}}","startedAt":"{{written.AddDays(-1):O}}","writtenAt":"{{written:O}}","intervalMs":900000,
                "newestSample":{{written.ToUnixTimeMilliseconds()}},"targetsUp":10,"targetsDown":{{(number == 9 && node == 0 ? 3 : 0)}},"series":1000,"samplesPerSecond":50,
                {{(number == 10 ? $"\"lastError\":\"403 AccessDenied\",\"lastErrorSince\":\"{now.AddMinutes(-50):O}\"," : "")}}
                {{(number == 0 ? $"\"acknowledged\":\"{now.AddMinutes(-50):O}\"," : "")}}
                "clusterUid":"kubernetes {{(number == 8 ? node : number)}}"}
                """);
        }

        await using var query = await QueryAsync("--query.replica-label=replica");
        await BrowseAsync("fleet", query.Url);
    }

    [Fact]
    public async Task A_collector_that_is_gone_is_acknowledged()
    {
        RequireBrowser();
        var now = TimeProvider.System.GetUtcNow();
        foreach (var (name, written, more) in new[]
        {
            ("alive-0", now, ""),
            ("silent-0", now.AddHours(-3), ""),
            ("stopped-0", now.AddHours(-5), $"\"stopped\":true,\"unshipped\":[{{\"minTime\":{now.AddHours(-6).ToUnixTimeMilliseconds()},\"maxTime\":{now.AddHours(-5).ToUnixTimeMilliseconds()}}}],"),
        })
        {
            await File.WriteAllTextAsync(Status(name), $$"""
                {"version":1,"cluster":"prod","collector":"{{name}}","instance":"i","labels":{"cluster":"prod"},"programVersion":"0.1.0","configHash":"c0ffee00",
                "startedAt":"{{written.AddDays(-1):O}}","writtenAt":"{{written:O}}","intervalMs":900000,{{more}}
                "newestSample":{{written.ToUnixTimeMilliseconds()}},"targetsUp":3,"targetsDown":0,"series":100}
                """);
        }

        await using var query = await QueryAsync("--web.enable-admin-api");
        await BrowseAsync("gone", query.Url);
        Assert.Contains("\"acknowledged\"", await File.ReadAllTextAsync(Status("silent-0")), StringComparison.Ordinal);
        Assert.DoesNotContain("\"acknowledged\"", await File.ReadAllTextAsync(Status("alive-0")), StringComparison.Ordinal);

        string Status(string name)
        {
            var path = Path.Combine(_folder, "observe", "fleet", "prod", name + ".json");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            return path;
        }
    }

    [Fact]
    public async Task Where_there_is_nothing_the_page_says_so()
    {
        RequireBrowser();
        await using var query = await QueryAsync();
        await BrowseAsync("nothing", query.Url);
    }

    [Fact]
    public async Task Native_histograms_exemplars_and_the_blocks_of_a_bucket_are_drawn()
    {
        RequireBrowser();
        await PageBuckets.WriteHistogramsAsync(_folder, TimeProvider.System.GetUtcNow());
        await using var query = await QueryAsync();
        await BrowseAsync("bucket", query.Url);
    }

    /// <summary>How fast the page is with ten thousand series and a thousand blocks: figures for who asks (<c>make page-figures</c>).</summary>
    [Fact]
    public async Task Large_answers_are_measured()
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable("PAGE_FIGURES") is null, "figures are taken by: make page-figures");
        RequireBrowser();
        await PageBuckets.WriteManyAsync(_folder, TimeProvider.System.GetUtcNow());
        await using var query = await QueryAsync();
        await BrowseAsync("figures", query.Url);
    }

    Task<ObserveProcess> QueryAsync(params string[] more) => ObserveProcess.StartAsync("query", [
        $"--objstore.config={{type: FILESYSTEM, config: {{directory: '{_folder}'}}}}",
        "--data-dir=" + Path.Combine(_folder, "cache"),
        .. more,
    ]);

    async Task<ObserveProcess> ScrapeAsync(FakeExporter exporter)
    {
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $$"""
            global: {scrape_interval: 1s, external_labels: {cluster: hostile, team: '<img src=x onerror=window.hacked=true>'} }
            scrape_configs: [{job_name: '<img src=x onerror=window.hacked=true>', static_configs: [{targets: ['{{exporter.Address}}'] } ] } ]
            """);
        return await ObserveProcess.StartAsync("all", ["--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data")]);
    }

    /// <summary>Each text as a label's value, as a metric's name with a help text, and as a label's name.</summary>
    static FakeAnswer Hostile(IReadOnlyList<string> texts)
    {
        var body = new StringBuilder("# TYPE hostile gauge\n");
        for (var i = 0; i < texts.Count; i++)
        {
            body.Append(CultureInfo.InvariantCulture, $"hostile{{text=\"{Escape(texts[i])}\"}} {i}\n");
        }

        for (var i = 0; i < texts.Count; i++)
        {
            var text = Escape(texts[i]);
            body.Append(CultureInfo.InvariantCulture, $"# HELP hostile_{i} {text}\n# TYPE hostile_{i} gauge\nhostile_{i} {i}\n");
            if (text.Contains('\0', StringComparison.Ordinal))
            {
                continue; // As in Prometheus, no name has it.
            }

            body.Append(CultureInfo.InvariantCulture, $"# HELP \"{text}\" {text}\n# TYPE \"{text}\" gauge\n{{\"{text}\",kind=\"name\"}} {i}\n");
            body.Append(CultureInfo.InvariantCulture, $"hostile_label{{\"{text}\"=\"{i}\"}} {i}\n");
        }

        return new FakeAnswer { Body = Encoding.UTF8.GetBytes(body.ToString()), ContentType = "text/plain; version=1.0.0; escaping=allow-utf-8; charset=utf-8" };
    }

    static string Escape(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);

    static void RequireBrowser()
    {
        Required.Program("chromium", "apt-get install chromium");
        Required.Program("node", "apt-get install nodejs npm");
        Required.Present(Directory.Exists(Path.Combine(s_ui, "node_modules", "playwright-core")), "playwright-core", "npm ci in src/Query/ui");
        Required.Present(File.Exists(Path.Combine(s_ui, "dist", "index.html")), "the built page", "make ui");
    }

    async Task BrowseAsync(string script, Uri url, params (string Name, string Value)[] environment)
    {
        await using var node = ChildProcess.Start(
            "node",
            ["--test", "--test-reporter=spec", Path.Combine(s_ui, "tests", script + ".test.mjs")],
            [("PAGE_URL", url.AbsoluteUri), .. environment]);
        var exitCode = await node.WaitAsync(TimeSpan.FromMinutes(5));
        output.WriteLine(node.Output);
        Assert.True(exitCode == 0, node.Output);
    }
}
