using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Blocks;

public sealed class BucketBlocksTests : IAsyncDisposable
{
    static readonly DateTimeOffset s_now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);
    static readonly BlockId s_id = TestBlocks.Id(1);
    static readonly TestSeries[] s_series = [new(Labels.Of(("a", "1")), [.. Enumerable.Range(0, 300).Select(i => (1_000L + i, (double)i))])];

    readonly string _folder = Checkout.NewFolder("bucket-blocks");
    readonly MemoryBucket _bucket = new(TimeProvider.System);
    readonly BucketBlocks _blocks;

    public BucketBlocksTests() => _blocks = new BucketBlocks(_bucket);

    string Local => Path.Combine(_folder, s_id.ToString());

    public async ValueTask DisposeAsync()
    {
        await _bucket.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_block_goes_up_with_its_meta_last_and_comes_down_the_same()
    {
        await TestBlocks.WriteAsync(_folder, s_id, s_series, TestBlocks.Meta(s_series, ("cluster", "dev")));
        var puts = new List<string>();
        _bucket.LateFault = (operation, key) =>
        {
            puts.Add($"{operation} {key[(BlockId.TextLength + 1)..]}");
            return null;
        };
        var meta = await _blocks.UploadAsync(Local, s_now, default);
        Assert.Equal(["Put chunks/000001", "Put index", "Put meta.json"], puts);
        Assert.Equal(s_now, meta.Thanos!.UploadTime);
        Assert.Equal(meta.ToJson(), (await _blocks.MetaAsync(s_id, default))!.ToJson());

        var copy = Path.Combine(_folder, "copy");
        await _blocks.DownloadAsync(s_id, copy, default);
        var copied = Path.Combine(copy, s_id.ToString());
        Assert.Empty(BlockVerifier.Verify(copied, decode: true, default));
        foreach (var file in new[] { "chunks/000001", "index" })
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(Local, file)), File.ReadAllBytes(Path.Combine(copied, file)));
        }
    }

    /// <summary>Whatever operation fails, before or after it happened: there is no meta.json before all is there, and the next try ends well.</summary>
    [Fact]
    public async Task An_upload_that_fails_anywhere_is_never_a_block_and_can_be_done_again()
    {
        await TestBlocks.WriteAsync(_folder, s_id, s_series);
        for (var failing = 0; ; failing++)
        {
            var late = failing % 2 == 1;
            var left = failing / 2;
            var failed = false;
            Exception? Fail(BucketOperation operation, string key) => failed || left-- > 0 ? null : new BucketException($"{failed = true}");
            (_bucket.Fault, _bucket.LateFault) = late ? (null, Fail) : ((Func<BucketOperation, string, Exception?>)Fail, (Func<BucketOperation, string, Exception?>?)null);
            try
            {
                await _blocks.UploadAsync(Local, s_now, default);
            }
            catch (BucketException)
            {
            }

            (_bucket.Fault, _bucket.LateFault) = (null, null);
            if (await _blocks.MetaAsync(s_id, default) is not null)
            {
                await _blocks.DownloadAsync(s_id, Path.Combine(_folder, "copy"), default);
            }

            Assert.Equal(s_id, (await _blocks.UploadAsync(Local, s_now, default)).Id);
            await _blocks.DownloadAsync(s_id, Path.Combine(_folder, "copy"), default);
            await _blocks.DeleteAsync(s_id, default);
            if (!failed && !late)
            {
                Assert.InRange(failing, 8, 60);
                return;
            }
        }
    }

    [Fact]
    public async Task Another_block_under_the_same_id_is_refused()
    {
        await TestBlocks.WriteAsync(_folder, s_id, s_series);
        await _blocks.UploadAsync(Local, s_now, default);
        Directory.Delete(Local, recursive: true);
        await TestBlocks.WriteAsync(_folder, s_id, [new(Labels.Of(("a", "2")), (5, 5))]);
        var error = await Assert.ThrowsAsync<BucketException>(() => _blocks.UploadAsync(Local, s_now, default));
        Assert.Contains(s_id.ToString(), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_block_is_deleted_meta_first_and_mark_last()
    {
        await TestBlocks.WriteAsync(_folder, s_id, s_series);
        await _blocks.UploadAsync(Local, s_now, default);
        Assert.True(await _blocks.MarkForDeletionAsync(s_id, "old", s_now, default));
        Assert.False(await _blocks.MarkForDeletionAsync(s_id, "again", s_now.AddHours(1), default));
        Assert.Equal(new DeletionMark(s_id, 1_800_000_000, "old"), await _blocks.DeletionMarkAsync(s_id, default));
        var deletes = new List<string>();
        _bucket.LateFault = (_, key) =>
        {
            deletes.Add(key[(BlockId.TextLength + 1)..]);
            return null;
        };
        await _blocks.DeleteAsync(s_id, default);
        Assert.Equal(["meta.json", "chunks/000001", "index", "deletion-mark.json"], deletes);
        Assert.Empty(_bucket.Keys);
        Assert.Null(await _blocks.MetaAsync(s_id, default));
    }

    [Fact]
    public async Task Marks_are_written_as_thanos_writes_them()
    {
        await _blocks.MarkNoCompactAsync(s_id, "manual", "why", s_now, default);
        await _blocks.MarkNoDownsampleAsync(s_id, "manual", "", s_now, default);
        Assert.Equal(
            $$"""{"id":"{{s_id}}","no_compact_time":1800000000,"reason":"manual","details":"why","version":1}""",
            System.Text.Json.Nodes.JsonNode.Parse(await _bucket.GetBytesAsync($"{s_id}/no-compact-mark.json", 1_000, default))!.ToJsonString());
        Assert.Equal(new NoDownsampleMark(s_id, 1_800_000_000), await _blocks.NoDownsampleMarkAsync(s_id, default));
        Assert.Equal("manual", (await _blocks.NoCompactMarkAsync(s_id, default))!.Reason);
        Assert.Null(await _blocks.DeletionMarkAsync(s_id, default));
    }

    [Fact]
    public async Task Only_folders_named_as_blocks_are_listed()
    {
        foreach (var key in new[] { $"{TestBlocks.Id(2)}/index", $"{s_id}/meta.json", "debug/metas/x.json", "observe/fleet/a", "01M81NBR67YRKMJPBZFV4RV2R3" })
        {
            await _bucket.PutBytesAsync(key, "x"u8.ToArray(), PutCondition.None, default);
        }

        Assert.Equal([s_id, TestBlocks.Id(2)], await _blocks.ListAsync(default).ToListAsync());
    }

    [Fact]
    public async Task A_damaged_file_does_not_come_down()
    {
        await TestBlocks.WriteAsync(_folder, s_id, s_series);
        await _blocks.UploadAsync(Local, s_now, default);
        var bytes = await _bucket.GetBytesAsync($"{s_id}/chunks/000001", 1 << 20, default);
        bytes[^1] ^= 1;
        await _bucket.PutBytesAsync($"{s_id}/chunks/000001", bytes, PutCondition.None, default);
        var error = await Assert.ThrowsAsync<CorruptionException>(() => _blocks.DownloadAsync(s_id, Path.Combine(_folder, "copy"), default));
        Assert.Contains("chunks/000001", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_folder, "copy", s_id.ToString())));
    }

    [Fact]
    public async Task A_meta_that_is_damaged_or_of_another_block_is_named()
    {
        await _bucket.PutBytesAsync($"{s_id}/meta.json", "{"u8.ToArray(), PutCondition.None, default);
        Assert.Contains($"{s_id}/meta.json", (await Assert.ThrowsAsync<CorruptionException>(() => _blocks.MetaAsync(s_id, default))).Message, StringComparison.Ordinal);
        var other = TestBlocks.Meta([]) with { Id = TestBlocks.Id(2) };
        await _bucket.PutBytesAsync($"{s_id}/meta.json", other.ToJson(), PutCondition.None, default);
        Assert.Contains("names block", (await Assert.ThrowsAsync<CorruptionException>(() => _blocks.MetaAsync(s_id, default))).Message, StringComparison.Ordinal);
    }
}
