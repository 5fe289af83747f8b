using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

public sealed class BlockVerifierTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("verify");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    static readonly TestSeries[] s_series =
    [
        new(Labels.Of(("a", "1"), ("b", "x")), [.. Enumerable.Range(0, 150).Select(i => (1_000L + (i * 7), (double)(i * i % 31)))]),
        new(Labels.Of(("a", "2"), ("b", "x")), (1_000, 1), (1_500, 2)),
    ];

    [Theory]
    [InlineData("chunks/000001")]
    [InlineData("index")]
    public async Task Every_flipped_byte_is_found_by_its_hash(string file)
    {
        await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), s_series);
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        Assert.Empty(BlockVerifier.Verify(directory, decode: true, default));
        var path = Path.Combine(directory, file);
        var good = File.ReadAllBytes(path);
        for (var at = 0; at < good.Length; at += 3)
        {
            var bytes = (byte[])good.Clone();
            bytes[at] ^= 0x10;
            File.WriteAllBytes(path, bytes);
            Assert.NotEmpty(BlockVerifier.Verify(directory, decode: false, default));
        }
    }

    [Fact]
    public async Task A_damaged_chunk_is_named_without_hashes_too()
    {
        await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), s_series, TestBlocks.Meta(s_series) with { Thanos = null });
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        var path = Path.Combine(directory, "chunks", "000001");
        var bytes = File.ReadAllBytes(path);
        bytes[30] ^= 1;
        File.WriteAllBytes(path, bytes);
        var fault = Assert.Single(BlockVerifier.Verify(directory, decode: true, default));
        Assert.Contains("000001 at 8: checksum", fault, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_meta_says_is_held_against_what_is_there()
    {
        var meta = await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), s_series);
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        void Check(BlockMeta said, string fault)
        {
            File.WriteAllBytes(Path.Combine(directory, BlockMeta.FileName), said.ToJson());
            Assert.Contains(BlockVerifier.Verify(directory, decode: true, default), f => f.Contains(fault, StringComparison.Ordinal));
        }

        Check(meta! with { Stats = meta.Stats with { Series = 3 } }, "has 2 series where meta.json says 3");
        Check(meta with { Stats = meta.Stats with { Samples = 1 } }, "has 152 samples where meta.json says 1");
        Check(meta with { MaxTime = 1_200 }, "outside the block");
        Check(meta with { Id = TestBlocks.Id(2) }, "names block");
        Check(meta with { Thanos = meta.Thanos! with { Files = [new BlockFile("../x", 1)] } }, "names a file that no block has");
        Check(meta with { Thanos = meta.Thanos with { Files = [new BlockFile("chunks/000002", 1)] } }, "000002");
    }

    [Fact]
    public void Blocks_of_others_are_whole()
    {
        var blocks = Required.Shared("blocks");
        foreach (var meta in Directory.GetFiles(blocks, BlockMeta.FileName, SearchOption.AllDirectories))
        {
            Assert.Empty(BlockVerifier.Verify(Path.GetDirectoryName(meta)!, decode: true, default));
        }
    }
}
