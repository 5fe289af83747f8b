using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary><c>observe bucket</c>: what it says of the blocks of a bucket.</summary>
public sealed class BucketCommandTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("bucket");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Inspect_shows_the_marks_of_each_block_whole_or_partial()
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);
        await using (var bucket = new FileBucket(_folder, TimeProvider.System))
        {
            var blocks = new BucketBlocks(bucket);
            foreach (var number in new[] { 1, 2 })
            {
                var meta = new BlockMeta { Id = TestBlocks.Id(number), MinTime = 0, MaxTime = 7_200_000 };
                await bucket.PutBytesAsync(BucketBlocks.Key(meta.Id, BlockMeta.FileName), meta.ToJson(), PutCondition.None, default);
            }

            await blocks.MarkForDeletionAsync(TestBlocks.Id(1), "outside of retention", now, default);
            await blocks.MarkNoCompactAsync(TestBlocks.Id(1), "manual", "", now, default);
            await blocks.MarkForDeletionAsync(TestBlocks.Id(3), "", now, default);
        }

        var (exitCode, output) = await ObserveProcess.RunAsync(
            "bucket", "inspect", "--objstore.config={type: FILESYSTEM, config: {directory: " + _folder + "}}");
        Assert.True(exitCode == 0, output);
        var lines = output.Split('\n').Where(line => line.Contains("01H", StringComparison.Ordinal)).Select(line => line.TrimEnd()).ToArray();
        Assert.Equal(3, lines.Length);
        Assert.EndsWith(
            "deletion since 2023-11-14T22:13:20Z (outside of retention), no-compact since 2023-11-14T22:13:20Z (manual)", lines[0], StringComparison.Ordinal);
        Assert.DoesNotContain("since", lines[1], StringComparison.Ordinal);
        Assert.Contains("partial", lines[2], StringComparison.Ordinal);
        Assert.EndsWith("deletion since 2023-11-14T22:13:20Z", lines[2], StringComparison.Ordinal);
    }
}
