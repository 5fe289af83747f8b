using System.Buffers;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>A series of one block: its labels with the external ones, and its chunks within the range that was asked for.</summary>
/// <param name="Chunks">Those of which something is left; what is deleted of the series is attached to them.</param>
/// <remarks>Valid until the <see cref="BlockEntries"/> that it came from are disposed.</remarks>
public readonly record struct BlockEntry(Labels Labels, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>
/// Series of one block that match, in arrays of the shared pool: a selection has one of them for each block, however many series it
/// has. Disposing returns the arrays. Not thread-safe.
/// </summary>
/// <param name="external">Those of the block that its series come with; they win over labels of the same name.</param>
/// <param name="range">Series without a chunk in it are left out, if chunks are wanted.</param>
/// <param name="withChunks">Whether more than labels is wanted.</param>
/// <param name="like">
/// Sorted entries of another block that has much the same series; null for none. Labels that both have are kept once, in those: they must
/// not be disposed before these.
/// </param>
public sealed class BlockEntries(Labels external, TimeRange range, bool withChunks, BlockEntries? like) : IDisposable
{
    /// <summary>The pool keeps a few dozen arrays of each size; they are large so that these suffice for a large selection.</summary>
    const int SlabSize = 4_096;

    readonly List<ChunkMeta[]> _slabs = [];
    BlockEntry[] _entries = [];
    int _slabUsed;
    int _like = -1;
    bool _isSorted = true;

    public int Count { get; private set; }

    public ref readonly BlockEntry this[int index] => ref _entries[index];

    /// <summary>Where the labels of a series are written, which <see cref="Add"/> then adds.</summary>
    public LabelsWriter NextLabels { get; } = new(external);

    /// <summary>Whether <see cref="Add"/> looks at the chunks of a series: a series that is wholly deleted is not there.</summary>
    public bool NeedsChunks(DeletedSpans deleted) => withChunks || !deleted.IsEmpty;

    /// <summary>Adds the series whose labels were written, unless it has no chunk that is wanted.</summary>
    /// <param name="chunks">In order of time; copied. Those that are wholly deleted are taken out.</param>
    public void Add(List<ChunkMeta> chunks, DeletedSpans deleted)
    {
        if (!deleted.IsEmpty)
        {
            deleted.RemoveCovered(chunks);
        }

        var inside = ReadOnlyMemory<ChunkMeta>.Empty;
        if (withChunks ? (inside = Inside(chunks, deleted)).IsEmpty : !deleted.IsEmpty && chunks.Count == 0)
        {
            NextLabels.Drop();
            return;
        }

        Reserve(1);
        var labels = Shared(NextLabels.Take());
        _isSorted = _isSorted && (Count == 0 || _entries[Count - 1].Labels.CompareTo(labels) <= 0);
        _entries[Count++] = new BlockEntry(labels, inside);
    }

    /// <summary>Moves what other entries of the same block have to the end of these.</summary>
    public void Append(BlockEntries others)
    {
        Reserve(others.Count);
        _isSorted = _isSorted && others._isSorted
            && (Count == 0 || others.Count == 0 || _entries[Count - 1].Labels.CompareTo(others._entries[0].Labels) <= 0);
        others._entries.AsSpan(0, others.Count).CopyTo(_entries.AsSpan(Count));
        Count += others.Count;
        _slabs.AddRange(others._slabs);
        _slabUsed = _slabs.Count == 0 ? 0 : _slabs[^1].Length;
        others._slabs.Clear();
        NextLabels.KeepArraysOf(others.NextLabels);
        others.Dispose();
    }

    /// <summary>
    /// Sorts by labels, since external labels may change the order of a block's series: {a="1"} comes before {a="1", b="2"}, but with c="3"
    /// in both it comes after.
    /// </summary>
    public void Sort()
    {
        if (!_isSorted)
        {
            _entries.AsSpan(0, Count).Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
            _isSorted = true;
        }
    }

    public void Dispose()
    {
        if (_entries.Length > 0)
        {
            ArrayPool<BlockEntry>.Shared.Return(_entries, clearArray: true);
        }

        foreach (var slab in _slabs)
        {
            ArrayPool<ChunkMeta>.Shared.Return(slab);
        }

        _slabs.Clear();
        (_entries, Count) = ([], 0);
        NextLabels.Dispose();
    }

    /// <summary>Makes the array large enough for so many more, at once: growing in steps would fill the pool with smaller arrays.</summary>
    public void Reserve(int count)
    {
        if (_entries.Length - Count >= count)
        {
            return;
        }

        var larger = ArrayPool<BlockEntry>.Shared.Rent(Math.Max(64, Math.Max(_entries.Length * 2, Count + count)));
        _entries.AsSpan(0, Count).CopyTo(larger);
        if (_entries.Length > 0)
        {
            ArrayPool<BlockEntry>.Shared.Return(_entries, clearArray: true);
        }

        _entries = larger;
    }

    // As a rule both are in the same order, so that the search goes on where the labels before were found.
    Labels Shared(Labels labels)
    {
        if (like is null)
        {
            return labels;
        }

        if (_like < 0)
        {
            var found = like._entries.AsSpan(0, like.Count).BinarySearch(new ByLabels(labels));
            _like = found < 0 ? ~found : found;
        }

        for (; _like < like.Count; _like++)
        {
            var order = like[_like].Labels.CompareTo(labels);
            if (order == 0)
            {
                NextLabels.ForgetLast();
                return like[_like].Labels;
            }

            if (order > 0)
            {
                break;
            }
        }

        return labels;
    }

    readonly struct ByLabels(Labels labels) : IComparable<BlockEntry>
    {
        public int CompareTo(BlockEntry other) => labels.CompareTo(other.Labels);
    }

    ReadOnlyMemory<ChunkMeta> Inside(List<ChunkMeta> chunks, DeletedSpans deleted)
    {
        var (from, to) = (0, chunks.Count);
        while (from < to && chunks[from].MaxTime < range.MinTime)
        {
            from++;
        }

        while (to > from && chunks[to - 1].MinTime > range.MaxTime)
        {
            to--;
        }

        var count = to - from;
        if (count == 0)
        {
            return default;
        }

        if (!deleted.IsEmpty)
        {
            return deleted.AttachTo([.. chunks[from..to]]);
        }

        if (_slabs.Count == 0 || _slabs[^1].Length - _slabUsed < count)
        {
            _slabs.Add(ArrayPool<ChunkMeta>.Shared.Rent(Math.Max(count, SlabSize >> Math.Max(0, 6 - (2 * _slabs.Count)))));
            _slabUsed = 0;
        }

        chunks.CopyTo(from, _slabs[^1], _slabUsed, count);
        var inside = _slabs[^1].AsMemory(_slabUsed, count);
        _slabUsed += count;
        return inside;
    }
}
