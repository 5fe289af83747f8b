using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// What all series of a selection out of blocks have in common. Thread-safe; disposed when no series is read any more.
/// </summary>
/// <param name="range">Of the samples that are wanted.</param>
/// <param name="coverage">Notes chunks that are damaged, which are left out; where it is null, a damaged chunk is an exception.</param>
/// <param name="replica">The external labels that the series come without.</param>
public sealed class BlockSelection(TimeRange range, Aggregate aggregate, Coverage? coverage, Labels replica = default) : IDisposable
{
    // By thread, so that a thread gets the iterator that it used before, whose windows have the bytes around the next series.
    readonly BlockSamples?[] _free = new BlockSamples?[16];
    readonly OpenedBlockChunks?[] _freeChunks = new OpenedBlockChunks?[16];
    volatile bool _isDisposed;

    public TimeRange Range => range;

    public Labels Replica => replica;

    internal Coverage? Coverage => coverage;

    /// <summary>An iterator over one of the series: one that was used before where there is one.</summary>
    /// <exception cref="ObjectDisposedException">The series is read too late: its parts may be somebody else's by now.</exception>
    internal BlockSamples Open(ReadOnlySpan<BlockPart> parts)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var samples = Interlocked.Exchange(ref Slot(_free), null) ?? new BlockSamples(this, new ChunkSeriesIterator(aggregate, range));
        samples.Open(parts);
        return samples;
    }

    internal void Return(BlockSamples samples) => Interlocked.Exchange(ref Slot(_free), samples)?.ReleaseBuffers();

    /// <summary>As <see cref="Open"/>.</summary>
    internal OpenedBlockChunks OpenChunks(ReadOnlySpan<BlockPart> parts)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var chunks = Interlocked.Exchange(ref Slot(_freeChunks), null) ?? new OpenedBlockChunks(this);
        chunks.Open(parts);
        return chunks;
    }

    internal void Return(OpenedBlockChunks chunks) => Interlocked.Exchange(ref Slot(_freeChunks), chunks)?.ReleaseBuffers();

    public void Dispose()
    {
        _isDisposed = true;
        foreach (var samples in _free)
        {
            samples?.ReleaseBuffers();
        }

        foreach (var chunks in _freeChunks)
        {
            chunks?.ReleaseBuffers();
        }
    }

    static ref T? Slot<T>(T?[] free)
        where T : class =>
        ref free[Environment.CurrentManagedThreadId % free.Length];
}
