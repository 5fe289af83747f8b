using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Observe.Demo;

/// <summary>Serves the exporters of all simulated clusters from one port of the loopback interface.</summary>
sealed class SimulatedExporters(TimeProvider time, IReadOnlyList<SimulatedCluster> clusters) : IAsyncDisposable
{
    WebApplication? _app;

    /// <summary>HOST:PORT once started.</summary>
    public string Address { get; private set; } = "";

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Run(AnswerAsync);
        await _app.StartAsync(cancellationToken);
        Address = new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
    }

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
        {
            await _app.DisposeAsync();
        }
    }

    async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        var cluster = clusters.FirstOrDefault(c => path.StartsWith("/" + c.Name + "/", StringComparison.Ordinal));
        if (cluster?.Scrape(path, time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0) is not { } body)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await context.Response.WriteAsync(body, context.RequestAborted);
    }
}
