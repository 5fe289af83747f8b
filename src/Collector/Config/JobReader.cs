using System.Text.RegularExpressions;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;

namespace Observe.Collector.Config;

/// <summary>Reads one item of <c>scrape_configs</c>, with settings that the item leaves out taken from the global section.</summary>
sealed partial class JobReader(GlobalConfig global, string? directory)
{
    public static readonly string[] EscapingSchemes = ["allow-utf-8", "underscores", "dots", "values"];

    static readonly string[] s_discoveries =
    [
        "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "gce", "hetzner", "http", "ionos", "kubernetes",
        "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "outscale", "ovhcloud", "puppetdb", "scaleway",
        "serverset", "stackit", "triton", "uyuni", "vultr", "aws", "oci",
    ];

    /// <summary>The same reader for a file of another folder.</summary>
    public JobReader In(string? folder) => new(global, folder);

    public ScrapeConfig Read(ConfigSection section)
    {
        var errors = section.Errors;
        var name = section.Text("job_name") ?? "";
        if (name.Length == 0)
        {
            errors.Add(section.Node, "job_name is empty");
        }

        var interval = section.Duration("scrape_interval") ?? global.ScrapeInterval;
        var timeout = section.Duration("scrape_timeout");
        if (timeout > interval)
        {
            errors.Add(
                section.Key("scrape_timeout"),
                $"scrape timeout greater than scrape interval for scrape config with job name {GoText.Quote(name)}");
        }

        var validation = section.Choice("metric_name_validation_scheme", "utf8", "legacy");
        var legacy = validation is null ? global.LegacyNames : validation == "legacy";
        var escaping = section.Choice("metric_name_escaping_scheme", EscapingSchemes)
            ?? (validation is null ? global.MetricNameEscapingScheme : legacy ? "underscores" : "allow-utf-8");
        if (legacy && escaping == "allow-utf-8")
        {
            errors.Add(section.Key("metric_name_escaping_scheme"), "utf8 metric names requested but validation scheme is not set to UTF8");
        }

        var native = section.Bool("scrape_native_histograms") ?? global.ScrapeNativeHistograms;
        var relabel = ReadRules(section, "relabel_configs", legacy);
        var config = new ScrapeConfig
        {
            JobName = name,
            ScrapeInterval = interval,
            ScrapeTimeout = timeout ?? (global.ScrapeTimeout < interval ? global.ScrapeTimeout : interval),
            MetricsPath = section.TextOr("metrics_path", "/metrics"),
            Scheme = ReadScheme(section),
            Params = [.. section.Entries("params").Select(p => KeyValuePair.Create(p.Key.Text, ReadParameter(section, p.Key, p.Value)))],
            HonorLabels = section.Bool("honor_labels") ?? false,
            HonorTimestamps = section.BoolOrTrue("honor_timestamps"),
            TrackTimestampsStaleness = section.Bool("track_timestamps_staleness") ?? false,
            EnableCompression = section.BoolOrTrue("enable_compression"),
            ScrapeProtocols = ReadProtocols(section) ?? global.ScrapeProtocols
                ?? (native ? [ScrapeProtocols.PrometheusProto, .. ScrapeProtocols.Default] : ScrapeProtocols.Default),
            FallbackScrapeProtocol = ReadProtocol(section, section.Find("fallback_scrape_protocol"), "fallback_scrape_protocol"),
            ScrapeNativeHistograms = native,
            AlwaysScrapeClassicHistograms = section.Bool("always_scrape_classic_histograms") ?? global.AlwaysScrapeClassicHistograms,
            ConvertClassicHistogramsToNhcb = section.Bool("convert_classic_histograms_to_nhcb") ?? global.ConvertClassicHistogramsToNhcb,
            ExtraScrapeMetrics = section.Bool("extra_scrape_metrics") ?? global.ExtraScrapeMetrics,
            BodySizeLimit = section.Size("body_size_limit") ?? global.BodySizeLimit,
            SampleLimit = Limit(section, "sample_limit", global.SampleLimit),
            TargetLimit = Limit(section, "target_limit", global.TargetLimit),
            SeriesLimit = Limit(section, "series_limit", global.SeriesLimit),
            LabelLimit = Limit(section, "label_limit", global.LabelLimit),
            LabelNameLengthLimit = Limit(section, "label_name_length_limit", global.LabelNameLengthLimit),
            LabelValueLengthLimit = Limit(section, "label_value_length_limit", global.LabelValueLengthLimit),
            KeepDroppedTargets = Limit(section, "keep_dropped_targets", global.KeepDroppedTargets),
            NativeHistogramBucketLimit = section.Count("native_histogram_bucket_limit") ?? 0,
            NativeHistogramMinBucketFactor = section.Number("native_histogram_min_bucket_factor") ?? 0,
            LegacyNames = legacy,
            MetricNameEscapingScheme = escaping,
            Http = new HttpClientReader(directory).Read(section),
            RelabelConfigs = relabel,
            MetricRelabelConfigs = ReadRules(section, "metric_relabel_configs", legacy),
            StaticConfigs = [.. (section.List("static_configs") ?? []).Select(node => ReadStatic(section, node, relabel.Count > 0))],
            FileDiscoveryConfigs = [.. (section.List("file_sd_configs") ?? []).Select(node => ReadFileDiscovery(section, node))],
        };
        if (config.ScrapeProtocols is [ScrapeProtocols.PrometheusProto])
        {
            errors.Add(section.Key("scrape_protocols"),
                $"{ScrapeProtocols.PrometheusProto} is not supported yet: a text protocol must be among scrape_protocols");
        }
        else if (config.ScrapeProtocols.Contains(ScrapeProtocols.PrometheusProto) && section.Node is not null)
        {
            errors.Warn(section.Node,
                $"{ScrapeProtocols.PrometheusProto} is not asked for: native histograms come over protobuf, which is not read yet");
        }

        foreach (var kind in s_discoveries)
        {
            section.NotSupported(kind + "_sd_configs", "targets come from static_configs and file_sd_configs");
        }

        section.Ignored("scrape_failure_log_file", "failed scrapes are in the log and among the targets");
        section.Done();
        return config;
    }

    public static bool IsLabelName(string name, bool legacy) => legacy ? LabelName.IsLegacyValid(name) : LabelName.IsValid(name);

    /// <summary>A path as seen from the folder of the file that names it.</summary>
    public static string Join(string? directory, string path) =>
        path.Length == 0 || directory is null ? path : Path.Combine(directory, path);

    public static IReadOnlyList<string>? ReadProtocols(ConfigSection section)
    {
        if (section.List("scrape_protocols") is not { } nodes)
        {
            return null;
        }

        var protocols = new List<string>();
        foreach (var node in nodes)
        {
            if (ReadProtocol(section, node, "scrape_protocols") is not { } protocol)
            {
                continue;
            }

            if (protocols.Contains(protocol))
            {
                section.Errors.Add(node, $"duplicated protocol in scrape_protocols: {protocol}");
            }

            protocols.Add(protocol);
        }

        if (nodes.Count == 0)
        {
            section.Errors.Add(section.Key("scrape_protocols"), "scrape_protocols cannot be empty");
        }

        return protocols;
    }

    static string? ReadProtocol(ConfigSection section, YamlNode? node, string key)
    {
        if (node is null || section.TextOf(node, key) is not { Length: > 0 } protocol)
        {
            return null;
        }

        if (ScrapeProtocols.MediaTypes.ContainsKey(protocol))
        {
            return protocol;
        }

        section.Errors.Add(
            node,
            $"{key}: unknown scrape protocol {protocol}, supported: [{string.Join(' ', ScrapeProtocols.MediaTypes.Keys.Order(StringComparer.Ordinal))}]");
        return null;
    }

    static string ReadScheme(ConfigSection section)
    {
        var scheme = section.TextOr("scheme", "http");
        if (scheme.ToLowerInvariant() is not ("" or "http" or "https"))
        {
            section.Errors.Add(section.Find("scheme"), $"scheme must be one of http, https, not {GoText.Quote(scheme)}");
        }

        return scheme;
    }

    static IReadOnlyList<string> ReadParameter(ConfigSection section, YamlText key, YamlNode node)
    {
        if (node is YamlText { IsNull: true })
        {
            return [];
        }

        if (node is YamlList list)
        {
            return [.. list.Items.Select(item => section.TextOf(item, key.Text)).OfType<string>()];
        }

        section.Errors.Add(node, $"params: {key.Text} must be a list");
        return [];
    }

    /// <summary>Zero in a job means the global limit, as in Prometheus.</summary>
    static long Limit(ConfigSection section, string key, long global) => section.Count(key) is > 0 and var limit ? limit : global;

    static List<RelabelRule> ReadRules(ConfigSection job, string key, bool legacy)
    {
        var rules = new List<RelabelRule>();
        foreach (var node in job.List(key) ?? [])
        {
            if (node is YamlText { IsNull: true })
            {
                job.Errors.Add(node, $"empty or null rule in {key}");
            }
            else if (ReadRule(new ConfigSection(node, key, job.Errors), legacy) is { } rule)
            {
                rules.Add(rule);
            }
        }

        return rules;
    }

    static RelabelRule? ReadRule(ConfigSection section, bool legacy)
    {
        var errors = section.Errors;
        var valid = true;
        var action = RelabelAction.Replace;
        if (section.IsNull("action"))
        {
            errors.Add(section.Key("action"), "relabel action cannot be empty");
            valid = false;
        }

        if (section.Text("action") is { } name && !RelabelRule.TryParseAction(name, out action))
        {
            errors.Add(section.Find("action"), $"unknown relabel action {GoText.Quote(name)}");
            valid = false;
        }

        var rule = new RelabelRule
        {
            Action = action,
            SourceLabels = section.Texts("source_labels") ?? [],
            Separator = section.TextOr("separator", RelabelRule.DefaultSeparator),
            Modulus = section.UnsignedCount("modulus") ?? 0,
            TargetLabel = section.Text("target_label") ?? "",
            Replacement = section.TextOr("replacement", RelabelRule.DefaultReplacement),
            LegacyNames = legacy,
        };
        if (section.TextOr("regex", RelabelRule.DefaultRegex) is var pattern && pattern != RelabelRule.DefaultRegex)
        {
            try
            {
                rule = rule with { Regex = new LabelRegex(pattern) };
            }
            catch (FormatException e)
            {
                errors.Add(section.Find("regex"), e.Message);
                valid = false;
            }
        }

        section.Done();
        if (valid && rule.Fault() is { } fault)
        {
            errors.Add(section.Node, fault);
            valid = false;
        }

        return valid ? rule : null;
    }

    static StaticConfig ReadStatic(ConfigSection job, YamlNode node, bool relabelled)
    {
        var group = ReadGroup(Item(job, node, "static_configs"));

        // A text that is no address may become one by relabelling.
        if (!relabelled && group.Targets.FirstOrDefault(target => target.Contains('/', StringComparison.Ordinal)) is { } bad)
        {
            job.Errors.Add(node, $"{GoText.Quote(bad)} is not a valid hostname");
        }

        return group;
    }

    /// <summary>A group of targets as static configurations and target files have it.</summary>
    internal static StaticConfig ReadGroup(ConfigSection section)
    {
        var targets = section.Texts("targets") ?? [];
        var labels = new LabelsBuilder();
        foreach (var (name, value) in section.Pairs("labels"))
        {
            if (IsLabelName(name.Text, legacy: false))
            {
                labels.Set(name.Text, value);
            }
            else
            {
                section.Errors.Add(name, $"{GoText.Quote(name.Text)} is not a valid label name");
            }
        }

        section.Done();
        return new StaticConfig(targets, labels.Build());
    }

    /// <summary>An item of a list of sections, which must not be null.</summary>
    static ConfigSection Item(ConfigSection job, YamlNode node, string key)
    {
        if (node is YamlText { IsNull: true })
        {
            job.Errors.Add(node, $"empty or null section in {key}");
        }

        return new ConfigSection(node, key, job.Errors);
    }

    FileDiscoveryConfig ReadFileDiscovery(ConfigSection job, YamlNode node)
    {
        var section = Item(job, node, "file_sd_configs");
        var files = new List<string>();
        foreach (var item in section.List("files") ?? [])
        {
            var path = section.TextOf(item, "files") ?? "";
            if (!DiscoveryFile().IsMatch(path))
            {
                job.Errors.Add(item, $"path name {GoText.Quote(path)} is not valid for file discovery");
                continue;
            }

            files.Add(Join(directory, path));
        }

        if (node is YamlMap && section.Find("files") is null or YamlList { Items.Count: 0 })
        {
            job.Errors.Add(node, "file service discovery config must contain at least one path name");
        }

        var refresh = section.Duration("refresh_interval") ?? TimeSpan.FromMinutes(5);
        section.Done();
        return new FileDiscoveryConfig(files, refresh);
    }

    [GeneratedRegex(@"\A[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)\z", RegexOptions.CultureInvariant)]
    private static partial Regex DiscoveryFile();
}
