using Google.Protobuf.Collections;
using Grpc.Core;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>Serves a querier as thanos.Store. Chunks are passed on as they are; series without chunks are encoded here.</summary>
sealed class StoreApiServer(IQuerier querier, StoreApiGate gate) : StoreApiMethods
{
    /// <summary>A day: more than any reader needs, in milliseconds.</summary>
    const long MaxWindowsMargin = 86_400_000;

    /// <summary>After so many series an answer is no small one.</summary>
    const int FewSeries = 1_000;

    public override async Task Series(SeriesRequest request, IServerStreamWriter<WireFrame> responses, ServerCallContext context)
    {
        var (hints, matchers) = (Hints(request), Matchers(request.AnyName ? request.Matchers.SkipLast(1) : request.Matchers));
        await gate.RunSeriesAsync(context, query => Guard(async () =>
        {
            var selection = query.Select(hints, matchers);
            await using var frames = new SeriesFrameWriter(request, responses, query.CancellationToken);
            var count = 0;
            await foreach (var series in querier.SelectAsync(selection))
            {
                await frames.AddAsync(series);
                if (++count == FewSeries)
                {
                    await Task.Yield();
                }
            }

            Check(selection.Coverage, request.PartialResponseDisabled, request.PartialResponseStrategy);
            await frames.EndAsync(selection.Coverage, WireCoverage.IsWanted(context));
        }));
    }

    public override async Task<LabelNamesResponse> LabelNames(LabelNamesRequest request, ServerCallContext context)
    {
        var (hints, matchers) = (
            Hints(request.Start, request.End, request.Limit, Replicas(request.ReplicaLabels, request.WithoutReplicaLabels)),
            Matchers(request.Matchers));
        var response = new LabelNamesResponse { WithoutReplicas = request.ReplicaLabels.Count > 0 };
        await gate.RunAsync(context, query => Guard(async () =>
        {
            var selection = query.Select(hints, matchers);
            response.Names.AddRange(await querier.LabelNamesAsync(selection));
            Check(selection.Coverage, request.PartialResponseDisabled, request.PartialResponseStrategy);
            var withHints = WireCoverage.IsWanted(context);
            response.Warnings.AddRange(WireCoverage.Warnings(selection.Coverage, withHints));
            response.Hints = withHints ? WireCoverage.Hints(selection.Coverage) : null;
        }));
        return response;
    }

    public override async Task<LabelValuesResponse> LabelValues(LabelValuesRequest request, ServerCallContext context)
    {
        if (request.Label.Length == 0)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, "label name parameter cannot be empty"));
        }

        var (hints, matchers) = (
            Hints(request.Start, request.End, request.Limit, Replicas(request.ReplicaLabels, request.WithoutReplicaLabels)),
            Matchers(request.Matchers));
        var response = new LabelValuesResponse { WithoutReplicas = request.ReplicaLabels.Count > 0 };
        await gate.RunAsync(context, query => Guard(async () =>
        {
            var selection = query.Select(hints, matchers);
            response.Values.AddRange(await querier.LabelValuesAsync(request.Label, selection));
            Check(selection.Coverage, request.PartialResponseDisabled, request.PartialResponseStrategy);
            var withHints = WireCoverage.IsWanted(context);
            response.Warnings.AddRange(WireCoverage.Warnings(selection.Coverage, withHints));
            response.Hints = withHints ? WireCoverage.Hints(selection.Coverage) : null;
        }));
        return response;
    }

    static SelectHints Hints(SeriesRequest request)
    {
        var (around, grouping) = (request.QueryHints?.Func?.Name ?? "", request.QueryHints?.Grouping);
        var isGrouped = grouping is { By: true } or { Labels.Count: > 0 };
        return new SelectHints
        {
            Range = new TimeRange(request.MinTime, request.MaxTime).Narrowed(Math.Clamp(request.WidenedBy, 0, MaxWindowsMargin)),
            StepMs = request.QueryHints?.StepMillis ?? request.Step,
            WindowMs = request.QueryHints?.Range?.Millis ?? request.Range,
            Function = around.Length > 0 && !isGrouped ? around : null,
            Aggregation = around.Length > 0 && isGrouped ? new AggregationHint(around, grouping!.Labels, !grouping.By) : null,
            IsCounter = request.Aggregates is [Aggr.Counter],
            MaxResolutionMs = Math.Max(0, request.MaxResolutionWindow),
            SkipSamples = request.SkipChunks,
            Limit = Limit(request.Limit),
            WindowsMarginMs = Math.Clamp(request.WindowsMargin, 0, MaxWindowsMargin),
            Aggregate = WireChunks.AggregateOf(request),
            ReplicaLabels = Replicas(request.ReplicaLabels, request.WithoutReplicaLabels),
        };
    }

    static SelectHints Hints(long start, long end, long limit, IReadOnlyList<string> replicaLabels) =>
        new() { Range = new TimeRange(start, end), Limit = Limit(limit), SkipSamples = true, ReplicaLabels = replicaLabels };

    /// <summary>Thanos's queriers join series whose labels are equal, so that those keep their own labels for them too.</summary>
    static IReadOnlyList<string> Replicas(RepeatedField<string> ours, RepeatedField<string> thanos) =>
        ours.Count + thanos.Count == 0 ? [] : [.. ours.Union(thanos)];

    static int Limit(long limit) => (int)Math.Clamp(limit, 0, int.MaxValue);

    static List<Matcher> Matchers(IEnumerable<LabelMatcher> matchers)
    {
        try
        {
            return [.. matchers.Select(WireLabels.FromWire)];
        }
        catch (FormatException e)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, e.Message, e));
        }
    }

    internal static void Check(Coverage coverage, bool disabled, PartialResponseStrategy strategy)
    {
        if ((disabled || strategy == PartialResponseStrategy.Abort) && coverage.IsPartial)
        {
            throw new RpcException(new Status(StatusCode.Aborted, coverage.Warnings().First(text => text != CoverageText.Truncated)));
        }
    }

    internal static async Task Guard(Func<Task> answer)
    {
        try
        {
            await answer();
        }
        catch (LimitException e)
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, e.Message, e));
        }
        catch (ResourceExhaustedException e)
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, e.Message, e));
        }
        catch (CorruptionException e)
        {
            throw new RpcException(new Status(StatusCode.DataLoss, e.Message, e));
        }
        catch (IOException e)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, e.Message, e));
        }
    }
}
