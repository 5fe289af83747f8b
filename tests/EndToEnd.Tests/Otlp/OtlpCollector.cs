using System.Collections.Concurrent;
using System.Net;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Testkit;

namespace Observe.EndToEnd.Tests.Otlp;

/// <summary>A log record, and what came with it.</summary>
sealed record CollectedLog(OtlpLogRecord Record, string Scope, IReadOnlyDictionary<string, string> Resource)
{
    public string? this[string attribute] => Record.Attributes.FirstOrDefault(a => a.Key == attribute)?.Value.Text;
}

/// <summary>A collector of logs and traces on loopback, over HTTP and over gRPC.</summary>
sealed class OtlpCollector : IAsyncDisposable
{
    WebApplication? _server;

    /// <summary>Where OTLP goes over HTTP, and where over gRPC.</summary>
    public string HttpUrl => _server!.Urls.First();

    public string GrpcUrl => _server!.Urls.Last();

    public ConcurrentQueue<CollectedLog> Logs { get; } = [];

    public ConcurrentQueue<OtlpSpan> Spans { get; } = [];

    /// <summary>The path of each request and its header <c>authorization</c>.</summary>
    public ConcurrentQueue<(string Path, string Authorization)> Requests { get; } = [];

    public static async Task<OtlpCollector> StartAsync()
    {
        var collector = new OtlpCollector();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(collector);
        var server = collector._server = builder.Build();
        server.Use((context, next) =>
        {
            collector.Requests.Enqueue((context.Request.Path.Value!, context.Request.Headers.Authorization.ToString()));
            return next(context);
        });
        RequestDelegate takeLogs = async context => collector.Take(ExportLogsServiceRequest.Parser.ParseFrom(await BodyAsync(context)));
        server.MapPost("/v1/logs", takeLogs);
        server.MapPost("/elsewhere", takeLogs);
        server.MapPost("/v1/traces", async context => collector.Take(ExportTraceServiceRequest.Parser.ParseFrom(await BodyAsync(context))));
        server.MapGrpcService<LogsOverGrpc>();
        server.MapGrpcService<TracesOverGrpc>();
        await server.StartAsync();
        return collector;
    }

    /// <summary>Waits for a log record.</summary>
    public Task<CollectedLog> LogAsync(Func<CollectedLog, bool> wanted, string what) =>
        Eventually.GetAsync(() => Task.FromResult(Logs.FirstOrDefault(wanted)), TimeSpan.FromSeconds(60), what);

    public async ValueTask DisposeAsync() => await _server!.DisposeAsync();

    static async Task<byte[]> BodyAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        return body.ToArray();
    }

    void Take(ExportLogsServiceRequest request)
    {
        foreach (var resource in request.ResourceLogs)
        {
            var attributes = resource.Resource.Attributes.ToDictionary(a => a.Key, a => a.Value.Text);
            foreach (var scope in resource.ScopeLogs)
            {
                foreach (var record in scope.LogRecords)
                {
                    Logs.Enqueue(new CollectedLog(record, scope.Scope.Name, attributes));
                }
            }
        }
    }

    void Take(ExportTraceServiceRequest request)
    {
        foreach (var span in request.ResourceSpans.SelectMany(r => r.ScopeSpans).SelectMany(s => s.Spans))
        {
            Spans.Enqueue(span);
        }
    }

    sealed class LogsOverGrpc(OtlpCollector collector) : LogsService.LogsServiceBase
    {
        public override Task<ExportLogsServiceResponse> Export(ExportLogsServiceRequest request, ServerCallContext context)
        {
            collector.Take(request);
            return Task.FromResult(new ExportLogsServiceResponse());
        }
    }

    sealed class TracesOverGrpc(OtlpCollector collector) : TraceService.TraceServiceBase
    {
        public override Task<ExportTraceServiceResponse> Export(ExportTraceServiceRequest request, ServerCallContext context)
        {
            collector.Take(request);
            return Task.FromResult(new ExportTraceServiceResponse());
        }
    }
}
