using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Observe.Hosting;
using Observe.Query.Fanout;
using Observe.Query.GrpcApi;
using Observe.Query.HttpApi;
using Observe.Query.Page;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Tsdb.Model;
using Prometheus;

namespace Observe.Commands;

/// <summary>PromQL over a set of stores: endpoints of other processes, and sources within this process.</summary>
/// <param name="targets">The targets that other processes get beside the fan-out; null: none are served.</param>
/// <param name="serve">Serve the fan-out over the store API too, so that queriers can be stacked; null: it is not served.</param>
sealed class QueryRole(RoleHost host, StoreSet stores, PromqlEngine engine, PrometheusApiOptions api, StoreApiOptions? serve,
    ITargetSource? targets = null) : IRole
{
    readonly CancellationTokenSource _stop = new();
    Task _loop = Task.CompletedTask;

    public string Name => "query";

    public bool ServesStoreApi => serve is not null;

    public Task Working => stores.Refreshed;

    public void Configure(IServiceCollection services)
    {
        if (serve is not null)
        {
            services.AddStoreApi(
                new FanoutQuerier(stores, api.Defaults with { Deduplicate = false }),
                Describe, new StoreApiMetrics(Metrics.WithCustomRegistry(host.Registry)), serve, targets);
            services.AddQueryApi(api);
        }
    }

    public void Map(WebApplication app)
    {
        app.MapPrometheusApi(api);
        app.MapPage();
        if (serve is not null)
        {
            app.MapStoreApi();
            app.MapQueryApi();
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _loop = stores.RunAsync(_stop.Token);
        return Task.CompletedTask;
    }

    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await _stop.CancelAsync();
        await _loop.WaitAsync(grace);
    }

    public async ValueTask DisposeAsync()
    {
        await stores.DisposeAsync();
        engine.Dispose();
        _stop.Dispose();
    }

    StoreDescription Describe()
    {
        var known = stores.Stores.Select(s => s.Description).OfType<StoreDescription>().ToList();
        return new StoreDescription(
            "query",
            [.. known.SelectMany(d => d.LabelSets).Distinct()],
            known.Count == 0 ? TimeRange.All : new TimeRange(known.Min(d => d.Range.MinTime), known.Max(d => d.Range.MaxTime)))
        {
            Apis = ServedApis.Query,
        };
    }
}
