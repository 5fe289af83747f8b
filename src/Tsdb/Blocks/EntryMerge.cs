using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>The chunks of one series in one block of a selection.</summary>
/// <param name="Source">The block's number in the selection.</param>
public readonly record struct BlockMember(int Source, ReadOnlyMemory<ChunkMeta> Chunks);

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

            // As a rule many series in a row are of one block only, for which one comparison suffices.
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
