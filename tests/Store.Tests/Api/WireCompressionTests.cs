using System.Buffers.Binary;
using System.Net;
using Google.Protobuf;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;
using Observe.Store.Api;
using Observe.Store.Api.Wire;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Api;

/// <summary>Peers that compress their messages as Thanos does.</summary>
public sealed class WireCompressionTests
{
    static readonly TestSeries[] s_series =
        [.. Enumerable.Range(0, 100).Select(i => new TestSeries(Labels.Of(("__name__", "up"), ("i", $"{i:D3}")), (1, i)))];

    [Theory]
    [InlineData("snappy", "snappy")]
    [InlineData("gzip", null)]
    [InlineData(null, null)]
    public async Task A_peer_that_compresses_its_requests_is_answered(string? compression, string? answers)
    {
        await using var served = await StartAsync();
        using var channel = GrpcChannel.ForAddress(
            "http://" + served.Endpoint, new GrpcChannelOptions { CompressionProviders = WireCompression.All(1 << 20) });
        var store = new Observe.Store.Api.Wire.Store.StoreClient(channel);
        var metadata = new Metadata();
        if (compression is not null)
        {
            metadata.Add("grpc-internal-encoding-request", compression);
        }

        using var call = store.Series(new SeriesRequest { MaxTime = 10 }, metadata);
        var labels = new List<string>();
        while (await call.ResponseStream.MoveNext(default))
        {
            labels.Add(call.ResponseStream.Current.Series.Labels[1].Value.ToStringUtf8());
        }

        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i:D3}"), labels);
        var names = store.LabelNamesAsync(new LabelNamesRequest { End = 10 }, metadata);
        Assert.Equal(["__name__", "i"], (await names).Names);

        var asked = new HttpRequestMessage(HttpMethod.Post, $"http://{served.Endpoint}/thanos.Store/LabelNames")
        {
            Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = new ByteArrayContent([0, 0, 0, 0, 0]),
        };
        asked.Content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        asked.Headers.TryAddWithoutValidation("grpc-accept-encoding", "snappy,gzip");
        asked.Headers.TryAddWithoutValidation("grpc-encoding", compression ?? "identity");
        using var http = new HttpClient();
        using var answer = await http.SendAsync(asked);
        Assert.Equal(answers, answer.Headers.TryGetValues("grpc-encoding", out var used) && used.Single() != "identity" ? used.Single() : null);
    }

    /// <summary>The frames as Go's writer makes them of data that is small: the name of the stream, then one piece as it is.</summary>
    [Fact]
    public async Task A_message_in_the_framing_format_is_understood()
    {
        await using var served = await StartAsync();
        var message = new LabelValuesRequest { Label = "i", End = 10, Limit = 2 }.ToByteArray();
        var checksum = Crc32C.Of(message);
        var masked = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(masked, ((checksum >> 15) | (checksum << 17)) + 0xa282ead8);
        byte[] framed = [0xff, 6, 0, 0, .. "sNaPpY"u8, 1, (byte)(message.Length + 4), 0, 0, .. masked, .. message];
        var request = new HttpRequestMessage(HttpMethod.Post, $"http://{served.Endpoint}/thanos.Store/LabelValues")
        {
            Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent([1, 0, 0, 0, (byte)framed.Length, .. framed]),
        };
        request.Content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        request.Headers.TryAddWithoutValidation("grpc-encoding", "snappy");
        using var http = new HttpClient();
        using var answer = await http.SendAsync(request);
        var bytes = await answer.Content.ReadAsByteArrayAsync();
        Assert.Equal("0", answer.TrailingHeaders.GetValues("grpc-status").Single());
        Assert.Equal(0, bytes[0]);
        Assert.Equal(["000", "001"], LabelValuesResponse.Parser.ParseFrom(bytes.AsSpan(5)).Values);
    }

    [Theory]
    [InlineData("snappy")]
    [InlineData("gzip")]
    public async Task A_small_message_that_becomes_a_large_one_is_refused(string compression)
    {
        await using var served = await StartAsync();
        using var channel = GrpcChannel.ForAddress(
            "http://" + served.Endpoint,
            new GrpcChannelOptions { CompressionProviders = WireCompression.All(1 << 20), MaxSendMessageSize = null });
        var store = new Observe.Store.Api.Wire.Store.StoreClient(channel);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await store.LabelValuesAsync(
            new LabelValuesRequest { Label = new string('i', 8 << 20) }, new Metadata { { "grpc-internal-encoding-request", compression } }));
        Assert.NotEqual(StatusCode.OK, error.StatusCode);
        Assert.Equal(100, (await served.LabelValuesAsync("i", new QueryContext().Select(new SelectHints { Range = TimeRange.All }, []))).Count);
    }

    [Fact]
    public async Task A_store_that_compresses_its_answers_is_read()
    {
        await using var served = await StartAsync(services => services.Configure<GrpcServiceOptions>(grpc => grpc.ResponseCompressionAlgorithm = "snappy"));
        var all = await served.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).ToListAsync();
        Assert.Equal(s_series.Select(series => series.Labels), all.Select(series => series.Labels));
    }

    static Task<ServedQuerier> StartAsync(Action<IServiceCollection>? configure = null) => ServedQuerier.StartAsync(
        new MemoryQuerier(s_series), new StoreDescription("store", [], TimeRange.All), configure: configure);
}
