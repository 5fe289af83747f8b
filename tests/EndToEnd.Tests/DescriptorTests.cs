using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>More files than descriptors.</summary>
public sealed class DescriptorTests : IDisposable
{
    const int Blocks = 1_000;
    const int Descriptors = 1_024;
    const long Start = 1_700_006_400_000;

    readonly string _folder = Checkout.NewFolder("descriptors");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_thousand_blocks_are_read_with_a_thousand_descriptors()
    {
        var bucket = Path.Combine(_folder, "bucket");
        await WriteBlocksAsync(bucket);
        await using var process = ChildProcess.Start("prlimit", [
            $"--nofile={Descriptors}:{Descriptors}",
            ObserveProcess.Program,
            "query",
            "--http-address=127.0.0.1:0",
            "--grpc-address=127.0.0.1:0",
            "--data-dir=" + Path.Combine(_folder, "data"),
            $"--objstore.config={{type: FILESYSTEM, config: {{directory: {bucket}}}}}",
        ]);
        var line = await process.LineAsync("is ready: ", TimeSpan.FromMinutes(1));
        using var http = new HttpClient { BaseAddress = new Uri(line[(line.IndexOf("is ready: ", StringComparison.Ordinal) + 10)..].Split(' ')[0]) };
        foreach (var (query, expected) in new[] { ("count(x)", "1000"), ("count(x)", "1000"), ("count(count by (cluster) (x))", "1000"), ("sum(count_over_time(x[5m]))", "3000") })
        {
            var time = (Start / 1_000) + 120;
            var answer = JsonNode.Parse(await http.GetStringAsync($"api/v1/query?time={time}&query={Uri.EscapeDataString(query)}"))!;
            Assert.Null(answer["warnings"]);
            Assert.Equal(expected, (string?)answer["data"]!["result"]![0]!["value"]![1]);
        }

        var metrics = await http.GetStringAsync("metrics");
        Assert.InRange(Metric(metrics, "observe_open_files"), 1, Descriptors / 2);
        Assert.InRange(Metric(metrics, "observe_open_files_opened_total"), 2 * Blocks, 20 * Blocks);
        Assert.Equal(0, Metric(metrics, "observe_open_files_exhausted_total"));
    }

    static double Metric(string text, string name) => double.Parse(
        text.Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal))[(name.Length + 1)..], CultureInfo.InvariantCulture);

    // One of them is written; the others are the same files under a meta of their own.
    async Task WriteBlocksAsync(string bucket)
    {
        var first = Meta(0);
        await WrittenBlock.WriteAsync(
            _folder, first, [new TestSeries(Labels.Of(("__name__", "x")), [(Start, 1), (Start + 60_000, 2), (Start + 120_000, 3)])]);
        var source = Path.Combine(_folder, first.Id.ToString());
        for (var i = 0; i < Blocks; i++)
        {
            var meta = Meta(i);
            var folder = Path.Combine(bucket, meta.Id.ToString());
            Directory.CreateDirectory(Path.Combine(folder, "chunks"));
            File.Copy(Path.Combine(source, "index"), Path.Combine(folder, "index"));
            File.Copy(Path.Combine(source, "chunks", "000001"), Path.Combine(folder, "chunks", "000001"));
            await File.WriteAllBytesAsync(Path.Combine(folder, BlockMeta.FileName), meta.ToJson());
        }
    }

    static BlockMeta Meta(int number)
    {
        var id = TestBlocks.Id(number);
        return new BlockMeta
        {
            Id = id,
            MinTime = Start,
            MaxTime = Start + 120_001,
            Stats = new BlockStats { Samples = 3, Series = 1, Chunks = 1 },
            Compaction = new BlockCompaction { Sources = [id] },
            Thanos = new ThanosSection
            {
                Labels = new Dictionary<string, string> { ["cluster"] = string.Create(CultureInfo.InvariantCulture, $"c{number}") },
                Source = "sidecar",
            },
        };
    }
}
