using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Observe.Query.Fanout;

namespace Observe.Query.Tests.Fanout;

/// <summary>A name server on loopback, over UDP and TCP; what it has no records of does not exist.</summary>
sealed class NameServer : IDisposable
{
    const int MaxDatagram = 1_232;
    readonly ConcurrentDictionary<string, IReadOnlyList<byte[]>> _records = [];
    readonly UdpClient _udp;
    readonly TcpListener _tcp;

    public NameServer()
    {
        (_udp, _tcp) = Bind();
        _ = UntilDisposedAsync(async () =>
        {
            var question = await _udp.ReceiveAsync();
            if (Answer(question.Buffer, "udp") is { } answer)
            {
                await _udp.SendAsync(answer.Length <= MaxDatagram ? answer : Truncated(answer), question.RemoteEndPoint);
            }
        });
        _ = UntilDisposedAsync(async () => _ = ServeAsync(await _tcp.AcceptTcpClientAsync()));
    }

    public IPEndPoint Address => (IPEndPoint)_tcp.LocalEndpoint;

    /// <summary>Asks this server only, once.</summary>
    public ResolverConfig Config => new() { Servers = [Address], Attempts = 1, Timeout = TimeSpan.FromSeconds(10) };

    /// <summary>Every question, as <c>udp name type</c>.</summary>
    public ConcurrentQueue<string> Questions { get; } = [];

    /// <summary>Questions of which no answer is given; null: of none.</summary>
    public Func<string, bool>? IsSilent { get; set; }

    /// <summary>Answers every question with this code where it is not 0.</summary>
    public byte Code { get; set; }

    /// <summary>What is done to an answer before it is sent.</summary>
    public Func<byte[], byte[]> Damage { get; set; } = answer => answer;

    public void SetServices(string name, params IEnumerable<(string Target, int Port)> services) =>
        _records[name + " SRV"] = [.. services.Select(service => Record(33, [0, 0, 0, 0, .. BigEndian((ushort)service.Port), .. Name(service.Target)]))];

    public void SetAddresses(string name, params IEnumerable<IPAddress> addresses)
    {
        foreach (var (kind, type, family) in (ReadOnlySpan<(string, byte, AddressFamily)>)
            [("A", 1, AddressFamily.InterNetwork), ("AAAA", 28, AddressFamily.InterNetworkV6)])
        {
            _records[$"{name} {kind}"] = [.. addresses.Where(a => a.AddressFamily == family).Select(a => Record(type, a.GetAddressBytes()))];
        }
    }

    public void Dispose()
    {
        _udp.Dispose();
        _tcp.Dispose();
    }

    /// <summary>One port that is free for both.</summary>
    static (UdpClient, TcpListener) Bind()
    {
        while (true)
        {
            var tcp = new TcpListener(IPAddress.Loopback, 0);
            tcp.Start();
            try
            {
                return (new UdpClient((IPEndPoint)tcp.LocalEndpoint), tcp);
            }
            catch (SocketException)
            {
                tcp.Dispose();
            }
        }
    }

    static async Task UntilDisposedAsync(Func<Task> step)
    {
        try
        {
            while (true)
            {
                await step();
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or SocketException or IOException)
        {
            // The end of the test, or of a connection.
        }
    }

    async Task ServeAsync(TcpClient client)
    {
        using var _ = client;
        var stream = client.GetStream();
        await UntilDisposedAsync(async () =>
        {
            var length = new byte[2];
            await stream.ReadExactlyAsync(length);
            var question = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
            await stream.ReadExactlyAsync(question);
            if (Answer(question, "tcp") is { } answer)
            {
                await stream.WriteAsync((byte[])[.. BigEndian((ushort)answer.Length), .. answer]);
            }
        });
    }

    byte[]? Answer(byte[] question, string way)
    {
        var (name, end) = Asked(question);
        var type = BinaryPrimitives.ReadUInt16BigEndian(question.AsSpan(end)) switch { 1 => "A", 28 => "AAAA", 33 => "SRV", _ => "?" };
        Questions.Enqueue($"{way} {name} {type}");
        if (IsSilent?.Invoke($"{way} {name} {type}") == true)
        {
            return null;
        }

        var records = Code == 0 ? _records.GetValueOrDefault($"{name} {type}", []) : [];
        var code = Code == 0 && !_records.Keys.Any(known => known.StartsWith(name + " ", StringComparison.Ordinal)) ? (byte)3 : Code;
        byte[] header = [question[0], question[1], 0x81, (byte)(0x80 | code), 0, 1, .. BigEndian((ushort)records.Count), 0, 0, 0, 0];
        return Damage([.. header, .. question[12..(end + 4)], .. records.SelectMany(record => record)]);
    }

    static byte[] Truncated(byte[] answer)
    {
        var cut = answer[..(Asked(answer).End + 4)];
        cut[2] |= 2;
        (cut[6], cut[7]) = (0, 0);
        return cut;
    }

    static (string Name, int End) Asked(byte[] message)
    {
        var (labels, at) = (new List<string>(), 12);
        while (message[at] != 0)
        {
            labels.Add(Encoding.ASCII.GetString(message, at + 1, message[at]));
            at += 1 + message[at];
        }

        return (string.Join('.', labels), at + 1);
    }

    /// <summary>A record of the name that was asked for.</summary>
    static byte[] Record(byte type, byte[] data) => [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, .. BigEndian((ushort)data.Length), .. data];

    static byte[] Name(string name) =>
        [.. name.Split('.', StringSplitOptions.RemoveEmptyEntries).SelectMany(label => Encoding.ASCII.GetBytes(label).Prepend((byte)label.Length)), 0];

    static byte[] BigEndian(ushort value) => [(byte)(value >> 8), (byte)value];
}
