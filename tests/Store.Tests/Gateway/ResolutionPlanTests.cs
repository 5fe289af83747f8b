using Observe.Testkit;
using Observe.Store.Gateway;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Gateway;

public class ResolutionPlanTests
{
    const long Hour = 3_600_000;

    /// <summary>
    /// Blocks are written as resolution:from-to:sources, in hours; an answer as resolution:from-to=blocks by their number from 1.
    /// Blocks end a minute before their full hour, as those with one sample a minute do.
    /// </summary>
    [Theory]
    [InlineData("raw alone answers raw", "0:0-10:a 0:10-20:b", 0, "0-20", "0:0-20=12")]
    [InlineData("only blocks in the range are asked", "0:0-10:a 0:10-20:b", 0, "12-15", "0:12-15=2")]
    [InlineData("overlapping blocks answer together", "0:0-10:a 0:5-15:b", 0, "0-15", "0:0-15=12")]
    [InlineData("the coarsest that will do comes first", "0:0-10:a 5:0-10:a 60:0-10:a", 60, "0-10", "60:0-10=3")]
    [InlineData("coarser than asked is not taken when there is raw", "0:0-10:a 5:0-10:a", 0, "0-10", "0:0-10=1")]
    [InlineData("5m where 1h is missing, raw where both are", "60:0-10:a 5:0-20:ab 0:0-30:abc", 60, "0-30", "60:0-10=1 5:10-20=2 0:20-30=3")]
    [InlineData("what has expired is filled in by coarser data", "0:10-20:b 5:0-20:ab", 0, "0-20", "0:10-20=1 5:0-10=2")]
    [InlineData("the finest of the coarser ones fills in", "0:20-30:c 5:10-30:bc 60:0-30:abc", 0, "0-30", "0:20-30=1 5:10-20=2 60:0-10=3")]
    [InlineData("gaps between neighbours are not filled in", "0:0-10:a 0:10-20:b 5:0-20:ab", 0, "0-20", "0:0-20=12")]
    [InlineData("a gap that has data is", "0:0-5:a 0:15-20:c 5:0-20:abc", 0, "0-20", "0:0-5=1 0:15-20=2 5:5-15=3")]
    [InlineData("before and after everything there is nothing", "0:5-10:a", 0, "0-20", "0:5-10=1")]
    [InlineData("nothing at all", "", 60, "0-20", "")]
    [InlineData("what came late is asked besides", "5:0-10:ab 0:0-5:a 0:5-10:b 0:2-4:c", 5, "0-10", "5:0-10=1 0:2-4=4")]
    [InlineData("what came late and lies in the rest is asked once", "5:0-10:a 0:5-15:b", 5, "0-15", "5:0-10=1 0:10-15=2 0:5-15=2")]
    public void Each_part_of_a_range_is_answered_by_one_resolution(string what, string blocks, int maxMinutes, string range, string expected)
    {
        Assert.NotEmpty(what);
        var metas = blocks.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select((text, i) => Meta(i + 1, text.Split(':'))).ToList();
        var spans = ResolutionPlan.Of(metas, Range(range) with { MaxTime = (Range(range).MaxTime / Hour * Hour) + Hour - 60_000 }, maxMinutes * 60_000L);
        Assert.Equal(expected, string.Join(' ', spans.Select(span =>
            $"{span.ResolutionMs / 60_000}:{Round(span.Range.MinTime)}-{Round(span.Range.MaxTime)}={string.Concat(span.Blocks.Select(b => b.Id.Value & 0xff).Order())}")));
    }

    /// <summary>
    /// A deduplicated block and its coarser ones are of another stream than the replicas that it was made of, which stay in the bucket for a
    /// while. Streams are written as labels=blocks.
    /// </summary>
    [Theory]
    [InlineData("coarser ones of a deduplicated block answer for its replicas", "c=5:0-10:ab c,r=0:0-10:a c,q=0:0-10:b", 5, "5:0-10=1||")]
    [InlineData("replicas answer where coarser is not wanted", "c=5:0-10:ab c,r=0:0-10:a c,q=0:0-10:b", 0, "|0:0-10=2|0:0-10=3")]
    [InlineData("a replica that is not in it answers beside it", "c=5:0-10:a c,r=0:0-10:a c,q=0:0-10:b", 5, "5:0-10=1||0:0-10=3")]
    [InlineData("blocks of the same sources in unrelated streams do not", "d=5:0-10:a c,r=0:0-10:a", 5, "5:0-10=1|0:0-10=2")]
    public void A_block_is_answered_by_one_of_its_sources_in_a_related_stream(string what, string text, int maxMinutes, string expected)
    {
        Assert.NotEmpty(what);
        var number = 0;
        var streams = text.Split(' ').Select(stream => stream.Split('=')).Select(parts => (
            Labels.Of([.. parts[0].Split(',').Select(name => (name, "x"))]),
            (IEnumerable<BlockMeta>)[Meta(++number, parts[1].Split(':'))])).ToList();
        var plans = ResolutionPlan.Of(streams, Range("0-10"), maxMinutes * 60_000L);
        Assert.Equal(expected, string.Join('|', plans.Select(spans => string.Join(' ', spans.Select(span =>
            $"{span.ResolutionMs / 60_000}:{Round(span.Range.MinTime)}-{Round(span.Range.MaxTime)}={string.Concat(span.Blocks.Select(b => b.Id.Value & 0xff).Order())}")))));
    }

    static long Round(long time) => (time + (Hour / 2)) / Hour;

    static TimeRange Range(string text) =>
        new(long.Parse(text.Split('-')[0], null) * Hour, (long.Parse(text.Split('-')[1], null) * Hour) - 60_000);

    static BlockMeta Meta(int number, string[] parts) => new()
    {
        Id = TestBlocks.Id(number),
        MinTime = Range(parts[1]).MinTime,
        MaxTime = Range(parts[1]).MaxTime + 1,
        Compaction = new BlockCompaction { Sources = [.. parts[2].Select(c => TestBlocks.Id(c))] },
        Thanos = new ThanosSection { Downsample = new DownsampleSection { ResolutionMs = long.Parse(parts[0], null) * 60_000 } },
    };
}
