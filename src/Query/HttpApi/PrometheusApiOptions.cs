using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary>
/// The sources of the HTTP API's answers. A role leaves out those that it lacks, such as targets; the API then answers as if there were
/// none.
/// </summary>
public sealed record PrometheusApiOptions
{
    public required PromqlEngine Engine { get; init; }

    /// <summary>Makes the querier of a request by the request's options; called for each request.</summary>
    public required Func<FanoutOptions, IQuerier> Querier { get; init; }

    /// <summary>The options of a request that sets none: replica labels, deduplication, partial response.</summary>
    public FanoutOptions Defaults { get; init; } = new();

    /// <summary>For <c>/stores</c>.</summary>
    public Func<IReadOnlyList<StoreState>>? Stores { get; init; }

    public Func<ApiTargets>? Targets { get; init; }

    /// <summary>For <c>/blocks</c>: all blocks of the bucket.</summary>
    public Func<IReadOnlyList<BlockState>>? Blocks { get; init; }

    /// <summary>For <c>/status/fleet</c>: the collectors that write to the bucket.</summary>
    public Func<CancellationToken, Task<FleetStatus>>? Fleet { get; init; }

    /// <summary>The configuration as YAML, secrets hidden.</summary>
    public Func<string>? Configuration { get; init; }

    public IReadOnlyDictionary<string, string> Flags { get; init; } = new Dictionary<string, string>();

    public BuildDescription Build { get; init; } = new();

    public Func<RuntimeDescription>? Runtime { get; init; }

    /// <summary>For <c>/status/tsdb</c>, with that many entries in each list.</summary>
    public Func<int, TsdbStatus>? Tsdb { get; init; }

    /// <summary>RE2 of origins whose pages may read the API (<c>--web.cors.origin</c>); null: no CORS headers at all.</summary>
    public string? CorsOrigin { get; init; }

    /// <summary>The most bytes of a form, as Go has it: each byte of a query may be three in a form.</summary>
    public long MaxBodyBytes { get; init; } = 10 << 20;

    /// <summary>The least step of a range query that gives none (<c>--query.default-step</c>).</summary>
    public TimeSpan DefaultStep { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Choose downsampled data by the step where a request does not say otherwise (<c>--query.auto-downsampling</c>).</summary>
    public bool AutoDownsampling { get; init; }

    /// <summary>Statistics of each step with <c>stats=all</c> (<c>promql-per-step-stats</c>).</summary>
    public bool PerStepStatistics { get; init; }

    /// <summary>Queries that take longer than this are logged (<c>--query.slow-query-threshold</c>); zero: none are.</summary>
    public TimeSpan SlowQuery { get; init; } = TimeSpan.FromSeconds(10);

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public QueryMetrics? Metrics { get; init; }

    public ILoggerFactory Logging { get; init; } = NullLoggerFactory.Instance;
}

/// <summary>For <c>/status/buildinfo</c>: all texts, since Grafana reads no others.</summary>
/// <param name="Version">Semantic.</param>
/// <param name="Runtime">The version of the runtime, where Prometheus has Go's.</param>
public sealed record BuildDescription(
    string Version = "0.0.0", string Revision = "", string Branch = "", string BuildUser = "", string BuildDate = "", string Runtime = "");

/// <summary>For <c>/status/runtimeinfo</c>; the API adds memory, threads and the like.</summary>
/// <param name="StartTime">Unix milliseconds.</param>
/// <param name="ReloadSuccess">Whether the last load of the configuration went well.</param>
/// <param name="LastConfigTime">The time of that load, Unix milliseconds.</param>
public sealed record RuntimeDescription(
    long StartTime, bool ReloadSuccess = true, long LastConfigTime = 0, long CorruptionCount = 0, string StorageRetention = "");

/// <param name="Kind">counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown.</param>
public sealed record ApiMetadata(string Metric, string Kind, string Help, string Unit);

/// <param name="Pool">The scrape pool: the job's name.</param>
/// <param name="LastScrape">Unix milliseconds; 0: never.</param>
/// <param name="LastScrapeDuration">Seconds.</param>
/// <param name="Health">up, down or unknown.</param>
/// <param name="LastError">"" after a good scrape.</param>
public sealed record ApiTarget(
    string Pool,
    Labels DiscoveredLabels, Labels Labels, string Url, string Health, string LastError, long LastScrape, double LastScrapeDuration,
    string ScrapeInterval, string ScrapeTimeout)
{
    public string GlobalUrl { get; init; } = Url;

    /// <summary>The cluster of the collector that scrapes the target; "" when the collector has none, and then not shown.</summary>
    public string Cluster { get; init; } = "";

    /// <summary>The collector's own name; "" is not shown.</summary>
    public string Collector { get; init; } = "";

    public IReadOnlyList<ApiMetadata> Metadata { get; init; } = [];
}

/// <summary>A target that relabelling dropped.</summary>
public sealed record ApiDroppedTarget(string Pool, Labels DiscoveredLabels);

/// <param name="Pools">All scrape pools, those without targets too.</param>
/// <param name="DroppedCounts">By pool: more may have been dropped than are kept.</param>
public sealed record ApiTargets(
    IReadOnlyList<string> Pools,
    IReadOnlyList<ApiTarget> Active, IReadOnlyList<ApiDroppedTarget> Dropped, IReadOnlyDictionary<string, int> DroppedCounts)
{
    public static ApiTargets Empty { get; } = new([], [], [], new Dictionary<string, int>());
}

/// <summary>For <c>/status/tsdb</c>. Times are Unix milliseconds; lists are sorted, largest first.</summary>
public sealed record TsdbStatus(long Series, long LabelPairs, long Chunks, long MinTime, long MaxTime)
{
    public IReadOnlyList<(string Name, long Value)> SeriesByMetric { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> ValuesByLabel { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> BytesByLabel { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> SeriesByPair { get; init; } = [];
}
