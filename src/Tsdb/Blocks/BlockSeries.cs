using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>Chunks of a series in one block, in order of time; what is deleted of them is attached.</summary>
public readonly record struct BlockPart(Block Block, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>A series out of blocks; its chunks are read by each iterator, into buffers that are returned when that is disposed.</summary>
/// <param name="parts">Of several series, the selection's; those of this one are in order of their first chunk and may overlap.</param>
public sealed class BlockSeries(Labels labels, BlockPart[] parts, int firstPart, int partCount, BlockSelection selection) : Series(labels)
{
    public override Labels Replica => selection.Replica;

    public override ISampleIterator Samples() => selection.Open(parts.AsSpan(firstPart, partCount));

    public override IEnumerable<Chunk> Chunks()
    {
        var chunks = new BlockChunks(pooled: false);
        chunks.Read(parts.AsSpan(firstPart, partCount), selection);
        return chunks.Filled;
    }

    public override OpenedChunks OpenChunks() => selection.OpenChunks(parts.AsSpan(firstPart, partCount));
}

/// <summary>The chunks of one series after another, as <see cref="BlockSamples"/> are its samples.</summary>
sealed class OpenedBlockChunks(BlockSelection selection) : OpenedChunks(default)
{
    readonly BlockChunks _chunks = new(pooled: true);
    bool _isOpen;

    public override ArraySegment<Chunk> All => _chunks.Filled;

    public void Open(ReadOnlySpan<BlockPart> parts)
    {
        _isOpen = true;
        _chunks.Read(parts, selection);
    }

    protected override void Release()
    {
        if (_isOpen)
        {
            _isOpen = false;
            _chunks.Release();
            selection.Return(this);
        }
    }

    /// <summary>It is not used again.</summary>
    public void ReleaseBuffers() => _chunks.Dispose();
}

/// <summary>The samples of one series after another: disposed, it returns to its selection with all that it has allocated.</summary>
sealed class BlockSamples(BlockSelection selection, ChunkSeriesIterator samples) : ISampleIterator
{
    readonly BlockChunks _chunks = new(pooled: true);
    bool _isOpen;

    public void Open(ReadOnlySpan<BlockPart> parts)
    {
        _isOpen = true;
        _chunks.Read(parts, selection);
        samples.Reset(_chunks.Filled, parts[0].Block.Directory);
    }

    public bool Read(SampleBatch batch) => _isOpen && samples.Read(batch);

    public void Seek(long timestamp) => samples.Seek(timestamp);

    public void Dispose()
    {
        if (!_isOpen)
        {
            return;
        }

        _isOpen = false;
        samples.Dispose();
        _chunks.Release();
        selection.Return(this);
    }

    /// <summary>It is not used again.</summary>
    public void ReleaseBuffers() => _chunks.Dispose();
}
