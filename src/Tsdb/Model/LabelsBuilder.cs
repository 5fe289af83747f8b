using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>Builds <see cref="Labels"/>: sets and deletes labels in any order. Reusable through <see cref="Reset"/>; not thread-safe.</summary>
public sealed class LabelsBuilder
{
    // Names and values in the order in which they came; what was replaced stays until the next reset.
    byte[] _bytes = new byte[256];
    int _used;
    readonly List<Entry> _labels = [];

    /// <summary>Where a label lies in the bytes.</summary>
    readonly record struct Entry(int Name, int NameLength, int Value, int ValueLength);

    public LabelsBuilder()
    {
    }

    public LabelsBuilder(Labels labels) => Reset(labels);

    public int Count => _labels.Count;

    public LabelsBuilder Reset(Labels labels = default)
    {
        _labels.Clear();
        _used = 0;
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
        var (index, found) = Find(name);
        if (value.IsEmpty)
        {
            if (found)
            {
                _labels.RemoveAt(index);
            }
        }
        else if (found)
        {
            _labels[index] = _labels[index] with { Value = Append(value), ValueLength = value.Length };
        }
        else
        {
            _labels.Insert(index, new Entry(Append(name), name.Length, Append(value), value.Length));
        }

        return this;
    }

    public LabelsBuilder Delete(string name) => Set(Encoding.UTF8.GetBytes(name), default);

    /// <summary>The value of a label, "" when there is none.</summary>
    public string Get(string name) => TryGet(Encoding.UTF8.GetBytes(name), out var value) ? Encoding.UTF8.GetString(value) : "";

    public bool Has(string name) => Find(Encoding.UTF8.GetBytes(name)).Found;

    /// <param name="value">Good until the builder is changed.</param>
    public bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var (index, found) = Find(name);
        value = found ? Value(_labels[index]) : default;
        return found;
    }

    /// <summary>Names and values as they stand, sorted by name; a copy, so that the builder may be changed meanwhile.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> ToList()
    {
        var list = new List<KeyValuePair<string, string>>(_labels.Count);
        foreach (var label in _labels)
        {
            list.Add(KeyValuePair.Create(Encoding.UTF8.GetString(Name(label)), Encoding.UTF8.GetString(Value(label))));
        }

        return list;
    }

    public Labels Build()
    {
        var size = 0;
        foreach (var label in _labels)
        {
            size += Varint.SizeUnsigned((ulong)label.NameLength) + label.NameLength + Varint.SizeUnsigned((ulong)label.ValueLength) + label.ValueLength;
        }

        if (size == 0)
        {
            return default;
        }

        var encoded = new byte[size];
        var at = 0;
        foreach (var label in _labels)
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
        _labels.Add(new Entry(Append(name), name.Length, Append(value), value.Length));

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

    (int Index, bool Found) Find(ReadOnlySpan<byte> name)
    {
        for (var i = 0; i < _labels.Count; i++)
        {
            var order = name.SequenceCompareTo(Name(_labels[i]));
            if (order <= 0)
            {
                return (i, order == 0);
            }
        }

        return (_labels.Count, false);
    }
}
