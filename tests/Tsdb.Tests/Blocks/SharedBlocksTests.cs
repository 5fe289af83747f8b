using System.Globalization;
using System.Text.Json;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

/// <summary>Blocks that Prometheus and Thanos wrote are read to the last sample.</summary>
public class SharedBlocksTests
{
    [Fact]
    public void Every_sample_of_every_aggregate_is_what_is_expected()
    {
        var folder = Required.Shared("blocks", "thanos");
        var expected = Expected(Path.Combine(folder, "expected_all_aggr_response.json"));
        var read = new Dictionary<Labels, List<(long, double)>>();
        foreach (var directory in Directory.GetDirectories(folder))
        {
            using var block = Block.Open(directory);
            var resolution = block.Meta.ResolutionMs switch { 0 => "", 300_000 => ":5m", _ => ":1h" };
            Aggregate[] aggregates = resolution.Length == 0 ? [Aggregate.Raw]
                : [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];
            foreach (var aggregate in aggregates)
            {
                var hints = new SelectHints { Range = TimeRange.All, Aggregate = aggregate };
                foreach (var (labels, samples) in aggregate == Aggregate.Counter ? StoredCounters(block, hints) : TestBlocks.Read(block, hints))
                {
                    var suffix = resolution.Length == 0 ? "" : $"{resolution}:{aggregate.ToString().ToLowerInvariant()}";
                    read[new LabelsBuilder(labels).Set(Labels.MetricName, labels.Get(Labels.MetricName) + suffix).Build()] = samples;
                }
            }
        }

        Assert.Equal(expected.Keys.Select(l => l.ToString()).Order(), read.Keys.Select(l => l.ToString()).Order());
        foreach (var (labels, samples) in expected)
        {
            Assert.True(samples.SequenceEqual(read[labels]), $"{labels}: {string.Join(' ', read[labels])} instead of {string.Join(' ', samples)}");
        }
    }

    [Fact]
    public void A_prometheus_snapshot_answers_as_expected()
    {
        var folder = Required.Shared("blocks", "prometheus");
        using var block = Block.Open(Path.GetDirectoryName(Directory.GetFiles(folder, BlockMeta.FileName, SearchOption.AllDirectories).Single())!);
        var all = TestBlocks.Read(block);
        Assert.Equal((2_434, 2_434), (all.Count, all.Sum(s => s.Samples.Count)));
        foreach (var (labels, samples) in Expected(Path.Combine(folder, "expected_response.json")))
        {
            var matchers = labels.ToDictionary().Select(l => new Matcher(Tsdb.Model.MatchType.Equal, l.Key, l.Value)).ToArray();
            Assert.Equal(samples, Assert.Single(TestBlocks.Read(block, null, matchers)).Samples);
        }
    }

    [Theory]
    [InlineData("01M81NBR49693RP1SN0GD357N3", 12, 234_720)]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R3", 12, 46_944)]
    [InlineData("01M81NBR7PXHQPJ6K6EMKFRVQD", 12, 3_914)]
    public void Golden_blocks_have_all_their_series_and_samples(string id, int series, int samples)
    {
        var folder = Required.Shared("blocks", "golden", id);
        using var block = Block.Open(folder);
        var hints = new SelectHints { Range = TimeRange.All, Aggregate = Aggregate.Raw };
        var all = TestBlocks.Read(block, hints);
        Assert.Equal(series, all.Count);
        Assert.Equal(samples, all.Sum(s => s.Samples.Count));
        if (block.Meta.ResolutionMs > 0)
        {
            // Counts of the windows are counts of raw samples.
            Assert.Equal(234_720, TestBlocks.Read(block, hints with { Aggregate = Aggregate.Count }).Sum(s => s.Samples.Sum(x => x.Value)));
        }
    }

    [Fact]
    public async Task A_block_that_is_written_again_has_the_same_index_and_chunks()
    {
        var golden = Required.Shared("blocks", "golden");
        foreach (var folder in Directory.GetDirectories(golden))
        {
            using var temporary = new TemporaryFolder();
            using var block = Block.Open(folder);
            using var writer = BlockWriter.Create(temporary.Path, block.Meta.Id);
            await foreach (var series in block.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
            {
                writer.Add(series.Labels, series.Chunks()!);
            }

            var meta = writer.Finish(block.Meta);
            var written = Path.Combine(temporary.Path, block.Meta.Id.ToString());
            foreach (var file in new[] { "index", "chunks/000001" })
            {
                Assert.Equal(File.ReadAllBytes(Path.Combine(folder, file)), File.ReadAllBytes(Path.Combine(written, file)));
            }

            Assert.Equal(block.Meta.Thanos!.IndexStats!.SeriesMaxSize, meta!.Thanos!.IndexStats!.SeriesMaxSize);
            Assert.InRange(meta.Thanos!.IndexStats!.ChunkMaxSize, block.Meta.Thanos!.IndexStats!.ChunkMaxSize, 5_000);
        }
    }

    // The answer that is expected has counters as they are stored; a reader of Observe applies their resets.
    static IEnumerable<(Labels Labels, List<(long, double)> Samples)> StoredCounters(Block block, SelectHints hints)
    {
        foreach (var series in block.Select(new QueryContext().Select(hints, [])))
        {
            var samples = new List<(long Time, double Value)>();
            var batch = new SampleBatch();
            foreach (var chunk in series.Chunks()!)
            {
                var stored = ChunkIterators.OpenChunk(chunk, Aggregate.Counter, block.Directory, 0);
                while (stored.Read(batch))
                {
                    samples.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Values[i])));
                }
            }

            // The last value is there twice.
            yield return (series.Labels, samples.DistinctBy(s => s.Time).ToList());
        }
    }

    static Dictionary<Labels, List<(long, double)>> Expected(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        var expected = new Dictionary<Labels, List<(long, double)>>();
        foreach (var series in json.RootElement.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            var labels = Labels.Of(series.GetProperty("metric").EnumerateObject().Select(l => KeyValuePair.Create(l.Name, l.Value.GetString()!)));
            expected[labels] =
            [
                .. series.GetProperty("values").EnumerateArray().Select(v =>
                    ((long)Math.Round(v[0].GetDouble() * 1_000), double.Parse(v[1].GetString()!, CultureInfo.InvariantCulture))),
            ];
        }

        return expected;
    }
}
