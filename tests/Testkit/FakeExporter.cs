using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Observe.Testkit;

/// <summary>How an answer goes wrong on the wire.</summary>
public enum FakeFault
{
    None,

    /// <summary>The request is read and never answered.</summary>
    Silence,

    /// <summary>The body comes a byte at a time, one every 20 ms.</summary>
    Trickle,

    /// <summary>The connection breaks off in the middle of the body.</summary>
    Drop,

    /// <summary>The body is repeated for ever, in chunks.</summary>
    Endless,
}

/// <summary>What a <see cref="FakeExporter"/> says on one path.</summary>
public sealed record FakeAnswer
{
    public int Status { get; init; } = 200;

    public string? ContentType { get; init; } = "text/plain; version=0.0.4; charset=utf-8";

    public byte[] Body { get; init; } = [];

    /// <summary>Compress the body if the client takes gzip.</summary>
    public bool Gzip { get; init; }

    /// <summary>The body is compressed already.</summary>
    public bool IsCompressed { get; init; }

    public IReadOnlyList<(string Name, string Value)> Headers { get; init; } = [];

    public FakeFault Fault { get; init; }

    public static implicit operator FakeAnswer(string text) => FromString(text);

    public static FakeAnswer FromString(string text) => new() { Body = Encoding.UTF8.GetBytes(text) };
}

/// <param name="Headers">Names in lower case; values are bytes as Latin-1 shows them.</param>
public sealed record FakeRequest(string Target, IReadOnlyDictionary<string, string> Headers);

/// <summary>
/// An exporter under a test's control: a real HTTP/1.1 server on a port of the loopback interface, over TLS when it is given a
/// certificate. Answers are set by path and may be changed at any time.
/// </summary>
public sealed class FakeExporter : IAsyncDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource _stop = new();
    readonly ConcurrentDictionary<string, FakeAnswer> _answers = [];
    readonly ConcurrentDictionary<Task, bool> _connections = [];
    readonly ConcurrentQueue<FakeRequest> _requests = [];
    readonly SslServerAuthenticationOptions? _tls;
    readonly Task _accepting;
    int _connectionCount;

    FakeExporter(SslServerAuthenticationOptions? tls)
    {
        _tls = tls;
        _listener.Start(512);
        _accepting = AcceptAsync();
    }

    public static FakeExporter Start(
        FakeAnswer? metrics = null, X509Certificate2? certificate = null, bool clientCertificate = false, Func<FakeRequest, FakeAnswer?>? choose = null)
    {
        var exporter = new FakeExporter(certificate is null ? null : new SslServerAuthenticationOptions
        {
            ServerCertificate = certificate,
            ClientCertificateRequired = clientCertificate,
            RemoteCertificateValidationCallback = (_, client, _, _) => !clientCertificate || client is not null,
        }) { Choose = choose };
        exporter["/metrics"] = metrics ?? "";
        return exporter;
    }

    /// <summary>host:port.</summary>
    public string Address => _listener.LocalEndpoint.ToString()!;

    /// <summary>All requests so far, oldest first; none where answers are chosen by request.</summary>
    public IReadOnlyList<FakeRequest> Requests => [.. _requests];

    /// <summary>Where set, chooses the answer to a request; null for the answer of its path.</summary>
    public Func<FakeRequest, FakeAnswer?>? Choose { get; init; }

    /// <summary>How many connections there have been.</summary>
    public int Connections => _connectionCount;

    /// <summary>The answer on a path, whatever the query.</summary>
    public FakeAnswer this[string path]
    {
        set => _answers[path] = value;
    }

    async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var connection = ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token));
                _connections[connection] = true;
                _ = connection.ContinueWith(done => _connections.TryRemove(done, out _), TaskScheduler.Default);
            }
        }
        catch (OperationCanceledException)
        {
            _listener.Stop();
        }
    }

    async Task ServeAsync(TcpClient client)
    {
        Interlocked.Increment(ref _connectionCount);
        using var _ = client;
        client.NoDelay = true;
        try
        {
            await using Stream stream = _tls is null ? client.GetStream() : new SslStream(client.GetStream());
            if (stream is SslStream secured)
            {
                await secured.AuthenticateAsServerAsync(_tls!, _stop.Token);
            }

            while (await ReadAsync(stream) is { } request)
            {
                if (Choose is null)
                {
                    _requests.Enqueue(request);
                }

                var answer = Choose?.Invoke(request) ?? _answers.GetValueOrDefault(PathOf(request.Target)) ?? new FakeAnswer { Status = 404 };
                if (!await AnswerAsync(stream, request, answer))
                {
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or System.Security.Authentication.AuthenticationException)
        {
            // The client went away, or the test is over.
        }
    }

    /// <summary>Without the query, and without the host that a request to a proxy names.</summary>
    static string PathOf(string target) =>
        (target.StartsWith("http://", StringComparison.Ordinal) ? new Uri(target).AbsolutePath : target).Split('?')[0];

    async Task<FakeRequest?> ReadAsync(Stream stream)
    {
        var buffer = new byte[16384];
        var length = 0;
        while (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) < 0)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), _stop.Token);
            if (read == 0)
            {
                return null;
            }

            length += read;
        }

        var lines = Encoding.Latin1.GetString(buffer, 0, length).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var headers = lines.Skip(1).Select(line => line.Split(": ", 2)).ToDictionary(h => h[0].ToLowerInvariant(), h => h[1]);
        return new FakeRequest(lines[0].Split(' ')[1], headers);
    }

    async Task<bool> AnswerAsync(Stream stream, FakeRequest request, FakeAnswer answer)
    {
        if (answer.Fault == FakeFault.Silence)
        {
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }

        var gzip = answer.IsCompressed || (answer.Gzip && request.Headers.GetValueOrDefault("accept-encoding")?.Contains("gzip", StringComparison.Ordinal) == true);
        var body = gzip && !answer.IsCompressed ? Compress(answer.Body) : answer.Body;
        var head = new StringBuilder($"HTTP/1.1 {answer.Status} Status\r\n");
        head.Append(answer.ContentType is null ? "" : $"Content-Type: {answer.ContentType}\r\n").Append(gzip ? "Content-Encoding: gzip\r\n" : "");
        foreach (var (name, value) in answer.Headers)
        {
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        }

        head.Append(answer.Fault == FakeFault.Endless ? "Transfer-Encoding: chunked\r\n\r\n" : $"Content-Length: {body.Length}\r\n\r\n");
        await stream.WriteAsync(Encoding.UTF8.GetBytes(head.ToString()), _stop.Token);
        switch (answer.Fault)
        {
            case FakeFault.Trickle:
                for (var i = 0; i < body.Length; i++)
                {
                    await stream.WriteAsync(body.AsMemory(i, 1), _stop.Token);
                    await Task.Delay(20, _stop.Token);
                }

                return true;
            case FakeFault.Drop:
                await stream.WriteAsync(body.AsMemory(0, body.Length / 2), _stop.Token);
                return false;
            case FakeFault.Endless:
                var chunk = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{body.Length:x}\r\n"));
                while (true)
                {
                    await stream.WriteAsync(chunk, _stop.Token);
                    await stream.WriteAsync(body, _stop.Token);
                    await stream.WriteAsync("\r\n"u8.ToArray(), _stop.Token);
                }

            default:
                await stream.WriteAsync(body, _stop.Token);
                return true;
        }
    }

    /// <summary>Gzip of a body.</summary>
    public static byte[] Compress(byte[] body)
    {
        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
        {
            gzip.Write(body);
        }

        return output.ToArray();
    }

    /// <summary>Gzip of very many equal lines: a small body that is <paramref name="megabytes"/> MiB once uncompressed.</summary>
    public static byte[] Bomb(int megabytes, string line = "\n")
    {
        var block = new byte[1 << 20];
        for (var at = 0; at < block.Length; at++)
        {
            block[at] = (byte)line[at % line.Length];
        }

        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
        {
            for (var i = 0; i < megabytes; i++)
            {
                gzip.Write(block);
            }
        }

        return output.ToArray();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stop.IsCancellationRequested)
        {
            await _stop.CancelAsync();
            await _accepting;
            await Task.WhenAll(_connections.Keys);
            _listener.Dispose();
            _stop.Dispose();
        }
    }
}
