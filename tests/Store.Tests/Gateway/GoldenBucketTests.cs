using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Gateway;

/// <summary>Blocks of Thanos at three resolutions, served out of one bucket.</summary>
public sealed class GoldenBucketTests : IAsyncDisposable
{
    const string Raw = "01M81NBR49693RP1SN0GD357N3";
    const string FiveMinutes = "01M81NBR67YRKMJPBZFV4RV2R3";
    const string OneHour = "01M81NBR7PXHQPJ6K6EMKFRVQD";

    readonly StoreFixture _fixture = new();

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    async Task CopyAsync(params string[] ids)
    {
        foreach (var id in ids)
        {
            await _fixture.CopyAsync(Required.Shared("blocks", "golden", id));
        }
    }

    [Theory]
    [InlineData(0, Raw)]
    [InlineData(60_000, Raw)]
    [InlineData(300_000, FiveMinutes)]
    [InlineData(3_000_000, FiveMinutes)]
    [InlineData(3_600_000, OneHour)]
    public async Task Each_aggregate_is_that_of_the_block_with_the_right_resolution(long maxResolution, string id)
    {
        await CopyAsync(Raw, FiveMinutes, OneHour);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        using var block = Block.Open(Required.Shared("blocks", "golden", id));
        foreach (var aggregate in Enum.GetValues<Aggregate>())
        {
            var hints = new SelectHints { Range = TimeRange.All, MaxResolutionMs = maxResolution, Aggregate = aggregate };
            var query = new QueryContext();
            var served = await StoreFixture.ReadAsync(store, hints, query);
            var local = TestBlocks.Read(block, hints);
            Assert.True(query.Coverage.IsEmpty);
            Assert.Equal(local.Select(s => new LabelsBuilder(s.Labels).Set("cluster", "golden").Set("replica", "a").Build()).Order(), served.Select(s => s.Labels));
            foreach (var (labels, samples) in served)
            {
                Assert.Equal(local.Single(s => s.Labels == labels.Without("cluster", "replica")).Samples, samples);
            }
        }
    }

    [Fact]
    public async Task Where_raw_samples_have_expired_downsampled_ones_answer_and_an_info_says_so()
    {
        await CopyAsync(FiveMinutes, OneHour);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var query = new QueryContext();
        var range = new TimeRange(1757548800000, 1757548800000 + 86_400_000);
        var read = await StoreFixture.ReadAsync(store, new SelectHints { Range = range }, query, new Matcher(Tsdb.Model.MatchType.Equal, "__name__", "up"));
        Assert.Equal(4, read.Count);
        Assert.All(read, series => Assert.InRange(series.Samples.Count, 280, 289));
        Assert.Empty(query.Coverage.Warnings());
        Assert.Contains("every 5m", Assert.Single(query.Coverage.Infos()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_and_values_of_external_labels_are_among_the_others()
    {
        await CopyAsync(Raw);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var hints = new SelectHints { Range = TimeRange.All };
        Matcher golden = new(Tsdb.Model.MatchType.Equal, "cluster", "golden"), other = new(Tsdb.Model.MatchType.NotEqual, "cluster", "golden");
        foreach (var matchers in new Matcher[][] { [], [golden] })
        {
            Assert.Equal(["__name__", "cluster", "instance", "job", "replica"], await store.LabelNamesAsync(new QueryContext().Select(hints, matchers)));
            Assert.Equal(["golden"], await store.LabelValuesAsync("cluster", new QueryContext().Select(hints, matchers)));
            Assert.Equal(["jobs_total", "temp", "up"], await store.LabelValuesAsync("__name__", new QueryContext().Select(hints, matchers)));
        }

        Assert.Empty(await store.LabelNamesAsync(new QueryContext().Select(hints, [other])));
        Assert.Empty(await StoreFixture.ReadAsync(store, hints, null, other));
    }

    [Fact]
    public async Task Blocks_without_sizes_in_their_meta_are_served_too()
    {
        var folder = Required.Shared("blocks", "thanos");
        foreach (var directory in Directory.GetDirectories(folder))
        {
            await _fixture.CopyAsync(directory);
        }

        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var query = new QueryContext();
        Assert.Equal(480, (await StoreFixture.ReadAsync(store, null, query)).Sum(s => s.Samples.Count));
        Assert.True(query.Coverage.IsEmpty);
    }
}
