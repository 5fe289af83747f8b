using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Observe.Query.Fanout;

/// <summary>A lookup that gave no answer: the name is unknown, or no server answered.</summary>
public sealed class DnsLookupException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Turns an endpoint as flags have it into addresses HOST:PORT.</summary>
/// <remarks>
/// <c>HOST:PORT</c> is taken as it is; <c>dns+HOST:PORT</c> gives an address for each A and AAAA record; <c>dnssrv+NAME</c> one for each
/// SRV record, its target looked up; <c>dnssrvnoa+NAME</c> the targets themselves.
/// SRV records (RFC 2782), which .NET does not look up, are asked for over UDP, and over TCP when the answer is truncated.
/// </remarks>
public sealed class DnsLookup(IReadOnlyList<IPEndPoint>? servers = null)
{
    const ushort TypeSrv = 33;
    const int MaxMessage = 65_535;
    const int MaxRecords = 4_096;
    static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(3);

    /// <summary>Whether the addresses of an endpoint may change.</summary>
    public static bool IsDynamic(string endpoint) => endpoint.Contains('+', StringComparison.Ordinal);

    /// <exception cref="DnsLookupException">Nothing was found.</exception>
    /// <exception cref="FormatException">The endpoint is not written as it should be.</exception>
    public async Task<IReadOnlyList<string>> ResolveAsync(string endpoint, CancellationToken cancellationToken)
    {
        var (kind, name) = Split(endpoint);
        var colon = name.LastIndexOf(':');
        switch (kind)
        {
            case "":
                return [name];

            case "dns":
                return await AddressesAsync(name[..colon], name[(colon + 1)..], cancellationToken);

            default:
                var port = colon < 0 ? null : name[(colon + 1)..];
                var found = new List<string>();
                foreach (var (target, recordPort) in await ServicesAsync(colon < 0 ? name : name[..colon], cancellationToken))
                {
                    var targetPort = port ?? recordPort.ToString(CultureInfo.InvariantCulture);
                    found.AddRange(
                        kind == "dnssrvnoa" ? [$"{target}:{targetPort}"] : await AddressesAsync(target, targetPort, cancellationToken));
                }

                return [.. found.Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>Whether an endpoint is written as it should be; otherwise says why not.</summary>
    public static string? Fault(string endpoint)
    {
        var (kind, name) = Split(endpoint);
        if (kind is not ("" or "dns" or "dnssrv" or "dnssrvnoa"))
        {
            return $"unknown lookup {kind}+ in endpoint {endpoint}: dns+, dnssrv+ and dnssrvnoa+ are known";
        }

        var colon = name.LastIndexOf(':');
        if (colon < 0 && kind is "dnssrv" or "dnssrvnoa")
        {
            return name.Length == 0 ? $"no name in endpoint {endpoint}" : null;
        }

        return colon > 0 && ushort.TryParse(name[(colon + 1)..], CultureInfo.InvariantCulture, out var port) && port > 0
            ? null
            : $"missing port in endpoint {endpoint}";
    }

    static (string Kind, string Name) Split(string endpoint)
    {
        var plus = endpoint.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 ? ("", endpoint) : (endpoint[..plus], endpoint[(plus + 1)..]);
    }

    static async Task<IReadOnlyList<string>> AddressesAsync(string host, string port, CancellationToken cancellationToken)
    {
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(host.Trim('[', ']'), cancellationToken);
            return [.. addresses.Select(a => a.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{a}]:{port}" : $"{a}:{port}")
                .Distinct().Order(StringComparer.Ordinal)];
        }
        catch (SocketException e)
        {
            throw new DnsLookupException($"lookup of {host} failed: {e.Message}", e);
        }
    }

    async Task<List<(string Target, ushort Port)>> ServicesAsync(string name, CancellationToken cancellationToken)
    {
        Exception? last = null;
        foreach (var server in servers ?? SystemServers())
        {
            foreach (var candidate in servers is null ? Candidates(name) : [name])
            {
                var id = (ushort)RandomNumberGenerator.GetInt32(ushort.MaxValue + 1);
                var question = Question(id, candidate);
                try
                {
                    var answer = await AskUdpAsync(server, question, id, cancellationToken);
                    if ((answer[2] & 0x02) != 0)
                    {
                        answer = await AskTcpAsync(server, question, cancellationToken);
                    }

                    if (Services(answer, id) is { Count: > 0 } found)
                    {
                        return found;
                    }

                    last = new DnsLookupException($"{candidate} has no SRV records");
                }
                catch (Exception e) when (e is SocketException or IOException or InvalidDataException
                    || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
                {
                    last = e;
                }
            }
        }

        throw new DnsLookupException($"lookup of SRV records of {name} failed: {last?.Message ?? "no name server"}", last);
    }

    static async Task<byte[]> AskUdpAsync(IPEndPoint server, byte[] question, ushort id, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(s_timeout);
        using var socket = new UdpClient(server.AddressFamily);
        socket.Connect(server);
        await socket.SendAsync(question, timeout.Token);
        while (true)
        {
            var answer = (await socket.ReceiveAsync(timeout.Token)).Buffer;
            if (answer.Length >= 12 && BinaryPrimitives.ReadUInt16BigEndian(answer) == id)
            {
                return answer;
            }
        }
    }

    static async Task<byte[]> AskTcpAsync(IPEndPoint server, byte[] question, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(s_timeout);
        using var client = new TcpClient(server.AddressFamily);
        await client.ConnectAsync(server, timeout.Token);
        var stream = client.GetStream();
        var framed = new byte[question.Length + 2];
        BinaryPrimitives.WriteUInt16BigEndian(framed, (ushort)question.Length);
        question.CopyTo(framed, 2);
        await stream.WriteAsync(framed, timeout.Token);
        var length = new byte[2];
        await stream.ReadExactlyAsync(length, timeout.Token);
        var answer = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(answer, timeout.Token);
        return answer;
    }

    static byte[] Question(ushort id, string name)
    {
        var message = new List<byte> { (byte)(id >> 8), (byte)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
        foreach (var label in name.TrimEnd('.').Split('.'))
        {
            var bytes = Encoding.ASCII.GetBytes(label);
            if (bytes.Length is 0 or > 63)
            {
                throw new DnsLookupException($"{name} is not a name");
            }

            message.Add((byte)bytes.Length);
            message.AddRange(bytes);
        }

        message.AddRange([0, 0, (byte)TypeSrv, 0, 1]);
        return [.. message];
    }

    /// <summary>The SRV records of an answer.</summary>
    /// <exception cref="InvalidDataException">It is no answer to the question.</exception>
    internal static List<(string Target, ushort Port)> Services(ReadOnlySpan<byte> answer, ushort id)
    {
        if (answer.Length is < 12 or > MaxMessage || BinaryPrimitives.ReadUInt16BigEndian(answer) != id || (answer[2] & 0x80) == 0)
        {
            throw new InvalidDataException("not an answer");
        }

        if ((answer[3] & 0x0f) is var code && code != 0)
        {
            throw new InvalidDataException(code == 3 ? "no such name" : $"the name server answers with error {code}");
        }

        var questions = BinaryPrimitives.ReadUInt16BigEndian(answer[4..]);
        var records = BinaryPrimitives.ReadUInt16BigEndian(answer[6..]);
        var at = 12;
        for (var i = 0; i < questions; i++)
        {
            Name(answer, ref at);
            at += 4;
        }

        var found = new List<(string, ushort)>();
        for (var i = 0; i < Math.Min((int)records, MaxRecords); i++)
        {
            Name(answer, ref at);
            var header = Slice(answer, at, 10);
            at += 10;
            var length = BinaryPrimitives.ReadUInt16BigEndian(header[8..]);
            var data = Slice(answer, at, length);
            if (BinaryPrimitives.ReadUInt16BigEndian(header) == TypeSrv && length > 6)
            {
                var target = at + 6;
                found.Add((Name(answer, ref target), BinaryPrimitives.ReadUInt16BigEndian(data[4..])));
            }

            at += length;
        }

        return found;
    }

    static string Name(ReadOnlySpan<byte> message, ref int at)
    {
        var name = new StringBuilder();
        var (position, jumps, end) = (at, 0, -1);
        while (true)
        {
            var length = Slice(message, position, 1)[0];
            position++;
            if (length == 0)
            {
                break;
            }

            if ((length & 0xc0) == 0xc0)
            {
                var low = Slice(message, position, 1)[0];
                end = end < 0 ? position + 1 : end;
                position = ((length & 0x3f) << 8) | low;
                if (++jumps > 16)
                {
                    throw new InvalidDataException("a name that refers to itself");
                }

                continue;
            }

            name.Append(name.Length > 0 ? "." : "").Append(Encoding.ASCII.GetString(Slice(message, position, length)));
            position += length;
            if (name.Length > 255)
            {
                throw new InvalidDataException("a name of more than 255 bytes");
            }
        }

        at = end < 0 ? position : end;
        return name.ToString();
    }

    static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> message, int at, int length) =>
        at >= 0 && length >= 0
            && at + length <= message.Length ? message.Slice(at, length) : throw new InvalidDataException("the answer ends early");

    static IEnumerable<string> Candidates(string name)
    {
        yield return name;
        if (name.EndsWith('.'))
        {
            yield break;
        }

        foreach (var domain in Resolver("search").SelectMany(line => line).Take(6))
        {
            yield return $"{name}.{domain}";
        }
    }

    static IEnumerable<IPEndPoint> SystemServers() =>
        Resolver("nameserver")
            .Where(words => words.Length > 0).Select(words => IPAddress.TryParse(words[0], out var address) ? address : null)
            .OfType<IPAddress>().Select(address => new IPEndPoint(address, 53));

    static IEnumerable<string[]> Resolver(string keyword)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines("/etc/resolv.conf");
        }
        catch (IOException)
        {
            // Without the file there is no name server to ask, which the lookup says.
            lines = [];
        }

        return lines.Select(line => line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length > 0 && words[0] == keyword).Select(words => words[1..]);
    }
}
