namespace Observe.Testkit;

/// <summary>A real Prometheus on the loopback interface, over its own folder.</summary>
public sealed class PrometheusServer : IAsyncDisposable
{
    readonly ChildProcess _process;

    PrometheusServer(ChildProcess process, Uri url) => (_process, Url) = (process, url);

    public Uri Url { get; }

    public string Output => _process.Output;

    /// <summary>Starts one, on a port that it chooses itself. Skips the test where the program is absent.</summary>
    /// <param name="folder">Its data; may hold blocks already.</param>
    public static async Task<PrometheusServer> StartAsync(string folder, string config = "scrape_configs: []\n", params string[] flags)
    {
        var program = Required.Peer("prometheus");
        var file = Path.Combine(folder, "prometheus.yml");
        await File.WriteAllTextAsync(file, config);
        var process = ChildProcess.Start(program, [
            "--config.file=" + file,
            "--storage.tsdb.path=" + folder,
            "--web.listen-address=127.0.0.1:0",
            "--storage.tsdb.retention.time=100y",
            .. flags,
        ]);
        await process.LineAsync("Server is ready to receive web requests");
        return new PrometheusServer(process, new Uri($"http://{await process.ListeningAsync()}/"));
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
