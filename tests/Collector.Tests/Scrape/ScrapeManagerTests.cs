using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public sealed class ScrapeManagerTests : IAsyncLifetime
{
    readonly FakeExporter _exporter = FakeExporter.Start("m 1\n");
    ManagerBench _bench = null!;

    public async ValueTask InitializeAsync() => _bench = await ManagerBench.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _bench.DisposeAsync();
        await _exporter.DisposeAsync();
    }

    string Job(string name, string more = "", params string[] targets) =>
        $"- job_name: {name}\n  static_configs: [{{targets: [{string.Join(", ", (targets.Length == 0 ? [_exporter.Address] : targets).Select(t => $"'{t}'"))}]}}]\n"
        + (more.Length > 0 ? $"  {more.ReplaceLineEndings("\n  ")}\n" : "");

    static ScrapeLoop LoopOf(ScrapeManager manager, string address) => manager.Loops().Single(loop => loop.Target.Address == address);

    [Fact]
    public async Task Each_target_of_each_job_is_scraped_in_its_interval()
    {
        await _bench.ApplyAsync(Job("a") + Job("b", "metrics_path: /other"));
        await _bench.UntilScrapedAsync(4);
        Assert.Equal(["a", "b"], _bench.Manager.Pools());
        var a = (await _bench.SelectAsync(("__name__", "up"), ("job", "a"))).Single().Samples;
        Assert.All(a.Zip(a.Skip(1)), pair => Assert.InRange(pair.Second.Timestamp - pair.First.Timestamp, 1, 20_000));
        Assert.Contains("{job=\"a\"} 1 1", await _bench.ValuesAsync("m", "job"), StringComparison.Ordinal);
        Assert.Contains("{job=\"b\"} 0 0", await _bench.ValuesAsync("up", "job"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_snapshot_is_what_the_targets_api_shows()
    {
        await _bench.ApplyAsync(Job("a", """
            scrape_timeout: 400ms
            relabel_configs:
            - {source_labels: [__address__], regex: 'gone.*', action: drop}
            - {target_label: zone, replacement: z}
            """, _exporter.Address, "gone:1", "gone:2", "127.0.0.1:1"));
        await _bench.UntilScrapedAsync();
        var targets = _bench.Manager.Targets();
        var up = targets.Active.Single(t => t.Health == TargetHealth.Up);
        Assert.Equal($$"""{__address__="{{_exporter.Address}}", __metrics_path__="/metrics", __scheme__="http", __scrape_interval__="500ms", __scrape_timeout__="400ms", job="a"}""", up.DiscoveredLabels.ToString());
        Assert.Equal($$"""{instance="{{_exporter.Address}}", job="a", zone="z"}""", up.Labels.ToString());
        Assert.Equal(("a", $"http://{_exporter.Address}/metrics", $"http://me:{_exporter.Address.Split(':')[1]}/metrics", ""), (up.ScrapePool, up.ScrapeUrl, up.GlobalUrl, up.LastError));
        Assert.Equal((500, 400), (up.ScrapeInterval.TotalMilliseconds, up.ScrapeTimeout.TotalMilliseconds));
        Assert.NotNull(up.LastScrape);
        var down = targets.Active.Single(t => t.Health == TargetHealth.Down);
        Assert.Contains("Connection refused", down.LastError, StringComparison.Ordinal);
        Assert.Equal(2, targets.DroppedCounts["a"]);
        Assert.Equal(["gone:1", "gone:2"], targets.Dropped.Select(d => d.DiscoveredLabels.Get("__address__")).Order());
    }

    [Fact]
    public async Task A_target_with_an_odd_address_is_there_and_hides_no_other()
    {
        string[] odd = ["127.1:1", "0x7f000001:1", "127.0.0.1:01", "[0:0:0:0:0:0:0:1]:1", "a b:1", "h:99999", "::1:1", "localhost", "é:1", "[::1]:1", "x@y:1", "h:", "[::1"];
        await _bench.ApplyAsync(Job("a", "scrape_timeout: 400ms", [.. odd, _exporter.Address]));
        await _bench.UntilScrapedAsync();
        var targets = _bench.Manager.Targets().Active;
        Assert.Equal([.. odd.Append(_exporter.Address).Order()], targets.Select(t => t.Labels.Get("instance")).Order());
        Assert.Contains("http://me:01/metrics", targets.Select(t => t.GlobalUrl));
        Assert.Equal("\"http://a%20b:1/metrics\" is not an http or https URL", targets.Single(t => t.Labels.Get("instance") == "a b:1").LastError);
        Assert.Equal(odd.Length + 1, (await _bench.SelectAsync(("__name__", "up"))).Count);
        Assert.Single(targets, t => t.Health == TargetHealth.Up);
    }

    [Fact]
    public async Task An_unchanged_job_goes_on_undisturbed()
    {
        await _bench.ApplyAsync(Job("a") + Job("b"));
        await _bench.UntilScrapedAsync();
        var loops = _bench.Manager.Loops().ToHashSet();
        await _bench.ApplyAsync(Job("b") + Job("a") + Job("c"));
        await ManagerBench.UntilAsync(() => Task.FromResult(_bench.Manager.Loops().Count() == 3), "the new job");
        Assert.Superset(loops, _bench.Manager.Loops().ToHashSet());
    }

    [Fact]
    public async Task A_new_target_of_a_job_does_not_disturb_the_others()
    {
        await using var second = FakeExporter.Start("m 2\n");
        await _bench.ApplyAsync(Job("a"));
        await _bench.UntilScrapedAsync();
        var loop = LoopOf(_bench.Manager, _exporter.Address);
        await _bench.ApplyAsync(Job("a", "", _exporter.Address, second.Address));
        await ManagerBench.UntilAsync(() => Task.FromResult(_bench.Manager.Loops().Count() == 2), "the new target");
        Assert.Same(loop, LoopOf(_bench.Manager, _exporter.Address));
    }

    [Fact]
    public async Task A_changed_job_restarts_its_loops_and_no_series_goes_stale()
    {
        await _bench.ApplyAsync(Job("a"));
        await _bench.UntilScrapedAsync(2);
        var loop = LoopOf(_bench.Manager, _exporter.Address);
        await _bench.ApplyAsync(Job("a", "sample_limit: 100\nbasic_auth: {username: u, password: p}"));
        var restarted = LoopOf(_bench.Manager, _exporter.Address);
        Assert.NotSame(loop, restarted);
        Assert.Same(loop.Series.Cache, restarted.Series.Cache);
        var before = _exporter.Requests.Count;
        await ManagerBench.UntilAsync(() => Task.FromResult(_exporter.Requests.Count > before + 4), "more scrapes");
        Assert.True(_exporter.Requests[^1].Headers.ContainsKey("authorization"));
        Assert.DoesNotContain("stale", await _bench.ValuesAsync("m"), StringComparison.Ordinal);
        Assert.DoesNotContain("stale", await _bench.ValuesAsync("up"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("- job_name: a\n  static_configs: []\n")]
    public async Task A_target_or_a_job_that_went_goes_stale(string config)
    {
        await _bench.ApplyAsync(Job("a"));
        await _bench.UntilScrapedAsync();
        await _bench.ApplyAsync(Job("other") + config);
        await ManagerBench.UntilAsync(async () => (await _bench.ValuesAsync("m", "job")).Contains("1 stale\n", StringComparison.Ordinal), "the marker");
        var up = (await _bench.SelectAsync(("__name__", "up"), ("job", "a"))).Single().Samples;
        Assert.True(StaleMarker.IsStale(up[^1].Value));
        Assert.False(StaleMarker.IsStale(up[^2].Value));
        Assert.DoesNotContain("stale", string.Concat((await _bench.SelectAsync(("job", "other"))).SelectMany(s => s.Samples).Select(s => StaleMarker.IsStale(s.Value) ? "stale" : "")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stopped_exporter_goes_stale_at_once_and_up_becomes_0()
    {
        await using var exporter = FakeExporter.Start("m 7\n");
        await _bench.ApplyAsync(Job("a", "", exporter.Address));
        await _bench.UntilScrapedAsync();
        await exporter.DisposeAsync();
        await ManagerBench.UntilAsync(async () => (await _bench.ValuesAsync("up")).Contains("1 0", StringComparison.Ordinal), "up 0");
        Assert.EndsWith("7 stale\n", await _bench.ValuesAsync("m"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_shutdown_writes_no_markers()
    {
        await _bench.ApplyAsync(Job("a"));
        await _bench.UntilScrapedAsync();
        await _bench.Manager.DisposeAsync();
        Assert.DoesNotContain("stale", await _bench.ValuesAsync("m"), StringComparison.Ordinal);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _bench.ApplyAsync(Job("a")));
    }

    [Fact]
    public async Task Over_the_target_limit_all_targets_of_the_job_fail()
    {
        await _bench.ApplyAsync(Job("a", "target_limit: 1", _exporter.Address, "127.0.0.1:1"));
        await _bench.UntilScrapedAsync();
        Assert.All(_bench.Manager.Targets().Active, t => Assert.Equal("target_limit exceeded (number of targets: 2, limit: 1)", t.LastError));
        Assert.Empty(_exporter.Requests);
        await _bench.ApplyAsync(Job("a", "target_limit: 2", _exporter.Address, "127.0.0.1:1"));
        await ManagerBench.UntilAsync(() => Task.FromResult(_exporter.Requests.Count > 0), "a scrape within the limit");
    }

    [Fact]
    public async Task Targets_from_files_come_and_go()
    {
        await using var second = FakeExporter.Start("m 2\n");
        var file = Path.Combine(_bench.Folder, "t.json");
        void Write(params string[] targets) => File.WriteAllText(file, $$"""[{"targets": [{{string.Join(", ", targets.Select(t => $"\"{t}\""))}}], "labels": {"env": "e"} }]""");
        Write(_exporter.Address);
        await _bench.ApplyAsync($"- job_name: f\n  file_sd_configs: [{{files: ['{file}']}}]\n");
        await _bench.UntilScrapedAsync();
        Write(second.Address);
        await ManagerBench.UntilAsync(async () => (await _bench.ValuesAsync("m", "env")).Contains(" 2", StringComparison.Ordinal), "the second target");
        Assert.Equal([second.Address], _bench.Manager.Targets().Active.Select(t => t.Labels.Get("instance")));
        File.WriteAllText(file, "nonsense");
        await ManagerBench.UntilAsync(() => Task.FromResult(_bench.Metrics.Discovery.FileReadErrors.Value > 0), "the error");
        Assert.Single(_bench.Manager.Targets().Active);
    }

    [Fact]
    public async Task Jobs_share_a_discovery_and_a_reload_of_one_leaves_the_other_undisturbed()
    {
        var file = Path.Combine(_bench.Folder, "shared.json");
        File.WriteAllText(file, $$"""[{"targets": ["{{_exporter.Address}}"]}]""");
        string Jobs(string rest) => $"- job_name: f\n  file_sd_configs: [{{files: ['{file}']}}]\n- job_name: g\n  {rest}file_sd_configs: [{{files: ['{file}']}}]\n";
        await _bench.ApplyAsync(Jobs(""));
        await _bench.UntilScrapedAsync();
        await ManagerBench.UntilAsync(() => Task.FromResult(_bench.Manager.Loops().Count() == 2), "both targets");
        Assert.Equal(2, _bench.Manager.Discoveries);
        var (kept, changed) = (_bench.Manager.Loops().Single(l => l.Target.Labels.Get("job") == "f"), _bench.Manager.Loops().Single(l => l.Target.Labels.Get("job") == "g"));
        await _bench.ApplyAsync(Jobs("honor_labels: true\n  "));
        Assert.Equal(2, _bench.Manager.Loops().Count());
        Assert.Contains(kept, _bench.Manager.Loops());
        Assert.DoesNotContain(changed, _bench.Manager.Loops());
        await _bench.ApplyAsync("");
        Assert.Equal(0, _bench.Manager.Discoveries);
    }

    [Fact]
    public async Task The_same_target_twice_is_scraped_once()
    {
        await _bench.ApplyAsync(Job("a", "", _exporter.Address, _exporter.Address));
        await _bench.UntilScrapedAsync();
        Assert.Single(_bench.Manager.Targets().Active);
    }

    [Fact]
    public async Task Dead_targets_delay_no_others()
    {
        await using var silent = FakeExporter.Start(new FakeAnswer { Fault = FakeFault.Silence });
        var dead = Enumerable.Range(0, 100).Select(i => $"{silent.Address}").Select((a, i) => $"- job_name: dead{i}\n  scrape_interval: 30s\n  scrape_timeout: 30s\n  relabel_configs: [{{target_label: __scrape_interval__, replacement: 30s}}]\n  static_configs: [{{targets: ['{a}']}}]\n");
        // The timeout is what a busy machine may take for an answer.
        await _bench.ApplyAsync(Job("live", "scrape_interval: 2s\nscrape_timeout: 2s") + string.Concat(dead));
        await ManagerBench.UntilAsync(async () => (await _bench.SelectAsync(("__name__", "up"), ("job", "live"))).SingleOrDefault().Samples?.Count >= 5, "five scrapes");
        var live = (await _bench.SelectAsync(("__name__", "up"), ("job", "live"))).Single().Samples;
        Assert.All(live, s => Assert.Equal(1, s.Value));
    }

    [Fact]
    public async Task Metadata_of_all_targets_is_there()
    {
        _exporter["/metrics"] = "# HELP m what m is\n# TYPE m counter\nm 1\n";
        await _bench.ApplyAsync(Job("a"));
        await _bench.UntilScrapedAsync();
        var metadata = _bench.Manager.Metadata().Single();
        Assert.Equal(("m", "what m is", "a"), (metadata.Metric, metadata.Help, metadata.Target.Get("job")));
    }
}
