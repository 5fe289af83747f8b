using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Gateway;

/// <summary>The suite over a bucket that is a folder.</summary>
public sealed class LocalBucketStoreTests() : BucketStoreTests(local: true);

public sealed class LocalBucketTests : IAsyncDisposable
{
    readonly StoreFixture _fixture = new(local: true);

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    [Fact]
    public async Task Series_stay_readable_when_their_block_is_deleted_until_their_enumerator_is_disposed()
    {
        await _fixture.AddAsync(1, [("cluster", "dev")], Rising("a", 300));
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var all = store.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).GetAsyncEnumerator();
        var held = new List<Series>();
        while (await all.MoveNextAsync())
        {
            held.Add(all.Current);
        }

        await _fixture.Blocks.DeleteAsync(TestBlocks.Id(1), default);
        await store.SyncAsync(default);
        Assert.DoesNotContain(store.Blocks(), block => block.Excluded is null);
        Assert.Equal(300, TestBlocks.Floats(Assert.Single(held)).Count);
        await all.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => TestBlocks.Floats(held[0]));
    }

    [Fact]
    public async Task A_damaged_chunk_is_left_out_and_told_when_its_series_is_read()
    {
        await _fixture.AddAsync(1, [("cluster", "dev")], Rising("a", 300), Rising("b", 300));
        var segment = Path.Combine(_fixture.LocalFolder, TestBlocks.Id(1).ToString(), "chunks", "000001");
        var bytes = await File.ReadAllBytesAsync(segment);
        bytes[20] ^= 1;
        await File.WriteAllBytesAsync(segment, bytes);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var query = new QueryContext();
        var read = await StoreFixture.ReadAsync(store, query: query);
        Assert.Equal([180, 300], read.Select(series => series.Samples.Count).Order());
        Assert.Contains("checksum mismatch", Assert.Single(query.Coverage.Warnings()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_read_late_is_told_to_whoever_refuses_it()
    {
        await _fixture.AddAsync(1, [("cluster", "dev")], Rising("a", 300));
        var segment = Path.Combine(_fixture.LocalFolder, TestBlocks.Id(1).ToString(), "chunks", "000001");
        var bytes = await File.ReadAllBytesAsync(segment);
        bytes[20] ^= 1;
        await File.WriteAllBytesAsync(segment, bytes);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var refusing = new QueryContext().Refusing(missing => new InvalidOperationException(missing));
        await Assert.ThrowsAsync<InvalidOperationException>(() => StoreFixture.ReadAsync(store, query: refusing));
    }

    [Theory]
    [InlineData("meta.json")]
    [InlineData("index")]
    public async Task A_block_that_is_being_deleted_is_told(string gone)
    {
        await _fixture.AddAsync(1, [("cluster", "dev")], Rising("a", 10));
        await _fixture.AddAsync(2, [("cluster", "prod")], Rising("a", 10));
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        File.Delete(Path.Combine(_fixture.LocalFolder, TestBlocks.Id(1).ToString(), gone));
        var query = new QueryContext();
        Assert.Single(await StoreFixture.ReadAsync(store, query: query));
        Assert.Contains($"{TestBlocks.Id(1)} vanished", Assert.Single(query.Coverage.Warnings()), StringComparison.Ordinal);
    }

    static TestSeries Rising(string name, int samples) =>
        new(Labels.Of(("__name__", name)), [.. Enumerable.Range(0, samples).Select(i => (i * 15_000L, (double)i))]);
}
