using System.Buffers.Binary;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

public sealed class BlockTests : QuerierSuite, IDisposable
{
    readonly string _folder = Checkout.NewFolder("blocks");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        Assert.NotNull(await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), series));
        return Block.Open(Path.Combine(_folder, TestBlocks.Id(1).ToString()));
    }

    [Fact]
    public async Task Series_that_are_being_read_stay_readable_when_the_block_is_closed_and_deleted()
    {
        var samples = Enumerable.Range(0, 500).Select(i => ((long)i, (double)i)).ToArray();
        var block = (Block)await CreateAsync([Floats(Labels.Of(("a", "1")), samples), Floats(Labels.Of(("a", "2")), samples)]);
        await using (var all = block.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).GetAsyncEnumerator())
        {
            Assert.True(await all.MoveNextAsync());
            var first = all.Current;
            block.Dispose();
            Directory.Delete(block.Directory, recursive: true);
            Assert.True(await all.MoveNextAsync());
            var second = all.Current;
            Assert.False(await all.MoveNextAsync());
            Assert.Equal(samples, TestBlocks.Floats(first));
            Assert.Equal(samples, TestBlocks.Floats(second));
        }

        Assert.Throws<ObjectDisposedException>(() => TestBlocks.Read(block));
    }

    [Fact]
    public async Task A_block_that_is_removed_from_its_folder_is_readable_for_those_who_have_selected_from_it()
    {
        var samples = Enumerable.Range(0, 500).Select(i => ((long)i, (double)i)).ToArray();
        using (await CreateAsync([Floats(Labels.Of(("a", "1")), samples)]) as Block)
        {
        }

        using var blocks = new LocalBlocks(_folder, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var hints = new SelectHints { Range = TimeRange.All };
        await using var all = blocks.SelectAsync(new QueryContext().Select(hints, [])).GetAsyncEnumerator();
        Assert.True(await all.MoveNextAsync());
        var only = all.Current;
        Assert.False(await all.MoveNextAsync());
        var path = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        blocks.Remove(path);
        Directory.Delete(path, recursive: true);
        Assert.Equal(samples, TestBlocks.Floats(only));
        Assert.Equal([], await blocks.SelectAsync(new QueryContext().Select(hints, [])).ToListAsync());
        Assert.Equal([], await blocks.LabelNamesAsync(new QueryContext().Select(hints, [])));
    }

    [Fact]
    public async Task Deleted_samples_are_left_out()
    {
        var samples = Enumerable.Range(0, 1_000).Select(i => ((long)i, (double)i)).ToArray();
        using (await CreateAsync([Floats(Labels.Of(("a", "1")), samples), Floats(Labels.Of(("a", "2")), samples)]) as Block)
        {
        }

        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        uint first;
        using (var index = new IndexReader(Path.Combine(directory, "index")))
        {
            first = index.Select([]).ToArray()[0];
        }

        File.WriteAllBytes(Path.Combine(directory, Tombstones.FileName), TombstonesTests.File((first, 100, 700), (first, 650, 800), (first, 990, 5_000)));
        using var block = Block.Open(directory);
        var read = TestBlocks.Read(block);
        Assert.Equal(samples.Where(s => s.Item1 is < 100 or (> 800 and < 990)), read[0].Samples);
        Assert.Equal(samples, read[1].Samples);
        Assert.Null(block.Select(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).First().Chunks());
    }
}

public class TombstonesTests
{
    public static byte[] File(params (uint Series, long First, long Last)[] entries)
    {
        using var file = new ByteWriter();
        file.UInt32(0x0130BA30);
        file.Byte(1);
        foreach (var (series, first, last) in entries)
        {
            file.UVarint(series);
            file.Varint(first);
            file.Varint(last);
        }

        file.UInt32(Crc32C.Of(file.Written[5..]));
        return file.Written.ToArray();
    }

    [Fact]
    public void Spans_that_touch_are_one()
    {
        var tombstones = Tombstones.Parse(File((7, 10, 20), (7, 40, 50), (9, 1, 2), (7, 21, 30)), "t");
        Assert.Equal([new TimeRange(10, 30), new TimeRange(40, 50)], tombstones.Of(7));
        Assert.Equal([new TimeRange(1, 2)], tombstones.Of(9));
        Assert.Empty(tombstones.Of(8));
        Assert.Equal(4, tombstones.Count);
    }

    [Fact]
    public void A_flipped_byte_is_corruption()
    {
        var good = File((7, 10, 20), (9, 1, 2));
        for (var at = 0; at < good.Length; at++)
        {
            var bytes = (byte[])good.Clone();
            bytes[at] ^= 4;
            Assert.Throws<CorruptionException>(() => Tombstones.Parse(bytes, "t"));
        }

        BinaryPrimitives.WriteUInt32BigEndian(good, 0);
        Assert.Throws<CorruptionException>(() => Tombstones.Parse(good.AsSpan(0, 8), "t"));
    }
}
