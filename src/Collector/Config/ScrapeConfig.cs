using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>
/// One job: its targets, how they are scraped, and the relabelling of their series. Defaults and global values are already applied.
/// </summary>
public sealed record ScrapeConfig
{
    /// <summary>The default of <see cref="BodySizeLimit"/>: 32 MiB. Prometheus has none.</summary>
    public const long DefaultBodySizeLimit = 32 << 20;

    public const long DefaultSeriesLimit = 500_000;

    // Prometheus has none of these three unless they are set.
    public const long DefaultLabelLimit = 1_000;
    public const long DefaultLabelNameLengthLimit = 4 << 10;
    public const long DefaultLabelValueLengthLimit = 128 << 10;

    public required string JobName { get; init; }

    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>The budget of a scrape: connecting, TLS, headers and body together. Never above the interval.</summary>
    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    public string MetricsPath { get; init; } = "/metrics";

    public string Scheme { get; init; } = "http";

    public IReadOnlyList<KeyValuePair<string, IReadOnlyList<string>>> Params { get; init; } = [];

    public bool HonorLabels { get; init; }

    public bool HonorTimestamps { get; init; } = true;

    public bool TrackTimestampsStaleness { get; init; }

    public bool EnableCompression { get; init; } = true;

    /// <summary>Names of <see cref="Config.ScrapeProtocols"/>, most wanted first.</summary>
    public IReadOnlyList<string> ScrapeProtocols { get; init; } = Config.ScrapeProtocols.Default;

    public string? FallbackScrapeProtocol { get; init; }

    public bool ScrapeNativeHistograms { get; init; }

    public bool AlwaysScrapeClassicHistograms { get; init; }

    public bool ConvertClassicHistogramsToNhcb { get; init; }

    public bool ExtraScrapeMetrics { get; init; }

    /// <summary>Bytes of an uncompressed body; 0 for no limit.</summary>
    public long BodySizeLimit { get; init; } = DefaultBodySizeLimit;

    /// <summary>Samples after metric relabelling; 0 for no limit, as for all limits.</summary>
    public long SampleLimit { get; init; }

    public long TargetLimit { get; init; }

    /// <summary>Series that a target may make within two hours. Prometheus has no such limit.</summary>
    public long SeriesLimit { get; init; } = DefaultSeriesLimit;

    public long LabelLimit { get; init; } = DefaultLabelLimit;

    public long LabelNameLengthLimit { get; init; } = DefaultLabelNameLengthLimit;

    public long LabelValueLengthLimit { get; init; } = DefaultLabelValueLengthLimit;

    public long KeepDroppedTargets { get; init; }

    public long NativeHistogramBucketLimit { get; init; }

    public double NativeHistogramMinBucketFactor { get; init; }

    /// <summary>Metric and label names must be legacy names.</summary>
    public bool LegacyNames { get; init; }

    public string MetricNameEscapingScheme { get; init; } = "allow-utf-8";

    public HttpClientConfig Http { get; init; } = new();

    public IReadOnlyList<RelabelRule> RelabelConfigs { get; init; } = [];

    public IReadOnlyList<RelabelRule> MetricRelabelConfigs { get; init; } = [];

    public IReadOnlyList<StaticConfig> StaticConfigs { get; init; } = [];

    public IReadOnlyList<FileDiscoveryConfig> FileDiscoveryConfigs { get; init; } = [];
}

/// <summary>Targets given in the file itself, all with the same labels.</summary>
public sealed record StaticConfig(IReadOnlyList<string> Targets, Labels Labels);

/// <param name="Files">Paths; the last part may have one <c>*</c>.</param>
public sealed record FileDiscoveryConfig(IReadOnlyList<string> Files, TimeSpan RefreshInterval);

/// <summary>The names that <c>scrape_protocols</c> knows and the media types they stand for.</summary>
public static class ScrapeProtocols
{
    public const string PrometheusProto = "PrometheusProto";

    /// <summary>The protocols that the scraper accepts unless configured otherwise, most wanted first.</summary>
    public static IReadOnlyList<string> Default { get; } =
        ["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"];

    public static IReadOnlyDictionary<string, string> MediaTypes { get; } = new Dictionary<string, string>
    {
        [PrometheusProto] = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        ["PrometheusText0.0.4"] = "text/plain;version=0.0.4",
        ["PrometheusText1.0.0"] = "text/plain;version=1.0.0",
        ["OpenMetricsText0.0.1"] = "application/openmetrics-text;version=0.0.1",
        ["OpenMetricsText1.0.0"] = "application/openmetrics-text;version=1.0.0",
    };
}
