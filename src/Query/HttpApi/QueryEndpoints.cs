using System.Buffers;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary><c>query</c>, <c>query_range</c>, <c>query_exemplars</c>, <c>format_query</c> and <c>parse_query</c>.</summary>
static partial class QueryEndpoints
{
    const int MaxPoints = 11_000;

    public static void Map(ApiRoutes api)
    {
        api.Map("query", "query", InstantAsync, post: true);
        api.Map("query_range", "query_range", RangeAsync, post: true);
        api.Map("query_exemplars", "exemplars", ExemplarsAsync, post: true);
        api.Map("format_query", "format_query", FormatAsync, post: true);
        api.Map("parse_query", "parse_query", ParseAsync, post: true);
    }

    static async Task InstantAsync(ApiCall call)
    {
        var parameters = call.Parameters;
        var limit = parameters.Limit();
        var time = parameters.Time("time", call.Now);
        var timeout = Timeout(parameters);
        var lookback = Lookback(parameters);
        var resolution = MaxResolution(call);
        var query = new InstantQuery(parameters["query"], time)
        {
            LookbackMs = lookback,
            MaxResolutionMs = resolution,
            PerStepStatistics = PerStep(call),
            Explain = call.Parameters.Bool("explain", false),
        };
        var querier = call.Options.Querier(Fanout(call));
        await EvaluateAsync(call, query.Text, limit, () => call.Options.Engine.InstantAsync(querier, query, Begin(call, timeout)));
    }

    static async Task RangeAsync(ApiCall call)
    {
        var parameters = call.Parameters;
        var limit = parameters.Limit();
        var start = parameters.Time("start");
        var end = parameters.Time("end");
        if (end < start)
        {
            throw ApiException.Parameter("end", "end timestamp must not be before start time");
        }

        var span = (Int128)end - start;
        var step = parameters.Duration("step")
            ?? Math.Max((long)(span / 1000 / 250), (long)call.Options.DefaultStep.TotalSeconds) * 1_000_000_000;
        if (step <= 0)
        {
            throw ApiException.Parameter("step", "zero or negative query resolution step widths are not accepted. Try a positive integer");
        }

        if (span * 1_000_000 / step > MaxPoints)
        {
            throw ApiException.BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)");
        }

        var timeout = Timeout(parameters);
        var lookback = Lookback(parameters);
        var stepMs = Math.Max(1, step / 1_000_000);
        var resolution = MaxResolution(call);
        var query = new RangeQuery(parameters["query"], start, end, stepMs)
        {
            LookbackMs = lookback,
            MaxResolutionMs = resolution,
            PerStepStatistics = PerStep(call),
            Explain = call.Parameters.Bool("explain", false),
        };
        var querier = call.Options.Querier(Fanout(call));
        await EvaluateAsync(call, query.Text, limit, () => call.Options.Engine.RangeAsync(querier, query, Begin(call, timeout)));
    }

    static async Task EvaluateAsync(ApiCall call, string text, int limit, Func<Task<QueryResult>> evaluate)
    {
        var began = call.Options.Time.GetTimestamp();
        QueryResult? result = null;
        try
        {
            using (call.Options.Metrics?.Track(call.Options.Engine.Options.MaxConcurrency))
            {
                result = await evaluate();
            }

            call.Options.Metrics?.Observe(result.Statistics);
        }
        finally
        {
            var took = call.Options.Time.GetElapsedTime(began);
            if (call.Options.SlowQuery > TimeSpan.Zero && took >= call.Options.SlowQuery)
            {
                var headers = call.Http.Request.Headers;
                LogSlow(
                    call.Options.Logging.CreateLogger("Observe.Query.SlowQuery"),
                    text, took.TotalSeconds, result?.Statistics.TotalSamples ?? 0,
                    headers["X-Dashboard-Uid"].ToString(), headers["X-Panel-Id"].ToString(), headers["X-Grafana-User"].ToString(),
                    call.Http.Connection.RemoteIpAddress?.ToString() ?? "");
            }
        }

        using var held = result;
        var warnings = result.Warnings;
        if (limit > 0 && result.Series.Count > limit)
        {
            warnings = [.. warnings, CoverageText.Truncated];
        }

        if (call.Parameters["stats"] is not ("" or "true" or "all") and var stats)
        {
            warnings =
            [
                .. warnings,
                $"value {GoText.Quote(stats)} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"",
            ];
        }

        call.Begin();
        await ResultWriter.WriteAsync(
            call, result, limit, call.Parameters["stats"].Length > 0 ? result.Statistics : null, noStore: warnings.Count > 0);
        await call.EndAsync(result.Coverage, warnings, result.Infos);
    }

    /// <summary>No exemplars are stored; the request's parameters are checked all the same.</summary>
    static async Task ExemplarsAsync(ApiCall call)
    {
        var start = call.Parameters.Time("start", RequestParameters.MinTime);
        var end = call.Parameters.Time("end", RequestParameters.MaxTime);
        if (end < start)
        {
            throw ApiException.BadData("end timestamp must not be before start timestamp");
        }

        try
        {
            await ParseAsync(call, expr => expr);
        }
        catch (ParseException e)
        {
            throw ApiException.BadData(e.Message);
        }

        call.Begin().Raw("[]"u8);
        await call.EndAsync();
    }

    static async Task FormatAsync(ApiCall call)
    {
        var text = await ParseAsync(call, Printer.Pretty);
        call.Begin().Text(text);
        await call.EndAsync();
    }

    static async Task ParseAsync(ApiCall call)
    {
        var tree = await ParseAsync(call, expr =>
        {
            var json = new ArrayBufferWriter<byte>();
            using (var writer = new Utf8JsonWriter(json, ApiJson.Options))
            {
                AstJson.Write(writer, expr);
            }

            return json.WrittenMemory;
        });
        call.Begin().Raw(tree.Span);
        await call.EndAsync();
    }

    /// <summary>Parses the query of a request, and walks its tree, on a thread whose stack is large enough for that.</summary>
    static Task<T> ParseAsync<T>(ApiCall call, Func<Expr, T> walk) =>
        call.Options.Engine.ReadAsync(Begin(call), turn => Task.FromResult(walk(Parse(call, turn.CancellationToken))), mayRunInline: false);

    static Expr Parse(ApiCall call, CancellationToken cancellationToken)
    {
        var options = call.Options.Engine.Options;
        var text = call.Parameters["query"];
        if (options.MaxQueryLength > 0 && System.Text.Encoding.UTF8.GetByteCount(text) > options.MaxQueryLength)
        {
            throw new LimitException($"the query is longer than {options.MaxQueryLength} bytes (--query.max-query-length)");
        }

        return PromqlParser.Parse(text, new ParserOptions
        {
            ExperimentalFunctions = options.ExperimentalFunctions,
            DurationExpressions = options.DurationExpressions,
            ExtendedRangeSelectors = options.ExtendedRangeSelectors,
            FillModifiers = options.FillModifiers,
        }, cancellationToken);
    }

    /// <summary>Begins the query of a request.</summary>
    internal static QueryContext Begin(ApiCall call, long? timeoutMs = null) => call.Options.Engine.Begin(timeoutMs, [], call.Cancelled);

    /// <summary>The options of the fan-out from the request's parameters, which are Thanos's.</summary>
    internal static FanoutOptions Fanout(ApiCall call)
    {
        var (parameters, defaults) = (call.Parameters, call.Options.Defaults);
        var replicas = parameters.All("replicaLabels[]");
        var stores = new List<IReadOnlyList<Matcher>>();
        foreach (var text in parameters.All("storeMatch[]"))
        {
            try
            {
                stores.Add(PromqlParser.ParseMetricSelector(text));
            }
            catch (ParseException e)
            {
                throw ApiException.BadData(e.Message);
            }
        }

        return defaults with
        {
            Deduplicate = parameters.Bool("dedup", defaults.Deduplicate),
            PartialResponse = parameters.Bool("partial_response", defaults.PartialResponse),
            ReplicaLabels = replicas.Count > 0 ? replicas : defaults.ReplicaLabels,
            StoreMatchers = stores,
        };
    }

    /// <summary>The request's timeout in milliseconds; at least one, so that a shorter timeout gives the same error as others.</summary>
    static long? Timeout(RequestParameters parameters) =>
        parameters.Duration("timeout") is { } nanoseconds ? Math.Max(1, nanoseconds / 1_000_000) : null;

    static long? Lookback(RequestParameters parameters)
    {
        var text = parameters["lookback_delta"];
        if (text.Length == 0)
        {
            return null;
        }

        return RequestParameters.TryDuration(text, out var nanoseconds, out var error)
            ? nanoseconds / 1_000_000 is var milliseconds and > 0 ? milliseconds : null
            : throw ApiException.BadData($"error parsing lookback delta duration: {error}");
    }

    /// <summary>Milliseconds; null for <c>auto</c>.</summary>
    static long? MaxResolution(ApiCall call)
    {
        const string Name = "max_source_resolution";
        var text = call.Parameters[Name];
        if (text is "" or "auto")
        {
            return text == "auto" || call.Options.AutoDownsampling ? null : 0;
        }

        if (!RequestParameters.TryDuration(text, out var nanoseconds, out var error))
        {
            throw ApiException.BadData($"'{Name}' parameter: {error}");
        }

        return nanoseconds < 0
            ? throw ApiException.BadData($"negative '{Name}' is not accepted. Try a positive integer")
            : nanoseconds / 1_000_000;
    }

    static bool PerStep(ApiCall call) => call.Options.PerStepStatistics && call.Parameters["stats"] == "all";

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message =
            "slow query query={Query} seconds={Seconds} samples={Samples} dashboard={Dashboard} panel={Panel} user={User} remote={Remote}")]
    static partial void LogSlow(
        ILogger logger, string query, double seconds, long samples, string dashboard, string panel, string user, string remote);
}
