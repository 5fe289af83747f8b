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

    static IReadOnlyList<TargetGroup> Read(FileDiscovery discovery)
    {
        Assert.True(discovery.Refresh());
        return discovery.Groups;
    }

    [Fact]
    public void Json_and_yaml_hold_the_same_groups()
    {
        Write("a.json", """[{"targets": ["h:1", "h:2"], "labels": {"env": "x"}}, {"targets": ["h:3"]}]""");
        Write("a.yml", "- targets: ['h:1', 'h:2']\n  labels: {env: x}\n- targets: ['h:3']\n");
        Assert.Equal("""a.json:0 [h:1 h:2] {env="x"} | a.json:1 [h:3] {}""", Show(Read(Discovery())));
        var yaml = Read(Discovery("*.yml"));
        Assert.Equal("""a.yml:0 [h:1 h:2] {env="x"} | a.yml:1 [h:3] {}""", Show(yaml));
        Assert.Equal(Path.Combine(_folder, "a.yml"), yaml[0].Labels.Get("__meta_filepath"));
    }

    [Fact]
    public void A_change_makes_a_new_snapshot_and_leaves_the_old_one_as_it_was()
    {
        var discovery = Discovery();
        Write("a.json", """[{"targets": ["h:1"]}, {"targets": ["h:2"]}]""");
        Write("b.json", """[{"targets": ["h:3"]}]""");
        var first = Read(discovery);
        Assert.False(discovery.Refresh());
        Assert.Same(first, discovery.Groups);
        Write("a.json", """[{"targets": ["h:9"]}]""");
        File.Delete(Path.Combine(_folder, "b.json"));
        Assert.Equal("a.json:0 [h:9] {}", Show(Read(discovery)));
        Assert.Equal("a.json:0 [h:1] {} | a.json:1 [h:2] {} | b.json:0 [h:3] {}", Show(first));
        File.Delete(Path.Combine(_folder, "a.json"));
        Assert.Empty(Read(discovery));
    }

    [Theory]
    [InlineData("""[{"targets": ["h:1"]""")]
    [InlineData("""{"targets": ["h:1"]}""")]
    [InlineData("""[{"target": ["h:1"]}]""")]
    [InlineData("""[{"targets": "h:1"}]""")]
    [InlineData("""[{"targets": [1]}]""")]
    [InlineData("""[null]""")]
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
        Assert.False(discovery.Refresh());
        Assert.Equal(1, _metrics.FileReadErrors.Value);
        Write("a.json", """[{"targets": ["h:2"]}]""");
        Assert.Equal("a.json:0 [h:2] {}", Show(Read(discovery)));
    }

    [Theory]
    [InlineData("""[{"targets": ["h:1"], "labels": null}]""", "a.json:0 [h:1] {}")]
    [InlineData("""[{"Targets": ["h:1"], "LABELS": {"a": "b"}}]""", """a.json:0 [h:1] {a="b"}""")]
    [InlineData("""[{"targets": ["h:1"], "targets": ["h:2"], "labels": {"a": "b"}, "labels": {"c": null, "d": "e"}}]""", """a.json:0 [h:2] {d="e"}""")]
    [InlineData("""[{"targets": null}, {}, {"labels": {"a": "b"}}]""", """a.json:0 [] {} | a.json:1 [] {} | a.json:2 [] {a="b"}""")]
    [InlineData("""[{"targets": ["h:1", null]}]""", "a.json:0 [h:1 ] {}")]
    public void Json_is_read_as_Go_reads_it(string json, string groups)
    {
        Write("a.json", json);
        Assert.Equal(groups, Show(Read(Discovery())));
    }

    [Theory]
    [InlineData("a.json", "null")]
    [InlineData("a.json", "[]")]
    [InlineData("a.yml", "")]
    [InlineData("a.yml", "null\n")]
    [InlineData("a.yml", "# nothing\n")]
    public void A_file_that_holds_nothing_any_more_drops_its_targets(string name, string empty)
    {
        var discovery = Discovery("a.*");
        Write(name, name == "a.yml" ? "- targets: ['h:1']\n" : """[{"targets": ["h:1"]}]""");
        Assert.Single(Read(discovery));
        Write(name, empty);
        Assert.Empty(Read(discovery));
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
        var run = Discovery().RunAsync(groups => found.Writer.TryWrite(Show(groups)), stop.Token);
        Assert.Equal("a.json:0 [h:1] {}", await found.Reader.ReadAsync(stop.Token));
        Write("tmp", """[{"targets": ["h:2"]}]""");
        File.Move(Path.Combine(_folder, "tmp"), Path.Combine(_folder, "a.json"), overwrite: true);
        Assert.Equal("a.json:0 [h:2] {}", await found.Reader.ReadAsync(stop.Token));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }
}
