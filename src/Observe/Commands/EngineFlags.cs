using System.CommandLine;
using Observe.Hosting;
using Observe.Query.Promql;

namespace Observe.Commands;

/// <summary>The flags of every role that answers PromQL: limits of queries, and how they are evaluated.</summary>
sealed class EngineFlags
{
    readonly Option<TimeSpan> _timeout = Flags.Span("--query.timeout", "how long a query may take", "2m");
    readonly Option<int> _concurrency = Flags.Number("--query.max-concurrency", "queries evaluated at once (default 20)", 20);
    readonly Option<long> _samples = Flags.Long("--query.max-samples", "samples a query may hold at once (default 50000000)", 50_000_000);
    readonly Option<long> _series = Flags.Long(
        "--query.max-series", "series a query may touch (default 5000000)", new EngineOptions().MaxSeries);
    readonly Option<long> _bytes = Flags.Size(
        "--query.max-bytes", "memory a query may take; 0: a quarter of the process's, 2GB at most", "0MB");
    readonly Option<long> _totalBytes = Flags.Size(
        "--query.max-total-bytes", "memory all queries may take together; 0: a third of the process's", "0MB");
    readonly Option<long> _steps = Flags.Long(
        "--query.max-steps", "evaluations of a range query or subquery (default 1000000)", new EngineOptions().MaxSteps);
    readonly Option<int> _length = Flags.Number("--query.max-query-length", "bytes of a query's text (default 1048576)", 1 << 20);
    readonly Option<TimeSpan> _lookback = Flags.Span("--query.lookback-delta", "how far an instant selector looks back", "5m");
    readonly Option<string[]> _features = Flags.Many(
        "--enable-feature",
        "promql-experimental-functions, promql-duration-expr, promql-delayed-name-removal, promql-extended-range-selectors, "
        + "promql-binop-fill-modifiers, type-and-unit-labels, use-start-timestamps, or promql-all; repeatable");

    public void AddTo(Command command)
    {
        foreach (var option in (
            Option[])[_timeout, _concurrency, _samples, _series, _bytes, _totalBytes, _steps, _length, _lookback, _features])
        {
            command.Options.Add(option);
        }
    }

    /// <exception cref="FlagException">A feature is not known.</exception>
    public EngineOptions Options(ParseResult flags, RoleHost host)
    {
        var defaults = new EngineOptions();
        var options = defaults with
        {
            TimeoutMs = (long)flags.GetValue(_timeout).TotalMilliseconds,
            MaxConcurrency = flags.GetValue(_concurrency),
            MaxSamples = flags.GetValue(_samples),
            MaxSeries = flags.GetValue(_series),
            MaxBytes = flags.GetValue(_bytes) is > 0 and var bytes ? bytes : defaults.MaxBytes,
            MaxTotalBytes = flags.GetValue(_totalBytes) is > 0 and var total ? total : defaults.MaxTotalBytes,
            MaxSteps = flags.GetValue(_steps),
            MaxQueryLength = flags.GetValue(_length),
            LookbackMs = (long)flags.GetValue(_lookback).TotalMilliseconds,
            Clock = host.Time,
            Threads = host.QueryThreads,
        };
        foreach (var feature in flags.GetValue(_features)!.SelectMany(f => f.Split(',')))
        {
            options = feature switch
            {
                "promql-experimental-functions" => options with { ExperimentalFunctions = true },
                "promql-duration-expr" => options with { DurationExpressions = true },
                "promql-delayed-name-removal" => options with { DelayedNameRemoval = true },
                "promql-extended-range-selectors" => options with { ExtendedRangeSelectors = true },
                "promql-binop-fill-modifiers" => options with { FillModifiers = true },
                "type-and-unit-labels" => options with { TypeAndUnitLabels = true },
                "use-start-timestamps" => options with { StartTimestamps = true },
                "promql-all" => options.WithAllFeatures(),
                _ => throw new FlagException($"--enable-feature: {feature} is not known"),
            };
        }

        return options;
    }
}
