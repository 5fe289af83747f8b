using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Observe.Testkit;

/// <summary>What a <see cref="FaultProxy"/> does to one request or its answer.</summary>
public enum HttpFault
{
    None,

    /// <summary>One bit of the answer's body is another.</summary>
    FlipBody,

    /// <summary>One bit of the answer's status line or headers is another.</summary>
    FlipHeader,

    /// <summary>The connection ends in the middle of the answer.</summary>
    ShortBody,

    /// <summary>The answer has the ETag of another object.</summary>
    WrongETag,

    /// <summary>The server is not asked; the answer is 200 with an error's document.</summary>
    ErrorInside,

    /// <summary>The server has done what was asked, and the connection is reset before it says so.</summary>
    LostAnswer,

    /// <summary>The connection is reset, the server is not asked.</summary>
    Reset,

    /// <summary>The server has done what was asked, and the answer never comes.</summary>
    Stall,

    /// <summary>The server is not asked; the answer is 503 SlowDown.</summary>
    SlowDown,

    /// <summary>The server is not asked; the answer is 307 to where nobody listens.</summary>
    Redirect,

    /// <summary>The server is not asked; the answer is no HTTP.</summary>
    Garbage,
}

/// <summary>An HTTP/1.1 proxy on the loopback interface that breaks what passes through it.</summary>
public sealed class FaultProxy : IAsyncDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource _stop = new();
    readonly IPEndPoint _target;
    readonly Func<string, HttpFault> _choose;
    readonly Random _random;
    readonly List<Task> _connections = [];
    readonly Task _accepting;

    /// <param name="choose">Is given the request's line and headers, one call at a time.</param>
    public FaultProxy(string target, int seed, Func<string, HttpFault> choose)
    {
        (_target, _random, _choose) = (IPEndPoint.Parse(target), new Random(seed), choose);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public string Endpoint => _listener.LocalEndpoint.ToString()!;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections);
        _stop.Dispose();
    }

    async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
        }
    }

    async Task ServeAsync(TcpClient client)
    {
        using (client)
        using (var server = new TcpClient())
        {
            client.NoDelay = true;
            try
            {
                await server.ConnectAsync(_target, _stop.Token);
                server.NoDelay = true;
                while (await PassAsync(client, server))
                {
                }
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
            {
            }
        }
    }

    async Task<bool> PassAsync(TcpClient client, TcpClient server)
    {
        var (asking, asked) = (client.GetStream(), server.GetStream());
        var request = await HeadAsync(asking);
        if (request.Length == 0)
        {
            return false;
        }

        HttpFault fault;
        int dice;
        lock (_random)
        {
            (fault, dice) = (_choose(request), _random.Next());
        }

        if (request.Contains("Expect: 100-continue", StringComparison.OrdinalIgnoreCase))
        {
            await asking.WriteAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray(), _stop.Token);
            request = request.Replace("Expect: 100-continue\r\n", "", StringComparison.OrdinalIgnoreCase);
        }

        var body = await BodyAsync(asking, request, isAnswer: false);
        switch (fault)
        {
            case HttpFault.Reset:
                return Reset(client);
            case HttpFault.SlowDown:
                await AnswerAsync(asking, "503 Slow Down", "", Error("SlowDown"));
                return true;
            case HttpFault.Redirect:
                await AnswerAsync(asking, "307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", Error("TemporaryRedirect"));
                return true;
            case HttpFault.ErrorInside:
                await AnswerAsync(asking, "200 OK", "", Error("InternalError"));
                return true;
            case HttpFault.Garbage:
                await asking.WriteAsync("SSH-2.0-OpenSSH_9.6\r\n"u8.ToArray(), _stop.Token);
                return Reset(client);
        }

        await asked.WriteAsync(Encoding.Latin1.GetBytes(request), _stop.Token);
        await asked.WriteAsync(body, _stop.Token);
        var head = await HeadAsync(asked);
        while (head.StartsWith("HTTP/1.1 100", StringComparison.Ordinal))
        {
            head = await HeadAsync(asked);
        }

        var content = request.StartsWith("HEAD ", StringComparison.Ordinal) ? [] : await BodyAsync(asked, head, isAnswer: true);
        switch (fault)
        {
            case HttpFault.LostAnswer:
                return Reset(client);
            case HttpFault.Stall:
                await asking.ReadAtLeastAsync(new byte[1], 1, throwOnEndOfStream: false, _stop.Token);
                return false;
            case HttpFault.FlipHeader:
                var bytes = Encoding.Latin1.GetBytes(head);
                bytes[dice % bytes.Length] ^= (byte)(1 << (dice / bytes.Length % 8));
                head = Encoding.Latin1.GetString(bytes);
                break;
            case HttpFault.FlipBody when content.Length > 0:
                content[dice % content.Length] ^= (byte)(1 << (dice / content.Length % 8));
                break;
            case HttpFault.WrongETag:
                head = System.Text.RegularExpressions.Regex.Replace(
                    head, "(?i)\r\netag: [^\r]*", "\r\nETag: \"0123456789abcdef0123456789abcdef\"");
                break;
        }

        byte[] answer = [.. Encoding.Latin1.GetBytes(head), .. content];
        var passed = fault == HttpFault.ShortBody ? dice % answer.Length : answer.Length;
        await asking.WriteAsync(answer.AsMemory(0, passed), _stop.Token);
        return passed == answer.Length || Reset(client);
    }

    static bool Reset(TcpClient client)
    {
        client.Client.LingerState = new LingerOption(true, 0);
        client.Close();
        return false;
    }

    static string Error(string code) =>
        $"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>of the proxy</Message><RequestId>1</RequestId><HostId>2</HostId></Error>";

    async Task AnswerAsync(NetworkStream to, string status, string headers, string body) => await to.WriteAsync(
        Encoding.Latin1.GetBytes($"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {body.Length}\r\n{headers}\r\n{body}"), _stop.Token);

    // Byte by byte: a body may follow.
    async Task<string> HeadAsync(NetworkStream from)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (await from.ReadAsync(one, _stop.Token) > 0)
        {
            head.Append((char)one[0]);
            if (one[0] == '\n' && head.Length >= 4 && head[^3] == '\n')
            {
                return head.ToString();
            }
        }

        return "";
    }

    async Task<byte[]> BodyAsync(NetworkStream from, string head, bool isAnswer)
    {
        if (Header(head, "content-length") is { } length)
        {
            var body = new byte[int.Parse(length, CultureInfo.InvariantCulture)];
            await from.ReadExactlyAsync(body, _stop.Token);
            return body;
        }

        if (!isAnswer || Header(head, "transfer-encoding") is null)
        {
            return [];
        }

        using var chunks = new MemoryStream();
        var one = new byte[1];
        while (true)
        {
            var start = (int)chunks.Length;
            do
            {
                await from.ReadExactlyAsync(one, _stop.Token);
                chunks.Write(one);
            }
            while (one[0] != '\n');
            var size = int.Parse(
                Encoding.Latin1.GetString(chunks.GetBuffer(), start, (int)chunks.Length - start).Split(';')[0].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var chunk = new byte[size + 2];
            await from.ReadExactlyAsync(chunk, _stop.Token);
            chunks.Write(chunk);
            if (size == 0)
            {
                return chunks.ToArray();
            }
        }
    }

    static string? Header(string head, string name) => head.Split("\r\n")
        .Where(line => line.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase)).Select(line => line[(name.Length + 1)..].Trim()).FirstOrDefault();
}
