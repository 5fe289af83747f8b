using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Observe.Benchmarks.Scrape;

/// <summary>
/// Many targets in one process, on all addresses of 127.0.0.0/8: each answers with one of a few bodies like a node_exporter's, gzipped
/// beforehand, in which some values change from scrape to scrape. <c>dotnet run -c Release --project tests/Benchmarks -- farm</c>.
/// </summary>
static class ScrapeFarm
{
    const int Variants = 30;

    /// <summary>Lines of samples in a body.</summary>
    public const int Samples = 520;

    public static async Task RunAsync()
    {
        var bodies = Enumerable.Range(0, Variants).Select(Body).ToArray();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://0.0.0.0:0");
        await using var app = builder.Build();
        var served = 0;
        app.Map("/metrics", async context =>
        {
            // A target meets the bodies in order: its scrape number decides, and targets are not in step.
            var target = context.Connection.LocalIpAddress?.GetHashCode() ?? 0;
            var scrape = (uint)(target + (Interlocked.Increment(ref served) / 300)) % Variants;
            context.Response.Headers.ContentEncoding = "gzip";
            context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
            context.Response.ContentLength = bodies[scrape].Length;
            await context.Response.Body.WriteAsync(bodies[scrape]);
        });
        await app.StartAsync();
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        await Console.Out.WriteLineAsync($"farm {new Uri(address.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal)).Port}");
        await app.WaitForShutdownAsync();
    }

    /// <summary>host:port of the n-th target.</summary>
    public static string Target(int n, int port) => new IPEndPoint(new IPAddress([127, 1, (byte)(n / 250), (byte)(1 + (n % 250))]), port).ToString();

    internal static byte[] Body(int variant)
    {
        var random = new Random(variant);
        var text = new StringBuilder();
        for (var family = 0; family < Samples / 4; family++)
        {
            var name = $"node_{(family % 2 == 0 ? "network" : "cpu")}_thing_{family}_total";
            text.Append(CultureInfo.InvariantCulture, $"# HELP {name} What a node says of its things, number {family}.\n# TYPE {name} counter\n");
            for (var i = 0; i < 4; i++)
            {
                // Half of the samples stay as they are, a quarter counts, a quarter wavers.
                var value = i < 2 ? family * 1000.0 : i == 2 ? (family * 1e5) + (variant * 15) : random.NextDouble() * 1e6;
                text.Append(CultureInfo.InvariantCulture, $"{name}{{device=\"eth{i}\",mode=\"some-mode-{i}\"}} {value:R}\n");
            }
        }

        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
        {
            gzip.Write(Encoding.UTF8.GetBytes(text.ToString()));
        }

        return output.ToArray();
    }
}
