using System.Security.Cryptography;
using System.Text;
using Observe.Store.Yaml;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>The <c>global</c> section, with defaults applied.</summary>
public sealed record GlobalConfig
{
    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan EvaluationInterval { get; init; } = TimeSpan.FromMinutes(1);

    public TimeSpan RuleQueryOffset { get; init; }

    /// <summary>
    /// Labels of the whole collector, environment variables expanded; they go into the meta of its blocks, not into its series.
    /// </summary>
    public Labels ExternalLabels { get; init; }

    /// <summary>null when not set: jobs then choose by themselves.</summary>
    public IReadOnlyList<string>? ScrapeProtocols { get; init; }

    public bool ScrapeNativeHistograms { get; init; }

    public bool AlwaysScrapeClassicHistograms { get; init; }

    public bool ConvertClassicHistogramsToNhcb { get; init; }

    public bool ExtraScrapeMetrics { get; init; }

    /// <summary>Bytes of an uncompressed body; 0 for no limit.</summary>
    public long BodySizeLimit { get; init; } = ScrapeConfig.DefaultBodySizeLimit;

    public long SampleLimit { get; init; }

    public long TargetLimit { get; init; }

    public long SeriesLimit { get; init; } = ScrapeConfig.DefaultSeriesLimit;

    public long LabelLimit { get; init; } = ScrapeConfig.DefaultLabelLimit;

    public long LabelNameLengthLimit { get; init; } = ScrapeConfig.DefaultLabelNameLengthLimit;

    public long LabelValueLengthLimit { get; init; } = ScrapeConfig.DefaultLabelValueLengthLimit;

    public long KeepDroppedTargets { get; init; }

    public bool LegacyNames { get; init; }

    public string MetricNameEscapingScheme { get; init; } = "allow-utf-8";
}

/// <summary>A collector's configuration: Prometheus's form, defaults applied, immutable. Files it includes are already read.</summary>
public sealed record CollectorConfig
{
    public const string ClusterLabel = "cluster";

    public GlobalConfig Global { get; init; } = new();

    public LabelConflict OnConflict { get; init; } = LabelConflict.Exported;

    public IReadOnlyList<ScrapeConfig> ScrapeConfigs { get; init; } = [];

    /// <summary>Settings that are valid but have no effect in Observe, each with file and line.</summary>
    public IReadOnlyList<ConfigError> Warnings { get; init; } = [];

    /// <summary>The value of the external label <c>cluster</c>, "" when there is none.</summary>
    public string Cluster => Global.ExternalLabels.Get(ClusterLabel);

    /// <summary>A hash of the configuration: the same for two collectors that differ only in external labels and in secrets.</summary>
    public string Hash() =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(ConfigPrinter.Print(this, externalLabels: false))));

    /// <summary>The configuration in force as YAML, defaults filled in as Prometheus prints them, secrets hidden.</summary>
    public string ToYaml() => ConfigPrinter.Print(this);

    /// <summary>Reads a file; relative paths in it are relative to its folder.</summary>
    /// <param name="clusterRequired">External labels must name the cluster, as they must for a collector.</param>
    /// <param name="expand">Changes the file's text before it is read as a configuration; null leaves the text as it is.</param>
    /// <exception cref="ConfigException">All faults of the file; also when the file cannot be read.</exception>
    public static CollectorConfig Load(string path, bool clusterRequired = true, Func<string, string>? expand = null)
    {
        string text;
        try
        {
            text = ConfigFile.Read(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigException([new ConfigError(path, 0, 0, e.Message)]);
        }

        return Read(
            expand is null ? text : expand(text),
            path,
            Path.GetDirectoryName(Path.GetFullPath(path)),
            clusterRequired,
            Environment.GetEnvironmentVariable);
    }

    /// <summary>Reads text.</summary>
    /// <param name="name">Stands for the file in errors.</param>
    /// <param name="directory">The folder that relative paths are relative to; null leaves the paths as they are.</param>
    /// <exception cref="ConfigException">All faults of the text.</exception>
    public static CollectorConfig Parse(string text, string name, bool clusterRequired = true, string? directory = null) =>
        Read(text, name, directory, clusterRequired, Environment.GetEnvironmentVariable);

    internal static CollectorConfig Read(
        string text, string name, string? directory, bool clusterRequired, Func<string, string?> environment)
    {
        var errors = new ConfigErrors(name);
        var config = new ConfigReader(directory, environment, errors).Read(text, clusterRequired);
        errors.ThrowIfAny();
        return config;
    }
}
