using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Collector.Scrape;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public class TargetTests
{
    static ScrapeConfig Config(string yaml = "") =>
        CollectorConfig.Parse($"scrape_configs:\n- job_name: j\n  {yaml.ReplaceLineEndings("\n  ")}", "x", clusterRequired: false).ScrapeConfigs[0];

    static Target? Create(ScrapeConfig config, string address, out string? error, params (string, string)[] group) =>
        Target.Create(config, new TargetGroup("g", [Labels.Of(("__address__", address))], Labels.Of(group)), 0, out error);

    [Theory]
    [InlineData("", "h:1", "http://h:1/metrics")]
    [InlineData("scheme: https\nmetrics_path: /a/b", "h:1", "https://h:1/a/b")]
    [InlineData("metrics_path: probe", "h:1", "http://h:1/probe")]
    [InlineData("", "[::1]:9", "http://[::1]:9/metrics")]
    [InlineData("params: {'match[]': ['{job=\"x y\"}', 'b&c'], a: [z]}", "h:1", "http://h:1/metrics?a=z&match%5B%5D=%7Bjob%3D%22x+y%22%7D&match%5B%5D=b%26c")]
    [InlineData("params: {module: [http]}\nrelabel_configs: [{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'probe:9115'}]", "site", "http://probe:9115/metrics?module=http&target=site")]
    [InlineData("relabel_configs: [{target_label: __scheme__, replacement: https}, {target_label: __metrics_path__, replacement: /x}]", "h:1", "https://h:1/x")]
    public void The_url_is_made_of_labels_and_parameters(string yaml, string address, string url) =>
        Assert.Equal(url, Create(Config(yaml), address, out _)!.Url);

    [Fact]
    public void Labels_are_those_of_target_group_and_job_without_the_reserved()
    {
        var target = Create(Config(), "h:1", out _, ("zone", "a"), ("__meta_x", "y"), ("__tmp", "z"))!;
        Assert.Equal("""{instance="h:1", job="j", zone="a"}""", target.Labels.ToString());
    }

    [Fact]
    public void What_is_discovered_shows_the_defaults_of_the_job() => Assert.Equal(
        """{__address__="h:1", __meta_x="y", __metrics_path__="/metrics", __param_a="1", __scheme__="http", __scrape_interval__="1m", __scrape_timeout__="10s", job="own"}""",
        Target.Discovered(Config("params: {a: ['1', '2']}"), new TargetGroup("g", [Labels.Of(("__address__", "h:1"))], Labels.Of(("__meta_x", "y"), ("job", "own"))), 0).ToString());

    [Theory]
    [InlineData("relabel_configs: [{target_label: __address__, replacement: ''}]", "no address")]
    [InlineData("relabel_configs: [{target_label: __address__, replacement: 'http://x'}]", "\"http://x\" is not a valid hostname")]
    [InlineData("relabel_configs: [{target_label: __scrape_interval__, replacement: 0s}]", "scrape interval cannot be 0")]
    [InlineData("relabel_configs: [{target_label: __scrape_interval__, replacement: x}]", "error parsing scrape interval: not a valid duration string: \"x\"")]
    [InlineData("relabel_configs: [{target_label: __scrape_timeout__, replacement: 2m}]", "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")")]
    [InlineData("relabel_configs: [{action: drop, source_labels: [job], regex: j}]", null)]
    public void A_target_that_cannot_be_scraped_says_why(string yaml, string? expected)
    {
        Assert.Null(Create(Config(yaml), "h:1", out var error));
        Assert.Equal(expected, error);
    }

    [Theory]
    [InlineData("relabel_configs: [{target_label: __scheme__, replacement: ftp}]", "\"ftp://h:1/metrics\" is not an http or https URL")]
    [InlineData("relabel_configs: [{target_label: __address__, replacement: 'a b'}]", "\"http://a%20b/metrics\" is not an http or https URL")]
    [InlineData("relabel_configs: [{target_label: __address__, replacement: 'h:70000'}]", "\"http://h:70000/metrics\" is not an http or https URL")]
    [InlineData("relabel_configs: [{action: labelmap, regex: '__(x)?address__', replacement: '$1'}]", "a label of the target has an empty name")]
    public void A_target_that_is_no_url_is_there_and_says_why(string yaml, string fault) =>
        Assert.Equal(fault, Create(Config(yaml), "h:1", out _)!.Fault);

    [Fact]
    public void Interval_and_timeout_may_be_relabelled()
    {
        var target = Create(Config("relabel_configs: [{target_label: __scrape_interval__, replacement: 5s}, {target_label: __scrape_timeout__, replacement: 500ms}]"), "h:1", out _)!;
        Assert.Equal((5000, 500), (target.ScrapeInterval.TotalMilliseconds, target.ScrapeTimeout.TotalMilliseconds));
    }

    [Fact]
    public void Places_in_the_interval_are_spread_evenly()
    {
        var config = Config();
        var slots = new int[10];
        for (var i = 0; i < 2000; i++)
        {
            slots[Create(config, $"host-{i}:9100", out _)!.Hash % 60_000 / 6_000]++;
        }

        Assert.All(slots, n => Assert.InRange(n, 140, 260));
    }
}
