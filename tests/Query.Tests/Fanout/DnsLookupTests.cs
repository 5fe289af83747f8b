using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using CsCheck;
using Observe.Query.Fanout;
using Xunit;

namespace Observe.Query.Tests.Fanout;

public sealed class DnsLookupTests
{
    [Theory]
    [InlineData("store:10901", null)]
    [InlineData("[::1]:10901", null)]
    [InlineData("dns+store:10901", null)]
    [InlineData("dnssrv+_grpc._tcp.store", null)]
    [InlineData("dnssrvnoa+_grpc._tcp.store:10901", null)]
    [InlineData("store", "missing port in endpoint store")]
    [InlineData("dns+store", "missing port in endpoint dns+store")]
    [InlineData("store:0", "missing port in endpoint store:0")]
    [InlineData("store:x", "missing port in endpoint store:x")]
    [InlineData("dnssrv+", "no name in endpoint dnssrv+")]
    [InlineData("srv+a", "unknown lookup srv+ in endpoint srv+a: dns+, dnssrv+ and dnssrvnoa+ are known")]
    public void Endpoints_are_checked(string endpoint, string? fault) => Assert.Equal(fault, DnsLookup.Fault(endpoint));

    [Fact]
    public async Task An_address_is_taken_as_it_is_and_a_name_is_looked_up()
    {
        var lookup = new DnsLookup();
        Assert.Equal(["store:10901"], await lookup.ResolveAsync("store:10901", default));
        Assert.Contains("127.0.0.1:10901", await lookup.ResolveAsync("dns+localhost:10901", default));
        await Assert.ThrowsAsync<DnsLookupException>(() => lookup.ResolveAsync("dns+nowhere.invalid:10901", default));
    }

    [Theory]
    [InlineData("dnssrvnoa+_grpc._tcp.store", false, new[] { "a.store:10901", "b.store:10902" })]
    [InlineData("dnssrvnoa+_grpc._tcp.store:7", false, new[] { "a.store:7", "b.store:7" })]
    [InlineData("dnssrvnoa+_grpc._tcp.store", true, new[] { "a.store:10901", "b.store:10902" })]
    public async Task Services_are_looked_up(string endpoint, bool truncated, string[] expected)
    {
        using var server = new UdpClient(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)server.Client.LocalEndPoint!;
        using var tcp = new TcpListener(address);
        tcp.Start();
        var serving = Task.Run(async () =>
        {
            var question = await server.ReceiveAsync();
            var answer = Answer(question.Buffer);
            if (!truncated)
            {
                await server.SendAsync(answer, question.RemoteEndPoint);
                return;
            }

            var cut = answer[..12];
            cut[2] |= 2;
            await server.SendAsync(cut, question.RemoteEndPoint);
            using var client = await tcp.AcceptTcpClientAsync();
            var stream = client.GetStream();
            await stream.ReadExactlyAsync(new byte[2 + question.Buffer.Length]);
            var framed = new byte[answer.Length + 2];
            BinaryPrimitives.WriteUInt16BigEndian(framed, (ushort)answer.Length);
            answer.CopyTo(framed, 2);
            await stream.WriteAsync(framed);
        });
        Assert.Equal(expected, await new DnsLookup([address]).ResolveAsync(endpoint, default));
        await serving;
    }

    [Fact]
    public void Any_bytes_are_an_answer_or_refused()
    {
        var good = Answer([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, (byte)'x', 0, 0, 33, 0, 1]);
        Assert.Equal([("a.store", (ushort)10901), ("b.store", (ushort)10902)], DnsLookup.Services(good, 7));
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample((at, value, length) =>
        {
            var bytes = good.ToArray();
            bytes[at] = value;
            try
            {
                DnsLookup.Services(bytes.AsSpan(0, length), 7);
            }
            catch (InvalidDataException)
            {
                // What is meant.
            }
        });
    }

    /// <summary>Two services, the second's name compressed against the first's.</summary>
    static byte[] Answer(byte[] question)
    {
        var answer = question.ToList();
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, 2);
        void Record(int port, byte[] target)
        {
            answer.AddRange([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, (byte)(6 + target.Length), 0, 0, 0, 0, (byte)(port >> 8), (byte)port]);
            answer.AddRange(target);
        }

        Record(10901, [1, (byte)'a', 5, .. Encoding.ASCII.GetBytes("store"), 0]);
        var store = answer.Count - 7;
        Record(10902, [1, (byte)'b', (byte)(0xc0 | (store >> 8)), (byte)store]);
        return [.. answer];
    }
}
