using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Store.Tests.Blocks;

public sealed class MetaFetcherTests : IAsyncDisposable
{
    readonly string _folder = Checkout.NewFolder("metas");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));
    readonly MemoryBucket _bucket = new(TimeProvider.System);

    public async ValueTask DisposeAsync()
    {
        await _bucket.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    static BlockMeta Meta(int id, string cluster, string sources = "", long min = 0, long max = 100, long resolution = 0, int level = 1) => new()
    {
        Id = TestBlocks.Id(id),
        MinTime = min,
        MaxTime = max,
        Compaction = new BlockCompaction
        {
            Level = level,
            Sources = sources.Length == 0 ? [TestBlocks.Id(id)] : [.. sources.Split(',').Select(s => TestBlocks.Id(int.Parse(s, null)))],
        },
        Thanos = new ThanosSection
        {
            Labels = new Dictionary<string, string> { ["cluster"] = cluster },
            Downsample = new DownsampleSection { ResolutionMs = resolution },
            Source = level == 1 ? "sidecar" : "compactor",
        },
    };

    Task PutAsync(BlockMeta meta) => _bucket.PutBytesAsync($"{meta.Id}/meta.json", meta.ToJson(), PutCondition.None, default);

    MetaFetcher Open(params MetaFilter[] filters) => new(
        new BucketBlocks(_bucket), new MetaFetcherOptions { Directory = _folder, Time = _time, Filters = filters }, NullLogger.Instance);

    [Fact]
    public async Task What_is_partial_or_damaged_is_named_and_the_others_are_found()
    {
        await PutAsync(Meta(1, "a"));
        await _bucket.PutBytesAsync($"{TestBlocks.Id(2)}/index", "x"u8.ToArray(), PutCondition.None, default);
        await _bucket.PutBytesAsync($"{TestBlocks.Id(3)}/meta.json", "{"u8.ToArray(), PutCondition.None, default);
        var fetcher = Open();
        var view = await fetcher.FetchAsync(default);
        Assert.Equal([TestBlocks.Id(1)], view.Blocks.Keys);
        Assert.Equal([TestBlocks.Id(2)], view.Partial);
        Assert.Contains($"{TestBlocks.Id(3)}/meta.json", Assert.Single(view.Corrupt).Value, StringComparison.Ordinal);

        await PutAsync(Meta(2, "a"));
        await PutAsync(Meta(3, "a"));
        Assert.Equal(3, (await fetcher.FetchAsync(default)).Blocks.Count);
    }

    [Fact]
    public async Task A_look_into_a_bucket_that_did_not_change_is_one_listing()
    {
        await PutAsync(Meta(1, "a"));
        await PutAsync(Meta(2, "a"));
        var requests = new List<string>();
        _bucket.Fault = (operation, key) =>
        {
            lock (requests)
            {
                requests.Add($"{operation} {key}");
            }

            return null;
        };
        var fetcher = Open();
        await fetcher.FetchAsync(default);
        Assert.Equal(3, requests.Count);
        requests.Clear();
        await fetcher.FetchAsync(default);
        Assert.Equal(["List "], requests);
        requests.Clear();
        await Open().FetchAsync(default);
        Assert.Equal(["List "], requests);
    }

    [Fact]
    public async Task A_block_goes_with_its_meta_alone_and_comes_back_with_it()
    {
        await PutAsync(Meta(1, "a"));
        await PutAsync(Meta(2, "a"));
        await _bucket.PutBytesAsync($"{TestBlocks.Id(1)}/index", "x"u8.ToArray(), PutCondition.None, default);
        var fetcher = Open();
        Assert.Equal(2, (await fetcher.FetchAsync(default)).Blocks.Count);
        await _bucket.DeleteAsync($"{TestBlocks.Id(1)}/meta.json", default);
        var view = await fetcher.FetchAsync(default);
        Assert.Equal([TestBlocks.Id(2)], view.Blocks.Keys);
        Assert.Equal([TestBlocks.Id(1)], view.Partial);
        Assert.Equal([TestBlocks.Id(2)], (await Open().FetchAsync(default)).Blocks.Keys);
        await PutAsync(Meta(1, "b"));
        Assert.Equal("b", (await fetcher.FetchAsync(default)).Blocks[TestBlocks.Id(1)].ExternalLabels.Get("cluster"));
    }

    [Fact]
    public async Task A_mark_is_seen_by_the_next_look_as_is_its_change_and_its_end()
    {
        var blocks = new BucketBlocks(_bucket);
        await PutAsync(Meta(1, "a"));
        await PutAsync(Meta(2, "a"));
        var fetcher = Open();
        Assert.Empty((await fetcher.FetchAsync(default)).DeletionMarks);
        await blocks.MarkForDeletionAsync(TestBlocks.Id(1), "first", _time.GetUtcNow(), default);
        Assert.Equal("first", Assert.Single((await fetcher.FetchAsync(default)).DeletionMarks).Value.Details);
        await _bucket.DeleteAsync($"{TestBlocks.Id(1)}/deletion-mark.json", default);
        await blocks.MarkForDeletionAsync(TestBlocks.Id(1), "the second", _time.GetUtcNow(), default);
        Assert.Equal("the second", Assert.Single((await fetcher.FetchAsync(default)).DeletionMarks).Value.Details);
        await _bucket.PutBytesAsync($"{TestBlocks.Id(1)}/deletion-mark.json", "{"u8.ToArray(), PutCondition.None, default);
        Assert.Empty((await fetcher.FetchAsync(default)).DeletionMarks);
        await _bucket.DeleteAsync($"{TestBlocks.Id(1)}/deletion-mark.json", default);
        await blocks.MarkForDeletionAsync(TestBlocks.Id(1), "third", _time.GetUtcNow(), default);
        Assert.Single((await fetcher.FetchAsync(default)).DeletionMarks);
        await _bucket.DeleteAsync($"{TestBlocks.Id(1)}/deletion-mark.json", default);
        Assert.Empty((await fetcher.FetchAsync(default)).DeletionMarks);
    }

    [Fact]
    public async Task What_lies_behind_the_blocks_is_not_listed()
    {
        await PutAsync(Meta(1, "a"));
        await _bucket.PutBytesAsync("00-other/x", "x"u8.ToArray(), PutCondition.None, default);
        await _bucket.PutBytesAsync("observe/live/a/b/1", "x"u8.ToArray(), PutCondition.None, default);
        var files = new List<string>();
        await foreach (var (id, path, entry) in new BucketBlocks(_bucket).ListFilesAsync(default))
        {
            files.Add($"{id} {path} {entry.Key}");
        }

        Assert.Equal([$"{TestBlocks.Id(1)} meta.json {TestBlocks.Id(1)}/meta.json"], files);
    }

    [Fact]
    public async Task A_mark_is_heeded_after_its_delay()
    {
        await PutAsync(Meta(1, "a"));
        await new BucketBlocks(_bucket).MarkForDeletionAsync(TestBlocks.Id(1), "", _time.GetUtcNow(), default);
        var fetcher = Open(MetaFilters.DeletionMarks(TimeSpan.FromHours(1)));
        var view = await fetcher.FetchAsync(default);
        Assert.Single(view.Blocks);
        Assert.Single(view.DeletionMarks);
        _time.Advance(TimeSpan.FromMinutes(61));
        Assert.Equal("marked-for-deletion", Assert.Single((await fetcher.FetchAsync(default)).Excluded).Value.Reason);
    }

    [Fact]
    public void Blocks_that_were_compacted_are_duplicates_of_the_result_in_their_own_stream_and_resolution()
    {
        BlockMeta[] metas =
        [
            Meta(1, "a"), Meta(2, "a"), Meta(3, "a"), Meta(4, "b", "1,2"), Meta(5, "a", "1,2", level: 2), Meta(6, "a", "1,2", resolution: 300_000, level: 2),
            Meta(7, "a", "1,2", level: 3), Meta(8, "a", "2,3", level: 2),
        ];
        Assert.Equal([4, 6, 7, 8], Kept(metas, MetaFilters.Duplicates()));
    }

    [Fact]
    public void Filters_take_out_what_they_are_told()
    {
        BlockMeta[] metas = [Meta(1, "a", max: 50), Meta(2, "b", min: 50), Meta(3, "b", level: 2)];
        Assert.Equal([1, 3], Kept(metas, MetaFilters.Time(new TimeRange(10, 49))));
        Assert.Equal([2, 3], Kept(metas, MetaFilters.Time(new TimeRange(50, 60))));
        var keep = new RelabelRule { SourceLabels = ["cluster"], Regex = new LabelRegex("b"), Action = RelabelAction.Keep };
        Assert.Equal([2, 3], Kept(metas, MetaFilters.Labels([keep])));
        RelabelRule[] shard =
        [
            new() { SourceLabels = ["__block_id"], Modulus = 2, TargetLabel = "shard", Action = RelabelAction.HashMod },
            new() { SourceLabels = ["shard"], Regex = new LabelRegex("0"), Action = RelabelAction.Keep },
        ];
        var all = Enumerable.Range(1, 40).Select(i => Meta(i, "a")).ToArray();
        Assert.InRange(Kept(all, MetaFilters.Labels(shard)).Count, 8, 32);
        // Ids are of November 2023; a compactor's blocks need no delay.
        Assert.Equal([3], Kept(metas, MetaFilters.ConsistencyDelay(TimeSpan.FromDays(10_000))));
        Assert.Equal([1, 2, 3], Kept(metas, MetaFilters.ConsistencyDelay(TimeSpan.FromDays(1))));
    }

    List<int> Kept(BlockMeta[] metas, MetaFilter filter)
    {
        var set = new MetaSet(_time.GetUtcNow(), metas.ToDictionary(m => m.Id), new Dictionary<BlockId, DeletionMark>());
        filter(set);
        Assert.Equal(metas.Length, set.Blocks.Count + set.Excluded.Count);
        return [.. set.Blocks.Keys.Select(id => (int)(id.Value & 0xff)).Order()];
    }
}
