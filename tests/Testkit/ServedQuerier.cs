using System.Net;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Store.Api;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Querying;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Testkit;

/// <summary>A querier served over the store API on loopback, and a client of it: one IQuerier again.</summary>
public sealed class ServedQuerier : IQuerier, IAsyncDisposable
{
    readonly WebApplication _server;

    ServedQuerier(WebApplication server, StoreApiClient client) => (_server, Client) = (server, client);

    public StoreApiClient Client { get; }

    public string Endpoint => Client.Endpoint;

    /// <param name="isThanos">
    /// The server knows none of the fields that only Observe has, and has nothing for matchers that are all on external labels.
    /// </param>
    public static async Task<ServedQuerier> StartAsync(IQuerier querier, StoreDescription description, StoreApiClientOptions? options = null, int port = 0,
        StoreApiMetrics? metrics = null, StoreApiOptions? store = null, bool isThanos = false,
        Action<IServiceCollection>? configure = null, ITargetSource? targets = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddStoreApi(querier, () => description, metrics, store, targets);
        if (isThanos)
        {
            builder.Services.Configure<GrpcServiceOptions>(grpc => grpc.Interceptors.Add<ThanosRules>(description));
        }

        configure?.Invoke(builder.Services);
        var server = builder.Build();
        server.MapStoreApi();
        await server.StartAsync();
        var address = server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new ServedQuerier(server, new StoreApiClient(new Uri(address).Authority, options ?? new StoreApiClientOptions()));
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        Client.SelectAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        Client.LabelNamesAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        Client.LabelValuesAsync(name, selection);

    public Task StopAsync() => _server.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server.DisposeAsync();
    }

    sealed class ThanosRules(StoreDescription description) : Interceptor
    {
        public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
            TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
        {
            (request as LabelNamesRequest)?.ReplicaLabels.Clear();
            (request as LabelValuesRequest)?.ReplicaLabels.Clear();
            return continuation(request, context);
        }

        public override Task ServerStreamingServerHandler<TRequest, TResponse>(
            TRequest request, IServerStreamWriter<TResponse> responses, ServerCallContext context,
            ServerStreamingServerMethod<TRequest, TResponse> continuation)
        {
            if (request is SeriesRequest series)
            {
                series.ReplicaLabels.Clear();
                series.AnyName = false;
                series.WindowsMargin = series.WidenedBy = 0;
                if (description.LabelSets.Any(set => series.Matchers.All(m => set.Has(m.Name))))
                {
                    return Task.CompletedTask;
                }
            }

            return continuation(request, responses, context);
        }
    }
}
