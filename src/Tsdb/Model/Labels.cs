using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>
/// The labels of a series: names and values as UTF-8, sorted by name in byte order, names unique, no empty value.
/// Immutable; they lie in one piece of an array, so equality is one comparison of bytes and hashing one pass over them.
/// </summary>
/// <remarks>
/// <see cref="Encoded"/> is a sequence of (uvarint length, name, uvarint length, value). Bytes are kept as they came, valid UTF-8
/// or not. The order of labels and of series is that of Go's string comparison: bytes, not UTF-16 code units.
/// </remarks>
public readonly struct Labels : IEquatable<Labels>, IComparable<Labels>
{
    public const string MetricName = "__name__";

    readonly byte[]? _array;
    readonly int _start;
    readonly int _length;

    /// <param name="encoded">As <see cref="Encoded"/>, sorted by name; belongs to the labels from now on and is not checked.</param>
    public Labels(byte[] encoded) => (_array, _length) = (encoded, encoded.Length);

    /// <param name="array">
    /// Holds the labels as <see cref="Encoded"/> at the start given, which is not checked; may hold anything else beside them.
    /// </param>
    public Labels(byte[] array, int start, int length) => (_array, _start, _length) = (array, start, length);

    public static Labels Empty => default;

    public bool IsEmpty => _length == 0;

    /// <summary>The labels as they lie in memory; never to be written to.</summary>
    public ReadOnlySpan<byte> Encoded => new(_array, _start, _length);

    /// <summary>The memory behind <see cref="Encoded"/>, shared and never to be written to.</summary>
    public ReadOnlyMemory<byte> EncodedMemory => new(_array, _start, _length);

    /// <summary>The number of labels. Walks them all.</summary>
    public int Count
    {
        get
        {
            var count = 0;
            foreach (var _ in this)
            {
                count++;
            }

            return count;
        }
    }

    /// <summary>Labels in any order; a pair with an empty value is left out. A name given twice is an error.</summary>
    public static Labels Of(params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var builder = new LabelsBuilder();
        foreach (var (name, value) in labels)
        {
            if (builder.Has(name))
            {
                throw new ArgumentException($"label {name} is given twice", nameof(labels));
            }

            builder.Set(name, value);
        }

        return builder.Build();
    }

    public static Labels Of(IEnumerable<KeyValuePair<string, string>> labels) =>
        Of(labels.Select(l => (l.Key, l.Value)).ToArray());

    /// <summary>Labels from bytes in the form of <see cref="Encoded"/>, copied. The caller vouches for form and order.</summary>
    public static Labels FromEncoded(ReadOnlySpan<byte> encoded) => encoded.IsEmpty ? default : new Labels(encoded.ToArray());

    /// <summary>The same labels in memory of their own.</summary>
    public Labels Copy() => FromEncoded(Encoded);

    /// <summary>The labels from a place in <see cref="Encoded"/> on, in the same memory.</summary>
    /// <param name="start">Where one of them begins, or the end.</param>
    internal Labels From(int start) => start == _length ? default : new Labels(_array!, _start + start, _length - start);

    public Enumerator GetEnumerator() => new(Encoded);

    public bool TryGet(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        foreach (var label in this)
        {
            if (label.Name.SequenceEqual(name))
            {
                value = label.Value;
                return true;
            }
        }

        value = default;
        return false;
    }

    /// <summary>The value of a label as UTF-8, empty when there is none.</summary>
    public ReadOnlySpan<byte> Value(ReadOnlySpan<byte> name) => TryGet(name, out var value) ? value : default;

    /// <summary>The value of a label, "" when there is none.</summary>
    public string Get(string name)
    {
        Span<byte> buffer = stackalloc byte[128];
        var utf8 = name.Length <= 42 ? buffer[..Encoding.UTF8.GetBytes(name, buffer)] : Encoding.UTF8.GetBytes(name);
        return TryGet(utf8, out var value) ? Encoding.UTF8.GetString(value) : "";
    }

    /// <summary>All names, sorted by bytes.</summary>
    public IReadOnlyList<string> Names()
    {
        var names = new List<string>();
        foreach (var label in this)
        {
            names.Add(label.NameText);
        }

        return names;
    }

    public bool Has(string name) => TryGet(Encoding.UTF8.GetBytes(name), out _);

    /// <summary>These labels and others, which win.</summary>
    public Labels With(Labels others)
    {
        if (others.IsEmpty)
        {
            return this;
        }

        var builder = new LabelsBuilder(this);
        foreach (var label in others)
        {
            builder.Set(label.Name, label.Value);
        }

        return builder.Build();
    }

    /// <summary>
    /// Whether other labels are all among these: of external labels, whether deduplication, which removes some, can make them of these.
    /// </summary>
    public bool HasAll(Labels labels)
    {
        foreach (var label in labels)
        {
            if (!TryGet(label.Name, out var value) || !value.SequenceEqual(label.Value))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>All labels but those named.</summary>
    public Labels Without(params IReadOnlyCollection<string> names) => Project(names, keep: false);

    /// <summary>Only the labels named.</summary>
    public Labels Only(params IReadOnlyCollection<string> names) => Project(names, keep: true);

    /// <summary>A hash of all labels; the same in every process.</summary>
    public ulong Hash() => System.IO.Hashing.XxHash3.HashToUInt64(Encoded);

    public bool Equals(Labels other) => Encoded.SequenceEqual(other.Encoded);

    public override bool Equals([NotNullWhen(true)] object? obj) => obj is Labels other && Equals(other);

    public override int GetHashCode() => (int)Hash();

    /// <summary>Name by name and value by value in byte order; labels that are a prefix of the other's come first.</summary>
    public int CompareTo(Labels other)
    {
        if (_array == other._array && _start == other._start)
        {
            return _length.CompareTo(other._length);
        }

        var a = Encoded;
        var b = other.Encoded;
        var common = a.CommonPrefixLength(b);
        if (common == a.Length || common == b.Length)
        {
            return a.Length.CompareTo(b.Length);
        }

        // The name or value in which they differ decides: goes from length to length up to it.
        for (var at = 0; ;)
        {
            int lengthA = a[at], sizeA = 1, lengthB = b[at], sizeB = 1;
            if ((lengthA | lengthB) >= 0x80)
            {
                lengthA = (int)Varint.ReadUnsigned(a[at..], out sizeA);
                lengthB = (int)Varint.ReadUnsigned(b[at..], out sizeB);
            }

            if (common < at + sizeA + lengthA)
            {
                return a.Slice(at + sizeA, lengthA).SequenceCompareTo(b.Slice(at + sizeB, lengthB));
            }

            at += sizeA + lengthA;
        }
    }

    public static bool operator ==(Labels left, Labels right) => left.Equals(right);

    public static bool operator !=(Labels left, Labels right) => !left.Equals(right);

    public Dictionary<string, string> ToDictionary()
    {
        var labels = new Dictionary<string, string>();
        foreach (var label in this)
        {
            labels[label.NameText] = label.ValueText;
        }

        return labels;
    }

    /// <summary>As Prometheus prints labels: <c>{a="b", c="d"}</c>, the metric name among them.</summary>
    public override string ToString()
    {
        var text = new StringBuilder("{");
        foreach (var label in this)
        {
            text.Append(text.Length > 1 ? ", " : "");
            var name = label.NameText;
            text.Append(LabelName.IsLegacyValid(name) ? name : GoText.Quote(name)).Append('=').Append(GoText.Quote(label.ValueText));
        }

        return text.Append('}').ToString();
    }

    Labels Project(IReadOnlyCollection<string> names, bool keep)
    {
        var builder = new LabelsBuilder();
        foreach (var label in this)
        {
            if (names.Contains(label.NameText) == keep)
            {
                builder.AppendSorted(label.Name, label.Value);
            }
        }

        return builder.Build();
    }

    /// <summary>One label; the spans live as long as the labels do.</summary>
    public readonly ref struct Label(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        public ReadOnlySpan<byte> Name { get; } = name;

        public ReadOnlySpan<byte> Value { get; } = value;

        public string NameText => string.Intern(Encoding.UTF8.GetString(Name));

        public string ValueText => Encoding.UTF8.GetString(Value);
    }

    public ref struct Enumerator(ReadOnlySpan<byte> encoded)
    {
        ReadOnlySpan<byte> _rest = encoded;

        public Label Current { get; private set; }

        /// <summary>What comes after the current label, encoded.</summary>
        public readonly ReadOnlySpan<byte> Rest => _rest;

        public bool MoveNext()
        {
            if (_rest.IsEmpty)
            {
                return false;
            }

            Current = new Label(Take(), Take());
            return true;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        ReadOnlySpan<byte> Take()
        {
            int length = _rest[0], size = 1;
            if (length >= 0x80)
            {
                length = (int)Varint.ReadUnsigned(_rest, out size);
            }

            var taken = _rest.Slice(size, length);
            _rest = _rest[(size + length)..];
            return taken;
        }
    }
}
