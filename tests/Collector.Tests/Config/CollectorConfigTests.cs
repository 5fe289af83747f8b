using System.Globalization;
using Observe.Collector.Config;
using Observe.Store.Yaml;
using Observe.Testkit;
using Xunit;

namespace Observe.Collector.Tests.Config;

public class CollectorConfigTests
{
    const string Global = "global: {external_labels: {cluster: dev}}\n";

    static CollectorConfig Parse(string text, params (string, string)[] environment) =>
        CollectorConfig.Read(text, "observe.yml", null, true, name => environment.FirstOrDefault(e => e.Item1 == name).Item2);

    static string[] Errors(string text)
    {
        try
        {
            Parse(text);
            return [];
        }
        catch (ConfigException e)
        {
            return [.. e.Errors.Select(x => x.ToString())];
        }
    }

    static ScrapeConfig Job(string text, string global = "") =>
        Parse($"global: {{external_labels: {{cluster: dev}}{global}}}\nscrape_configs:\n- job_name: j\n  {text.ReplaceLineEndings("\n  ")}\n").ScrapeConfigs[0];

    [Fact]
    public void Defaults_are_Prometheus_defaults_and_a_body_limit()
    {
        var job = Job("static_configs: [{targets: ['h:1']}]");
        Assert.Equal(
            (TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(10), "/metrics", "http", false, true, false, true, 32L << 20),
            (job.ScrapeInterval, job.ScrapeTimeout, job.MetricsPath, job.Scheme, job.HonorLabels, job.HonorTimestamps, job.TrackTimestampsStaleness,
                job.EnableCompression, job.BodySizeLimit));
        Assert.Equal(["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"], job.ScrapeProtocols);
    }

    [Theory]
    [InlineData("", "", 60_000, 10_000)]
    [InlineData(", scrape_interval: 5s", "", 5_000, 5_000)]
    [InlineData(", scrape_interval: 30s, scrape_timeout: 20s", "", 30_000, 20_000)]
    [InlineData(", scrape_timeout: 20s", "scrape_interval: 15s", 15_000, 15_000)]
    [InlineData(", scrape_timeout: 20s", "scrape_interval: 15s\nscrape_timeout: 3s", 15_000, 3_000)]
    [InlineData("", "scrape_interval: 0s", 60_000, 10_000)]
    public void A_timeout_is_never_above_its_interval(string global, string job, int interval, int timeout)
    {
        var config = Job(job, global);
        Assert.Equal((interval, timeout), ((int)config.ScrapeInterval.TotalMilliseconds, (int)config.ScrapeTimeout.TotalMilliseconds));
    }

    [Theory]
    [InlineData("", "", 32L << 20)]
    [InlineData(", body_size_limit: 1MB", "", 1L << 20)]
    [InlineData(", body_size_limit: 1MB", "body_size_limit: 2KiB", 2048)]
    [InlineData("", "body_size_limit: 0", 0)]
    [InlineData("", "body_size_limit: 1.5GB", 3L << 29)]
    public void Body_limits_count_in_powers_of_1024(string global, string job, long expected) => Assert.Equal(expected, Job(job, global).BodySizeLimit);

    [Fact]
    public void A_federation_job_reads_as_users_write_it()
    {
        var job = Job("""
            scrape_interval: 15s
            honor_labels: true
            metrics_path: /federate
            params: {'match[]': ['{job="prometheus"}', '{__name__=~"job:.*"}']}
            static_configs: [{targets: ['prometheus.monitoring:9090'], labels: {zone: a}}]
            """);
        Assert.Equal((true, "/federate"), (job.HonorLabels, job.MetricsPath));
        Assert.Equal("match[]", job.Params[0].Key);
        Assert.Equal(["{job=\"prometheus\"}", "{__name__=~\"job:.*\"}"], job.Params[0].Value);
        Assert.Equal(["prometheus.monitoring:9090"], job.StaticConfigs[0].Targets);
        Assert.Equal("a", job.StaticConfigs[0].Labels.Get("zone"));
    }

    [Theory]
    [InlineData("$POD", "pod-1")]
    [InlineData("${POD}x", "pod-1x")]
    [InlineData("a$$b", "a$b")]
    [InlineData("a$", "a$")]
    [InlineData("a$.b", "a$.b")]
    [InlineData("${NONE}z", "z")]
    public void External_labels_expand_environment_variables(string value, string expected) =>
        Assert.Equal(expected, Parse($"global: {{external_labels: {{cluster: dev, pod: '{value}'}}}}", ("POD", "pod-1")).Global.ExternalLabels.Get("pod"));

    [Fact]
    public void Only_external_labels_expand_environment_variables() =>
        Assert.Equal("$POD", Job("relabel_configs: [{target_label: a, replacement: $POD}]").RelabelConfigs[0].Replacement);

    [Theory]
    [InlineData("global: {}", "observe.yml:1:9: global.external_labels must name the cluster: cluster: NAME")]
    [InlineData("", "observe.yml: global.external_labels must name the cluster: cluster: NAME")]
    [InlineData("global: {external_labels: {cluster: a/b}}", "observe.yml:1:10: \"a/b\" is not a valid cluster name: up to 100 letters, digits, underscores, dots and dashes, the first no dot and no dash")]
    [InlineData("global: {external_labels: {cluster: ..}}", "observe.yml:1:10: \"..\" is not a valid cluster name: up to 100 letters, digits, underscores, dots and dashes, the first no dot and no dash")]
    [InlineData(Global + "scrape_config: []", "observe.yml:2:1: unknown key \"scrape_config\" in the configuration; is scrape_configs meant?")]
    [InlineData("global: {external_labels: {cluster: a}, scrape_intervall: 5s}", "observe.yml:1:41: unknown key \"scrape_intervall\" in global; is scrape_interval meant?")]
    [InlineData("global: {external_labels: {cluster: a}, scrape_interval: 5x}", "observe.yml:1:58: scrape_interval: unknown unit")]
    [InlineData("global: {external_labels: {cluster: a}, scrape_interval: 5s, scrape_timeout: 6s}", "observe.yml:1:62: global scrape timeout greater than scrape interval")]
    [InlineData("global: {external_labels: {cluster: a, 'x': 1, x: 2}}", "observe.yml:1:48: key x is given twice")]
    [InlineData(Global + "scrape_configs: [{}]", "observe.yml:2:18: job_name is empty")]
    [InlineData(Global + "scrape_configs: [null]", "observe.yml:2:18: empty or null scrape config section")]
    [InlineData(Global + "scrape_configs: {}", "observe.yml:2:17: scrape_configs must be a list")]
    [InlineData(Global + "scrape_configs: [{job_name: a}, {job_name: a}]", "observe.yml:2:33: found multiple scrape configs with job name \"a\"")]
    [InlineData(Global + "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]", "observe.yml:2:32: kubernetes_sd_configs is not supported yet: targets come from static_configs and file_sd_configs")]
    [InlineData(Global + "rule_files: [a.yml]", "observe.yml:2:1: rule_files is not supported yet: the collector evaluates no rules")]
    [InlineData(Global + "remote_write: [{url: x}]", "observe.yml:2:1: remote_write is not supported yet: samples leave through the bucket only")]
    [InlineData(Global + "cluster_label: {on_conflict: drop}", "observe.yml:2:30: on_conflict must be one of exported, overwrite, not \"drop\"")]
    [InlineData("global: [", "observe.yml:2:1: not valid YAML: ")]
    public void Each_fault_of_a_file_has_its_place(string text, string expected)
    {
        var errors = Errors(text);
        Assert.Single(errors);
        Assert.StartsWith(expected, errors[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("scrape_timeout: 70s", "3:3", "scrape timeout greater than scrape interval for scrape config with job name \"j\"")]
    [InlineData("honor_labels: maybe", "3:17", "honor_labels must be true or false, not \"maybe\"")]
    [InlineData("sample_limit: -1", "3:17", "sample_limit must be a number that is not negative, not \"-1\"")]
    [InlineData("body_size_limit: 100", "3:20", "body_size_limit must be a size with its unit, such as 64MB, not \"100\"")]
    [InlineData("scheme: ftp", "3:11", "scheme must be one of http, https, not \"ftp\"")]
    [InlineData("scrape_protocols: [Foo]", "3:22", "scrape_protocols: unknown scrape protocol Foo, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]")]
    [InlineData("scrape_protocols: []", "3:3", "scrape_protocols cannot be empty")]
    [InlineData("scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]", "3:43", "duplicated protocol in scrape_protocols: PrometheusText0.0.4")]
    [InlineData("params: {a: b}", "3:15", "params: a must be a list")]
    [InlineData("bearer_token: a\n  bearer_token_file: b", "4:3", "at most one of bearer_token & bearer_token_file must be configured")]
    [InlineData("bearer_token: a\n  basic_auth: {username: u}", "4:3", "at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be configured")]
    [InlineData("authorization: {type: Basic}", "3:25", "authorization type cannot be set to \"basic\", use \"basic_auth\" instead")]
    [InlineData("basic_auth: {user: u}", "3:16", "unknown key \"user\" in basic_auth")]
    [InlineData("tls_config: {cert_file: c}", "3:15", "exactly one of key or key_file must be configured when a client certificate is configured")]
    [InlineData("tls_config: {min_version: TLS13, max_version: TLS12}", "3:16", "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified")]
    [InlineData("oauth2: {client_id: x}", "3:3", "oauth2 is not supported yet: targets are reached with basic_auth, authorization or a client certificate")]
    [InlineData("no_proxy: x", "3:3", "if no_proxy is configured, proxy_url must also be configured")]
    [InlineData("http_headers: {authorization: {values: [x]}}", "3:18", "setting header \"authorization\" is not allowed")]
    [InlineData("static_configs: [{targets: ['http://h:1']}]", "3:20", "\"http://h:1\" is not a valid hostname")]
    [InlineData("static_configs: [{targets: h}]", "3:30", "targets must be a list")]
    [InlineData("static_configs: [{target: [h]}]", "3:21", "unknown key \"target\" in static_configs; is targets meant?")]
    [InlineData("file_sd_configs: [{files: [a.txt]}]", "3:30", "path name \"a.txt\" is not valid for file discovery")]
    [InlineData("file_sd_configs: [{}]", "3:21", "file service discovery config must contain at least one path name")]
    [InlineData("relabel_configs: [{action: nonsense}]", "3:30", "unknown relabel action \"nonsense\"")]
    [InlineData("relabel_configs: [null]", "3:21", "empty or null rule in relabel_configs")]
    [InlineData("relabel_configs: [{action: hashmod, target_label: x}]", "3:21", "relabel configuration for hashmod requires non-zero modulus")]
    [InlineData("metric_relabel_configs: [{regex: '(', action: drop}]", "3:36", "error parsing regexp: ")]
    [InlineData("metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8", "4:3", "utf8 metric names requested but validation scheme is not set to UTF8")]
    public void Each_fault_of_a_job_has_its_place(string job, string at, string expected)
    {
        var errors = Errors($"{Global}scrape_configs:\n- job_name: j\n  {job}\n");
        Assert.Single(errors);
        var (line, column) = (int.Parse(at.Split(':')[0], CultureInfo.InvariantCulture) + 1, at.Split(':')[1]);
        Assert.StartsWith($"observe.yml:{line}:{column}: {expected}", errors[0], StringComparison.Ordinal);
    }

    [Fact]
    public void All_faults_are_told_together_in_the_order_of_the_file()
    {
        var errors = Errors("""
            global:
              scrape_interval: 5
              external_labels: {cluster: dev}
            scrape_configs:
            - job_name: a
              scrap_interval: 5s
              honor_labels: 7
            - job_name: a
              relabel_configs:
              - action: replace
            rules: []
            """);
        Assert.Equal(
            [
                "observe.yml:2:20: scrape_interval: not a valid duration string: \"5\"",
                "observe.yml:6:3: unknown key \"scrap_interval\" in scrape_config; is scrape_interval meant?",
                "observe.yml:7:17: honor_labels must be true or false, not \"7\"",
                "observe.yml:8:3: found multiple scrape configs with job name \"a\": the first is observe.yml:5:3",
                "observe.yml:10:5: relabel configuration for replace action requires 'target_label' value",
                "observe.yml:11:1: unknown key \"rules\" in the configuration",
            ],
            errors);
    }

    [Fact]
    public void What_does_no_harm_is_a_warning()
    {
        var config = Parse(Global + "runtime: {gogc: 75}\nalerting: {alertmanagers: []}\nrule_files:\n  # - first.yml\n");
        Assert.Equal(["observe.yml:2:1: runtime is ignored: it sets Go's garbage collector", "observe.yml:3:1: alerting is ignored: without rules there are no alerts"], config.Warnings.Select(w => w.ToString()));
    }

    [Fact]
    public void A_file_names_paths_from_its_own_folder_and_includes_others()
    {
        var folder = Checkout.NewFolder("config");
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "jobs"));
            File.WriteAllText(Path.Combine(folder, "observe.yml"), Global + "scrape_config_files: ['jobs/*.yml']\nscrape_configs: [{job_name: a, file_sd_configs: [{files: [t/*.json]}]}]");
            File.WriteAllText(Path.Combine(folder, "jobs", "b.yml"), "scrape_configs: [{job_name: b, bearer_token_file: token}]");
            var config = CollectorConfig.Load(Path.Combine(folder, "observe.yml"));
            Assert.Equal(["a", "b"], config.ScrapeConfigs.Select(j => j.JobName));
            Assert.Equal([Path.Combine(folder, "t/*.json")], config.ScrapeConfigs[0].FileDiscoveryConfigs[0].Files);
            var token = Path.Combine(folder, "jobs", "token");
            Assert.Equal(token, config.ScrapeConfigs[1].Http.Authorization!.CredentialsFile);
            Assert.Equal([$"bearer_token_file: there is no file {token}"], config.Warnings.Select(w => w.Message));

            File.WriteAllText(Path.Combine(folder, "jobs", "c.yml"), "scrape_configs:\n- job_name: a\n  x: 1");
            var fault = Assert.Throws<ConfigException>(() => CollectorConfig.Load(Path.Combine(folder, "observe.yml")));
            Assert.Equal(
                [$"{Path.Combine(folder, "jobs", "c.yml")}:2:3: found multiple scrape configs with job name \"a\": the first is {Path.Combine(folder, "observe.yml")}:3:18", $"{Path.Combine(folder, "jobs", "c.yml")}:3:3: unknown key \"x\" in scrape_config"],
                fault.Errors.Select(e => e.ToString()));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_missing_file_is_a_fault_like_any_other() =>
        Assert.Contains("none.yml", Assert.Throws<ConfigException>(() => CollectorConfig.Load("/nowhere/none.yml")).Message, StringComparison.Ordinal);

    [Fact]
    public void The_cluster_may_be_left_out_where_it_is_not_required() =>
        Assert.Equal("", CollectorConfig.Parse("scrape_configs: [{job_name: a}]", "x", clusterRequired: false).Cluster);

    [Fact]
    public void Secrets_never_print()
    {
        var config = Parse(Global + "scrape_configs: [{job_name: a, basic_auth: {username: u, password: hunter2}}, {job_name: b, bearer_token: hunter3, proxy_url: 'http://p:hunter4@x:1', http_headers: {X-A: {secrets: [hunter5]}}}]");
        Assert.DoesNotContain("hunter", config.ToYaml(), StringComparison.Ordinal);
        Assert.DoesNotContain("hunter", config.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("hunter", config.ScrapeConfigs[0].ToString(), StringComparison.Ordinal);
        Assert.Contains("password: <secret>", config.ToYaml(), StringComparison.Ordinal);
        Assert.Equal("hunter2", config.ScrapeConfigs[0].Http.BasicAuth!.Password!.Reveal());
    }

    [Fact]
    public void The_hash_tells_configurations_apart_but_not_clusters_or_secrets()
    {
        string Hash(string cluster, string job) => Parse($"global: {{external_labels: {{cluster: {cluster}}}}}\nscrape_configs: [{{job_name: {job}, bearer_token: {cluster}}}]").Hash();
        Assert.Equal(Hash("a", "x"), Hash("b", "x"));
        Assert.NotEqual(Hash("a", "x"), Hash("a", "y"));
    }

    [Theory]
    [InlineData("010", 8)]
    [InlineData("0x10", 16)]
    [InlineData("0b11", 3)]
    [InlineData("0o17", 15)]
    [InlineData("1e3", 1000)]
    [InlineData("10.0", 10)]
    [InlineData("1.9", 1)]
    [InlineData("+5", 5)]
    [InlineData("08", 8)]
    [InlineData("1_000", 1000)]
    [InlineData("null", 0)]
    [InlineData("~", 0)]
    [InlineData("", 0)]
    public void Numbers_are_read_as_Prometheus_reads_them(string text, long expected) =>
        Assert.Equal(expected, CollectorConfig.Parse($"{Global}scrape_configs:\n- job_name: j\n  sample_limit: {text}\n", "x").ScrapeConfigs[0].SampleLimit);

    [Theory]
    [InlineData("-1")]
    [InlineData("0x")]
    [InlineData("0b2")]
    [InlineData("1e40")]
    [InlineData("5x")]
    [InlineData("true")]
    [InlineData(".inf")]
    [InlineData("[]")]
    public void What_is_no_number_there_is_none_here(string text) =>
        Assert.Throws<ConfigException>(() => CollectorConfig.Parse($"{Global}scrape_configs:\n- job_name: j\n  sample_limit: {text}\n", "x"));

    [Fact]
    public void A_modulus_has_64_bits() => Assert.Equal(
        ulong.MaxValue,
        CollectorConfig.Parse($"{Global}scrape_configs:\n- job_name: j\n  relabel_configs: [{{action: hashmod, modulus: 18446744073709551615, target_label: x}}]\n", "x").ScrapeConfigs[0].RelabelConfigs[0].Modulus);

    [Fact]
    public void Null_is_zero_and_not_the_default()
    {
        var job = CollectorConfig.Parse($$"""
            {{Global}}scrape_configs:
            - job_name: j
              honor_timestamps:
              follow_redirects: ~
              enable_compression: null
              metrics_path:
              scheme:
              params: {a: null, b: [null]}
              relabel_configs: [{target_label: x, replacement: null, separator: ~, regex: }]
            """, "x").ScrapeConfigs[0];
        Assert.Equal((false, false, false, "", ""), (job.HonorTimestamps, job.Http.FollowRedirects, job.EnableCompression, job.MetricsPath, job.Scheme));
        Assert.Equal((0, 1), (job.Params[0].Value.Count, job.Params[1].Value.Count));
        Assert.Equal(("", "", ""), (job.RelabelConfigs[0].Replacement, job.RelabelConfigs[0].Separator, job.RelabelConfigs[0].Regex.Pattern));
    }

    [Fact]
    public void A_scheme_may_be_written_in_any_case() =>
        Assert.Equal("HTTPS", CollectorConfig.Parse($"{Global}scrape_configs:\n- job_name: j\n  scheme: HTTPS\n", "x").ScrapeConfigs[0].Scheme);

    [Fact]
    public void A_tab_is_a_fault_of_its_own_line() =>
        Assert.StartsWith("observe.yml:3:", Errors("scrape_configs:\n- job_name: j\n\thonor_labels: true\n")[0], StringComparison.Ordinal);
}
