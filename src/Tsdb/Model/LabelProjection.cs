using System.Diagnostics.CodeAnalysis;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>Labels reduced to some names, or to all but some, as keys of groups. Reusable; not thread-safe.</summary>
public sealed class LabelProjection
{
    readonly byte[][] _names;

    // As they lie in encoded labels, where the same bytes may be part of a value too.
    readonly byte[][] _prefixed;
    readonly bool _keep;
    byte[] _buffer = new byte[256];

    /// <param name="keep">True: only these names; false: all but these.</param>
    public LabelProjection(IEnumerable<string> names, bool keep)
    {
        (_names, _keep) = ([.. names.Distinct(StringComparer.Ordinal).Select(Utf8Order.Bytes)], keep);
        _prefixed = [.. _names.Select(Prefixed)];
    }

    /// <summary>A new one that takes off name, type and unit.</summary>
    public static LabelProjection WithoutMetadata() => new(["__name__", "__type__", "__unit__"], keep: false);

    /// <summary>The projected labels as they would be encoded; valid until the next call.</summary>
    public ReadOnlySpan<byte> Encode(Labels labels)
    {
        if (_keep && _names.Length == 0)
        {
            return default;
        }

        var encoded = labels.Encoded;
        if (_buffer.Length < encoded.Length)
        {
            _buffer = new byte[encoded.Length * 2];
        }

        var at = 0;
        foreach (var label in labels)
        {
            if (Has(label.Name) != _keep)
            {
                continue;
            }

            at += Varint.WriteUnsigned(_buffer.AsSpan(at), (ulong)label.Name.Length);
            label.Name.CopyTo(_buffer.AsSpan(at));
            at += label.Name.Length;
            at += Varint.WriteUnsigned(_buffer.AsSpan(at), (ulong)label.Value.Length);
            label.Value.CopyTo(_buffer.AsSpan(at));
            at += label.Value.Length;
        }

        return _buffer.AsSpan(0, at);
    }

    public Labels Project(Labels labels)
    {
        if (!_keep)
        {
            // What goes is first, as a rule, since most names begin with a letter of higher code than the underscore: the rest stays where
            // it is.
            var from = 0;
            for (var all = labels.GetEnumerator(); all.MoveNext() && Has(all.Current.Name);)
            {
                from = labels.Encoded.Length - all.Rest.Length;
            }

            if (!MayHave(labels.Encoded[from..]))
            {
                return labels.From(from);
            }
        }

        var projected = Encode(labels);
        return projected.Length == labels.Encoded.Length ? labels : Labels.FromEncoded(projected);
    }

    bool MayHave(ReadOnlySpan<byte> encoded)
    {
        foreach (var name in _prefixed)
        {
            if (encoded.IndexOf(name) >= 0)
            {
                return true;
            }
        }

        return false;
    }

    static byte[] Prefixed(byte[] name)
    {
        using var prefixed = new ByteWriter();
        prefixed.LengthPrefixed(name);
        return prefixed.Written.ToArray();
    }

    bool Has(ReadOnlySpan<byte> name)
    {
        foreach (var own in _names)
        {
            if (name.SequenceEqual(own))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>Numbers labels in the order in which they first come.</summary>
public sealed class LabelNumbering
{
    readonly Dictionary<Labels, int> _numbers;
    readonly Dictionary<Labels, int>.AlternateLookup<ReadOnlySpan<byte>> _byBytes;
    readonly List<Labels> _labels = [];

    public LabelNumbering()
    {
        _numbers = new Dictionary<Labels, int>(EncodedComparer.Instance);
        _byBytes = _numbers.GetAlternateLookup<ReadOnlySpan<byte>>();
    }

    public IReadOnlyList<Labels> Labels => _labels;

    /// <param name="encoded">Labels as they are encoded; copied where they are new.</param>
    public int Number(ReadOnlySpan<byte> encoded) =>
        _byBytes.TryGetValue(encoded, out var number) ? number : Add(Model.Labels.FromEncoded(encoded));

    public int Number(Labels labels) => _numbers.TryGetValue(labels, out var number) ? number : Add(labels);

    int Add(Labels labels)
    {
        _labels.Add(labels);
        _numbers.Add(labels, _labels.Count - 1);
        return _labels.Count - 1;
    }

    sealed class EncodedComparer : IEqualityComparer<Labels>, IAlternateEqualityComparer<ReadOnlySpan<byte>, Labels>
    {
        public static EncodedComparer Instance { get; } = new();

        public bool Equals(Labels x, Labels y) => x.Equals(y);

        public int GetHashCode([DisallowNull] Labels obj) => GetHashCode(obj.Encoded);

        public bool Equals(ReadOnlySpan<byte> alternate, Labels other) => alternate.SequenceEqual(other.Encoded);

        public int GetHashCode(ReadOnlySpan<byte> alternate) => (int)System.IO.Hashing.XxHash3.HashToUInt64(alternate);

        public Labels Create(ReadOnlySpan<byte> alternate) => Model.Labels.FromEncoded(alternate);
    }
}
