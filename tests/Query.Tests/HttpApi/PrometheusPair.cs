using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Query.Fanout;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.HttpApi;

/// <summary>The API on a port of the loopback interface.</summary>
public sealed class ServedApi : IAsyncDisposable
{
    readonly WebApplication _server;

    ServedApi(WebApplication server, Uri url) => (_server, Client) = (server, new HttpClient { BaseAddress = url });

    public HttpClient Client { get; }

    public static Task<ServedApi> StartAsync(IQuerier querier, Func<PrometheusApiOptions, PrometheusApiOptions>? change = null) =>
        StartAsync(new PrometheusApiOptions { Engine = new PromqlEngine(new EngineOptions()), Querier = _ => querier }, change);

    static async Task<ServedApi> StartAsync(PrometheusApiOptions options, Func<PrometheusApiOptions, PrometheusApiOptions>? change)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var server = builder.Build();
        server.MapPrometheusApi(change?.Invoke(options) ?? options);
        await server.StartAsync();
        var address = server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new ServedApi(server, new Uri(address));
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server.DisposeAsync();
    }
}

/// <summary>A block that promtool made, served by a real Prometheus and by Observe's API.</summary>
public sealed class PrometheusPair : IAsyncLifetime
{
    /// <summary>Unix seconds of the first sample; 400 follow, 15 s apart, within one block.</summary>
    public const long Start = 1_700_006_400;

    public const long End = Start + (399 * 15);
    readonly string _folder = Checkout.NewFolder("api");
    Block? _block;
    PrometheusServer? _prometheus;
    HttpClient? _client;
    ServedApi? _observe;

    /// <summary>Skips the test where there is no Prometheus here.</summary>
    public HttpClient Prometheus
    {
        get
        {
            Required.Peer("promtool");
            Required.Peer("prometheus");
            return _client!;
        }
    }

    public HttpClient Observe => _observe!.Client;

    public async ValueTask InitializeAsync()
    {
        if (Checkout.Peer("promtool") is not { } promtool || Checkout.Peer("prometheus") is null)
        {
            return;
        }

        var text = Path.Combine(_folder, "metrics.txt");
        var data = Path.Combine(_folder, "data");
        Directory.CreateDirectory(data);
        await File.WriteAllTextAsync(text, Metrics());
        var (exitCode, output) = await ChildProcess.RunAsync(promtool, ["tsdb", "create-blocks-from", "openmetrics", text, data]);
        Assert.True(exitCode == 0, output);
        _block = Block.Open(Directory.GetDirectories(data).Single(d => File.Exists(Path.Combine(d, "meta.json"))));
        _prometheus = await PrometheusServer.StartAsync(data);
        _client = new HttpClient { BaseAddress = _prometheus.Url };
        var range = new TimeRange(_block.Meta.MinTime, _block.Meta.MaxTime - 1);
        var stores = new StoreSet(new StoreSetOptions());
        stores.AddLocal("block", _block, () => new StoreDescription("store", [], range));
        _observe = await ServedApi.StartAsync(
            _block, options => options with { Querier = fanout => new FanoutQuerier(stores, fanout), Stores = () => stores.Stores });
    }

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        await (_prometheus?.DisposeAsync() ?? default);
        await (_observe?.DisposeAsync() ?? default);
        _block?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    static string Metrics()
    {
        var text = new StringBuilder();
        void Family(string name, string kind, params (string Suffix, string Labels, Func<int, double> Value)[] series)
        {
            text.Append(CultureInfo.InvariantCulture, $"# HELP {name} Help of {name}.\n# TYPE {name} {kind}\n");
            foreach (var (suffix, labels, value) in series)
            {
                for (var i = 0; i < 400; i++)
                {
                    var number = value(i) switch
                    {
                        double.PositiveInfinity => "+Inf",
                        double.NegativeInfinity => "-Inf",
                        var v when double.IsNaN(v) => "NaN",
                        var v => v.ToString("R", CultureInfo.InvariantCulture),
                    };
                    text.Append(CultureInfo.InvariantCulture, $"{name}{suffix}{{{labels}}} {number} {Start + (i * 15)}\n");
                }
            }
        }

        Family(
            "http_requests", "counter",
            ("_total", "job=\"api\",instance=\"a:80\",code=\"200\"", i => i * 7),
            ("_total", "job=\"api\",instance=\"a:80\",code=\"500\"", i => i / 10),
            ("_total", "job=\"api\",instance=\"b:80\",code=\"200\"", i => i < 200 ? i * 5 : (i - 200) * 5),
            ("_total", "job=\"web\",instance=\"c:80\",code=\"200\"", i => i * 0.1));
        Family(
            "temperature", "gauge",
            ("", "room=\"<kitchen> & \\\"hall\\\"\\\\\"", i => 20 + Math.Sin(i / 20.0)),
            ("", "room=\"dílna\\n2\"", i => -i / 3.0));
        Family(
            "special", "gauge",
            ("", "kind=\"nan\"", _ => double.NaN), ("", "kind=\"inf\"", _ => double.PositiveInfinity), ("", "kind=\"neg\"", _ => double.NegativeInfinity),
            ("", "kind=\"big\"", i => 1.5e21 * (i + 1)), ("", "kind=\"small\"", i => 2.5e-7 / (i + 1)), ("", "kind=\"zero\"", _ => -0.0),
            ("", "kind=\"digits\"", i => Math.PI * Math.Pow(10, (i % 40) - 20)));
        Family(
            "latency_seconds", "histogram",
            [.. new[] { ("0.1", 0.5), ("0.5", 0.8), ("1", 0.9), ("+Inf", 1.0) }.Select(b =>
                ("_bucket", $"job=\"api\",le=\"{b.Item1}\"", new Func<int, double>(i => Math.Floor(i * 10 * b.Item2))))]);
        text.Append("# EOF\n");
        return text.ToString();
    }
}
