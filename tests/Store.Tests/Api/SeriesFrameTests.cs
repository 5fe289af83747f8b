using CsCheck;
using Grpc.Net.Client;
using Observe.Store.Api;
using Observe.Store.Api.Wire;
using Observe.Testkit;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using Chunk = Observe.Tsdb.Chunks.Chunk;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Tests.Api;

public sealed class SeriesFrameTests
{
    static readonly Gen<int> s_size = Gen.Frequency((6, Gen.Int[1, 400]), (2, Gen.Int[1_000, 40_000]), (1, Gen.Int[100_000, 300_000]));

    static readonly Gen<(int Label, int[] Chunks)[]> s_series = Gen.Select(
        Gen.Frequency((8, Gen.Int[1, 50]), (1, Gen.Int[60_000, 140_000])), s_size.Array[1, 30]).Array[0, 40];

    /// <summary>Receivers keep arrays of the largest frame's size.</summary>
    [Fact]
    public async Task Frames_are_small_and_have_every_chunk_once()
    {
        var source = new SizedQuerier();
        await using var served = await ServedQuerier.StartAsync(source, new StoreDescription("store", [], TimeRange.All));
        using var channel = GrpcChannel.ForAddress("http://" + served.Endpoint, new GrpcChannelOptions { MaxReceiveMessageSize = null });
        var store = new Observe.Store.Api.Wire.Store.StoreClient(channel);
        await Gen.Select(s_series, Gen.Int[0, 2].Select(i => ((int[])[0, 7, 1_024])[i])).SampleAsync(
            async (sizes, batch) =>
            {
                source.All = [.. sizes.Select((one, i) => new SizedSeries(i, one.Label, one.Chunks))];
                using var call = store.Series(new SeriesRequest { MaxTime = long.MaxValue, ResponseBatchSize = batch });
                var received = new List<string>();
                while (await call.ResponseStream.MoveNext(default))
                {
                    var frame = call.ResponseStream.Current;
                    IList<Observe.Store.Api.Wire.Series> some = batch == 0 ? [frame.Series] : frame.Batch.Series;
                    Assert.InRange(some.Count, 1, Math.Max(1, batch));
                    Assert.True(frame.CalculateSize() <= WireFrame.KeptBytes || some is [{ Chunks.Count: 1 }], $"{frame.CalculateSize()} bytes");
                    received.AddRange(some.SelectMany(one => one.Chunks.Select(chunk => $"{one.Labels[0].Value.Length} {chunk.MinTime} {chunk.Raw.Data.Length}")));
                }

                Assert.Equal(source.All.SelectMany(one => one.Own.Select(chunk => $"{one.Labels.Get("a").Length} {chunk.MinTime} {chunk.Data.Length}")), received);
            },
            iter: 30,
            threads: 1);
    }

    sealed class SizedSeries(int number, int label, int[] chunks) : Series(Labels.Of(("a", $"{number:D6}{new string('x', label)}")))
    {
        public List<Chunk> Own { get; } =
            [.. chunks.Select((size, i) => new Chunk((number * 1_000) + i + 1, (number * 1_000) + i + 1, ChunkEncoding.Xor, new byte[size]))];

        public override IEnumerable<Chunk> Chunks() => Own;

        public override ISampleIterator Samples() => throw new NotSupportedException("chunks are passed on");
    }

    sealed class SizedQuerier : IQuerier
    {
        public IReadOnlyList<SizedSeries> All { get; set; } = [];

        public IAsyncEnumerable<Series> SelectAsync(Selection selection) => All.ToAsyncEnumerable();

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => new([]);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => new([]);
    }
}
