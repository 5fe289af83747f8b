using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Store.Tests.Api;

/// <summary>Blocks that Thanos made, read directly and through the store API: the same series, samples and aggregates.</summary>
public sealed class StoreApiBlocksTests
{
    [Theory]
    [InlineData("01M81NBR49693RP1SN0GD357N3", 0, Aggregate.Raw)]
    [InlineData("01M81NBR49693RP1SN0GD357N3", 0, Aggregate.Count)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Raw)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Count)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Sum)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Min)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Max)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 300_000, Aggregate.Counter)]
    [InlineData("01M81NBR7PXHQPJ6K6EMKFRVQD", 3_600_000, Aggregate.Raw)]
    [InlineData("01M81NBR7PXHQPJ6K6EMKFRVQD", 3_600_000, Aggregate.Counter)]
    public async Task A_block_answers_as_it_does_without_the_wire(string id, long resolution, Aggregate aggregate)
    {
        var folder = Required.Shared("blocks", "golden", id);
        using var block = Block.Open(folder);
        await using var served = await ServedQuerier.StartAsync(block, new StoreDescription("store", [], TimeRange.All));
        await using var chunkless = await ServedQuerier.StartAsync(new ChunklessQuerier(block), new StoreDescription("store", [], TimeRange.All));
        var middle = block.Meta.MinTime + ((block.Meta.MaxTime - block.Meta.MinTime) / 2);
        foreach (var range in (TimeRange[])[TimeRange.All, new(middle, middle + 86_400_000)])
        {
            var hints = new SelectHints { Range = range, MaxResolutionMs = resolution, Aggregate = aggregate };
            var direct = await Read(block, hints);
            Assert.InRange(direct.Count, 11, 12);
            Assert.True(direct.Sum(s => s.Samples.Count) > 100);
            foreach (var remote in (List<(Labels Labels, List<(long, ulong)> Samples)>[])[await Read(served, hints), await Read(chunkless, hints)])
            {
                Assert.Equal(direct.Select(s => s.Labels), remote.Select(s => s.Labels));
                foreach (var (a, b) in direct.Zip(remote))
                {
                    Assert.Equal(a.Samples, b.Samples);
                }
            }
        }
    }

    [Fact]
    public async Task Chunks_are_passed_on_byte_by_byte()
    {
        var folder = Required.Shared("blocks", "golden", "01M81NBR49693RP1SN0GD357N3");
        using var block = Block.Open(folder);
        await using var served = await ServedQuerier.StartAsync(block, new StoreDescription("store", [], TimeRange.All));
        var hints = new SelectHints { Range = TimeRange.All };
        Assert.Equal(await Chunks(block, hints), await Chunks(served, hints));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(500)]
    public async Task Labels_of_a_local_bucket_are_sent_before_their_memory_goes_back(int batchSize)
    {
        await using var fixture = new Gateway.StoreFixture(local: true);
        var series = Enumerable.Range(0, 300).Select(i => new TestSeries(Labels.Of(("__name__", "m"), ("pod", $"pod-{i:D3}")), (1_000, i))).ToArray();
        await fixture.AddAsync(1, [("cluster", "dev")], series);
        await using var store = fixture.Open();
        await store.SyncAsync(default);
        await using var served = await ServedQuerier.StartAsync(store, new StoreDescription("store", [], TimeRange.All));
        using var channel = Grpc.Net.Client.GrpcChannel.ForAddress("http://" + served.Endpoint);
        var request = new Observe.Store.Api.Wire.SeriesRequest { MaxTime = 10_000, ResponseBatchSize = batchSize };
        using var call = new Observe.Store.Api.Wire.Store.StoreClient(channel).Series(request);
        var labels = new List<string>();
        while (await call.ResponseStream.MoveNext(default))
        {
            var frame = call.ResponseStream.Current;
            foreach (var one in frame.Batch?.Series ?? (IEnumerable<Observe.Store.Api.Wire.Series>)[frame.Series])
            {
                labels.Add(string.Concat(one.Labels.Select(l => l.Value.ToStringUtf8() + ' ')));
            }
        }

        Assert.Equal(Enumerable.Range(0, 300).Select(i => $"m dev pod-{i:D3} "), labels);
    }

    static async Task<List<(Labels Labels, List<(long, ulong)> Samples)>> Read(IQuerier querier, SelectHints hints)
    {
        var all = new List<(Labels, List<(long, ulong)>)>();
        var batch = new SampleBatch();
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(hints, [new Matcher(MatchType.NotEqual, "__name__", "")])))
        {
            var samples = new List<(long, ulong)>();
            using var iterator = series.Samples();
            while (iterator.Read(batch))
            {
                samples.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], BitConverter.DoubleToUInt64Bits(batch.Values[i]))));
            }

            all.Add((series.Labels.Copy(), samples));
        }

        return all;
    }

    static async Task<List<string>> Chunks(IQuerier querier, SelectHints hints)
    {
        var all = new List<string>();
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(hints, [new Matcher(MatchType.NotEqual, "__name__", "")])))
        {
            all.AddRange(series.Chunks()!.Select(c => $"{series.Labels} {c.MinTime} {c.MaxTime} {c.Encoding} {Convert.ToHexString(c.Data.Span)}"));
        }

        return all;
    }
}
