using Microsoft.Extensions.Logging.Abstractions;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Store.Yaml;
using Observe.Testkit;
using Xunit;

namespace Observe.Collector.Tests.Discovery;

public sealed class FileDiscoveryTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("discovery");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    readonly DiscoveryMetrics _metrics = new(new Prometheus.CollectorRegistry());

    FileDiscovery Discovery(string pattern = "*.json") => new(
        new FileDiscoveryConfig([Path.Combine(_folder, pattern)], TimeSpan.FromMinutes(5)), TimeProvider.System, _metrics, NullLogger.Instance);

    void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

    static string Show(IReadOnlyList<TargetGroup> groups) => string.Join(
        " | ", groups.Select(g => $"{Path.GetFileName(g.Source)} [{string.Join(' ', g.Targets.Select(t => t.Get("__address__")))}] {g.Labels.Without("__meta_filepath")}"));

    [Fact]
    public void Json_and_yaml_hold_the_same_groups()
    {
        Write("a.json", """[{"targets": ["h:1", "h:2"], "labels": {"env": "x"}}, {"targets": ["h:3"]}]""");
        Write("a.yml", "- targets: ['h:1', 'h:2']\n  labels: {env: x}\n- targets: ['h:3']\n");
        Assert.Equal("""a.json:0 [h:1 h:2] {env="x"} | a.json:1 [h:3] {}""", Show(Discovery().Refresh()));
        var yaml = Discovery("*.yml").Refresh();
        Assert.Equal("""a.yml:0 [h:1 h:2] {env="x"} | a.yml:1 [h:3] {}""", Show(yaml));
        Assert.Equal(Path.Combine(_folder, "a.yml"), yaml[0].Labels.Get("__meta_filepath"));
    }

    [Fact]
    public void Only_what_changed_is_found_again()
    {
        var discovery = Discovery();
        Write("a.json", """[{"targets": ["h:1"]}, {"targets": ["h:2"]}]""");
        Write("b.json", """[{"targets": ["h:3"]}]""");
        Assert.Equal(3, discovery.Refresh().Count);
        Assert.Empty(discovery.Refresh());
        Write("a.json", """[{"targets": ["h:9"]}]""");
        File.Delete(Path.Combine(_folder, "b.json"));
        Assert.Equal("a.json:0 [h:9] {} | a.json:1 [] {} | b.json:0 [] {}", Show(discovery.Refresh()));
    }

    [Theory]
    [InlineData("""[{"targets": ["h:1"]""")]
    [InlineData("""{"targets": ["h:1"]}""")]
    [InlineData("""[{"target": ["h:1"]}]""")]
    [InlineData("""[{"targets": "h:1"}]""")]
    [InlineData("""[{"targets": [1]}]""")]
    [InlineData("""[{"targets": [null]}]""")]
    [InlineData("""[{"targets": ["h:1"], "labels": {"": "x"}}]""")]
    [InlineData("""[{"targets": ["h:1"], "labels": {"a": 1}}]""")]
    [InlineData("""[7]""")]
    [InlineData("")]
    public void A_bad_file_keeps_its_last_good_state_and_is_counted(string bad)
    {
        var discovery = Discovery();
        Write("a.json", """[{"targets": ["h:1"]}]""");
        discovery.Refresh();
        Write("a.json", bad);
        Assert.Empty(discovery.Refresh());
        Assert.Equal(1, _metrics.FileReadErrors.Value);
        Write("a.json", """[{"targets": ["h:2"]}]""");
        Assert.Equal("a.json:0 [h:2] {}", Show(discovery.Refresh()));
    }

    [Theory]
    [InlineData("- targets: h")]
    [InlineData("targets: [h]")]
    [InlineData("- {target: [h]}")]
    [InlineData("[")]
    public void A_bad_yaml_file_is_an_error(string text)
    {
        Write("a.yml", text);
        Assert.Throws<ConfigException>(() => TargetFile.Read(Path.Combine(_folder, "a.yml")));
    }

    [Fact]
    public async Task A_change_is_seen_without_waiting_for_the_refresh()
    {
        Write("a.json", """[{"targets": ["h:1"]}]""");
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var found = System.Threading.Channels.Channel.CreateUnbounded<string>();
        var run = Discovery().RunAsync(groups => found.Writer.WriteAsync(Show(groups)), stop.Token);
        Assert.Equal("a.json:0 [h:1] {}", await found.Reader.ReadAsync(stop.Token));
        Write("tmp", """[{"targets": ["h:2"]}]""");
        File.Move(Path.Combine(_folder, "tmp"), Path.Combine(_folder, "a.json"), overwrite: true);
        Assert.Equal("a.json:0 [h:2] {}", await found.Reader.ReadAsync(stop.Token));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }
}
