using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Observe.EndToEnd.Tests;

/// <summary>
/// An exporter that remembers: the n-th scrape of it shows <c>ledger{series="…"} n</c> for each of its series, so that every sample that
/// is found later can be judged without having seen it being written.
/// </summary>
sealed class LedgerExporter : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly int _series;
    int _scrapes;

    LedgerExporter(int series)
    {
        _series = series;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Address { get; private set; } = "";

    /// <summary>How often it was scraped; also the newest value it has shown.</summary>
    public int Scrapes => Volatile.Read(ref _scrapes);

    public static async Task<LedgerExporter> StartAsync(int series)
    {
        var exporter = new LedgerExporter(series);
        await exporter._app.StartAsync();
        exporter.Address = new Uri(exporter._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
        return exporter;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    async Task AnswerAsync(HttpContext context)
    {
        var n = Interlocked.Increment(ref _scrapes);
        var body = new StringBuilder("# TYPE ledger counter\n");
        for (var i = 0; i < _series; i++)
        {
            body.Append(CultureInfo.InvariantCulture, $"ledger{{series=\"{i}\"}} {n}\n");
        }

        context.Response.ContentType = "text/plain; version=0.0.4";
        await context.Response.WriteAsync(body.ToString(), context.RequestAborted);
    }
}
