using System.Net;
using System.Net.Sockets;

namespace Observe.Testkit;

/// <summary>A TCP proxy on the loopback interface that breaks connections off after so many bytes of their answers.</summary>
public sealed class FlakyProxy : IAsyncDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource _stop = new();
    readonly List<Task> _connections = [];
    readonly Task _accepting;

    /// <param name="answerBytes">What each connection lets through, in order; those after the last go through whole.</param>
    public FlakyProxy(string target, params long[] answerBytes)
    {
        _listener.Start();
        _accepting = AcceptAsync(IPEndPoint.Parse(target), answerBytes);
    }

    public string Endpoint => _listener.LocalEndpoint.ToString()!;

    /// <summary>Connections so far.</summary>
    public int Connections { get; private set; }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections);
        _stop.Dispose();
    }

    async Task AcceptAsync(IPEndPoint target, long[] answerBytes)
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                var limit = Connections < answerBytes.Length ? answerBytes[Connections] : long.MaxValue;
                Connections++;
                _connections.Add(ServeAsync(client, target, limit));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
        }
    }

    async Task ServeAsync(TcpClient client, IPEndPoint target, long limit)
    {
        using (client)
        using (var server = new TcpClient())
        {
            try
            {
                await server.ConnectAsync(target, _stop.Token);
                var up = PumpAsync(client.GetStream(), server.GetStream(), long.MaxValue);
                await PumpAsync(server.GetStream(), client.GetStream(), limit);
                client.Client.LingerState = new LingerOption(true, 0);
                client.Close();
                server.Close();
                await up;
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
            {
            }
        }
    }

    async Task PumpAsync(Stream from, Stream to, long limit)
    {
        var buffer = new byte[64 << 10];
        int read;
        while ((read = await from.ReadAsync(buffer, _stop.Token)) > 0)
        {
            var passed = (int)Math.Min(read, limit);
            await to.WriteAsync(buffer.AsMemory(0, passed), _stop.Token);
            limit -= passed;
            if (passed < read)
            {
                return;
            }
        }
    }
}
