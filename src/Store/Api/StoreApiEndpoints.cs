using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>Serves a querier to Observe's and Thanos's queriers: thanos.Store, thanos.info.Info and grpc.health.v1.</summary>
public static class StoreApiEndpoints
{
    const int MaxRequestBytes = 1 << 20;

    /// <param name="querier">Series carry their external labels already.</param>
    /// <param name="describe">Describes what is served at the moment; called for each poll of a querier, and cheap.</param>
    /// <param name="metrics">Counts the calls; null: calls are not counted.</param>
    /// <param name="options">Null: <see cref="StoreApiOptions"/>' defaults.</param>
    /// <param name="targets">Served as thanos.Targets and thanos.Metadata; null: they are not.</param>
    public static IServiceCollection AddStoreApi(
        this IServiceCollection services, IQuerier querier, Func<StoreDescription> describe,
        StoreApiMetrics? metrics = null, StoreApiOptions? options = null, ITargetSource? targets = null)
    {
        services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = MaxRequestBytes;
            grpc.MaxSendMessageSize = null;
            grpc.CompressionProviders = WireCompression.All(MaxRequestBytes);
            grpc.Interceptors.Add<AnswerCompression>();
            if (metrics is not null)
            {
                grpc.Interceptors.Add<StoreApiMetrics>();
            }
        });
        if (metrics is not null)
        {
            services.AddSingleton(metrics);
        }

        // Healthy as far as the store API goes; a host adds checks of its own, and the worst result is reported.
        services.AddGrpcHealthChecks().AddCheck("store", () => HealthCheckResult.Healthy());
        services.TryAddSingleton(TimeProvider.System);
        var gate = new StoreApiGate(options ?? new StoreApiOptions(), metrics);
        services.AddSingleton(new StoreApiServer(querier, gate));
        if (targets is null)
        {
            services.AddSingleton(new InfoServer(describe));
            return services;
        }

        services.AddSingleton(new TargetsServer(targets, gate));
        services.AddSingleton(new MetadataServer(targets, gate));
        services.AddSingleton(new InfoServer(() =>
        {
            var description = describe();
            return description with { Apis = description.Apis | ServedApis.Targets | ServedApis.Metadata };
        }));
        return services;
    }

    /// <summary>Maps the services; the server has to speak HTTP/2 on the port, in the clear or over TLS.</summary>
    public static IEndpointRouteBuilder MapStoreApi(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGrpcService<StoreApiServer>();
        endpoints.MapGrpcService<InfoServer>();
        if (endpoints.ServiceProvider.GetService<TargetsServer>() is not null)
        {
            endpoints.MapGrpcService<TargetsServer>();
            endpoints.MapGrpcService<MetadataServer>();
        }

        endpoints.MapGrpcHealthChecksService();
        return endpoints;
    }
}
