using Google.Protobuf;
using Google.Protobuf.Collections;
using Grpc.Core;
using Observe.Query.GrpcApi.Wire;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.GrpcApi;

/// <summary>
/// Serves the engine as thanos.Query: a querier that distributes a query sends the parts of it to those that hold what they need. The text of
/// a query counts; a plan that comes with it is not read.
/// </summary>
sealed class QueryApiServer(PrometheusApiOptions api) : Wire.Query.QueryBase
{
    const int MaxBatch = 1024;

    /// <summary>A batch of series that has so many samples is sent: all of them are objects until then.</summary>
    const int BatchSamples = 20_000;

    public override Task Query(QueryRequest request, IServerStreamWriter<QueryResponse> responses, ServerCallContext context)
    {
        var time = request.TimeSeconds == 0 ? api.Time.GetUtcNow().ToUnixTimeMilliseconds() : Milliseconds(request.TimeSeconds);
        var query = new InstantQuery(request.Query, time)
        {
            LookbackMs = Given(request.LookbackDeltaSeconds),
            MaxResolutionMs = Resolution(request.MaxResolutionSeconds),
        };
        var querier = Querier(
            request.EnableDedup, request.ReplicaLabels, request.EnablePartialResponse, request.StoreMatchers, request.ShardInfo);
        return AnswerAsync(
            turn => api.Engine.InstantAsync(querier, query, turn), Given(request.TimeoutSeconds), request.ResponseBatchSize, responses, context);
    }

    public override Task QueryRange(QueryRangeRequest request, IServerStreamWriter<QueryResponse> responses, ServerCallContext context)
    {
        if (request.EndTimeSeconds < request.StartTimeSeconds || request.IntervalSeconds <= 0)
        {
            throw Fault(StatusCode.InvalidArgument, "a range needs an end that is not before its start, and an interval above 0");
        }

        var query = new RangeQuery(
            request.Query, Milliseconds(request.StartTimeSeconds), Milliseconds(request.EndTimeSeconds), Milliseconds(request.IntervalSeconds))
        {
            LookbackMs = Given(request.LookbackDeltaSeconds),
            MaxResolutionMs = Resolution(request.MaxResolutionSeconds),
        };
        var querier = Querier(
            request.EnableDedup, request.ReplicaLabels, request.EnablePartialResponse, request.StoreMatchers, request.ShardInfo);
        return AnswerAsync(
            turn => api.Engine.RangeAsync(querier, query, turn), Given(request.TimeoutSeconds), request.ResponseBatchSize, responses, context);
    }

    async Task AnswerAsync(
        Func<QueryContext, Task<QueryResult>> evaluate, long? timeoutMs, long batchSize, IServerStreamWriter<QueryResponse> responses,
        ServerCallContext context)
    {
        using var result = await EvaluateAsync(() => evaluate(api.Engine.Begin(timeoutMs, [], context.CancellationToken)));
        if (result.Coverage.IsPartial)
        {
            api.Metrics?.CountIncomplete();
        }

        foreach (var warning in result.Warnings)
        {
            await responses.WriteAsync(new QueryResponse { Warnings = warning }, context.CancellationToken);
        }

        var (most, batch, samples) = ((int)Math.Clamp(batchSize, 1, MaxBatch), new TimeSeriesBatch(), 0);
        foreach (var series in Series(result))
        {
            if (most == 1)
            {
                await responses.WriteAsync(new QueryResponse { Timeseries = series }, context.CancellationToken);
                continue;
            }

            batch.Series.Add(series);
            samples += series.Samples.Count + series.Histograms.Count;
            if (batch.Series.Count == most || samples >= BatchSamples)
            {
                await responses.WriteAsync(new QueryResponse { TimeseriesBatch = batch }, context.CancellationToken);
                (batch, samples) = (new TimeSeriesBatch(), 0);
            }
        }

        if (batch.Series.Count > 0)
        {
            await responses.WriteAsync(new QueryResponse { TimeseriesBatch = batch }, context.CancellationToken);
        }
    }

    async Task<QueryResult> EvaluateAsync(Func<Task<QueryResult>> evaluate)
    {
        try
        {
            using (api.Metrics?.Track(api.Engine.Options.MaxConcurrency))
            {
                var result = await evaluate();
                api.Metrics?.Observe(result.Statistics);
                return result;
            }
        }
        catch (ParseException e)
        {
            throw Fault(StatusCode.InvalidArgument, e.Message, e);
        }
        catch (LimitException e)
        {
            throw Fault(StatusCode.ResourceExhausted, e.Message, e);
        }
        catch (Exception e) when (e is QueryTimeoutException or DeadlineException)
        {
            throw Fault(StatusCode.DeadlineExceeded, e.Message, e);
        }
        catch (QueryException e) when (e.IsBadData)
        {
            throw Fault(StatusCode.InvalidArgument, e.Message, e);
        }
        catch (Exception e) when (e is QueryException or IOException)
        {
            throw Fault(StatusCode.Aborted, e.Message, e);
        }
    }

    IQuerier Querier(
        bool deduplicate, RepeatedField<string> replicaLabels, bool partialResponse, IEnumerable<StoreMatchers> storeMatchers, Shard? shard)
    {
        if (shard is { TotalShards: > 1 })
        {
            throw Fault(StatusCode.Unimplemented, "a query is evaluated as a whole, not in shards");
        }

        return api.Querier(api.Defaults with
        {
            Deduplicate = deduplicate,
            ReplicaLabels = replicaLabels.Count > 0 ? [.. replicaLabels] : api.Defaults.ReplicaLabels,
            PartialResponse = partialResponse,
            StoreMatchers = [.. storeMatchers.Select(set => Matchers(set))],
        });
    }

    static List<Matcher> Matchers(StoreMatchers set)
    {
        try
        {
            return
            [
                .. set.LabelMatchers.Select(matcher => new Matcher(
                    matcher.Type is >= 0 and <= (int)Tsdb.Model.MatchType.NotRegex
                        ? (Tsdb.Model.MatchType)matcher.Type
                        : throw Fault(StatusCode.InvalidArgument, $"unknown matcher type {matcher.Type}"),
                    matcher.Name,
                    matcher.Value)),
            ];
        }
        catch (FormatException e)
        {
            throw Fault(StatusCode.InvalidArgument, e.Message, e);
        }
    }

    /// <summary>A resolution that is not given is that of an HTTP request which gives none.</summary>
    long? Resolution(long seconds) => seconds > 0 ? Milliseconds(seconds) : api.AutoDownsampling ? null : 0;

    static long? Given(long seconds) => seconds > 0 ? Milliseconds(seconds) : null;

    static long Milliseconds(long seconds) => seconds is >= long.MinValue / 1000 and <= long.MaxValue / 1000
        ? seconds * 1000
        : throw Fault(StatusCode.InvalidArgument, $"{seconds} s can't be expressed in milliseconds");

    static IEnumerable<TimeSeries> Series(QueryResult result)
    {
        switch (result.Type)
        {
            case ResultType.Scalar:
                return [new TimeSeries { Samples = { new Sample { Value = result.Scalar, Timestamp = result.TimeMs } } }];

            case ResultType.String:
                throw Fault(StatusCode.InvalidArgument, "the query's result is a string, for which there is no message");

            default:
                return result.Series.Select(ToWire);
        }
    }

    static TimeSeries ToWire(ResultSeries series)
    {
        var wire = new TimeSeries();
        foreach (var label in series.Labels)
        {
            wire.Labels.Add(new SeriesLabel { Name = ByteString.CopyFrom(label.Name), Value = ByteString.CopyFrom(label.Value) });
        }

        var values = series.Values.Span;
        for (var i = 0; i < values.Length; i++)
        {
            wire.Samples.Add(new Sample { Value = values[i], Timestamp = series.Timestamps.Span[i] });
        }

        var histograms = series.Histograms.Span;
        for (var i = 0; i < histograms.Length; i++)
        {
            wire.Histograms.Add(ToWire(histograms[i], series.HistogramTimestamps.Span[i]));
        }

        return wire;
    }

    static HistogramSample ToWire(Histogram histogram, long timestamp)
    {
        var wire = new HistogramSample
        {
            CountFloat = histogram.Count,
            Sum = histogram.Sum,
            Schema = histogram.Schema,
            ZeroThreshold = histogram.ZeroThreshold,
            ZeroCountFloat = histogram.ZeroCount,
            ResetHint = (int)histogram.CounterResetHint,
            Timestamp = timestamp,
        };
        wire.PositiveSpans.AddRange(histogram.PositiveSpans.Select(span => new Span { Offset = span.Offset, Length = span.Length }));
        wire.NegativeSpans.AddRange(histogram.NegativeSpans.Select(span => new Span { Offset = span.Offset, Length = span.Length }));
        wire.PositiveCounts.AddRange(histogram.PositiveBuckets);
        wire.NegativeCounts.AddRange(histogram.NegativeBuckets);
        wire.CustomValues.AddRange(histogram.CustomValues ?? []);
        return wire;
    }

    static RpcException Fault(StatusCode code, string what, Exception? inner = null) => new(new Status(code, what, inner));
}
