using System.Runtime.ExceptionServices;
using Grpc.Core;
using Grpc.Net.Client;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Any = Google.Protobuf.WellKnownTypes.Any;
using MatchType = Observe.Tsdb.Model.MatchType;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Api;

public sealed record StoreApiClientOptions
{
    /// <summary>
    /// How long the store may take to send the first frame, and each further one. Time that the reader takes does not count.
    /// </summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The largest message taken, in bytes.</summary>
    public int MaxMessageBytes { get; init; } = 64 << 20;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>
    /// The handler that connects, with TLS and client certificates where they are wanted; null is HTTP/2 in the clear. The client does not
    /// dispose it.
    /// </summary>
    public HttpMessageHandler? Handler { get; init; }
}

/// <summary>A store that failed or was silent for too long; the message names it.</summary>
public sealed class StoreApiException(string endpoint, string what, Exception? inner = null) : IOException($"{endpoint}: {what}", inner)
{
    public string Endpoint { get; } = endpoint;

    /// <summary>Whether no call to the store was answered, in full or in part, for as long as one may take.</summary>
    public bool IsSilence { get; init; }
}

/// <summary>Another process's series over the store API: Observe's or Thanos's.</summary>
/// <remarks>
/// Frames are read as the caller asks for series, and a series' chunks are decoded as its samples are read. Frames of one series that
/// follow one another are one series here. Errors: <see cref="StoreApiException"/>; <see cref="LimitException"/> for a limit of the store.
/// </remarks>
public sealed partial class StoreApiClient : IQuerier, IDisposable
{
    /// <summary>
    /// The label of a set that Thanos's stores announce beside their own, for queriers older than most. No series has it.
    /// </summary>
    const string ThanosStoreType = "@thanos_compatibility_store_type";

    /// <summary>Bytes that a store may be ahead of the reader of one call: it does not stop after each small piece.</summary>
    const int WindowBytes = 4 << 20;

    /// <summary>Bytes that are received before a query's thread is woken for them, unless the answer ends before.</summary>
    const int ReceivedAtOnce = 1 << 20;

    static readonly TimeSpan s_early = TimeSpan.FromMilliseconds(100);

    readonly StoreApiClientOptions _options;
    readonly GrpcChannel _channel;
    readonly Wire.Store.StoreClient _store;
    readonly Info.InfoClient _info;
    volatile StoreDescription? _described;
    long _lastFrame;

    /// <param name="endpoint">HOST:PORT.</param>
    public StoreApiClient(string endpoint, StoreApiClientOptions options)
    {
        (Endpoint, _options) = (endpoint, options);
        _channel = GrpcChannel.ForAddress((options.Handler is null ? "http://" : "https://") + endpoint, new GrpcChannelOptions
        {
            HttpHandler = options.Handler ?? new SocketsHttpHandler
            {
                ConnectTimeout = TimeSpan.FromSeconds(5),
                EnableMultipleHttp2Connections = true,
                KeepAlivePingDelay = TimeSpan.FromSeconds(10),
                KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
                PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5),
                InitialHttp2StreamWindowSize = WindowBytes,
                ConnectCallback = ReadAheadStream.ConnectAsync,
            },
            DisposeHttpClient = options.Handler is null,
            MaxReceiveMessageSize = options.MaxMessageBytes,
            MaxSendMessageSize = null,
            CompressionProviders = WireCompression.All(options.MaxMessageBytes),
            // By default the channel waits up to two minutes before it tries a store again that was down.
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(500),
            MaxReconnectBackoff = TimeSpan.FromSeconds(5),
        });
        _store = new Wire.Store.StoreClient(_channel);
        _info = new Info.InfoClient(_channel);
    }

    public string Endpoint { get; }

    /// <summary>Asks the store for its description.</summary>
    /// <exception cref="StoreApiException">It can't be reached, or serves no store API.</exception>
    public async Task<StoreDescription> DescribeAsync(CancellationToken cancellationToken)
    {
        var response = await CallAsync(options => _info.InfoAsync(new InfoRequest(), options), new QueryContext(cancellationToken));
        if (response.Store is not { } store)
        {
            throw new StoreApiException(Endpoint, $"{response.ComponentType} serves no store API");
        }

        return _described = new StoreDescription(
            response.ComponentType,
            [.. response.LabelSets.Select(set => WireLabels.FromWire(set.Labels)).Where(set => !set.Has(ThanosStoreType))],
            new TimeRange(store.MinTime, store.MaxTime))
        {
            Apis = (response.MetricMetadata is null ? 0 : ServedApis.Metadata)
                | (response.Targets is null ? 0 : ServedApis.Targets)
                | (response.Query is null ? 0 : ServedApis.Query),
            Ranges = WireFleet.Ranges(store),
            Collector = response.Collector,
            Fleet = [.. response.Fleet.Select(WireFleet.FromWire)],
        };
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => new HeldSelection<RemoteSelection>(
        () => new RemoteSelection(Endpoint, selection.Hints, selection.Query.Bytes),
        held => selection.Hints.ReplicaLabels.Count == 0 ? ReadAsync(selection, held) : WithoutReplicasAsync(selection, held));

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        // A store that does not leave replica labels off sends their names too.
        var limit = selection.Hints.Limit == 0 ? 0L : (long)selection.Hints.Limit + selection.Hints.ReplicaLabels.Count;
        var request = new LabelNamesRequest { Start = selection.Range.MinTime, End = selection.Range.MaxTime, Limit = limit };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        request.ReplicaLabels.AddRange(selection.Hints.ReplicaLabels);
        var response = await CallAsync(options => _store.LabelNamesAsync(request, options), selection.Query);
        var names = Sorted(response.Names, response.Warnings, response.Hints, selection.Coverage);
        foreach (var name in response.WithoutReplicas ? [] : names.Intersect(selection.Hints.ReplicaLabels).ToList())
        {
            if ((await LabelValuesAsync(name, selection.With(selection.Hints with { Limit = 0 }))).Count == 0)
            {
                names.Remove(name);
            }
        }

        return selection.Limited(names);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        var request = new LabelValuesRequest
        {
            Label = name,
            Start = selection.Range.MinTime,
            End = selection.Range.MaxTime,
            Limit = selection.Hints.ReplicaLabels.Contains(name) ? 0 : selection.Hints.Limit,
        };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        request.ReplicaLabels.AddRange(selection.Hints.ReplicaLabels);
        var response = await CallAsync(options => _store.LabelValuesAsync(request, options), selection.Query);
        var values = Sorted(response.Values, response.Warnings, response.Hints, selection.Coverage);
        if (!response.WithoutReplicas && selection.Hints.ReplicaLabels.Contains(name))
        {
            var external = (await DescriptionAsync(selection)).LabelSets.Select(set => set.Get(name)).ToHashSet();
            values.RemoveAll(external.Contains);
        }

        return selection.Limited(values);
    }

    public void Dispose() => _channel.Dispose();

    SeriesRequest Request(Selection selection)
    {
        var hints = selection.Hints;

        // Thanos's stores know no margin. Who has no windows is not asked for more.
        var widened = hints.MaxResolutionMs > 0 && _described?.Component is not ("sidecar" or "receive" or "rule") ? hints.WindowsMarginMs : 0;
        var range = hints.Range.Widened(widened);
        var request = new SeriesRequest
        {
            MinTime = range.MinTime,
            MaxTime = range.MaxTime,
            WidenedBy = widened,
            MaxResolutionWindow = hints.MaxResolutionMs,
            WindowsMargin = hints.WindowsMarginMs,
            SkipChunks = hints.SkipSamples,
            Step = hints.StepMs,
            Range = hints.WindowMs,
            Limit = Limit(hints),
            ResponseBatchSize = 1024,
            QueryHints = new QueryHints
            {
                StepMillis = hints.StepMs,
                Func = (hints.Function ?? hints.Aggregation?.Name) is { } name ? new Func { Name = name } : null,
                Grouping = hints.Aggregation is { } around ? new Grouping { By = !around.Without, Labels = { around.Labels } } : null,
                Range = hints.WindowMs == 0 ? null : new Wire.Range { Millis = hints.WindowMs },
            },
        };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        if (_described?.LabelSets.Any(set => selection.Matchers.All(m => set.Has(m.Name))) == true)
        {
            // Thanos's stores have nothing, or an error, for matchers that are all on external labels.
            request.Matchers.Add(WireLabels.ToWire(new Matcher(MatchType.NotEqual, Labels.MetricName, "")));
            request.AnyName = true;
        }

        request.ReplicaLabels.AddRange(hints.ReplicaLabels);
        request.Aggregates.AddRange(hints.Aggregate switch
        {
            Aggregate.Count => [Aggr.Count],
            Aggregate.Sum => [Aggr.Sum],
            Aggregate.Min => [Aggr.Min],
            Aggregate.Max => [Aggr.Max],
            Aggregate.Counter => [Aggr.Counter],
            _ => (IEnumerable<Aggr>)[Aggr.Count, Aggr.Sum],
        });
        return request;
    }

    // A store that does not leave replica labels off counts each replica of a series.
    long Limit(SelectHints hints)
    {
        if (hints.Limit == 0 || hints.ReplicaLabels.Count == 0 || _described is not { LabelSets.Count: > 1 } described)
        {
            return hints.Limit;
        }

        return (long)hints.Limit * described.LabelSets.GroupBy(set => set.Without(hints.ReplicaLabels)).Max(replicas => replicas.Count());
    }

    static List<string> Sorted(IEnumerable<string> names, IEnumerable<string> warnings, Any? hints, Coverage coverage)
    {
        foreach (var warning in warnings)
        {
            WireCoverage.AddTo(coverage, warning);
        }

        WireCoverage.AddTo(coverage, hints);
        var sorted = new List<string>(names);
        sorted.Sort(Utf8Order.Instance);
        return sorted;
    }

    async ValueTask<StoreDescription> DescriptionAsync(Selection selection) =>
        _described ?? await DescribeAsync(selection.CancellationToken);

    /// <summary>
    /// A store that does not leave replica labels off sends them all, and its series are in order without them only once all are here.
    /// </summary>
    async IAsyncEnumerable<Series> WithoutReplicasAsync(Selection selection, RemoteSelection held)
    {
        var (gathered, announced) = (new List<RemoteSeries>(), default(AnnouncedLabels));
        await foreach (var series in ReadAsync(selection, held))
        {
            if (series.TellsReplica)
            {
                yield return series;
                continue;
            }

            announced ??= new AnnouncedLabels((await DescriptionAsync(selection)).LabelSets, selection.Hints.ReplicaLabels);
            gathered.Add(series.As(announced.LeaveOff(series.Labels)));
        }

        gathered.Sort(static (a, b) => a.Key.CompareTo(b.Key));
        foreach (var series in gathered)
        {
            yield return series;
        }
    }

    /// <param name="held">Gets the frames as they arrive.</param>
    async IAsyncEnumerable<RemoteSeries> ReadAsync(Selection selection, RemoteSelection held)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(selection.CancellationToken);
        using var call = _channel.CreateCallInvoker().AsyncServerStreamingCall(
            StoreApiMethods.SeriesMethod, null, Options(selection.Query, cancel.Token), Request(selection));
        var (received, reader, failure) = (new List<WireFrame>(), new SeriesFrameReader(held), default(ExceptionDispatchInfo));
        for (var more = true; more;)
        {
            received.Clear();
            try
            {
                more = await ReceiveAsync(call.ResponseStream, received, held, cancel, selection.Query);
            }
            catch (Exception e)
            {
                // What came before is read first.
                (more, failure) = (false, ExceptionDispatchInfo.Capture(e));
            }

            foreach (var frame in received)
            {
                reader.Open(frame);
                while (reader.Next() is { } next)
                {
                    switch (next)
                    {
                        case RemoteSeries whole:
                            yield return whole;
                            break;

                        case string warning:
                            WireCoverage.AddTo(selection.Coverage, warning);
                            break;

                        case Any hints:
                            WireCoverage.AddTo(selection.Coverage, hints);
                            break;
                    }
                }
            }
        }

        failure?.Throw();
        if (reader.Last() is { } last)
        {
            yield return last;
        }
    }

    /// <summary>Receives frames, on threads of the pool: the query's own is woken once for many.</summary>
    /// <returns>Whether there are more.</returns>
    async Task<bool> ReceiveAsync(
        IAsyncStreamReader<WireFrame> frames, List<WireFrame> received, RemoteSelection held, CancellationTokenSource cancel, QueryContext query)
    {
        for (var bytes = 0; bytes < ReceivedAtOnce; bytes += frames.Current.Bytes.Length)
        {
            if (!await NextAsync(frames, cancel, query).ConfigureAwait(false))
            {
                return false;
            }

            held.Add(frames.Current);
            received.Add(frames.Current);
        }

        return true;
    }

    /// <summary>The call's deadline is the query's.</summary>
    static CallOptions Options(QueryContext query, CancellationToken cancellationToken) => new(
        WireCoverage.RequestMetadata(),
        query.Deadline.TimeLeft is { } left ? (TimeProvider.System.GetUtcNow() + left).UtcDateTime : null,
        cancellationToken);

    async ValueTask<bool> NextAsync(IAsyncStreamReader<WireFrame> frames, CancellationTokenSource cancel, QueryContext query)
    {
        var next = frames.MoveNext(cancel.Token);
        try
        {
            var moved = await (next.IsCompletedSuccessfully ? next : next.WaitAsync(_options.ResponseTimeout, _options.Time, CancellationToken.None))
                .ConfigureAwait(false);
            Volatile.Write(ref _lastFrame, _options.Time.GetTimestamp());
            return moved;
        }
        catch (TimeoutException e)
        {
            await cancel.CancelAsync();
            throw Silent(e);
        }
        catch (RpcException e)
        {
            throw Failure(e, query);
        }
    }

    async Task<TResponse> CallAsync<TResponse>(Func<CallOptions, AsyncUnaryCall<TResponse>> start, QueryContext query)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(query.CancellationToken);
        using var call = start(Options(query, cancel.Token));
        try
        {
            return await call.ResponseAsync.WaitAsync(_options.ResponseTimeout, _options.Time, CancellationToken.None);
        }
        catch (TimeoutException e)
        {
            await cancel.CancelAsync();
            throw Silent(e);
        }
        catch (RpcException e)
        {
            throw Failure(e, query);
        }
    }

    StoreApiException Silent(TimeoutException e) => new(Endpoint, $"no response in {Duration.Format(_options.ResponseTimeout)}", e)
    {
        IsSilence = _options.Time.GetElapsedTime(Volatile.Read(ref _lastFrame)) >= _options.ResponseTimeout,
    };

    Exception Failure(RpcException e, QueryContext query)
    {
        query.CancellationToken.ThrowIfCancellationRequested();
        return e.StatusCode switch
        {
            // The peer's clock may run ahead of ours for a moment. Where the query has time left, the store's own limit ended the call.
            StatusCode.DeadlineExceeded when query.Deadline.TimeLeft < s_early => new DeadlineException(),
            StatusCode.ResourceExhausted => new LimitException($"{Endpoint}: {e.Status.Detail}"),
            _ => new StoreApiException(Endpoint, e.Status.DebugException is HttpRequestException http ? http.Message : e.Status.Detail, e),
        };
    }
}
