using System.Buffers.Binary;
using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>
/// Builds <see cref="Labels"/>: sets and deletes labels in any order. n labels cost n log n at most, whoever has chosen their names.
/// Reusable through <see cref="Reset"/>; not thread-safe.
/// </summary>
/// <remarks>
/// Labels lie sorted as long as that is cheap: a new one is inserted while there are few, and many that come in order are appended. Beyond
/// that they lie in the order in which they came, a table of hashes finds them, and whoever wants them in order sorts a copy.
/// </remarks>
public sealed class LabelsBuilder
{
    /// <summary>Among so many labels a new one is inserted at its place, and a deleted one taken out.</summary>
    const int MaxInserted = 32;

    // Names that collide in the table cannot be chosen without it.
    static readonly long s_seed = BinaryPrimitives.ReadInt64LittleEndian(RandomNumberGenerator.GetBytes(8));

    // Names and values in the order in which they came; what was replaced stays until the next reset.
    byte[] _bytes = new byte[256];
    int _used;
    readonly List<Entry> _labels = [];

    /// <summary>
    /// Places in <see cref="_labels"/>, plus one, by the hash of the name: the first <see cref="_tableSize"/>, a power of two.
    /// </summary>
    int[] _table = [];

    /// <summary>0 while the labels lie sorted.</summary>
    int _tableSize;

    /// <summary>How many labels have been set since they were settled.</summary>
    int _sets;

    /// <summary>Where a label lies in the bytes; without a value it was deleted.</summary>
    /// <param name="Set">Which of the labels that were set it was; 0 for one that was there before.</param>
    readonly record struct Entry(int Name, int NameLength, int Value, int ValueLength, int Set);

    public LabelsBuilder()
    {
    }

    public LabelsBuilder(Labels labels) => Reset(labels);

    public int Count { get; private set; }

    public LabelsBuilder Reset(Labels labels = default)
    {
        _labels.Clear();
        (_used, _tableSize, Count, _sets) = (0, 0, 0, 0);
        foreach (var label in labels)
        {
            AppendSorted(label.Name, label.Value);
        }

        return this;
    }

    /// <summary>Sets a label; an empty value deletes it.</summary>
    public LabelsBuilder Set(string name, string value) => Set(Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(value));

    public LabelsBuilder Set(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var index = Find(name);
        if (index >= 0)
        {
            Replace(index, value);
        }
        else if (!value.IsEmpty)
        {
            Add(~index, new Entry(Append(name), name.Length, Append(value), value.Length, ++_sets));
        }

        return this;
    }

    public LabelsBuilder Delete(string name) => Set(Encoding.UTF8.GetBytes(name), default);

    /// <summary>The value of a label, "" when there is none.</summary>
    public string Get(string name) => TryGet(Encoding.UTF8.GetBytes(name), out var value) ? Encoding.UTF8.GetString(value) : "";

    public bool Has(string name) => TryGet(Encoding.UTF8.GetBytes(name), out _);

    /// <param name="value">Good until the builder is changed.</param>
    public bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var index = Find(name);
        value = index >= 0 ? Value(_labels[index]) : default;
        return !value.IsEmpty;
    }

    /// <summary>Names and values as they stand, sorted by name; a copy, so that the builder may be changed meanwhile.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> ToList() => [.. Sorted().ToArray().Select(Pair)];

    /// <summary>
    /// The same with what was there first, sorted by name, and then what was set, in the order in which it was: a label that was set
    /// again keeps its place, one that was deleted loses it.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, string>> InOrderOfSetting() => [.. Sorted().ToArray().OrderBy(label => label.Set).Select(Pair)];

    /// <summary>Makes all labels ones that were there first.</summary>
    public void Settle()
    {
        _sets = 0;
        foreach (ref var label in CollectionsMarshal.AsSpan(_labels))
        {
            label = label with { Set = 0 };
        }
    }

    KeyValuePair<string, string> Pair(Entry label) =>
        KeyValuePair.Create(Encoding.UTF8.GetString(Name(label)), Encoding.UTF8.GetString(Value(label)));

    public Labels Build()
    {
        var size = 0;
        var labels = Sorted();
        foreach (ref readonly var label in labels)
        {
            size += Varint.SizeUnsigned((ulong)label.NameLength)
                + label.NameLength + Varint.SizeUnsigned((ulong)label.ValueLength) + label.ValueLength;
        }

        if (size == 0)
        {
            return default;
        }

        var encoded = new byte[size];
        var at = 0;
        foreach (ref readonly var label in labels)
        {
            at += Varint.WriteUnsigned(encoded.AsSpan(at), (ulong)label.NameLength);
            Name(label).CopyTo(encoded.AsSpan(at));
            at += label.NameLength;
            at += Varint.WriteUnsigned(encoded.AsSpan(at), (ulong)label.ValueLength);
            Value(label).CopyTo(encoded.AsSpan(at));
            at += label.ValueLength;
        }

        return new Labels(encoded);
    }

    /// <summary>Adds a label that sorts after all that are there.</summary>
    internal void AppendSorted(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) =>
        Add(_labels.Count, new Entry(Append(name), name.Length, Append(value), value.Length, Set: 0));

    ReadOnlySpan<byte> Name(Entry label) => _bytes.AsSpan(label.Name, label.NameLength);

    ReadOnlySpan<byte> Value(Entry label) => _bytes.AsSpan(label.Value, label.ValueLength);

    /// <summary>Where the bytes lie from now on; they may be the builder's own.</summary>
    int Append(ReadOnlySpan<byte> bytes)
    {
        if (_bytes.Length - _used < bytes.Length)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _used + bytes.Length));
        }

        var at = _used;
        bytes.CopyTo(_bytes.AsSpan(at));
        _used += bytes.Length;
        return at;
    }

    /// <param name="index">Its place among sorted labels.</param>
    void Add(int index, Entry label)
    {
        Count++;
        if (_tableSize == 0 && (index == _labels.Count || _labels.Count < MaxInserted))
        {
            _labels.Insert(index, label);
            return;
        }

        _labels.Add(label);
        if (_labels.Count * 2 > _tableSize)
        {
            Index();
        }
        else
        {
            Enter(_labels.Count - 1);
        }
    }

    void Replace(int index, ReadOnlySpan<byte> value)
    {
        var label = _labels[index];
        Count += (value.IsEmpty ? 0 : 1) - (label.ValueLength == 0 ? 0 : 1);
        if (value.IsEmpty && _tableSize == 0 && _labels.Count <= MaxInserted)
        {
            _labels.RemoveAt(index);
        }
        else
        {
            var set = label.Set > 0 && label.ValueLength > 0 ? label.Set : ++_sets;
            _labels[index] = label with { Value = Append(value), ValueLength = value.Length, Set = set };
        }
    }

    /// <summary>The place of a name, deleted or not; where it would be inserted, inverted, when it was never there.</summary>
    int Find(ReadOnlySpan<byte> name)
    {
        if (_tableSize > 0)
        {
            return _table[Probe(name)] is > 0 and var place ? place - 1 : ~_labels.Count;
        }

        if (_labels.Count > MaxInserted)
        {
            return BinarySearch(name);
        }

        for (var i = 0; i < _labels.Count; i++)
        {
            var order = name.SequenceCompareTo(Name(_labels[i]));
            if (order <= 0)
            {
                return order == 0 ? i : ~i;
            }
        }

        return ~_labels.Count;
    }

    int BinarySearch(ReadOnlySpan<byte> name)
    {
        // Labels often come in order, each behind the last.
        int low = 0, high = _labels.Count - 1;
        for (var middle = high; low <= high; middle = (low + high) / 2)
        {
            var order = name.SequenceCompareTo(Name(_labels[middle]));
            if (order == 0)
            {
                return middle;
            }

            (low, high) = order > 0 ? (middle + 1, high) : (low, middle - 1);
        }

        return ~low;
    }

    /// <summary>Makes the table anew, with room for as many labels again.</summary>
    void Index()
    {
        _tableSize = (int)BitOperations.RoundUpToPowerOf2((uint)_labels.Count * 4);
        if (_table.Length < _tableSize)
        {
            _table = new int[_tableSize];
        }

        _table.AsSpan(0, _tableSize).Clear();
        for (var i = 0; i < _labels.Count; i++)
        {
            Enter(i);
        }
    }

    void Enter(int index) => _table[Probe(Name(_labels[index]))] = index + 1;

    /// <summary>Where in the table a name is, or would be.</summary>
    int Probe(ReadOnlySpan<byte> name)
    {
        var at = (int)XxHash3.HashToUInt64(name, s_seed) & (_tableSize - 1);
        while (_table[at] != 0 && !Name(_labels[_table[at] - 1]).SequenceEqual(name))
        {
            at = (at + 1) & (_tableSize - 1);
        }

        return at;
    }

    /// <summary>The labels that were not deleted, in order.</summary>
    ReadOnlySpan<Entry> Sorted()
    {
        if (_tableSize == 0 && Count == _labels.Count)
        {
            return CollectionsMarshal.AsSpan(_labels);
        }

        var live = _labels.FindAll(label => label.ValueLength > 0);
        if (_tableSize > 0)
        {
            live.Sort((a, b) => Name(a).SequenceCompareTo(Name(b)));
        }

        return CollectionsMarshal.AsSpan(live);
    }
}
