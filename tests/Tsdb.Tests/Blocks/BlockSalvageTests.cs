using System.Globalization;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Tests.Head;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

/// <summary>One flipped bit of a local block costs what it lies in, and nothing else.</summary>
public sealed class BlockSalvageTests(ITestOutputHelper output) : IDisposable
{
    const int SeriesCount = 20;
    const int Samples = 300;
    const int SamplesOfChunk = 120;

    readonly string _folder = Checkout.NewFolder("salvage");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("index")]
    [InlineData("chunks/000001")]
    [InlineData("meta.json")]
    public async Task What_is_whole_is_kept(string file)
    {
        var original = await WriteAsync();
        var expected = await ReadAsync(original);
        var path = Path.Combine(original, file);
        var whole = await File.ReadAllBytesAsync(path);
        const int seed = 1;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 60; i++)
        {
            var (at, bit) = (random.Next(whole.Length), random.Next(8));
            await File.WriteAllBytesAsync(path, [.. whole[..at], (byte)(whole[at] ^ (1 << bit)), .. whole[(at + 1)..]]);
            var salvage = BlockSalvage.Run(original, _folder, BlockId.New(DateTimeOffset.UnixEpoch, random), default);
            var where = $"bit {bit} of byte {at} of {file}: {string.Join("; ", salvage.Faults)}";
            Assert.True(salvage.Meta is not null, where);
            var made = Path.Combine(_folder, salvage.Meta.Id.ToString());
            Assert.True(BlockVerifier.Verify(made, decode: true, default) is [], where);
            var lost = 0;
            var found = await ReadAsync(made);
            var said = LostTimes.Of(BlockMeta.Read(made)).Select(one => one.Range).ToList();
            Assert.Equal(salvage.Lost, said);
            foreach (var (series, samples) in expected)
            {
                var kept = found.GetValueOrDefault(series, []);
                Assert.True(kept.All(samples.Contains), where);
                lost += samples.Length - kept.Length;
                Assert.All(samples.Except(kept), sample => Assert.True(
                    said.Any(range => range.Contains(long.Parse(sample.Split('@', '=')[0], CultureInfo.InvariantCulture))), $"{sample} is lost, and the block does not say so: {where}"));
            }

            Assert.True(found.Keys.All(expected.ContainsKey), where);
            Assert.True(lost <= (file == "index" ? Samples : file == "meta.json" ? 0 : SamplesOfChunk), $"{lost} samples are lost: {where}");
            Assert.True(lost == 0 || salvage.LostChunks + salvage.LostStretches > 0, where);
            Directory.Delete(made, recursive: true);
        }
    }

    /// <summary>The samples of the other sources are in the answer, whatever is damaged, and what is missing is named.</summary>
    [Theory]
    [InlineData("index")]
    [InlineData("chunks/000001")]
    [InlineData("meta.json")]
    public async Task A_damaged_block_takes_no_other_answer_with_it(string file)
    {
        var folder = await WriteAsync();
        var path = Path.Combine(folder, file);
        var whole = await File.ReadAllBytesAsync(path);
        var expected = await ReadAsync(folder);
        var random = new Random(7);
        for (var i = 0; i < 60; i++)
        {
            var at = random.Next(whole.Length);
            await File.WriteAllBytesAsync(path, [.. whole[..at], (byte)(whole[at] ^ (1 << random.Next(8))), .. whole[(at + 1)..]]);
            using var blocks = new LocalBlocks(_folder, NullLogger.Instance);
            var other = new MemoryQuerier([new TestSeries(Labels.Of(("__name__", "other")), [(1, 1)])]);
            var query = new QueryContext();
            var names = new List<string>();
            var samples = 0;
            var selection = query.Select(new SelectHints { Range = TimeRange.All }, []);
            var batch = new SampleBatch();
            await foreach (var series in new MergeQuerier([other, blocks]).SelectAsync(selection))
            {
                names.Add(series.Labels.Get("__name__"));
                using var iterator = series.Samples();
                while (iterator.Read(batch))
                {
                    samples += batch.Count;
                }
            }

            Assert.Contains("other", names);
            Assert.Contains("__name__", await new MergeQuerier([other, blocks]).LabelNamesAsync(selection));
            Assert.Contains("other", await new MergeQuerier([other, blocks]).LabelValuesAsync("__name__", selection));
            Assert.True(samples == (SeriesCount * Samples) + 1 || query.Coverage.IsPartial, $"byte {at} of {file}: {samples} samples, and nothing is missing");
        }
    }

    /// <summary>A folder with a block of some series, each of three chunks.</summary>
    async Task<string> WriteAsync()
    {
        var meta = new BlockMeta { Id = BlockId.New(DateTimeOffset.UnixEpoch, new Random(1)), MinTime = 0, MaxTime = 1_000_000 };
        await WrittenBlock.WriteAsync(_folder, meta, [.. Enumerable.Range(0, SeriesCount).Select(i => new TestSeries(
            Labels.Of(("__name__", "m" + i.ToString("D2", CultureInfo.InvariantCulture)), ("job", i % 2 == 0 ? "even" : "odd")),
            [.. Enumerable.Range(0, Samples).Select(s => (s * 1_000L, (double)(s * i)))]))]);
        return Path.Combine(_folder, meta.Id.ToString());
    }

    static async Task<Dictionary<string, string[]>> ReadAsync(string folder)
    {
        using var block = Block.Open(folder);
        return (await TestHead.DumpAsync(block)).Split('\n').Select(line => line.Split(": ")).ToDictionary(parts => parts[0], parts => parts[1].Split(' '));
    }
}
