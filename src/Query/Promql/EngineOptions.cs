using Observe.Tsdb.Threading;

namespace Observe.Query.Promql;

/// <summary>
/// What the engine allows, and which of Prometheus's feature flags are on. All limits are per query unless they say otherwise; 0 lifts one.
/// </summary>
public sealed record EngineOptions
{
    /// <summary>How far an instant selector looks back, exclusive, in milliseconds (<c>--query.lookback-delta</c>).</summary>
    public long LookbackMs { get; init; } = 5 * 60_000;

    /// <summary>Milliseconds a query may take, waiting included (<c>--query.timeout</c>).</summary>
    public long TimeoutMs { get; init; } = 2 * 60_000;

    /// <summary>Queries that run at once; more wait (<c>--query.max-concurrency</c>).</summary>
    public int MaxConcurrency { get; init; } = 20;

    /// <summary>Searches for series, names and values that run at once, beside the queries; more wait.</summary>
    public int MaxSearches => Math.Max(2, MaxConcurrency / 4);

    /// <summary>The threads that queries compute on, which the caller owns; null: the engine has threads of its own.</summary>
    public ComputeThreads? Threads { get; init; }

    /// <summary>Samples held at once, counted as Prometheus counts them (<c>--query.max-samples</c>).</summary>
    public long MaxSamples { get; init; } = 50_000_000;

    /// <summary>Series that the selectors of a query may select together (<c>--query.max-series</c>).</summary>
    public long MaxSeries { get; init; } = 5_000_000;

    /// <summary>
    /// Bytes that a query may hold for results and on the way to them (<c>--query.max-bytes</c>): a quarter of the process's memory, 2 GiB
    /// at most.
    /// </summary>
    public long MaxBytes { get; init; } = Math.Min(2L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);

    /// <summary>
    /// The same for all queries that run at once (<c>--query.max-total-bytes</c>): a third of the process's memory, which it shares with
    /// samples in memory, caches, and garbage that is not collected yet.
    /// </summary>
    public long MaxTotalBytes { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 3;

    /// <summary>Bytes of UTF-8 of a query's text (<c>--query.max-query-length</c>).</summary>
    public int MaxQueryLength { get; init; } = 1 << 20;

    /// <summary>Evaluations of one range query or subquery (<c>--query.max-steps</c>).</summary>
    public long MaxSteps { get; init; } = 1_000_000;

    /// <summary>Step of a subquery that has none, in milliseconds: the global evaluation interval.</summary>
    public long DefaultSubqueryStepMs { get; init; } = 60_000;

    /// <summary>Drop metric names at the end of a query instead of in each function (<c>promql-delayed-name-removal</c>).</summary>
    public bool DelayedNameRemoval { get; init; }

    /// <summary>Tell counters by <c>__type__</c> (<c>type-and-unit-labels</c>).</summary>
    public bool TypeAndUnitLabels { get; init; }

    /// <summary>Use start timestamps in rate, irate, increase and resets (<c>use-start-timestamps</c>).</summary>
    public bool StartTimestamps { get; init; }

    /// <summary>Functions and aggregations that Prometheus calls experimental (<c>promql-experimental-functions</c>).</summary>
    public bool ExperimentalFunctions { get; init; }

    /// <summary>Arithmetic in durations (<c>promql-duration-expr</c>).</summary>
    public bool DurationExpressions { get; init; }

    /// <summary><c>anchored</c> and <c>smoothed</c> (<c>promql-extended-range-selectors</c>).</summary>
    public bool ExtendedRangeSelectors { get; init; }

    /// <summary><c>fill</c>, <c>fill_left</c> and <c>fill_right</c> (<c>promql-binop-fill-modifiers</c>).</summary>
    public bool FillModifiers { get; init; }

    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>These options with every feature flag on.</summary>
    public EngineOptions WithAllFeatures() => this with
    {
        DelayedNameRemoval = true,
        ExperimentalFunctions = true,
        DurationExpressions = true,
        ExtendedRangeSelectors = true,
        FillModifiers = true,
    };
}

/// <param name="TimeMs">When it is evaluated, Unix milliseconds.</param>
public sealed record InstantQuery(string Text, long TimeMs)
{
    /// <summary>Instead of <see cref="EngineOptions.LookbackMs"/>.</summary>
    public long? LookbackMs { get; init; }

    /// <summary>
    /// The coarsest downsampled data that may answer where finer are there too, in milliseconds, 0 being raw samples; null: for each
    /// selector as coarse as its step and its range allow.
    /// </summary>
    public long? MaxResolutionMs { get; init; } = 0;

    /// <summary>Keep samples for each step in the statistics.</summary>
    public bool PerStepStatistics { get; init; }

    /// <summary>Watch each operator and tell what it did; costs some time.</summary>
    public bool Explain { get; init; }
}

/// <param name="StartMs">First evaluation, Unix milliseconds.</param>
/// <param name="EndMs">No evaluation after it; inclusive.</param>
/// <param name="StepMs">Milliseconds between evaluations, above 0.</param>
public sealed record RangeQuery(string Text, long StartMs, long EndMs, long StepMs)
{
    /// <summary>Instead of <see cref="EngineOptions.LookbackMs"/>.</summary>
    public long? LookbackMs { get; init; }

    /// <summary>
    /// The coarsest downsampled data that may answer where finer are there too, in milliseconds, 0 being raw samples; null: for each
    /// selector as coarse as its step and its range allow.
    /// </summary>
    public long? MaxResolutionMs { get; init; } = 0;

    /// <summary>Keep samples for each step in the statistics.</summary>
    public bool PerStepStatistics { get; init; }

    /// <summary>Watch each operator and tell what it did; costs some time.</summary>
    public bool Explain { get; init; }
}

/// <summary>A query that took longer than it may (<c>timeout</c>, HTTP 503).</summary>
public sealed class QueryTimeoutException(string message) : Exception(message);
