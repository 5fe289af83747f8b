using System.Globalization;

namespace Observe.Testkit;

/// <summary>A real Prometheus on the loopback interface, over its own folder.</summary>
public sealed class PrometheusServer : IAsyncDisposable
{
    readonly ChildProcess _process;

    PrometheusServer(ChildProcess process, Uri url) => (_process, Url) = (process, url);

    public Uri Url { get; }

    public string Output => _process.Output;

    /// <summary>Starts one; null where the program is absent.</summary>
    /// <param name="folder">Its data; may hold blocks already.</param>
    public static async Task<PrometheusServer?> StartAsync(string folder, string config = "scrape_configs: []\n", params string[] flags)
    {
        if (Checkout.Peer("prometheus") is not { } program)
        {
            return null;
        }

        var port = ChildProcess.FreePort();
        var file = Path.Combine(folder, "prometheus.yml");
        await File.WriteAllTextAsync(file, config);
        var process = ChildProcess.Start(program, [
            "--config.file=" + file,
            "--storage.tsdb.path=" + folder,
            string.Create(CultureInfo.InvariantCulture, $"--web.listen-address=127.0.0.1:{port}"),
            "--storage.tsdb.retention.time=100y",
            .. flags,
        ]);
        await process.LineAsync("Server is ready to receive web requests");
        return new PrometheusServer(process, new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/")));
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
