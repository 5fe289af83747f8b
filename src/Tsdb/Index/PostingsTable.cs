using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>
/// The postings offset table of an index or index-header: from name and value to where the list lies. One entry in 32 is in memory,
/// the others are read when they are asked for. Thread-safe.
/// </summary>
public sealed class PostingsTable : ILabelIndex<PostingsRange>
{
    /// <summary>Bytes of a list besides its references: length, count and checksum.</summary>
    const long ListOverhead = 12;

    readonly IndexFile _file;
    long _end;
    readonly long _lastListEnd;
    readonly List<Sample> _samples = [];
    readonly List<Name> _names = [];
    IReadOnlyList<string> _labelNames = [];
    bool _isPacked = true;

    /// <summary>Where entries are in no order (version 1): all are samples then, sorted, and know their list's range.</summary>
    readonly Dictionary<long, PostingsRange>? _unordered;

    readonly record struct Sample(byte[] Name, byte[] Value, long Position);

    /// <param name="First">Where the list of its first value starts.</param>
    record struct Name(byte[] Bytes, long First, int Values);

    /// <param name="position">Of the table's length field.</param>
    /// <param name="lastListEnd">Where the postings section ends in the index.</param>
    public PostingsTable(IndexFile file, long position, int version, long lastListEnd)
    {
        (_file, _lastListEnd) = (file, lastListEnd);
        _unordered = version == 1 ? [] : null;
        if (!Load(position))
        {
            _unordered = [];
            Load(position);
        }

        All = TryGet([], [], out var range) ? range : default;
    }

    public PostingsRange All { get; }

    public bool IsSorted => true;

    /// <summary>All names of labels, sorted by bytes.</summary>
    public IReadOnlyList<string> LabelNames() => _labelNames;

    public LabelNameSize Size(ReadOnlySpan<byte> name)
    {
        var (low, high) = (0, _names.Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = name.SequenceCompareTo(_names[middle].Bytes) > 0 ? (middle + 1, high) : (low, middle);
        }

        if (low == _names.Count || !name.SequenceEqual(_names[low].Bytes))
        {
            return default;
        }

        var (named, all) = (_names[low], References(All.End - All.Start, lists: 1));
        if (!_isPacked)
        {
            return new LabelNameSize(named.Values, all, HasAll: false);
        }

        // Something else may lie behind the last list.
        var isLast = low + 1 == _names.Count;
        var references = References((isLast ? _lastListEnd : _names[low + 1].First) - named.First, named.Values);
        return new LabelNameSize(named.Values, references, HasAll: !isLast && references == all);

        static long References(long bytes, int lists) => Math.Max(0, (bytes - (lists * ListOverhead)) / sizeof(uint));
    }

    public bool TryGet(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, out PostingsRange list)
    {
        var found = default(PostingsRange?);
        var cursor = new Cursor(this, name, value);
        while (cursor.Next() && Compare(cursor.Name, cursor.Value, name, value) is var order && order <= 0)
        {
            if (order == 0)
            {
                found = cursor.List;
                break;
            }
        }

        list = found.GetValueOrDefault();
        return found is not null;
    }

    public void Visit(ReadOnlySpan<byte> name, ReadOnlySpan<byte> prefix, LabelValueVisitor<PostingsRange> visitor)
    {
        var cursor = new Cursor(this, name, prefix);
        while (cursor.Next())
        {
            var order = cursor.Name.SequenceCompareTo(name);
            if (order > 0)
            {
                return;
            }

            if (order < 0 || cursor.Value.SequenceCompareTo(prefix) < 0)
            {
                continue;
            }

            if (!cursor.Value.StartsWith(prefix))
            {
                return;
            }

            if (!visitor(cursor.Value, cursor.List))
            {
                return;
            }
        }
    }

    static int Compare(ReadOnlySpan<byte> nameA, ReadOnlySpan<byte> valueA, ReadOnlySpan<byte> nameB, ReadOnlySpan<byte> valueB)
    {
        var order = nameA.SequenceCompareTo(nameB);
        return order != 0 ? order : valueA.SequenceCompareTo(valueB);
    }

    // False when entries are not in order though they should be.
    bool Load(long position)
    {
        _samples.Clear();
        _names.Clear();
        _isPacked = _unordered is null;
        var reader = SequentialReader.OfSection(_file, position);
        var lists = new List<(long Start, long Entry)>();
        var entry = new Entry();
        byte[] name = [], value = [];
        var (ordered, start) = (true, -1L);
        var count = reader.UInt32();
        for (uint number = 0; number < count; number++)
        {
            var at = reader.Position;
            if (reader.AtEnd)
            {
                CorruptionException.Throw(_file.Path, at, $"the offset table ends after {number} of {count} entries");
            }

            entry.Read(reader);
            if (entry.Start < 0 || entry.Start > _lastListEnd)
            {
                CorruptionException.Throw(_file.Path, at, "a postings list starts past the end of the lists");
            }

            ordered &= number == 0 || Compare(name, value, entry.Name, entry.Value) < 0;
            if (number == 0 || !entry.Name.SequenceEqual(name))
            {
                name = entry.Name.ToArray();
                _names.Add(new Name(name, entry.Start, 0));
            }

            _isPacked &= entry.Start > start;
            start = entry.Start;
            _names[^1] = _names[^1] with { Values = _names[^1].Values + 1 };

            value = entry.Value.ToArray();
            if (_unordered is not null)
            {
                lists.Add((entry.Start, at));
            }

            if (_unordered is not null || number % IndexFormat.Sampling == 0)
            {
                _samples.Add(new Sample(name, value, at));
            }
        }

        _end = reader.Position;
        reader.VerifyChecksum();
        if (_unordered is not null)
        {
            Unite(_names);
            _samples.Sort((a, b) => Compare(a.Name, a.Value, b.Name, b.Value));
            lists.Sort();
            for (var i = 0; i < lists.Count; i++)
            {
                _unordered[lists[i].Entry] = new PostingsRange(lists[i].Start, i + 1 < lists.Count ? lists[i + 1].Start : _lastListEnd);
            }
        }

        _labelNames = [.. _names.Where(n => n.Bytes.Length > 0).Select(n => Encoding.UTF8.GetString(n.Bytes)).Distinct()];
        return ordered || _unordered is not null;
    }

    // Entries in no order may come back to a name.
    static void Unite(List<Name> names)
    {
        var united = names.GroupBy(n => Encoding.Latin1.GetString(n.Bytes))
            .Select(g => new Name(g.First().Bytes, 0, g.Sum(n => n.Values))).ToList();
        united.Sort(static (a, b) => a.Bytes.AsSpan().SequenceCompareTo(b.Bytes));
        names.Clear();
        names.AddRange(united);
    }

    // The last sample at or before a key, or the first.
    int SampleBefore(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var (low, high) = (0, _samples.Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = Compare(_samples[middle].Name, _samples[middle].Value, name, value) <= 0 ? (middle + 1, high) : (low, middle);
        }

        return Math.Max(low - 1, 0);
    }

    /// <summary>Walks entries in order of name and value, from the sample before a key on.</summary>
    sealed class Cursor
    {
        readonly PostingsTable _table;
        readonly SequentialReader? _reader;
        Entry _current = new();
        Entry _next = new();
        int _sample;

        public Cursor(PostingsTable table, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
        {
            _table = table;
            _sample = table.SampleBefore(name, value) - 1;
            if (table._unordered is null && table._samples.Count > 0)
            {
                _reader = new SequentialReader(table._file, table._samples[_sample + 1].Position, table._end);
                _next.Read(_reader);
            }
        }

        public ReadOnlySpan<byte> Name => _reader is null ? _table._samples[_sample].Name : _current.Name;

        public ReadOnlySpan<byte> Value => _reader is null ? _table._samples[_sample].Value : _current.Value;

        /// <summary>The current entry's list; it ends at the latest where the next entry's list starts.</summary>
        public PostingsRange List => _reader is null
            ? _table._unordered![_table._samples[_sample].Position]
            : new PostingsRange(_current.Start, _next.IsEnd ? _table._lastListEnd : _next.Start);

        public bool Next()
        {
            if (_reader is null)
            {
                return ++_sample < _table._samples.Count;
            }

            if (_next.IsEnd)
            {
                return false;
            }

            (_current, _next) = (_next, _current);
            _next.Read(_reader);
            return true;
        }
    }

    /// <summary>One entry of the table, copied out of the reader's buffer.</summary>
    sealed class Entry
    {
        byte[] _keys = new byte[64];
        int _nameLength, _length;

        public bool IsEnd { get; private set; }

        public long Start { get; private set; }

        public ReadOnlySpan<byte> Name => _keys.AsSpan(0, _nameLength);

        public ReadOnlySpan<byte> Value => _keys.AsSpan(_nameLength, _length - _nameLength);

        public void Read(SequentialReader reader)
        {
            IsEnd = reader.AtEnd;
            if (IsEnd)
            {
                return;
            }

            var at = reader.Position;
            if (reader.UVarint() is var keys && keys != 2)
            {
                throw new CorruptionException("postings offset table", at, $"an entry has {keys} keys, not 2");
            }

            _length = 0;
            Append(reader.LengthPrefixed());
            _nameLength = _length;
            Append(reader.LengthPrefixed());
            Start = (long)reader.UVarint();
        }

        void Append(ReadOnlySpan<byte> bytes)
        {
            if (_keys.Length - _length < bytes.Length)
            {
                Array.Resize(ref _keys, Math.Max(_keys.Length * 2, _length + bytes.Length));
            }

            bytes.CopyTo(_keys.AsSpan(_length));
            _length += bytes.Length;
        }
    }
}
