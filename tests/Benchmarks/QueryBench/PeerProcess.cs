using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Observe.Benchmarks.QueryBench;

/// <summary>A server that is measured: its process, address and what it took.</summary>
sealed class PeerProcess : IAsyncDisposable
{
    static readonly HttpClient s_client = new() { Timeout = TimeSpan.FromMinutes(3) };

    readonly Process _process;

    PeerProcess(Process process, Uri address) => (_process, Address) = (process, address);

    public Uri Address { get; }

    /// <summary>A program in the folder that <c>make peers</c> fills, or on the PATH.</summary>
    public static string Find(string program)
    {
        var folder = Environment.GetEnvironmentVariable("PEERS")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache/observe-peers/usr/bin");
        var path = Path.Combine(folder, program);
        return File.Exists(path) ? path : program;
    }

    /// <summary>Returns when the server says that it is ready.</summary>
    /// <param name="arguments"><c>{port}</c> in them becomes a free one.</param>
    public static Task<PeerProcess> StartAsync(string program, string log, params string[] arguments) =>
        StartAsync(program, log, TimeSpan.FromMinutes(1), arguments);

    /// <summary>As the other one, for servers that take longer.</summary>
    public static async Task<PeerProcess> StartAsync(string program, string log, TimeSpan patience, params string[] arguments)
    {
        var port = FreePort().ToString(CultureInfo.InvariantCulture);
        var line = string.Join(' ', arguments.Prepend(program).Select(a => $"'{a.Replace("{port}", port, StringComparison.Ordinal)}'"));
        var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"exec {line} >'{log}' 2>&1"]))!;
        var peer = new PeerProcess(process, new Uri($"http://127.0.0.1:{port}"));
        for (var waited = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(waited) < patience; await Task.Delay(20))
        {
            if (process.HasExited)
            {
                break;
            }

            try
            {
                // An exporter has no such page: it is ready as soon as it says so.
                if ((await s_client.GetAsync(new Uri(peer.Address, "/-/ready"))).StatusCode is HttpStatusCode.OK or HttpStatusCode.NotFound)
                {
                    return peer;
                }
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
        }

        await peer.DisposeAsync();
        throw new InvalidOperationException($"{program} does not become ready: {await File.ReadAllTextAsync(log)}");
    }

    public Task<(double Milliseconds, byte[] Answer)> AskAsync(BenchQuery query) => GetAsync(query.Hours == 0
        ? $"/api/v1/query?query={Uri.EscapeDataString(query.Promql)}&time={Seconds(FleetData.EndMs - 60_000)}"
        : $"/api/v1/query_range?query={Uri.EscapeDataString(query.Promql)}&start={Seconds(FleetData.EndMs - (query.Hours * 3_600_000L))}"
            + $"&end={Seconds(FleetData.EndMs - (query.StepSeconds * 1000))}&step={query.StepSeconds}");

    /// <summary>Milliseconds until the whole answer is here, and the answer.</summary>
    public async Task<(double Milliseconds, byte[] Answer)> GetAsync(string path)
    {
        var uri = new Uri(Address, path);
        var clock = Stopwatch.GetTimestamp();
        using var response = await s_client.GetAsync(uri);
        var answer = await response.Content.ReadAsByteArrayAsync();
        return (Stopwatch.GetElapsedTime(clock).TotalMilliseconds, answer);
    }

    /// <summary>The most memory that was resident so far, in bytes (<c>VmHWM</c>).</summary>
    public long PeakMemory() => Status("VmHWM:");

    /// <summary>The memory that is resident, in bytes (<c>VmRSS</c>).</summary>
    public long ResidentMemory() => Status("VmRSS:");

    /// <summary>Seconds of processor time so far.</summary>
    public double ProcessorTime()
    {
        _process.Refresh();
        return _process.TotalProcessorTime.TotalSeconds;
    }

    /// <summary>Seconds of it in the kernel.</summary>
    public double SystemTime()
    {
        _process.Refresh();
        return _process.PrivilegedProcessorTime.TotalSeconds;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    long Status(string field) =>
        long.Parse(
            File.ReadLines($"/proc/{_process.Id}/status").First(l => l.StartsWith(field, StringComparison.Ordinal))[field.Length..].Replace("kB", "", StringComparison.Ordinal),
            CultureInfo.InvariantCulture) << 10;

    static string Seconds(long milliseconds) => (milliseconds / 1000).ToString(CultureInfo.InvariantCulture);

    internal static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
