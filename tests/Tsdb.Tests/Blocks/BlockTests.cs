using System.Buffers.Binary;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
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
        TestBlocks.WriteTombstones(
            directory, labels => labels.Get("a") == "1" ? [new(100, 700), new(650, 800), new(990, 5_000)] : []);
        using var block = Block.Open(directory);
        var read = TestBlocks.Read(block);
        Assert.Equal(samples.Where(s => s.Item1 is < 100 or (> 800 and < 990)), read[0].Samples);
        Assert.Equal(samples, read[1].Samples);
        var chunks = block.Select(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).First().Chunks();
        Assert.Equal([(0, 99), (801, 839), (840, 959), (960, 989)], chunks.Select(c => (c.MinTime, c.MaxTime)));
    }

    [Fact]
    public async Task A_damaged_chunk_is_missing_with_the_labels_of_its_stream_and_an_exception_for_who_needs_all()
    {
        TestSeries[] series = [Floats(Labels.Of(("a", "1")), [.. Enumerable.Range(0, 300).Select(i => ((long)i, (double)i))])];
        await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), series, TestBlocks.Meta(series, ("cluster", "dev")));
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        var segment = Path.Combine(directory, "chunks", "000001");
        var bytes = File.ReadAllBytes(segment);
        bytes[20] ^= 1;
        File.WriteAllBytes(segment, bytes);
        using var block = Block.Open(directory);
        var query = new QueryContext();
        await using var all = block.SelectAsync(query.Select(new SelectHints { Range = new TimeRange(50, 1_000) }, [])).GetAsyncEnumerator();
        Assert.True(await all.MoveNextAsync());
        Assert.Equal(180, TestBlocks.Floats(all.Current).Count);
        var missing = Assert.Single(query.Coverage.Missing);
        Assert.Equal((MissingPart.Chunk, directory, new TimeRange(50, 119)), (missing.Part, missing.Name, missing.Range));
        Assert.Equal(Labels.Of(("cluster", "dev")), Assert.Single(missing.LabelSets));
        Assert.Throws<CorruptionException>(() => TestBlocks.Read(block));
    }
}

public class TombstonesTests
{
    [Fact]
    public void Spans_that_touch_are_one()
    {
        var tombstones = Tombstones.Parse(TestBlocks.Tombstones((7, 10, 20), (7, 40, 50), (9, 1, 2), (7, 21, 30)), "t");
        Assert.Equal([new TimeRange(10, 30), new TimeRange(40, 50)], tombstones.Of(7).Spans.ToArray());
        Assert.Equal([new TimeRange(1, 2)], tombstones.Of(9).Spans.ToArray());
        Assert.True(tombstones.Of(8).IsEmpty);
        Assert.False(tombstones.IsEmpty);
        Assert.Same(Tombstones.None, Tombstones.Parse(Tombstones.EmptyFile, "t"));
        Assert.Equal(TestBlocks.Tombstones(), Tombstones.EmptyFile.ToArray());
        var ends = Tombstones.Parse(TestBlocks.Tombstones((1, 5, long.MaxValue), (1, long.MinValue, 3), (1, 7, 9)), "t");
        Assert.Equal([new TimeRange(long.MinValue, 3), new TimeRange(5, long.MaxValue)], ends.Of(1).Spans.ToArray());
    }

    [Fact]
    public void As_many_spans_of_one_series_as_a_file_can_hold_are_read_and_found()
    {
        var spans = Enumerable.Range(0, 1_000_000).Select(i => (1u, i * 3L, (i * 3L) + 1)).ToArray();
        new Random(1).Shuffle(spans);
        var deleted = Tombstones.Parse(TestBlocks.Tombstones(spans), "t").Of(1);
        Assert.Equal(spans.Length, deleted.Spans.Length);
        Assert.All(Enumerable.Range(0, 1_000), i => Assert.Equal(i % 3 != 2, deleted.Contains(i)));
    }

    [Fact]
    public void A_flipped_byte_is_corruption()
    {
        var good = TestBlocks.Tombstones((7, 10, 20), (9, 1, 2));
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
