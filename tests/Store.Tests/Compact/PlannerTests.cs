using System.Globalization;
using Observe.Store.Compact;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.Store.Tests.Compact;

public sealed class PlannerTests
{
    static readonly long[] s_levels = [20, 60, 180, 540];

    // Blocks are from-to, with ! where one must be left alone, x where its compaction failed, d where it has deletions.
    [Theory]
    [InlineData("", "")]
    [InlineData("0-20", "")]
    // The newest waits; the others wait for a full window.
    [InlineData("0-20 20-40", "")]
    [InlineData("0-20 20-40 40-60", "")]
    [InlineData("0-20 20-40 40-60 60-80", "0-20 20-40 40-60")]
    // A window with a hole is done once newer blocks are there.
    [InlineData("0-20 40-60 60-80", "0-20 40-60")]
    [InlineData("0-20 20-40 60-80", "")]
    [InlineData("0-20 20-40 60-80 80-100", "0-20 20-40")]
    [InlineData("0-20 60-80 80-100", "")]
    // Levels above.
    [InlineData("0-60 60-120 120-180 180-200", "0-60 60-120 120-180")]
    [InlineData("0-180 180-360 360-540 540-560", "0-180 180-360 360-540")]
    [InlineData("0-540 540-1080 1080-1100", "")]
    [InlineData("20-40 60-80 360-420 420-480 480-540 540-560", "20-40 60-80")]
    [InlineData("20-40 360-420 420-480 480-540 540-560", "360-420 420-480 480-540")]
    // Not aligned with the grid.
    [InlineData("10-30 30-50 50-70 70-90", "10-30 30-50")]
    [InlineData("-60--40 -40--20 -20-0 0-20", "-60--40 -40--20 -20-0")]
    // What overlaps goes first, the newest too.
    [InlineData("0-20 0-20", "0-20 0-20")]
    [InlineData("0-20 20-40 40-60 60-80 70-90", "60-80 70-90")]
    [InlineData("0-20 20-40 30-50 45-60 60-80", "20-40 30-50 45-60")]
    [InlineData("0-60 10-30 20-40 60-80", "0-60 10-30 20-40")]
    // A chain of overlaps does not make a block longer than the longest, but for two that do of themselves.
    [InlineData("0-300 299-500 499-700 699-800", "0-300 299-500")]
    [InlineData("0-540 539-1000", "0-540 539-1000")]
    // Left alone: nothing spans it.
    [InlineData("0-20! 20-40 40-60 60-80", "20-40 40-60")]
    [InlineData("0-20 20-40! 40-60 60-80", "")]
    [InlineData("0-20 0-20!", "")]
    [InlineData("0-20! 0-20 20-40 40-60 60-80", "0-20 20-40 40-60")]
    // Failed before.
    [InlineData("0-20x 20-40 40-60 60-80", "")]
    // Deletions.
    [InlineData("0-180d 200-220", "0-180d")]
    [InlineData("0-20d 200-220", "")]
    public void Next_is_what_overlaps_then_what_fills_a_window(string blocks, string expected)
    {
        var metas = Parse(blocks, out var leftAlone);
        Assert.Equal(expected, string.Join(' ', Planner.Next(metas, s_levels, leftAlone).Select(m => Names(blocks)[metas.IndexOf(m)])));
    }

    [Fact]
    public void Groups_are_streams_of_one_resolution_without_replica_labels()
    {
        BlockMeta[] metas = [Meta(1, ("cluster", "a"), ("replica", "0")), Meta(2, ("cluster", "a"), ("replica", "1")), Meta(3, ("cluster", "b")), Meta(4, ("cluster", "a"))];
        metas = [.. metas, metas[3] with { Id = Id(5), Thanos = metas[3].Thanos! with { Downsample = new DownsampleSection { ResolutionMs = 300_000 } } }];
        Assert.Equal(
            ["1 2 4", "3", "5"],
            Planner.Groups(metas, ["replica"]).Values.Select(g => string.Join(' ', g.Select(m => m.Id.Value))).Order());
        Assert.Equal(5, Planner.Groups(metas, []).Count);
    }

    [Fact]
    public void The_block_with_the_largest_index_is_left_out_when_the_sum_is_too_large()
    {
        BlockMeta[] plan = [WithIndex(1, 50), WithIndex(2, 70), WithIndex(3, 40)];
        Assert.Null(Planner.Oversized(plan, 160));
        Assert.Equal(Id(2), Planner.Oversized(plan, 159)!.Id);

        static BlockMeta WithIndex(int id, long size) => Meta(id) with { Thanos = new ThanosSection { Files = [new BlockFile("index", size)] } };
    }

    static BlockId Id(int value) => new((UInt128)value);

    static BlockMeta Meta(int id, params (string Name, string Value)[] labels) => new()
    {
        Id = Id(id),
        MinTime = 0,
        MaxTime = 1,
        Thanos = new ThanosSection { Labels = labels.ToDictionary(l => l.Name, l => l.Value) },
    };

    static string[] Names(string blocks) => blocks.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    static List<BlockMeta> Parse(string blocks, out HashSet<BlockId> leftAlone)
    {
        var metas = new List<BlockMeta>();
        leftAlone = [];
        foreach (var name in Names(blocks))
        {
            var range = name.TrimEnd('!', 'x', 'd');
            var dash = range.IndexOf('-', 1);
            metas.Add(new BlockMeta
            {
                Id = Id(metas.Count + 1),
                MinTime = long.Parse(range[..dash], CultureInfo.InvariantCulture),
                MaxTime = long.Parse(range[(dash + 1)..], CultureInfo.InvariantCulture),
                Compaction = new BlockCompaction { Failed = name.EndsWith('x') },
                Stats = new BlockStats { Series = 10, Tombstones = name.EndsWith('d') ? 5 : 0 },
            });
            if (name.EndsWith('!'))
            {
                leftAlone.Add(metas[^1].Id);
            }
        }

        return metas;
    }
}
