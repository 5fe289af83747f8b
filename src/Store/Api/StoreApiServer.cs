using Google.Protobuf.Collections;
using Grpc.Core;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Api;

/// <summary>Serves a querier as thanos.Store. Chunks are passed on as they are; series without chunks are encoded here.</summary>
sealed class StoreApiServer(IQuerier querier, StoreApiGate gate) : Wire.Store.StoreBase
{
    const int FrameBytes = 1 << 20;
    const int MaxBatch = 1024;

    /// <summary>A day: more than any reader needs, in milliseconds.</summary>
    const long MaxWindowsMargin = 86_400_000;

    public override async Task Series(SeriesRequest request, IServerStreamWriter<SeriesResponse> responses, ServerCallContext context)
    {
        var (hints, matchers) = (Hints(request), Matchers(request.AnyName ? request.Matchers.SkipLast(1) : request.Matchers));
        await gate.RunSeriesAsync(context, query => Guard(async () =>
        {
            var selection = query.Select(hints, matchers);
            var frames = new SeriesFrames(request, responses, query.CancellationToken);

            // Frames share the memory of the series' labels, which the enumerator holds until the last frame is sent.
            await using var all = querier.SelectAsync(selection).GetAsyncEnumerator();
            while (await all.MoveNextAsync())
            {
                await frames.AddAsync(all.Current);
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
            Range = new TimeRange(request.MinTime, request.MaxTime),
            StepMs = request.QueryHints?.StepMillis ?? request.Step,
            WindowMs = request.QueryHints?.Range?.Millis ?? request.Range,
            Function = around.Length > 0 && !isGrouped ? around : null,
            Aggregation = around.Length > 0 && isGrouped ? new AggregationHint(around, grouping!.Labels, !grouping.By) : null,
            IsCounter = request.Aggregates is [Aggr.Counter],
            MaxResolutionMs = Math.Max(0, request.MaxResolutionWindow),
            SkipSamples = request.SkipChunks,
            Limit = Limit(request.Limit),
            WindowsMarginMs = Math.Clamp(request.WindowsMargin, 0, MaxWindowsMargin),
            Aggregate = SampleAggregate(request),
            ReplicaLabels = Replicas(request.ReplicaLabels, request.WithoutReplicaLabels),
        };
    }

    /// <summary>The aggregate of downsampled windows, of which samples are made where series have no chunks; Raw: the average.</summary>
    static Aggregate SampleAggregate(SeriesRequest request) => request.Aggregates is [var only] ? (Aggregate)only : Aggregate.Raw;

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

    static void Check(Coverage coverage, bool disabled, PartialResponseStrategy strategy)
    {
        if ((disabled || strategy == PartialResponseStrategy.Abort) && coverage.IsPartial)
        {
            throw new RpcException(new Status(StatusCode.Aborted, coverage.Warnings().First(text => text != CoverageText.Truncated)));
        }
    }

    static async Task Guard(Func<Task> answer)
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

    /// <summary>Series on their way to the peer, cut into frames of about a megabyte.</summary>
    sealed class SeriesFrames(SeriesRequest request, IServerStreamWriter<SeriesResponse> responses, CancellationToken cancellationToken)
    {
        readonly ShardMatcher? _shard = ShardMatcher.Of(request.ShardInfo);
        readonly Aggregate _aggregate = SampleAggregate(request);
        readonly int _batch = (int)Math.Clamp(request.ResponseBatchSize, 1, MaxBatch);
        SeriesBatch _waiting = new();
        int _waitingBytes;
        Labels _replica;
        LabelSet? _wireReplica = request.ReplicaLabels.Count > 0 ? new LabelSet() : null;

        public async ValueTask AddAsync(Series series)
        {
            var labels = series.Labels;
            if (_shard?.Matches(labels) == false)
            {
                return;
            }

            var frame = Begin(series);
            if (!request.SkipChunks)
            {
                foreach (var chunk in WireChunks.Of(series, request.Aggregates, _aggregate))
                {
                    if (_waitingBytes > FrameBytes)
                    {
                        await FlushAsync();
                        frame = Begin(series);
                    }

                    frame.Chunks.Add(chunk);
                    _waitingBytes += WireChunks.Size(chunk);
                }

                if (frame.Chunks.Count == 0)
                {
                    _waiting.Series.RemoveAt(_waiting.Series.Count - 1);
                }
            }

            if (_waiting.Series.Count >= _batch || _waitingBytes > FrameBytes)
            {
                await FlushAsync();
            }
        }

        public async ValueTask EndAsync(Coverage coverage, bool withHints)
        {
            await FlushAsync();
            foreach (var warning in WireCoverage.Warnings(coverage, withHints))
            {
                await responses.WriteAsync(new SeriesResponse { Warning = warning }, cancellationToken);
            }

            if (withHints && WireCoverage.Hints(coverage) is { } hints)
            {
                await responses.WriteAsync(new SeriesResponse { Hints = hints }, cancellationToken);
            }
        }

        Wire.Series Begin(Series series)
        {
            // Most series have the replica of the one before.
            if (_wireReplica is not null && _replica != series.Replica)
            {
                (_replica, _wireReplica) = (series.Replica, WireLabels.ToWire(series.Replica));
            }

            var frame = new Wire.Series { Replica = _wireReplica };
            WireLabels.AddTo(frame.Labels, series.Labels);
            _waiting.Series.Add(frame);
            _waitingBytes += series.Labels.Encoded.Length;
            return frame;
        }

        async ValueTask FlushAsync()
        {
            if (_batch == 1)
            {
                foreach (var series in _waiting.Series)
                {
                    await responses.WriteAsync(new SeriesResponse { Series = series }, cancellationToken);
                }
            }
            else if (_waiting.Series.Count > 0)
            {
                await responses.WriteAsync(new SeriesResponse { Batch = _waiting }, cancellationToken);
            }

            _waiting = new SeriesBatch();
            _waitingBytes = 0;
        }
    }
}
