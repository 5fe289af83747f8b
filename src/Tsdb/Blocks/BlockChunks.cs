using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>The chunks of one series in blocks, in order of time, less what is deleted. May be filled again.</summary>
/// <param name="pooled">Whether they lie in buffers that are returned by <see cref="Dispose"/>, or in arrays of their own.</param>
sealed class BlockChunks(bool pooled) : IDisposable
{
    /// <summary>Where a series has more parts, those beyond share the last window.</summary>
    const int MaxWindows = 8;

    // One for each part: as a rule the n-th part of the next series is of the same block, whose bytes the window still has.
    readonly List<ChunkWindow> _windows = [];
    Chunk[] _chunks = [];
    int _count;

    public ArraySegment<Chunk> Filled => new(_chunks, 0, _count);

    /// <exception cref="CorruptionException">A chunk is damaged, and the selection does not note that.</exception>
    public void Read(ReadOnlySpan<BlockPart> parts, BlockSelection selection)
    {
        var count = 0;
        foreach (ref readonly var part in parts)
        {
            count += part.Chunks.Length;
        }

        _count = 0;
        Reserve(count);
        for (var i = 0; i < parts.Length; i++)
        {
            ref readonly var part = ref parts[i];
            var first = _count;
            try
            {
                part.Block.Chunks.Read(part.Chunks.Span, _chunks.AsSpan(first), pooled ? Window(i) : null);
                _count += part.Chunks.Length;
                if (DeletedSpans.Of(part.Chunks) is { IsEmpty: false } deleted)
                {
                    Cut(first, deleted, part.Block);
                }
            }
            catch (CorruptionException) when (selection.Coverage is not null)
            {
                _count = first;
                ReadOneByOne(part, selection.Range, selection.Coverage);
            }

            count -= part.Chunks.Length;
            Reserve(count);
        }

        for (var i = 1; i < _count; i++)
        {
            if (_chunks[i].MinTime < _chunks[i - 1].MinTime)
            {
                Filled.OrderBy(chunk => chunk.MinTime).ToArray().CopyTo(_chunks, 0);
                return;
            }
        }
    }

    /// <summary>The chunks are not read any more.</summary>
    public void Release() => _windows.ForEach(static window => window.Release());

    public void Dispose() => _windows.ForEach(static window => window.Dispose());

    ChunkWindow Window(int part)
    {
        part = Math.Min(part, MaxWindows - 1);
        if (part == _windows.Count)
        {
            _windows.Add(new ChunkWindow());
        }

        return _windows[part];
    }

    void Reserve(int count)
    {
        if (_chunks.Length - _count < count)
        {
            Array.Resize(ref _chunks, _count + count);
        }
    }

    void Cut(int first, DeletedSpans deleted, Block block)
    {
        var rest = deleted.Cut(_chunks.AsSpan(first, _count - first), block.Directory);
        _count = first;
        Reserve(rest.Count);
        rest.CopyTo(_chunks, first);
        _count += rest.Count;
    }

    void ReadOneByOne(in BlockPart part, TimeRange wanted, Coverage coverage)
    {
        var deleted = DeletedSpans.Of(part.Chunks);
        foreach (var meta in part.Chunks.Span)
        {
            var first = _count;
            try
            {
                Reserve(1);
                _chunks[_count] = part.Block.Chunks.Read(meta);
                _count++;
                if (!deleted.IsEmpty)
                {
                    Cut(first, deleted, part.Block);
                }
            }
            catch (CorruptionException e)
            {
                _count = first;
                var range = new TimeRange(meta.MinTime, meta.MaxTime).Intersect(wanted);
                coverage.Add(new Missing(MissingPart.Chunk, part.Block.Directory, part.Block.LabelSets, range, e.Message));
            }
        }
    }
}
