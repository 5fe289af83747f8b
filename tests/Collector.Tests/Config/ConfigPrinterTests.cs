using Observe.Collector.Config;
using Xunit;

namespace Observe.Collector.Tests.Config;

public class ConfigPrinterTests
{
    const string Text = """
        global:
          scrape_interval: 15s
          external_labels: {cluster: prod, "weird:val": "a: b # c", quoted: "x\"y\n\\", tick: '''', yes: "no"}
          sample_limit: 9
        cluster_label: {on_conflict: overwrite}
        scrape_configs:
        - job_name: a
          honor_labels: true
          params: {'match[]': ['{job="x"}', "b", ""]}
          static_configs: [{targets: ['localhost:1', "[::1]:2"], labels: {x: "1", y: 'true'}}, {targets: []}]
          relabel_configs:
          - {source_labels: [a, __b, "c d", "e,f"], regex: 'x(.*)', target_label: z, replacement: '${1}-$1'}
          - {action: labeldrop, regex: 'foo|ba:r'}
          - {source_labels: [a], separator: "", target_label: q, replacement: ""}
          tls_config: {insecure_skip_verify: true, ca: "-----BEGIN-----\nabc\n"}
        - job_name: b
          http_headers: {X-One: {values: [a, 'b']}}
          file_sd_configs: [{files: ['/x/*.json']}]
          sample_limit: 7
          body_size_limit: 1536KB
        """;

    [Fact]
    public void What_is_printed_reads_back_as_it_was()
    {
        var config = CollectorConfig.Parse(Text, "a");
        var printed = config.ToYaml();
        var again = CollectorConfig.Parse(printed, "b");
        Assert.Equal(printed, again.ToYaml());
        Assert.Equal(config.Global.ExternalLabels, again.Global.ExternalLabels);
        Assert.Equal(config.ScrapeConfigs[0].RelabelConfigs[0].SourceLabels, again.ScrapeConfigs[0].RelabelConfigs[0].SourceLabels);
        Assert.Equal("", again.ScrapeConfigs[0].RelabelConfigs[2].Replacement);
        Assert.Equal(config.ScrapeConfigs[0].Http.Tls, again.ScrapeConfigs[0].Http.Tls);
    }

    [Fact]
    public void Keys_stand_in_Prometheus_order_with_defaults_filled_in() => Assert.EndsWith(
        """
        - job_name: b
          honor_timestamps: true
          track_timestamps_staleness: false
          scrape_interval: 15s
          scrape_timeout: 10s
          scrape_protocols:
          - OpenMetricsText1.0.0
          - OpenMetricsText0.0.1
          - PrometheusText1.0.0
          - PrometheusText0.0.4
          scrape_native_histograms: false
          always_scrape_classic_histograms: false
          convert_classic_histograms_to_nhcb: false
          metrics_path: /metrics
          scheme: http
          enable_compression: true
          body_size_limit: 1MiB512KiB
          sample_limit: 7
          series_limit: 500000
          label_limit: 1000
          label_name_length_limit: 4096
          label_value_length_limit: 131072
          metric_name_validation_scheme: utf8
          metric_name_escaping_scheme: allow-utf-8
          extra_scrape_metrics: false
          follow_redirects: true
          enable_http2: true
          http_headers:
            X-One:
              values:
              - a
              - b
          file_sd_configs:
          - files:
            - /x/*.json
            refresh_interval: 5m

        """,
        CollectorConfig.Parse(Text, "a").ToYaml(),
        StringComparison.Ordinal);

    [Fact]
    public void Two_jobs_are_the_same_when_their_identities_are()
    {
        var config = CollectorConfig.Parse(Text.Replace("ca:", "key: s, cert:", StringComparison.Ordinal), "a");
        var other = CollectorConfig.Parse(Text.Replace("ca:", "key: t, cert:", StringComparison.Ordinal), "a");
        Assert.NotEqual(ConfigPrinter.Identity(config.ScrapeConfigs[0]), ConfigPrinter.Identity(other.ScrapeConfigs[0]));
        Assert.Equal(ConfigPrinter.Identity(config.ScrapeConfigs[1]), ConfigPrinter.Identity(other.ScrapeConfigs[1]));
    }
}
