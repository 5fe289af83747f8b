using System.Buffers;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>A series of one block: its labels with the external ones, and its chunks within the range that was asked for.</summary>
/// <remarks>Valid until the <see cref="BlockEntries"/> that it came from are disposed.</remarks>
public readonly record struct BlockEntry(Labels Labels, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>
/// Series of one block that match, in arrays of the shared pool: a selection has one of them for each block, however many series it
/// has. Disposing gives the arrays back. Not thread-safe.
/// </summary>
/// <param name="external">Of the block; they win over labels of the same name.</param>
/// <param name="leftOff">External labels that series come without.</param>
/// <param name="range">Series without a chunk in it are left out.</param>
/// <param name="like">
/// Sorted ones of a block that has much the same series, as the one before has: labels of both are kept once, there. Not disposed before
/// these.
/// </param>
public sealed class BlockEntries(Labels external, IReadOnlyList<string> leftOff, TimeRange range, BlockEntries? like) : IDisposable
{
    /// <summary>The pool keeps a few dozen of each size: large ones, so that it keeps those of a large selection.</summary>
    const int SlabSize = 4_096;

    readonly List<ChunkMeta[]> _slabs = [];
    BlockEntry[] _entries = [];
    int _slabUsed;
    int _like = -1;
    bool _isSorted = true;

    public int Count { get; private set; }

    public ref readonly BlockEntry this[int index] => ref _entries[index];

    /// <summary>Where the labels of a series are written, which <see cref="Add"/> then adds.</summary>
    public LabelsWriter NextLabels { get; } = new(external, leftOff);

    /// <param name="chunks">In order of time; copied. Null adds the series without looking at its chunks.</param>
    public void Add(List<ChunkMeta>? chunks)
    {
        var inside = ReadOnlyMemory<ChunkMeta>.Empty;
        if (chunks is not null && (inside = Inside(chunks)).IsEmpty)
        {
            NextLabels.Drop();
            return;
        }

        Room(1);
        var labels = Shared(NextLabels.Take());
        _isSorted = _isSorted && (Count == 0 || _entries[Count - 1].Labels.CompareTo(labels) <= 0);
        _entries[Count++] = new BlockEntry(labels, inside);
    }

    /// <summary>Takes over what other entries of the same block have; they are empty then.</summary>
    public void Take(BlockEntries others)
    {
        Room(others.Count);
        _isSorted = _isSorted && others._isSorted
            && (Count == 0 || others.Count == 0 || _entries[Count - 1].Labels.CompareTo(others._entries[0].Labels) <= 0);
        others._entries.AsSpan(0, others.Count).CopyTo(_entries.AsSpan(Count));
        Count += others.Count;
        _slabs.AddRange(others._slabs);
        _slabUsed = _slabs.Count == 0 ? 0 : _slabs[^1].Length;
        others._slabs.Clear();
        NextLabels.TakeOver(others.NextLabels);
        others.Dispose();
    }

    /// <summary>
    /// Into the order of labels: external ones may change it. {a="1"} comes before {a="1", b="2"}, but with c="3" in both it comes after.
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

    /// <summary>Makes room for so many more: what grows by and by leaves the pool with arrays of all sizes.</summary>
    public void Room(int count)
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

    // Both come in the same order, as a rule: what is looked for is where the last was found, or right behind it.
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
                NextLabels.TakeBack();
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

    ReadOnlyMemory<ChunkMeta> Inside(List<ChunkMeta> chunks)
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

/// <summary>The chunks of one series in one block of a selection.</summary>
/// <param name="Source">The block's number in the selection.</param>
public readonly record struct BlockMember(int Source, ReadOnlyMemory<ChunkMeta> Chunks);

/// <summary>What makes two entries the same series.</summary>
/// <param name="Replica">The external labels that were left off.</param>
public readonly record struct SeriesKey(Labels Labels, Labels Replica) : IComparable<SeriesKey>
{
    public int CompareTo(SeriesKey other) =>
        Labels.CompareTo(other.Labels) is var order and not 0 ? order : Replica.CompareTo(other.Replica);
}

/// <summary>Entries of several blocks, each sorted, as one sorted sequence in which entries with the same key are one series.</summary>
public sealed class EntryMerge
{
    readonly BlockEntries[] _blocks;
    readonly Labels[] _replicas;
    readonly int[] _at;

    // The block with the least entry, and all others that have one.
    readonly PriorityQueue<int, SeriesKey> _others;
    int _least = -1;
    SeriesKey _key;

    /// <param name="replicas">Of each block.</param>
    public EntryMerge(BlockEntries[] blocks, Labels[] replicas)
    {
        (_blocks, _replicas) = (blocks, replicas);
        (_at, _others) = (new int[blocks.Length], new PriorityQueue<int, SeriesKey>(blocks.Length));
        for (var i = 0; i < blocks.Length; i++)
        {
            if (blocks[i].Count > 0)
            {
                _others.Enqueue(i, new SeriesKey(blocks[i][0].Labels, replicas[i]));
            }
        }

        Least();
    }

    /// <param name="members">Gets the series' members at its end.</param>
    public bool Next(out SeriesKey key, List<BlockMember> members)
    {
        key = _key;
        if (_least < 0)
        {
            return false;
        }

        do
        {
            var (entries, at) = (_blocks[_least], _at[_least]++);
            members.Add(new BlockMember(_least, entries[at].Chunks));
            if (at + 1 == entries.Count)
            {
                Least();
                continue;
            }

            // Long stretches are of one block, as a rule: then one comparison tells.
            _key = new SeriesKey(entries[at + 1].Labels, _replicas[_least]);
            if (_others.TryPeek(out _, out var other) && other.CompareTo(_key) < 0)
            {
                _least = _others.DequeueEnqueue(_least, _key);
                _key = other;
            }
        }
        while (_least >= 0 && _key == key);
        return true;
    }

    void Least() => _least = _others.TryDequeue(out var least, out _key) ? least : -1;
}
