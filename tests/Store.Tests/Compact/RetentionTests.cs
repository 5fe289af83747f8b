using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.Store.Tests.Compact;

public sealed class RetentionTests
{
    // It is 1 000; blocks of 100 are downsampled to 5m, blocks of 300 to 1h. Retention is that of raw, 5m and 1h. Blocks are
    // number:resolution:sources:from-to, with another cluster behind. Expected are those that go, and those that are downsampled to 5m and 1h.
    [Theory]
    // For ever.
    [InlineData("0,0,0", "1:raw:1:0-100", "", "1", "")]
    [InlineData("0,0,0", "1:raw:1:0-99", "", "", "")]
    [InlineData("0,0,0", "1:5m:1:0-300 2:5m:2:0-299", "", "", "1")]
    // What a source of is missing is downsampled again.
    [InlineData("0,0,0", "1:raw:1,2:0-100 2:5m:1,2:0-100", "", "", "")]
    [InlineData("0,0,0", "1:raw:1,2:0-100 2:5m:1:0-50", "", "1", "")]
    [InlineData("0,0,0", "1:raw:1,2:0-100 2:5m:1:0-50 3:5m:2:50-100", "", "", "")]
    [InlineData("0,0,0", "1:raw:1:0-100 2:5m:1:0-100:other", "", "1", "")]
    // Past its time: nothing goes before it is downsampled, and it is downsampled however short it is.
    [InlineData("100,0,0", "1:raw:1:700-900", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1:700-899", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1:880-900", "", "", "")]
    [InlineData("100,0,0", "1:raw:1:880-899", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1:700-900 2:5m:1:700-900", "", "", "")]
    [InlineData("100,0,0", "1:raw:1:700-899 2:5m:1:700-899", "1", "", "")]
    // All of its sources are needed, in its own stream, in one block or several.
    [InlineData("100,0,0", "1:raw:1,2:700-899 2:5m:1:700-800", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1,2:700-899 2:5m:1:700-800 3:5m:2:800-899", "1", "", "")]
    [InlineData("100,0,0", "1:raw:1:700-899 2:5m:1:700-899:other", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1:700-899 2:1h:1:700-899", "", "1", "")]
    // The replica's label was lost by deduplication, or is lost by none.
    [InlineData("100,0,0", "1:raw:1:700-899:prod/a 2:5m:1,3:700-899", "1", "", "")]
    [InlineData("100,0,0", "1:raw:1,3:700-899 2:5m:1:700-899:prod/a", "", "1", "")]
    [InlineData("100,0,0", "1:raw:1,3:700-899 2:5m:1:700-899:prod/a 3:5m:3:700-899:prod/b", "1", "", "")]
    // From 5m to 1h.
    [InlineData("100,500,0", "1:5m:1:0-500", "", "", "1")]
    [InlineData("100,500,0", "1:5m:1:480-499", "", "", "1")]
    [InlineData("100,500,0", "1:5m:1:0-499 2:1h:1:0-499", "1", "", "")]
    // Both at once: raw that comes late makes 5m, which makes 1h, and then both go.
    [InlineData("100,500,0", "1:raw:1:0-499", "", "1", "")]
    [InlineData("100,500,0", "1:raw:1:0-499 2:5m:1:0-499", "1", "", "2")]
    [InlineData("100,500,0", "1:raw:1:0-499 2:5m:1:0-499 3:1h:1:0-499", "1 2", "", "")]
    // 5m that went after its time is not made again of raw, which is kept longer.
    [InlineData("100,500,0", "1:raw:1:0-499 2:1h:1:0-499", "1", "", "")]
    [InlineData("800,500,0", "1:raw:1:0-499 2:1h:1:0-499", "", "", "")]
    [InlineData("800,500,0", "1:raw:1:0-499", "", "1", "")]
    // Too old for all resolutions.
    [InlineData("100,200,300", "1:raw:1:0-699", "1", "", "")]
    [InlineData("100,200,300", "1:raw:1:0-700", "", "1", "")]
    [InlineData("0,0,300", "1:1h:1:0-699 2:1h:2:0-700", "1", "", "")]
    public void A_block_goes_when_its_time_has_come_and_a_coarser_one_has_all_of_it(
        string retention, string blocks, string goes, string toFiveMinutes, string toOneHour)
    {
        var rules = new Retention(Parse(blocks), Options(retention), DateTimeOffset.FromUnixTimeMilliseconds(1000));
        Assert.Equal(
            (goes, toFiveMinutes, toOneHour),
            (Names(rules.Past().Where(p => p.Successors is not null).Select(p => p.Block)),
                Names(rules.ToDownsample(Downsampler.FiveMinutes)), Names(rules.ToDownsample(Downsampler.OneHour))));
    }

    [Fact]
    public void Without_downsampling_the_time_alone_decides()
    {
        var blocks = Parse("1:raw:1:0-899 2:raw:2:0-900 3:5m:3:0-499 4:5m:4:0-500 5:1h:5:0-100 6:2h:6:0-10");
        var rules = new Retention(blocks, Options("100,500,0") with { Downsampling = false }, DateTimeOffset.FromUnixTimeMilliseconds(1000));
        Assert.Equal("1 3", Names(rules.Past().Where(p => p.Successors is []).Select(p => p.Block)));
    }

    [Theory]
    [InlineData("0,0,0", null)]
    [InlineData("99,0,0", "--retention.resolution-raw: 99ms is too short: blocks of raw are downsampled to 5m once they span 100ms")]
    [InlineData("100,300,1", null)]
    [InlineData("100,299,0", "--retention.resolution-5m: 299ms is too short: blocks of 5m are downsampled to 1h once they span 300ms")]
    public void A_retention_that_is_shorter_than_downsampling_needs_is_a_fault_that_names_its_flag(string retention, string? fault)
    {
        if (fault is null)
        {
            Assert.Null(Options(retention).RetentionFault());
        }
        else
        {
            Assert.StartsWith(fault, Options(retention).RetentionFault(), StringComparison.Ordinal);
        }

        Assert.Null((Options(retention) with { Downsampling = false }).RetentionFault());
    }

    static string Names(IEnumerable<BlockMeta> blocks) => string.Join(' ', blocks.Select(m => m.Id.Value & 0xff));

    static CompactOptions Options(string retention)
    {
        var kept = retention.Split(',').Select(ms => TimeSpan.FromMilliseconds(int.Parse(ms, null))).ToList();
        return new CompactOptions
        {
            Directory = "",
            Time = TimeProvider.System,
            Random = new Random(1),
            FiveMinutesAfterMs = 100,
            OneHourAfterMs = 300,
            ReplicaLabels = ["replica"],
            RetentionRaw = kept[0],
            RetentionFiveMinutes = kept[1],
            RetentionOneHour = kept[2],
        };
    }

    static List<BlockMeta> Parse(string blocks) => [.. blocks.Split(' ').Select(block =>
    {
        var parts = block.Split(':');
        var times = parts[3].Split('-');
        var owner = parts.ElementAtOrDefault(4)?.Split('/') ?? ["prod"];
        var labels = new Dictionary<string, string> { ["cluster"] = owner[0] };
        if (owner.Length > 1)
        {
            labels["replica"] = owner[1];
        }

        return new BlockMeta
        {
            Id = TestBlocks.Id(int.Parse(parts[0], null)),
            MinTime = long.Parse(times[0], null),
            MaxTime = long.Parse(times[1], null),
            Compaction = new BlockCompaction { Sources = [.. parts[2].Split(',').Select(s => TestBlocks.Id(int.Parse(s, null)))] },
            Thanos = new ThanosSection
            {
                Labels = labels,
                Downsample = new DownsampleSection
                {
                    ResolutionMs = parts[1] switch { "raw" => 0, "5m" => Downsampler.FiveMinutes, "1h" => Downsampler.OneHour, _ => 2 * Downsampler.OneHour },
                },
            },
        };
    })];
}
