using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Query.Tests.Fanout;

public sealed class StoreSetTests
{
    static readonly StoreDescription s_dev = new("sidecar", [Labels.Of(("cluster", "dev"))], TimeRange.All);

    [Fact]
    public void A_malformed_endpoint_is_refused() =>
        Assert.Equal("missing port in endpoint store", Assert.Throws<FormatException>(() => new StoreSet(new StoreSetOptions { Endpoints = ["store"] })).Message);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_store_that_left_the_name_service_is_missed_until_another_has_its_labels_or_time_has_passed(bool replaced)
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000));
        using var names = new NameServer();
        await using var first = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
        await using var second = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev with { LabelSets = [Labels.Of(("cluster", "prod"))] });
        names.Ports = [Port(first), Port(second)];
        await using var set = new StoreSet(new StoreSetOptions
        {
            Endpoints = ["dnssrvnoa+_grpc._tcp.store"],
            Time = time,
            Lookup = new DnsLookup([names.Address]),
            UnhealthyTimeout = TimeSpan.FromHours(1),
        });
        await set.RefreshAsync(default);
        Assert.Equal(2, set.Stores.Count(s => s.LastError is null));

        await first.StopAsync();
        names.Ports = [Port(second)];
        time.Advance(TimeSpan.FromMinutes(1));
        await set.RefreshAsync(default);
        await set.RefreshAsync(default);
        Assert.Contains(set.Stores, s => s.Name == first.Endpoint && s.IsSilent);

        if (replaced)
        {
            await using var third = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
            names.Ports = [Port(second), Port(third)];
            time.Advance(TimeSpan.FromMinutes(1));
            await set.RefreshAsync(default);
            Assert.Equal([second.Endpoint, third.Endpoint], set.Stores.Select(s => s.Name).OrderBy(n => n == third.Endpoint));
            return;
        }

        time.Advance(TimeSpan.FromMinutes(58));
        await set.RefreshAsync(default);
        Assert.Contains(set.Stores, s => s.Name == first.Endpoint);
        time.Advance(TimeSpan.FromMinutes(2));
        await set.RefreshAsync(default);
        Assert.DoesNotContain(set.Stores, s => s.Name == first.Endpoint);
    }

    [Fact]
    public async Task Addresses_stay_when_a_later_lookup_fails()
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000));
        using var names = new NameServer();
        await using var store = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
        names.Ports = [Port(store)];
        await using var set = new StoreSet(new StoreSetOptions
        {
            Endpoints = ["dnssrvnoa+_grpc._tcp.store"],
            Time = time,
            Lookup = new DnsLookup([names.Address]),
        });
        await set.RefreshAsync(default);
        names.Ports = [];
        time.Advance(TimeSpan.FromMinutes(1));
        await set.RefreshAsync(default);
        Assert.Equal((store.Endpoint, null), set.Stores.Select(s => (s.Name, s.LastError)).Single());
    }

    static ushort Port(ServedQuerier served) => ushort.Parse(served.Endpoint.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Answers each question with services on 127.0.0.1 and these ports; with none that the name is unknown.</summary>
    sealed class NameServer : IDisposable
    {
        readonly UdpClient _udp = new(new IPEndPoint(IPAddress.Loopback, 0));

        public NameServer() => _ = ServeAsync();

        public IPEndPoint Address => (IPEndPoint)_udp.Client.LocalEndPoint!;

        public IReadOnlyList<ushort> Ports { get; set; } = [];

        public void Dispose() => _udp.Dispose();

        async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    var question = await _udp.ReceiveAsync();
                    var answer = question.Buffer.ToList();
                    (answer[2], answer[3], answer[7]) = (0x81, Ports.Count == 0 ? (byte)0x83 : (byte)0x80, (byte)Ports.Count);
                    foreach (var port in Ports)
                    {
                        var number = new byte[2];
                        BinaryPrimitives.WriteUInt16BigEndian(number, port);
                        answer.AddRange([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 17, 0, 0, 0, 0, .. number]);
                        answer.AddRange([3, (byte)'1', (byte)'2', (byte)'7', 1, (byte)'0', 1, (byte)'0', 1, (byte)'1', 0]);
                    }

                    await _udp.SendAsync(answer.ToArray(), question.RemoteEndPoint);
                }
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException)
            {
                // The end of the test.
            }
        }
    }
}
