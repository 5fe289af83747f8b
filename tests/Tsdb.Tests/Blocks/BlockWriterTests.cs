using System.Globalization;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

public sealed class BlockWriterTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("block-writer");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_block_tells_what_is_in_it()
    {
        TestSeries[] series =
        [
            new(Labels.Of(("a", "1")), [.. Enumerable.Range(0, 250).Select(i => (1_000L + i, (double)i))]),
            new(Labels.Of(("a", "2")), (5_000, 1)),
        ];
        var meta = await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), series, TestBlocks.Meta(series, ("cluster", "dev")));
        Assert.NotNull(meta);
        Assert.Equal(new BlockStats { Samples = 251, FloatSamples = 251, Series = 2, Chunks = 4 }, meta.Stats);
        Assert.Equal([TestBlocks.Id(1)], meta.Compaction.Sources);
        Assert.Equal(["chunks/000001", "index", "meta.json"], meta.Thanos!.Files!.Select(f => f.Path));
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        Assert.Equal(meta.ToJson(), File.ReadAllBytes(Path.Combine(directory, BlockMeta.FileName)));
        Assert.Equal(["000001"], Directory.GetFiles(Path.Combine(directory, "chunks")).Select(Path.GetFileName));
        Assert.Equal(["index", "meta.json"], Directory.GetFiles(directory).Select(Path.GetFileName).Order());
        Assert.Empty(BlockVerifier.Verify(directory, decode: true, default));
    }

    [Fact]
    public void A_block_without_series_is_none()
    {
        using (var writer = BlockWriter.Create(_folder, TestBlocks.Id(1)))
        {
            writer.Add(Labels.Of(("a", "1")), []);
            Assert.Null(writer.Finish(TestBlocks.Meta([])));
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void What_was_left_half_written_is_not_there_and_does_not_disturb()
    {
        Directory.CreateDirectory(Path.Combine(_folder, TestBlocks.Id(1) + ".tmp", "chunks"));
        File.WriteAllText(Path.Combine(_folder, TestBlocks.Id(1) + ".tmp", "chunks", "000001"), "left over");
        using (var writer = BlockWriter.Create(_folder, TestBlocks.Id(1)))
        {
            writer.Add(Labels.Of(("a", "1")), [new Chunk(1, 1, ChunkEncoding.Xor, new byte[] { 0, 0, 0 })]);
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void Series_out_of_order_are_refused()
    {
        using var writer = BlockWriter.Create(_folder, TestBlocks.Id(1));
        Chunk chunk = new(1, 1, ChunkEncoding.Xor, new byte[] { 0, 0, 0 });
        writer.Add(Labels.Of(("a", "2")), [chunk]);
        Assert.Throws<ArgumentException>(() => writer.Add(Labels.Of(("a", "1")), [chunk]));
        Assert.Throws<ArgumentException>(() => writer.Add(Labels.Of(("a", "2")), [chunk]));
        Assert.Throws<ArgumentException>(() => writer.Add(Labels.Of(("a", "3")), [chunk with { MaxTime = 5 }, chunk with { MinTime = 5, MaxTime = 6 }]));
    }

    [Fact]
    public async Task Promtool_lists_analyzes_and_dumps_what_was_written()
    {
        var promtool = Required.Peer("promtool");
        var random = new Random(7);
        const long Start = 1_700_000_000_000;
        var series = Enumerable.Range(0, 300).Select(s => new TestSeries(
            Labels.Of(("__name__", s % 2 == 0 ? "cpu_seconds_total" : "temperature"), ("instance", $"host-{s / 10}"), ("mode", $"m{s % 10}")),
            [.. Enumerable.Range(0, 241).Select(i => (Start + (i * 15_000L), s % 2 == 0 ? (double)(i * s) : Math.Round(random.NextDouble() * 100, 3)))]))
            .OrderBy(s => s.Labels).ToArray();
        var meta = await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), series);
        Assert.NotNull(meta);

        Directory.CreateDirectory(Path.Combine(_folder, "wal"));
        Assert.Contains(meta.Id.ToString(), await RunAsync(promtool, "tsdb", "list", _folder), StringComparison.Ordinal);
        Assert.Contains("Total Series: 300", await RunAsync(promtool, "tsdb", "analyze", _folder, meta.Id.ToString()), StringComparison.Ordinal);
        var dump = await RunAsync(promtool, "tsdb", "dump", _folder);
        var expected = series.SelectMany(s => s.Samples.Select(x =>
            string.Create(CultureInfo.InvariantCulture, $"{s.Labels} {GoText.FloatG(x.Value)} {x.Time}"))).Order(StringComparer.Ordinal);
        Assert.Equal(expected, dump.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = new System.Diagnostics.Process();
        process.StartInfo = new System.Diagnostics.ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        process.Start();
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await error);
        return output;
    }
}
