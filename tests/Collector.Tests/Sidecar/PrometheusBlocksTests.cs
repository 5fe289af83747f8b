using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Collector.Sidecar;
using Observe.Tsdb.Blocks;
using Xunit;

namespace Observe.Collector.Tests.Sidecar;

public sealed class PrometheusBlocksTests : IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("observe-sidecar-").FullName;
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(10_000_000));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_block_that_cannot_be_read_is_named_and_one_that_ends_in_the_future_does_not_count()
    {
        // Of the first, index and chunks are missing; the second one's end is a flipped bit away.
        Write("01HZX0000000000000000000A1", 8_000_000);
        using var served = new LocalBlocks(folder: null, NullLogger.Instance);
        var blocks = new PrometheusBlocks(_folder, served, () => [], TimeSpan.FromDays(1), TimeSpan.FromMinutes(1), _time);
        blocks.Sync();
        Assert.Contains("01HZX0000000000000000000A1", blocks.Fault, StringComparison.Ordinal);
        Assert.Equal(8_000_000, blocks.End);

        Write("01HZX0000000000000000000A2", 8_000_000 + (1L << 40));
        blocks.Sync();
        Assert.Equal(8_000_000, blocks.End);

        Directory.Delete(Path.Combine(_folder, "01HZX0000000000000000000A1"), recursive: true);
        Directory.Delete(Path.Combine(_folder, "01HZX0000000000000000000A2"), recursive: true);
        blocks.Sync();
        Assert.Equal("", blocks.Fault);
        Assert.Equal(long.MinValue, blocks.End);
    }

    [Theory]
    [InlineData("""{"version":"\ud800"}""")]
    public void A_text_that_is_none_is_a_fault_of_the_answer(string json)
    {
        using var answer = JsonDocument.Parse(json);
        Assert.Throws<IOException>(() => PrometheusApi.Text(answer.RootElement, "version"));
    }

    void Write(string id, long end)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, id)).FullName;
        File.WriteAllText(Path.Combine(folder, "meta.json"), $$"""
            {"ulid":"{{id}}","minTime":1000000,"maxTime":{{end}},"stats":{"numSamples":1,"numSeries":1,"numChunks":1},"compaction":{"level":1,"sources":["{{id}}"]},"version":1}
            """);
    }
}
