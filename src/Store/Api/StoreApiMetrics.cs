using System.Diagnostics;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Prometheus;

namespace Observe.Store.Api;

/// <summary>
/// Metrics of the store API's server, under the names that gRPC's middleware for Go and Thanos have, since dashboards use these.
/// </summary>
public sealed class StoreApiMetrics(IMetricFactory metrics) : Interceptor
{
    const string Unary = "unary";
    const string ServerStream = "server_stream";

    readonly Counter _started = metrics.CreateCounter(
        "grpc_server_started_total", "RPCs that began.", ["grpc_method", "grpc_service", "grpc_type"]);

    readonly Counter _handled = metrics.CreateCounter(
        "grpc_server_handled_total", "RPCs that ended, however they did.", ["grpc_code", "grpc_method", "grpc_service", "grpc_type"]);

    readonly Histogram _seconds = metrics.CreateHistogram(
        "grpc_server_handling_seconds",
        "Seconds from an RPC's begin to its end.",
        new HistogramConfiguration
        {
            LabelNames = ["grpc_method", "grpc_service", "grpc_type"],
            Buckets = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120],
        });

    readonly Gauge _gateMax = metrics.CreateGauge("thanos_bucket_store_series_gate_queries_max", "Maximum number of concurrent queries.");

    readonly Gauge _gateInFlight = metrics.CreateGauge(
        "thanos_bucket_store_series_gate_queries_in_flight", "Number of queries that are currently in flight.");

    readonly Histogram _gateSeconds = metrics.CreateHistogram(
        "thanos_bucket_store_series_gate_duration_seconds",
        "How many seconds it took for queries to wait at the gate.",
        new HistogramConfiguration { Buckets = [0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] });

    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        TResponse? response = null;
        await ObserveAsync(context, Unary, async () => response = await continuation(request, context));
        return response!;
    }

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        ObserveAsync(context, ServerStream, () => continuation(request, responseStream, context));

    /// <summary>Measures how long a call of Series waits for its turn: until the result is disposed.</summary>
    internal IDisposable WaitForTurn(int most)
    {
        _gateMax.Set(most);
        return _gateSeconds.NewTimer();
    }

    /// <summary>Counts a call of Series as running until the result is disposed.</summary>
    internal IDisposable CountSeries() => _gateInFlight.TrackInProgress();

    async Task ObserveAsync(ServerCallContext context, string kind, Func<Task> handle)
    {
        var path = context.Method.Split('/');
        var (service, method) = path.Length == 3 ? (path[1], path[2]) : ("", context.Method);
        _started.WithLabels(method, service, kind).Inc();
        var began = Stopwatch.GetTimestamp();
        var code = StatusCode.OK;
        try
        {
            await handle();
        }
        catch (Exception e)
        {
            code = e is RpcException rpc ? rpc.StatusCode : e is OperationCanceledException ? StatusCode.Cancelled : StatusCode.Unknown;
            throw;
        }
        finally
        {
            _handled.WithLabels(code == StatusCode.Cancelled ? "Canceled" : code.ToString(), method, service, kind).Inc();
            _seconds.WithLabels(method, service, kind).Observe(Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
    }
}
