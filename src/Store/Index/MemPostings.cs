using System.IO.Hashing;
using System.Text;
using Observe.Store.Bytes;
using Observe.Store.Model;

namespace Observe.Store.Index;

/// <summary>
/// The postings of series in memory: for each pair of name and value the references of its series. Thread-safe; what a reader was
/// given stays as it was.
/// </summary>
/// <remarks>
/// Values of a name lie one after the other in one array of bytes, their lists in one array of entries; a value of one series
/// needs no array of its own. Lists only grow at their end, so a list and its length at one moment are a snapshot.
/// </remarks>
sealed class MemPostings : ILabelIndex<ReadOnlyMemory<uint>>
{
    readonly Lock _lock = new();
    readonly Dictionary<string, Values> _names = new(StringComparer.Ordinal);
    readonly Dictionary<string, Values>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    uint[] _all = [];
    int _count;

    public MemPostings() => _lookup = _names.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>References of all series, rising.</summary>
    public ReadOnlyMemory<uint> All
    {
        get
        {
            lock (_lock)
            {
                return _all.AsMemory(0, _count);
            }
        }
    }

    /// <summary>Enters a series under all its labels. Cheapest when references rise from call to call.</summary>
    /// <param name="reference">New, or already there under the same labels: then nothing happens.</param>
    public void Add(uint reference, Labels labels)
    {
        lock (_lock)
        {
            if (!Insert(ref _all, ref _count, reference))
            {
                return;
            }

            foreach (var label in labels)
            {
                ValuesOf(label.Name, add: true)!.Add(label.Value, reference);
            }
        }
    }

    /// <summary>Takes series out of all lists. Readers that come between two names may still meet a series that is going.</summary>
    public void Delete(IReadOnlySet<uint> references)
    {
        if (references.Count == 0)
        {
            return;
        }

        string[] names;
        lock (_lock)
        {
            names = [.. _names.Keys];
        }

        foreach (var name in names)
        {
            lock (_lock)
            {
                var kept = _names[name].Without(references);
                if (kept.Count == 0)
                {
                    _names.Remove(name);
                }
                else
                {
                    _names[name] = kept;
                }
            }
        }

        lock (_lock)
        {
            _all = Array.FindAll(_all[.._count], reference => !references.Contains(reference));
            _count = _all.Length;
        }
    }

    /// <summary>All names of labels, sorted by bytes.</summary>
    public IReadOnlyList<string> LabelNames()
    {
        string[] names;
        lock (_lock)
        {
            names = [.. _names.Keys];
        }

        Array.Sort(names, Utf8Order.Instance);
        return names;
    }

    /// <summary>All values of a name, sorted by bytes.</summary>
    public IReadOnlyList<string> LabelValues(string name)
    {
        var values = new List<string>();
        Visit(Encoding.UTF8.GetBytes(name), default, (value, _) => values.Add(Encoding.UTF8.GetString(value)));
        values.Sort(Utf8Order.Instance);
        return values;
    }

    /// <summary>References of the series that match, rising; some may have been deleted meanwhile.</summary>
    public Postings Select(IReadOnlyList<Matcher> matchers) =>
        PostingsPlan<ReadOnlyMemory<uint>>.Of(this, matchers).Evaluate(Postings.Of);

    public bool TryGet(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, out ReadOnlyMemory<uint> list)
    {
        lock (_lock)
        {
            list = default;
            return ValuesOf(name, add: false)?.TryGet(value, out list) == true;
        }
    }

    public void Visit(ReadOnlySpan<byte> name, ReadOnlySpan<byte> prefix, LabelValueVisitor<ReadOnlyMemory<uint>> visitor)
    {
        Values? values;
        int count;
        lock (_lock)
        {
            values = ValuesOf(name, add: false)?.Snapshot();
            count = values?.Count ?? 0;
        }

        for (var i = 0; i < count; i++)
        {
            values!.At(i, out var value, out var list);
            if (value.StartsWith(prefix))
            {
                visitor(value, list);
            }
        }
    }

    Values? ValuesOf(ReadOnlySpan<byte> name, bool add)
    {
        Span<char> buffer = stackalloc char[128];
        var text = name.Length <= buffer.Length ? buffer[..Encoding.UTF8.GetChars(name, buffer)] : Encoding.UTF8.GetString(name).AsSpan();
        if (!_lookup.TryGetValue(text, out var values) && add)
        {
            _lookup[text] = values = new Values();
        }

        return values;
    }

    // Keeps the list sorted. An insertion before the end copies, so that snapshots of the old array stay as they are.
    static bool Insert(ref uint[] list, ref int count, uint reference)
    {
        if (count == 0 || list[count - 1] < reference)
        {
            if (count == list.Length)
            {
                Array.Resize(ref list, count < 4 ? 4 : count + (count / 2));
            }

            list[count++] = reference;
            return true;
        }

        var index = Array.BinarySearch(list, 0, count, reference);
        if (index >= 0)
        {
            return false;
        }

        var copy = new uint[count + 1 + (count / 4)];
        list.AsSpan(0, ~index).CopyTo(copy);
        copy[~index] = reference;
        list.AsSpan(~index, count - ~index).CopyTo(copy.AsSpan(~index + 1));
        (list, count) = (copy, count + 1);
        return true;
    }

    struct Entry
    {
        /// <summary>Next entry of the same hash bucket, plus one; 0 ends the chain.</summary>
        public int Next;

        /// <summary>Where the value stands in the bytes, behind its uvarint length.</summary>
        public int ValueAt;

        /// <summary>Null while there is one series only.</summary>
        public uint[]? List;

        /// <summary>How many series; without a list the one series itself.</summary>
        public uint CountOrSingle;
    }

    /// <summary>The values of one name: a hash table from bytes to lists.</summary>
    sealed class Values
    {
        byte[] _bytes = [];
        int _used;
        Entry[] _entries = [];
        int[] _buckets = [];

        public int Count { get; private set; }

        /// <summary>A copy of the entries over the same bytes and lists, to be read outside the lock.</summary>
        public Values Snapshot() => new() { _bytes = _bytes, _entries = _entries[..Count], Count = Count };

        public void Add(ReadOnlySpan<byte> value, uint reference)
        {
            var index = Find(value);
            if (index < 0)
            {
                Append(value, new Entry { CountOrSingle = reference });
                return;
            }

            ref var entry = ref _entries[index];
            if (entry.List is null)
            {
                if (entry.CountOrSingle == reference)
                {
                    return;
                }

                (entry.List, entry.CountOrSingle) = ([entry.CountOrSingle], 1);
            }

            var count = (int)entry.CountOrSingle;
            Insert(ref entry.List, ref count, reference);
            entry.CountOrSingle = (uint)count;
        }

        public bool TryGet(ReadOnlySpan<byte> value, out ReadOnlyMemory<uint> list)
        {
            var index = Find(value);
            list = index < 0 ? default : ListOf(_entries[index]);
            return index >= 0;
        }

        public void At(int index, out ReadOnlySpan<byte> value, out ReadOnlyMemory<uint> list)
        {
            value = ValueOf(_entries[index]);
            list = ListOf(_entries[index]);
        }

        public Values Without(IReadOnlySet<uint> references)
        {
            var touched = false;
            var kept = new Values();
            for (var i = 0; i < Count; i++)
            {
                var list = ListOf(_entries[i]);
                var rest = new List<uint>();
                foreach (var reference in list.Span)
                {
                    if (!references.Contains(reference))
                    {
                        rest.Add(reference);
                    }
                }

                touched |= rest.Count < list.Length;
                if (rest.Count > 0)
                {
                    var entry = rest.Count == list.Length ? _entries[i]
                        : rest.Count == 1 ? new Entry { CountOrSingle = rest[0] }
                        : new Entry { List = [.. rest], CountOrSingle = (uint)rest.Count };
                    kept.Append(ValueOf(_entries[i]), entry);
                }
            }

            return touched ? kept : this;
        }

        static ReadOnlyMemory<uint> ListOf(in Entry entry) =>
            entry.List is null ? new[] { entry.CountOrSingle } : entry.List.AsMemory(0, (int)entry.CountOrSingle);

        ReadOnlySpan<byte> ValueOf(in Entry entry)
        {
            var length = (int)Varint.ReadUnsigned(_bytes.AsSpan(entry.ValueAt), out var size);
            return _bytes.AsSpan(entry.ValueAt + size, length);
        }

        int Find(ReadOnlySpan<byte> value)
        {
            if (_buckets.Length == 0)
            {
                return -1;
            }

            for (var i = _buckets[Bucket(value)]; i != 0; i = _entries[i - 1].Next)
            {
                if (ValueOf(_entries[i - 1]).SequenceEqual(value))
                {
                    return i - 1;
                }
            }

            return -1;
        }

        void Append(ReadOnlySpan<byte> value, Entry entry)
        {
            if (Count == _entries.Length)
            {
                Array.Resize(ref _entries, Count < 2 ? 2 : Count + (Count / 2));
            }

            var size = Varint.SizeUnsigned((ulong)value.Length) + value.Length;
            if (_bytes.Length - _used < size)
            {
                Array.Resize(ref _bytes, Math.Max(_used + size, _used + (_used / 2)));
            }

            (entry.ValueAt, entry.Next) = (_used, 0);
            _used += Varint.WriteUnsigned(_bytes.AsSpan(_used), (ulong)value.Length);
            value.CopyTo(_bytes.AsSpan(_used));
            _used += value.Length;
            _entries[Count++] = entry;
            if (Count > _buckets.Length)
            {
                _buckets = new int[Math.Max(2, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Count))];
                for (var i = 0; i < Count - 1; i++)
                {
                    Link(i);
                }
            }

            Link(Count - 1);
        }

        void Link(int index)
        {
            ref var bucket = ref _buckets[Bucket(ValueOf(_entries[index]))];
            _entries[index].Next = bucket;
            bucket = index + 1;
        }

        int Bucket(ReadOnlySpan<byte> value) => (int)(XxHash3.HashToUInt64(value) & (uint)(_buckets.Length - 1));
    }
}
