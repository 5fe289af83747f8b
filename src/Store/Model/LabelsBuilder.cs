using System.Text;
using Observe.Store.Bytes;

namespace Observe.Store.Model;

/// <summary>Builds <see cref="Labels"/>: sets and deletes labels in any order. Reusable through <see cref="Reset"/>; not thread-safe.</summary>
public sealed class LabelsBuilder
{
    readonly List<(byte[] Name, byte[] Value)> _labels = [];

    public LabelsBuilder()
    {
    }

    public LabelsBuilder(Labels labels) => Reset(labels);

    public int Count => _labels.Count;

    public LabelsBuilder Reset(Labels labels = default)
    {
        _labels.Clear();
        foreach (var label in labels)
        {
            _labels.Add((label.Name.ToArray(), label.Value.ToArray()));
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
            _labels[index] = (_labels[index].Name, value.ToArray());
        }
        else
        {
            _labels.Insert(index, (name.ToArray(), value.ToArray()));
        }

        return this;
    }

    public LabelsBuilder Delete(string name) => Set(Encoding.UTF8.GetBytes(name), default);

    /// <summary>The value of a label, "" when there is none.</summary>
    public string Get(string name) => TryGet(Encoding.UTF8.GetBytes(name), out var value) ? Encoding.UTF8.GetString(value) : "";

    public bool Has(string name) => Find(Encoding.UTF8.GetBytes(name)).Found;

    public bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var (index, found) = Find(name);
        value = found ? _labels[index].Value : default;
        return found;
    }

    /// <summary>Names and values as they stand, sorted by name; a copy, so that the builder may be changed meanwhile.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> ToList() =>
        [.. _labels.Select(l => KeyValuePair.Create(Encoding.UTF8.GetString(l.Name), Encoding.UTF8.GetString(l.Value)))];

    public Labels Build()
    {
        var size = 0;
        foreach (var (name, value) in _labels)
        {
            size += Varint.SizeUnsigned((ulong)name.Length) + name.Length + Varint.SizeUnsigned((ulong)value.Length) + value.Length;
        }

        if (size == 0)
        {
            return default;
        }

        var encoded = new byte[size];
        var at = 0;
        foreach (var (name, value) in _labels)
        {
            at += Varint.WriteUnsigned(encoded.AsSpan(at), (ulong)name.Length);
            name.CopyTo(encoded, at);
            at += name.Length;
            at += Varint.WriteUnsigned(encoded.AsSpan(at), (ulong)value.Length);
            value.CopyTo(encoded, at);
            at += value.Length;
        }

        return new Labels(encoded);
    }

    /// <summary>Adds a label that sorts after all that are there.</summary>
    internal void AppendSorted(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => _labels.Add((name.ToArray(), value.ToArray()));

    (int Index, bool Found) Find(ReadOnlySpan<byte> name)
    {
        for (var i = 0; i < _labels.Count; i++)
        {
            var order = name.SequenceCompareTo(_labels[i].Name);
            if (order <= 0)
            {
                return (i, order == 0);
            }
        }

        return (_labels.Count, false);
    }
}
