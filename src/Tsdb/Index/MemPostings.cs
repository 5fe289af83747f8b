using System.Text;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Index;

/// <summary>
/// The postings of series in memory: for each pair of name and value the references of its series. Thread-safe; what a reader was
/// given stays as it was.
/// </summary>
/// <remarks>
/// Values of a name lie one after the other in one array of bytes; a value of one series needs no array for its list. Lists only grow at
/// their end, so a list and its length at one moment are a snapshot.
/// </remarks>
public sealed class MemPostings : ILabelIndex<ReadOnlyMemory<uint>>
{
    /// <summary>Series that a reader of few is given at a time.</summary>
    const int FewAtOnce = 1_024;

    readonly Lock _lock = new();
    readonly Dictionary<string, Values> _names = new(StringComparer.Ordinal);
    readonly Dictionary<string, Values>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    uint[] _all = [];
    int _count;
    uint _last;

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

    public bool IsSorted => false;

    /// <summary>Enters a series under all its labels.</summary>
    /// <param name="reference">
    /// Larger than all before it: an insertion in the middle would copy a list as long as the index has series.
    /// </param>
    public void Add(uint reference, Labels labels)
    {
        lock (_lock)
        {
            if (_count > 0)
            {
                ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(reference, _last);
            }

            _last = reference;
            Append(ref _all, ref _count, reference);
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

    public LabelNameSize Size(ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            return ValuesOf(name, add: false) is { } values
                ? new LabelNameSize(values.Count, values.References, values.References == _count)
                : default;
        }
    }

    /// <summary>References of the series that match, rising; some may have been deleted meanwhile.</summary>
    public Postings Select(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken = default) =>
        PostingsPlan<ReadOnlyMemory<uint>>.Of(this, matchers, cancellationToken).Evaluate(Postings.Of, cancellationToken);

    /// <summary>As <see cref="Select"/>, for readers of few of them; in parts, each in order.</summary>
    public IEnumerable<Postings> SelectFew(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken) =>
        PostingsPlan<ReadOnlyMemory<uint>>.Of(this, matchers, cancellationToken).Parts()
            .Select(part => part.EvaluateLazily(Postings.Of, cancellationToken));

    /// <summary>Gives a reader series that match, any of them, until it has as many as are wanted.</summary>
    /// <param name="add">Adds those of the series that the reader finds to be there; returns how many it has then.</param>
    public void SelectFew(
        IReadOnlyList<Matcher> matchers, int wanted, Func<ReadOnlySpan<uint>, int> add, CancellationToken cancellationToken)
    {
        var (references, count) = (new uint[Math.Min(wanted, FewAtOnce)], 0);
        foreach (var postings in SelectFew(matchers, cancellationToken))
        {
            // More than are wanted are looked at only where some are not there.
            while (postings.Take(references.AsSpan(0, Math.Min(wanted - count, references.Length))) is var taken and > 0)
            {
                count = add(references.AsSpan(0, taken));
            }

            if (count == wanted)
            {
                return;
            }
        }
    }

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
            if (value.StartsWith(prefix) && !visitor(value, list))
            {
                return;
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

    static void Append(ref uint[] list, ref int count, uint reference)
    {
        if (count == list.Length)
        {
            Array.Resize(ref list, count < 4 ? 4 : count + (count / 2));
        }

        list[count++] = reference;
    }

    struct List
    {
        /// <summary>Null while there is one series only.</summary>
        public uint[]? References;

        /// <summary>How many series; without an array the one series itself.</summary>
        public uint CountOrSingle;

        public readonly ReadOnlyMemory<uint> AsMemory() =>
            References is null ? new[] { CountOrSingle } : References.AsMemory(0, (int)CountOrSingle);
    }

    /// <summary>The values of one name, and the list of each.</summary>
    sealed class Values
    {
        SymbolTable _values = new();
        List[] _lists = [];

        public int Count => _values.Count;

        /// <summary>In all lists.</summary>
        public long References { get; private set; }

        /// <summary>A copy of the lists' ends over the same arrays, to be read outside the lock.</summary>
        public Values Snapshot() => new() { _values = _values.Snapshot(), _lists = _lists[..Count] };

        public void Add(ReadOnlySpan<byte> value, uint reference)
        {
            var number = _values.Find(value);
            References++;
            if (number < 0)
            {
                Append(value, new List { CountOrSingle = reference });
                return;
            }

            ref var list = ref _lists[number];
            if (list.References is null)
            {
                (list.References, list.CountOrSingle) = ([list.CountOrSingle], 1);
            }

            var count = (int)list.CountOrSingle;
            MemPostings.Append(ref list.References, ref count, reference);
            list.CountOrSingle = (uint)count;
        }

        public bool TryGet(ReadOnlySpan<byte> value, out ReadOnlyMemory<uint> list)
        {
            var number = _values.Find(value);
            list = number < 0 ? default : _lists[number].AsMemory();
            return number >= 0;
        }

        public void At(int number, out ReadOnlySpan<byte> value, out ReadOnlyMemory<uint> list)
        {
            value = _values[number];
            list = _lists[number].AsMemory();
        }

        public Values Without(IReadOnlySet<uint> references)
        {
            var touched = false;
            var kept = new Values();
            var rest = new List<uint>();
            for (var i = 0; i < Count; i++)
            {
                var list = _lists[i].AsMemory();
                rest.Clear();
                foreach (var reference in list.Span)
                {
                    if (!references.Contains(reference))
                    {
                        rest.Add(reference);
                    }
                }

                touched |= rest.Count < list.Length;
                kept.References += rest.Count;
                if (rest.Count > 0)
                {
                    kept.Append(_values[i], rest.Count == list.Length ? _lists[i]
                        : rest.Count == 1 ? new List { CountOrSingle = rest[0] }
                        : new List { References = [.. rest], CountOrSingle = (uint)rest.Count });
                }
            }

            return touched ? kept : this;
        }

        void Append(ReadOnlySpan<byte> value, List list)
        {
            var number = _values.FindOrAdd(value);
            if (number == _lists.Length)
            {
                Array.Resize(ref _lists, number < 2 ? 2 : number + (number / 2));
            }

            _lists[number] = list;
        }
    }
}
