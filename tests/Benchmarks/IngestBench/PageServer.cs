using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Observe.Benchmarks.QueryBench;

namespace Observe.Benchmarks.IngestBench;

/// <summary>
/// Many targets, all addresses of 127.0.0.0/8 on one port, with one page: that of a node_exporter, fetched, compressed and made into a whole
/// response once an interval, so that an answer costs two calls of the kernel. A tenth of the series is replaced in the course of ten minutes,
/// a few at a time.
/// </summary>
sealed class PageServer : IAsyncDisposable
{
    const int ChurnMinutes = 10;

    static readonly HttpClient s_client = new();

    readonly PeerProcess _exporter;
    readonly TimeSpan _interval;
    readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    readonly CancellationTokenSource _stop = new();
    Task _refreshing = Task.CompletedTask;
    byte[] _response = [];
    int _refresh;
    int _samples;
    long _served;

    PageServer(PeerProcess exporter, TimeSpan interval) => (_exporter, _interval) = (exporter, interval);

    /// <summary>Samples on the page.</summary>
    public int Samples => Volatile.Read(ref _samples);

    /// <summary>Samples that were served so far, by this process to all others.</summary>
    public long Served => Volatile.Read(ref _served);

    /// <summary>Bytes of the page, compressed.</summary>
    public int CompressedBytes { get; private set; }

    public static async Task<PageServer> StartAsync(string folder, TimeSpan interval)
    {
        var exporter = await PeerProcess.StartAsync(
            PeerProcess.Find("prometheus-node-exporter"), Path.Combine(folder, "node_exporter.log"), "--web.listen-address=127.0.0.1:{port}");
        var server = new PageServer(exporter, interval);
        await server.RefreshAsync();
        server._listener.Bind(new IPEndPoint(IPAddress.Any, 0));
        server._listener.Listen(512);
        server._refreshing = server.RefreshOnAsync();
        _ = server.AcceptAsync();
        return server;
    }

    /// <summary>host:port of the n-th target.</summary>
    public string Target(int n) =>
        new IPEndPoint(new IPAddress([127, 1, (byte)(n / 250), (byte)(1 + (n % 250))]), ((IPEndPoint)_listener.LocalEndPoint!).Port).ToString();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _refreshing;
        await _exporter.DisposeAsync();
        _stop.Dispose();
    }

    async Task RefreshOnAsync()
    {
        using var timer = new PeriodicTimer(_interval);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                await RefreshAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    async Task RefreshAsync()
    {
        var page = await s_client.GetStringAsync(new Uri(_exporter.Address, "/metrics"), _stop.Token);
        var refreshes = (int)(TimeSpan.FromMinutes(ChurnMinutes) / _interval);
        var text = new StringBuilder(page.Length + 8192);
        var samples = 0;
        foreach (var line in page.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            // A series that is replaced has its turn once in ten minutes: the number of its turn is a label.
            var turn = (int)((uint)samples * 2654435761u % (uint)(10 * refreshes));
            var value = line.LastIndexOf(' ');
            if (line[0] == '#')
            {
                text.Append(line).Append('\n');
                continue;
            }

            if (turn >= refreshes)
            {
                text.Append(line);
            }
            else if (line[value - 1] == '}')
            {
                text.Append(line, 0, value - 1).Append(CultureInfo.InvariantCulture, $",turn=\"{(_refresh + turn) / refreshes}\"}}").Append(line, value, line.Length - value);
            }
            else
            {
                text.Append(line, 0, value).Append(CultureInfo.InvariantCulture, $"{{turn=\"{(_refresh + turn) / refreshes}\"}}").Append(line, value, line.Length - value);
            }

            text.Append('\n');
            samples++;
        }

        _refresh++;
        Publish(text.ToString(), samples);
    }

    void Publish(string text, int samples)
    {
        var body = new MemoryStream();
        using (var gzip = new GZipStream(body, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(Encoding.UTF8.GetBytes(text));
        }

        var head = $"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\nContent-Encoding: gzip\r\nContent-Length: {body.Length}\r\n\r\n";
        CompressedBytes = (int)body.Length;
        Volatile.Write(ref _samples, samples);
        Volatile.Write(ref _response, [.. Encoding.ASCII.GetBytes(head), .. body.ToArray()]);
    }

    async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = AnswerAsync(await _listener.AcceptAsync(_stop.Token));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The run is over.
        }
    }

    async Task AnswerAsync(Socket connection)
    {
        using var _ = connection;
        connection.NoDelay = true;
        var request = new byte[16 << 10];
        var length = 0;
        try
        {
            while (await connection.ReceiveAsync(request.AsMemory(length), _stop.Token) is > 0 and var read)
            {
                length += read;
                if (request.AsSpan(0, length).EndsWith("\r\n\r\n"u8))
                {
                    length = 0;
                    Interlocked.Add(ref _served, Samples);
                    await connection.SendAsync(Volatile.Read(ref _response), _stop.Token);
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // The program that is measured was stopped.
        }
    }
}
