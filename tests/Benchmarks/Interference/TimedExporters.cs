using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Observe.Benchmarks.Scrape;

namespace Observe.Benchmarks.Interference;

/// <summary>
/// Exporters, in a process of their own, that note when they are asked: <c>/metrics</c> on each address of <see cref="ScrapeFarm.Target"/>,
/// and <c>/arrivals</c>, which tells and forgets them.
/// </summary>
sealed class TimedExporters : IDisposable
{
    const int Variants = 10;
    readonly Process _process;
    readonly HttpClient _client = new();

    TimedExporters(Process process, int port) => (_process, Port) = (process, port);

    public int Port { get; }

    public static async Task<TimedExporters> StartAsync(int series)
    {
        var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["timed-exporters", $"{series}"]) { RedirectStandardOutput = true })!;
        return new TimedExporters(process, int.Parse((await process.StandardOutput.ReadLineAsync())!, CultureInfo.InvariantCulture));
    }

    /// <summary>The requests since the last call: target, and Unix time in milliseconds.</summary>
    public async Task<List<(string Target, double Time)>> ArrivalsAsync()
    {
        var text = await _client.GetStringAsync(new Uri($"http://127.0.0.1:{Port}/arrivals"));
        return [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
            .Select(parts => (parts[0], double.Parse(parts[1], CultureInfo.InvariantCulture)))];
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
        _client.Dispose();
    }

    /// <summary>What the process does; prints its port.</summary>
    public static async Task RunAsync(int series)
    {
        var bodies = Enumerable.Range(0, Variants).Select(variant => Body(variant, series)).ToArray();
        var arrivals = new List<(IPAddress? Target, DateTime Time)>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://0.0.0.0:0");
        await using var app = builder.Build();
        app.Map("/metrics", async context =>
        {
            var now = TimeProvider.System.GetUtcNow().UtcDateTime;
            int scrape;
            lock (arrivals)
            {
                arrivals.Add((context.Connection.LocalIpAddress, now));
                scrape = arrivals.Count;
            }

            context.Response.Headers.ContentEncoding = "gzip";
            context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
            await context.Response.Body.WriteAsync(bodies[scrape / 50 % Variants]);
        });
        app.Map("/arrivals", async context =>
        {
            var text = new StringBuilder();
            lock (arrivals)
            {
                foreach (var (target, time) in arrivals)
                {
                    text.Append(CultureInfo.InvariantCulture, $"{target?.MapToIPv4()} {(time - DateTime.UnixEpoch).TotalMilliseconds:F3}\n");
                }

                arrivals.Clear();
            }

            await context.Response.WriteAsync(text.ToString());
        });
        await app.StartAsync();
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        await Console.Out.WriteLineAsync($"{new Uri(address.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal)).Port}");
        await app.WaitForShutdownAsync();
    }

    static byte[] Body(int variant, int series)
    {
        var random = new Random(variant);
        var text = new StringBuilder();
        for (var i = 0; i < series; i++)
        {
            var family = i / 10;
            if (i % 10 == 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"# HELP app_thing_{family}_total What an application says of its things.\n# TYPE app_thing_{family}_total counter\n");
            }

            var value = i % 2 == 0 ? family * 1000.0 : (family * 1e5) + (variant * random.Next(1, 50));
            text.Append(CultureInfo.InvariantCulture, $"app_thing_{family}_total{{handler=\"/api/v1/thing\",code=\"{200 + (i % 10)}\"}} {value:R}\n");
        }

        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
        {
            gzip.Write(Encoding.UTF8.GetBytes(text.ToString()));
        }

        return output.ToArray();
    }
}
