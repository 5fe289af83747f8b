using Observe.Store.Chunks;
using Observe.Store.Model;

namespace Observe.Store.Blocks;

/// <summary>
/// Writes a block: series in order of their labels, each with all its chunks in order of time. The folder appears under its name
/// only when everything in it is synced: <c>&lt;ULID&gt;.tmp</c> until then. Not thread-safe.
/// </summary>
public sealed class BlockWriter : IDisposable
{
    /// <param name="parent">The folder that gets the block's folder; made when it is not there.</param>
    public static BlockWriter Create(string parent, BlockId id) => throw new NotImplementedException();

    public long SeriesCount => throw new NotImplementedException();

    /// <summary>Adds a series; data of chunks is copied out before it returns. A series without chunks is left out.</summary>
    /// <exception cref="ArgumentException">Labels are not after those of the last series, or chunks overlap or go back.</exception>
    public void Add(Labels labels, IEnumerable<Chunk> chunks) => throw new NotImplementedException();

    /// <summary>Writes the index and meta.json, syncs all and renames the folder.</summary>
    /// <param name="meta">
    /// Times, compaction, and Thanos's section (labels, source, downsampling); the id, statistics, files with hashes and
    /// <see cref="IndexStats"/> are filled in.
    /// </param>
    /// <returns>The meta as written; null, and no folder, when there was no series.</returns>
    public BlockMeta? Finish(BlockMeta meta) => throw new NotImplementedException();

    /// <summary>Removes the temporary folder of a block that was not finished.</summary>
    public void Dispose() => throw new NotImplementedException();
}
