using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Observe.Query.HttpApi;

namespace Observe.Query.GrpcApi;

/// <summary>Serves thanos.Query beside the store API, by whose settings gRPC goes.</summary>
public static class QueryApiEndpoints
{
    /// <param name="options">Engine, stores and defaults, as of the HTTP API.</param>
    public static IServiceCollection AddQueryApi(this IServiceCollection services, PrometheusApiOptions options) =>
        services.AddSingleton(new QueryApiServer(options));

    public static IEndpointRouteBuilder MapQueryApi(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGrpcService<QueryApiServer>();
        return endpoints;
    }
}
