using Grpc.Core;
using Grpc.Net.Client;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Api;

public sealed record StoreApiClientOptions
{
    /// <summary>How long the store may be silent: to the first frame, and between two. Waiting for the reader does not count.</summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The largest message taken, in bytes.</summary>
    public int MaxMessageBytes { get; init; } = 64 << 20;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Connects, with TLS and client certificates where they are wanted; null is HTTP/2 in the clear. Not disposed by the client.</summary>
    public HttpMessageHandler? Handler { get; init; }
}

/// <summary>A store that failed or was silent for too long; the message names it.</summary>
public sealed class StoreApiException(string endpoint, string what, Exception? inner = null) : IOException($"{endpoint}: {what}", inner)
{
    public string Endpoint { get; } = endpoint;
}

/// <summary>Another process's series over the store API: Observe's or Thanos's.</summary>
/// <remarks>
/// Frames are read as the caller asks for series, and a series' chunks are decoded as its samples are read. Frames of one series that
/// follow one another are one series here. Errors: <see cref="StoreApiException"/>; <see cref="LimitException"/> for a limit of the store.
/// </remarks>
public sealed class StoreApiClient : IQuerier, IDisposable
{
    readonly StoreApiClientOptions _options;
    readonly GrpcChannel _channel;
    readonly Wire.Store.StoreClient _store;
    readonly Info.InfoClient _info;

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
            },
            DisposeHttpClient = options.Handler is null,
            MaxReceiveMessageSize = options.MaxMessageBytes,
            MaxSendMessageSize = null,
            // The default waits up to two minutes before it looks again at a store that was down.
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(500),
            MaxReconnectBackoff = TimeSpan.FromSeconds(5),
        });
        _store = new Wire.Store.StoreClient(_channel);
        _info = new Info.InfoClient(_channel);
    }

    public string Endpoint { get; }

    /// <summary>Asks what the store holds.</summary>
    /// <exception cref="StoreApiException">It can't be reached, or serves no store API.</exception>
    public async Task<StoreDescription> DescribeAsync(CancellationToken cancellationToken)
    {
        var response = await AskAsync(token => _info.InfoAsync(new InfoRequest(), cancellationToken: token), cancellationToken);
        if (response.Store is not { } store)
        {
            throw new StoreApiException(Endpoint, $"{response.ComponentType} serves no store API");
        }

        return new StoreDescription(
            response.ComponentType,
            [.. response.LabelSets.Select(set => WireLabels.FromWire(set.Labels))],
            new TimeRange(store.MinTime, store.MaxTime));
    }

    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        var (hints, cancellationToken) = (selection.Hints, selection.CancellationToken);
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var call = _store.Series(Request(selection), cancellationToken: cancel.Token);
        var frames = call.ResponseStream;
        RemoteSeries? series = null;
        while (await NextAsync(frames, cancel, cancellationToken))
        {
            switch (frames.Current.ResultCase)
            {
                case SeriesResponse.ResultOneofCase.Warning:
                    Note(frames.Current.Warning, selection.Coverage);
                    break;

                case SeriesResponse.ResultOneofCase.Series:
                    if (RemoteSeries.Join(ref series, frames.Current.Series, hints, Endpoint) is { } whole)
                    {
                        yield return whole;
                    }

                    break;

                case SeriesResponse.ResultOneofCase.Batch:
                    foreach (var frame in frames.Current.Batch.Series)
                    {
                        if (RemoteSeries.Join(ref series, frame, hints, Endpoint) is { } wholeOfBatch)
                        {
                            yield return wholeOfBatch;
                        }
                    }

                    break;
            }
        }

        if (series is not null)
        {
            yield return series;
        }
    }

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        var request = new LabelNamesRequest { Start = selection.Range.MinTime, End = selection.Range.MaxTime, Limit = selection.Hints.Limit };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        var response = await AskAsync(token => _store.LabelNamesAsync(request, cancellationToken: token), selection.CancellationToken);
        return Sorted(response.Names, response.Warnings, selection.Coverage);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        var request = new LabelValuesRequest { Label = name, Start = selection.Range.MinTime, End = selection.Range.MaxTime, Limit = selection.Hints.Limit };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        var response = await AskAsync(token => _store.LabelValuesAsync(request, cancellationToken: token), selection.CancellationToken);
        return Sorted(response.Values, response.Warnings, selection.Coverage);
    }

    public void Dispose() => _channel.Dispose();

    static SeriesRequest Request(Selection selection)
    {
        var hints = selection.Hints;
        var request = new SeriesRequest
        {
            MinTime = hints.Range.MinTime,
            MaxTime = hints.Range.MaxTime,
            MaxResolutionWindow = hints.MaxResolutionMs,
            SkipChunks = hints.SkipSamples,
            Step = hints.StepMs,
            Range = hints.WindowMs,
            Limit = hints.Limit,
            ResponseBatchSize = 64,
            QueryHints = new QueryHints
            {
                StepMillis = hints.StepMs,
                Func = hints.Function is null ? null : new Func { Name = hints.Function },
                Range = hints.WindowMs == 0 ? null : new Wire.Range { Millis = hints.WindowMs },
            },
        };
        request.Matchers.AddRange(selection.Matchers.Select(WireLabels.ToWire));
        request.Aggregates.AddRange(hints.Aggregate switch
        {
            Aggregate.Count => [Aggr.Count],
            Aggregate.Sum => [Aggr.Sum],
            Aggregate.Min => [Aggr.Min],
            Aggregate.Max => [Aggr.Max],
            Aggregate.Counter => [Aggr.Counter],
            _ when hints.MaxResolutionMs > 0 => [Aggr.Count, Aggr.Sum],
            _ => (IEnumerable<Aggr>)[Aggr.Raw],
        });
        return request;
    }

    static List<string> Sorted(IEnumerable<string> names, IEnumerable<string> warnings, Coverage coverage)
    {
        foreach (var warning in warnings)
        {
            Note(warning, coverage);
        }

        var sorted = new List<string>(names);
        sorted.Sort(Utf8Order.Instance);
        return sorted;
    }

    static void Note(string warning, Coverage coverage)
    {
        if (warning == CoverageText.Truncated)
        {
            coverage.Truncate();
        }
        else
        {
            coverage.AddWarning(warning);
        }
    }

    async ValueTask<bool> NextAsync(IAsyncStreamReader<SeriesResponse> frames, CancellationTokenSource cancel, CancellationToken cancellationToken)
    {
        var next = frames.MoveNext(cancel.Token);
        try
        {
            return next.IsCompletedSuccessfully ? await next : await next.WaitAsync(_options.ResponseTimeout, _options.Time, CancellationToken.None);
        }
        catch (TimeoutException e)
        {
            await cancel.CancelAsync();
            throw Silent(e);
        }
        catch (RpcException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw Failure(e);
        }
    }

    async Task<TResponse> AskAsync<TResponse>(Func<CancellationToken, AsyncUnaryCall<TResponse>> ask, CancellationToken cancellationToken)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var call = ask(cancel.Token);
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
            cancellationToken.ThrowIfCancellationRequested();
            throw Failure(e);
        }
    }

    StoreApiException Silent(TimeoutException e) => new(Endpoint, $"no response in {Duration.Format(_options.ResponseTimeout)}", e);

    Exception Failure(RpcException e) => e.StatusCode == StatusCode.ResourceExhausted
        ? new LimitException($"{Endpoint}: {e.Status.Detail}")
        : new StoreApiException(Endpoint, e.Status.DebugException is HttpRequestException http ? http.Message : e.Status.Detail, e);
}
