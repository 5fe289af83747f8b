using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Store.Fleet;
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

    /// <summary>The targets and metadata that a request gets, by the request's options.</summary>
    public Func<FanoutOptions, ITargetSource>? Targets { get; init; }

    /// <summary>For <c>/blocks</c>: all blocks of the bucket.</summary>
    public Func<IReadOnlyList<BlockState>>? Blocks { get; init; }

    /// <summary>For <c>/clusters</c>: the collectors that write to the bucket, and each held against its blocks.</summary>
    public Func<CancellationToken, Task<(FleetStatus Status, IReadOnlyList<KnownCollector> Known)>>? Fleet { get; init; }

    /// <summary>
    /// For a POST of <c>/clusters/acknowledge</c>, by cluster and collector; null: that is not allowed (<c>--web.enable-admin-api</c>).
    /// </summary>
    public Func<string, string, CancellationToken, Task<AcknowledgeResult>>? Acknowledge { get; init; }

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

/// <summary>For <c>/status/tsdb</c>. Times are Unix milliseconds; lists are sorted, largest first.</summary>
public sealed record TsdbStatus(long Series, long LabelPairs, long Chunks, long MinTime, long MaxTime)
{
    public IReadOnlyList<(string Name, long Value)> SeriesByMetric { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> ValuesByLabel { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> BytesByLabel { get; init; } = [];

    public IReadOnlyList<(string Name, long Value)> SeriesByPair { get; init; } = [];
}
