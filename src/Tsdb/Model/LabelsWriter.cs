using System.Buffers;
using System.Runtime.CompilerServices;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Model;

/// <summary>
/// Writes the labels of one series after another, the external ones of their source among them: where both have a name, the external value
/// stands. They lie in arrays of the shared pool, which go back when the writer is disposed: until then the labels are valid. Labels of a
/// writer that never is are valid for ever. Not thread-safe.
/// </summary>
public sealed class LabelsWriter : IDisposable
{
    const int SmallestArray = 1 << 10;

    /// <summary>The pool keeps a few dozen of each size: large ones, so that it keeps those of a large selection.</summary>
    const int LargestArray = 1 << 18;

    readonly External[] _externals;
    readonly List<byte[]> _arrays = [];
    byte[] _array = [];
    int _last;
    int _start;
    int _end;
    int _next;

    /// <param name="Encoded">The label in the form of <see cref="Labels.Encoded"/>.</param>
    readonly record struct External(byte[] Name, byte[] Encoded);

    public LabelsWriter(Labels external = default)
    {
        var externals = new List<External>();
        foreach (var label in external)
        {
            externals.Add(new External(label.Name.ToArray(), external.Only(label.NameText).Encoded.ToArray()));
        }

        _externals = [.. externals];
    }

    /// <summary>Adds a label of the series at hand; they come sorted by name.</summary>
    public void Add(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        while (_next < _externals.Length)
        {
            ref readonly var external = ref _externals[_next];
            var order = name.SequenceCompareTo(external.Name);
            if (order < 0)
            {
                break;
            }

            Append(external.Encoded);
            _next++;
            if (order == 0)
            {
                return;
            }
        }

        AppendPrefixed(name);
        AppendPrefixed(value);
    }

    public void Add(Labels labels)
    {
        foreach (var label in labels)
        {
            Add(label.Name, label.Value);
        }
    }

    /// <summary>The labels of the series at hand, and on to the next one.</summary>
    public Labels Take()
    {
        while (_next < _externals.Length)
        {
            Append(_externals[_next++].Encoded);
        }

        var labels = new Labels(_array, _start, _end - _start);
        (_last, _start, _next) = (_start, _end, 0);
        return labels;
    }

    /// <summary>
    /// Forgets the labels that were taken last, if nothing was added since: whoever took them must not read them any more.
    /// </summary>
    public void ForgetLast() => (_start, _end, _next) = (_last, _last, 0);

    /// <summary>Forgets the series at hand.</summary>
    public void Drop() => (_end, _next) = (_start, 0);

    /// <summary>The labels of another writer, which is done, are valid as long as this one's.</summary>
    public void KeepArraysOf(LabelsWriter other)
    {
        _arrays.AddRange(other._arrays);
        other._arrays.Clear();
        other.Dispose();
    }

    // Whoever reads labels too late is to find none instead of somebody else's.
    public void Dispose()
    {
        foreach (var array in _arrays)
        {
            ArrayPool<byte>.Shared.Return(array, clearArray: true);
        }

        _arrays.Clear();
        (_array, _last, _start, _end, _next) = ([], 0, 0, 0, 0);
    }

    void Append(ReadOnlySpan<byte> encoded)
    {
        EnsureCapacity(encoded.Length);
        encoded.CopyTo(_array.AsSpan(_end));
        _end += encoded.Length;
    }

    void AppendPrefixed(ReadOnlySpan<byte> text)
    {
        EnsureCapacity(text.Length + Varint.MaxSize);
        var room = _array.AsSpan(_end);
        var size = 1;
        if (text.Length < 0x80)
        {
            room[0] = (byte)text.Length;
        }
        else
        {
            size = Varint.WriteUnsigned(room, (ulong)text.Length);
        }

        text.CopyTo(room[size..]);
        _end += size + text.Length;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    void EnsureCapacity(int count)
    {
        if (_array.Length - _end < count)
        {
            Renew(count);
        }
    }

    // What is finished stays where it is.
    void Renew(int count)
    {
        var pending = _array.AsSpan(_start, _end - _start);
        var usual = Math.Clamp(_array.Length * 2, SmallestArray, LargestArray);
        var array = ArrayPool<byte>.Shared.Rent(Math.Max(usual, checked((pending.Length + count) * 2)));
        pending.CopyTo(array);
        _arrays.Add(array);
        (_array, _start, _end) = (array, 0, pending.Length);
    }
}
