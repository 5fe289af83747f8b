using Observe.Store.Blocks;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.Store.Tests.Blocks;

public sealed class StreamKeyTests
{
    // Each block is number:replica:sources, with ^ behind for each level above the first, and ~ for 5 minutes; the replica - stands for none.
    [Theory]
    [InlineData("1:a:1 2:a:2 10:a:1,2", "1 by 10, 2 by 10")]
    // A deduplicated block has all of both replicas, and of what was compacted of each before.
    [InlineData("1:a:1 2:b:2 10:-:1,2", "1 by 10, 2 by 10")]
    [InlineData("1:a:1 2:a:2 3:b:3 4:b:4 5:a:1,2^ 6:b:3,4^ 10:-:1,2,3,4^^", "1 by 10, 2 by 10, 3 by 10, 4 by 10, 5 by 10, 6 by 10")]
    // A source that the other lacks is kept, and what is of another replica, resolution or cluster.
    [InlineData("1:a:1,3 2:b:2 10:-:1,2", "2 by 10")]
    [InlineData("1:a:1 10:b:1,2", "")]
    [InlineData("1:a:1 10:-:1,2~ 11:a:1~", "11 by 10")]
    [InlineData("1:-:1 10:a:1,2", "")]
    [InlineData("1:a:1 10:/other:1,2", "")]
    // Of equals the one that lost its replica label stays, then the higher level, then the older one.
    [InlineData("1:a:1,2^^ 2:-:1,2^", "1 by 2")]
    [InlineData("1:a:1,2^ 2:a:1,2^^ 3:a:1,2^^", "1 by 2, 3 by 2")]
    // What overlaps in sources is kept, and what such a block has is in either.
    [InlineData("1:a:1 2:a:2 3:a:3 10:a:1,2 11:a:2,3", "1 by 10, 2 by 10, 3 by 11")]
    // No sources named: the block is its own.
    [InlineData("1:a: 10:-:1,2", "1 by 10")]
    public void A_block_is_superseded_by_one_of_its_stream_with_all_its_sources(string blocks, string expected)
    {
        var metas = blocks.Split(' ').Select(Meta).ToList();
        Assert.Equal(expected, string.Join(", ", StreamKey.Superseded(metas).OrderBy(s => s.Block.Id).Select(s => $"{Number(s.Block)} by {Number(s.By)}")));
    }

    [Fact]
    public void Replica_labels_and_nothing_else_are_left_off()
    {
        Assert.Equal(StreamKey.Of(Meta("1:a:1"), ["replica"]), StreamKey.Of(Meta("2:b:2"), ["replica"]));
        Assert.Equal(StreamKey.Of(Meta("1:a:1"), ["replica"]), StreamKey.Of(Meta("2:-:2"), []));
        Assert.NotEqual(StreamKey.Of(Meta("1:a:1"), []), StreamKey.Of(Meta("2:b:2"), []));
        Assert.NotEqual(StreamKey.Of(Meta("1:a:1"), ["replica"]), StreamKey.Of(Meta("1:a:1~"), ["replica"]));
        Assert.NotEqual(StreamKey.Of(Meta("1:a:1"), ["replica"]), StreamKey.Of(Meta("1:a/other:1"), ["replica"]));
    }

    static int Number(BlockMeta meta) => (int)(meta.Id.Value & 0xff);

    static BlockMeta Meta(string text)
    {
        var parts = text.TrimEnd('^', '~').Split(':');
        var owner = parts[1].Split('/');
        var labels = new Dictionary<string, string> { ["cluster"] = owner.Length > 1 ? owner[1] : "prod" };
        if (owner[0] is not ("-" or ""))
        {
            labels["replica"] = owner[0];
        }

        return new BlockMeta
        {
            Id = TestBlocks.Id(int.Parse(parts[0], null)),
            MinTime = 0,
            MaxTime = 1,
            Compaction = new BlockCompaction
            {
                Level = 1 + text.Count(c => c == '^'),
                Sources = [.. parts[2].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(s => TestBlocks.Id(int.Parse(s, null)))],
            },
            Thanos = new ThanosSection
            {
                Labels = labels,
                Downsample = new DownsampleSection { ResolutionMs = text.EndsWith('~') ? 300_000 : 0 },
            },
        };
    }
}
