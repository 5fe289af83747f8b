using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Testkit;

/// <summary>Blocks of series that a test writes down, for projects that don't see how chunks are encoded.</summary>
public static class WrittenBlock
{
    /// <summary>Writes <c>parent/ULID</c>.</summary>
    public static async Task WriteAsync(string parent, BlockMeta meta, IReadOnlyList<TestSeries> series)
    {
        using var writer = BlockWriter.Create(parent, meta.Id);
        await foreach (var one in new MemoryQuerier(series).SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            using var samples = one.Samples();
            writer.Add(one.Labels, ChunkEncoder.Encode(samples));
        }

        writer.Finish(meta);
    }
}
