using System.Text;
using System.Text.RegularExpressions;
using Observe.Store.Fleet;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>Reads a whole configuration file: the global section, the jobs, and the files with more jobs that it names.</summary>
sealed partial class ConfigReader(string? directory, Func<string, string?> environment, ConfigErrors errors)
{
    /// <summary>Where each job stands, by its name.</summary>
    readonly Dictionary<string, string> _jobs = [];

    public CollectorConfig Read(string text, bool clusterRequired)
    {
        if (!YamlTree.TryRead(text, errors, out var tree))
        {
            return new CollectorConfig();
        }

        var root = new ConfigSection(tree, "the configuration", errors);
        var global = ReadGlobal(new ConfigSection(root.Find("global"), "global", errors), clusterRequired);
        var conflict = LabelConflict.Exported;
        if (root.Section("cluster_label") is { } cluster)
        {
            conflict = cluster.Choice("on_conflict", "exported", "overwrite") == "overwrite"
                ? LabelConflict.Overwrite
                : LabelConflict.Exported;
            cluster.Done();
        }

        var jobs = new JobReader(global, directory);
        var scrapeConfigs = new List<ScrapeConfig>();
        ReadJobs(root, jobs, scrapeConfigs);
        ReadIncluded(root, jobs, scrapeConfigs);

        root.NotSupported("rule_files", "the collector evaluates no rules");
        root.NotSupported("remote_write", "samples leave through the bucket only");
        root.NotSupported("remote_read", "the collector answers no queries from elsewhere");
        root.Ignored("alerting", "without rules there are no alerts");
        root.Ignored("runtime", "it sets Go's garbage collector");
        root.Ignored("storage", "the head and its blocks are set by flags");
        root.Ignored("tracing", "traces are set by the OTEL_ variables");
        root.Ignored("otlp", "nothing is received over OTLP yet");
        root.Done();
        return new CollectorConfig { Global = global, OnConflict = conflict, ScrapeConfigs = scrapeConfigs, Warnings = errors.Warnings };
    }

    GlobalConfig ReadGlobal(ConfigSection section, bool clusterRequired)
    {
        var defaults = new GlobalConfig();
        var interval = section.Duration("scrape_interval") ?? defaults.ScrapeInterval;
        var timeout = section.Duration("scrape_timeout");
        if (timeout > interval)
        {
            errors.Add(section.Key("scrape_timeout"), "global scrape timeout greater than scrape interval");
        }

        var legacy = section.Choice("metric_name_validation_scheme", "utf8", "legacy") == "legacy";
        var global = new GlobalConfig
        {
            ScrapeInterval = interval,
            ScrapeTimeout = timeout ?? (defaults.ScrapeTimeout < interval ? defaults.ScrapeTimeout : interval),
            EvaluationInterval = section.Duration("evaluation_interval") ?? defaults.EvaluationInterval,
            RuleQueryOffset = section.Duration("rule_query_offset") ?? defaults.RuleQueryOffset,
            ScrapeProtocols = JobReader.ReadProtocols(section),
            ScrapeNativeHistograms = section.Bool("scrape_native_histograms") ?? false,
            AlwaysScrapeClassicHistograms = section.Bool("always_scrape_classic_histograms") ?? false,
            ConvertClassicHistogramsToNhcb = section.Bool("convert_classic_histograms_to_nhcb") ?? false,
            ExtraScrapeMetrics = section.Bool("extra_scrape_metrics") ?? false,
            BodySizeLimit = section.Size("body_size_limit") ?? defaults.BodySizeLimit,
            SampleLimit = section.Count("sample_limit") ?? 0,
            TargetLimit = section.Count("target_limit") ?? 0,
            SeriesLimit = section.Count("series_limit") ?? defaults.SeriesLimit,
            LabelLimit = section.Count("label_limit") ?? defaults.LabelLimit,
            LabelNameLengthLimit = section.Count("label_name_length_limit") ?? defaults.LabelNameLengthLimit,
            LabelValueLengthLimit = section.Count("label_value_length_limit") ?? defaults.LabelValueLengthLimit,
            KeepDroppedTargets = section.Count("keep_dropped_targets") ?? 0,
            LegacyNames = legacy,
            MetricNameEscapingScheme = section.Choice("metric_name_escaping_scheme", JobReader.EscapingSchemes)
                ?? (legacy ? "underscores" : defaults.MetricNameEscapingScheme),
            ExternalLabels = ReadExternalLabels(section, legacy, clusterRequired),
        };
        section.Ignored("query_log_file", "the collector evaluates no queries");
        section.Ignored("scrape_failure_log_file", "failed scrapes are in the log and among the targets");
        section.Done();
        return global;
    }

    Labels ReadExternalLabels(ConfigSection global, bool legacy, bool clusterRequired)
    {
        var labels = new LabelsBuilder();
        foreach (var (key, value) in global.Pairs("external_labels"))
        {
            if (!JobReader.IsLabelName(key.Text, legacy))
            {
                errors.Add(key, $"{GoText.Quote(key.Text)} is not a valid label name");
                continue;
            }

            labels.Set(key.Text, Expand(key, value));
        }

        var cluster = labels.Get(CollectorConfig.ClusterLabel);
        if (clusterRequired && cluster.Length == 0)
        {
            errors.Add(
                global.Find("external_labels") is null ? global.Node : global.Key("external_labels"),
                "global.external_labels must name the cluster: cluster: NAME");
        }
        else if (cluster.Length > 0 && !FleetName.IsValid(cluster))
        {
            errors.Add(
                global.Key("external_labels"),
                $"{GoText.Quote(cluster)} is not a valid cluster name: {FleetName.Rule}");
        }

        return labels.Build();
    }

    /// <summary>Go's os.Expand: <c>$name</c>, <c>${name}</c>, <c>$$</c>.</summary>
    string Expand(YamlNode at, string text)
    {
        var expanded = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '$' || i + 1 == text.Length)
            {
                expanded.Append(text[i]);
                continue;
            }

            var match = Variable().Match(text, i + 1);
            if (!match.Success)
            {
                expanded.Append('$');
                continue;
            }

            var name = match.Groups["name"].Value;
            i += match.Length;
            if (name == "$")
            {
                expanded.Append('$');
            }
            else if (environment(name) is { Length: > 0 } value)
            {
                expanded.Append(value);
            }
            else
            {
                errors.Warn(at, $"environment variable {name} is empty");
            }
        }

        return expanded.ToString();
    }

    void ReadJobs(ConfigSection section, JobReader reader, List<ScrapeConfig> jobs)
    {
        foreach (var node in section.List("scrape_configs") ?? [])
        {
            if (node is YamlText { IsNull: true })
            {
                section.Errors.Add(node, "empty or null scrape config section");
                continue;
            }

            var job = reader.Read(new ConfigSection(node, "scrape_config", section.Errors));
            if (job.JobName.Length > 0 && !_jobs.TryAdd(job.JobName, $"{section.Errors.File}:{node.Line}:{node.Column}"))
            {
                section.Errors.Add(
                    node, $"found multiple scrape configs with job name {GoText.Quote(job.JobName)}: the first is {_jobs[job.JobName]}");
            }

            jobs.Add(job);
        }
    }

    void ReadIncluded(ConfigSection root, JobReader reader, List<ScrapeConfig> jobs)
    {
        foreach (var node in root.List("scrape_config_files") ?? [])
        {
            if (root.TextOf(node, "scrape_config_files") is not { } pattern)
            {
                continue;
            }

            if (!FileGlob.IsValid(pattern))
            {
                errors.Add(node, $"invalid scrape config file path {GoText.Quote(pattern)}");
                continue;
            }

            foreach (var path in FileGlob.Find(JobReader.Join(directory, pattern)))
            {
                var included = new ConfigErrors(path);
                try
                {
                    if (YamlTree.TryRead(ConfigFile.Read(path), included, out var tree))
                    {
                        var section = new ConfigSection(tree, "the file", included);
                        ReadJobs(section, reader.In(Path.GetDirectoryName(path)), jobs);
                        section.Done();
                    }
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    errors.Add(node, $"cannot read {path}: {e.Message}");
                }

                errors.AddAll(included);
            }
        }
    }

    // The special characters that a shell takes for variables ($1, $?) are names of one character.
    [GeneratedRegex(@"\G(?:\{(?<name>[^{}]*)\}|(?<name>[A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-]))", RegexOptions.CultureInvariant)]
    private static partial Regex Variable();
}

static class ConfigFile
{
    static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <exception cref="IOException">The file cannot be read, is larger than any configuration may be, or is not UTF-8.</exception>
    public static string Read(string path)
    {
        if (new FileInfo(path).Length > YamlTree.MaxLength)
        {
            throw new IOException($"the file is larger than {YamlTree.MaxLength >> 20} MiB");
        }

        try
        {
            return File.ReadAllText(path, s_strict);
        }
        catch (DecoderFallbackException)
        {
            throw new IOException("the file is not valid UTF-8");
        }
    }
}

/// <summary>A file that holds a credential, a header's value or a certificate: bytes of any encoding.</summary>
static class SecretFile
{
    const int MaxLength = 1 << 20;

    /// <summary>The bytes without blanks around them.</summary>
    /// <exception cref="IOException">The file cannot be read, or is larger than any secret.</exception>
    public static byte[] Read(string path) => new FileInfo(path).Length <= MaxLength
        ? File.ReadAllBytes(path).AsSpan().Trim(" \t\n\v\f\r"u8).ToArray()
        : throw new IOException($"{path} is larger than {MaxLength >> 10} KiB");
}

/// <summary>Paths whose last part may hold one <c>*</c>.</summary>
static class FileGlob
{
    public static bool IsValid(string pattern)
    {
        var star = pattern.IndexOf('*', StringComparison.Ordinal);
        return pattern.Length > 0 && (star < 0 || !pattern.AsSpan(star).Contains('/'));
    }

    /// <summary>The files that match a pattern, sorted; empty where there are none.</summary>
    public static IReadOnlyList<string> Find(string pattern)
    {
        var name = Path.GetFileName(pattern);
        if (!name.Contains('*', StringComparison.Ordinal))
        {
            return File.Exists(pattern) ? [pattern] : [];
        }

        var folder = Path.GetDirectoryName(pattern) is { Length: > 0 } given ? given : ".";
        if (!Directory.Exists(folder))
        {
            return [];
        }

        var options = new EnumerationOptions { MatchCasing = MatchCasing.CaseSensitive, MatchType = System.IO.MatchType.Simple };
        return [.. Directory.EnumerateFiles(folder, name, options).Order(StringComparer.Ordinal)];
    }
}
