using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Head;

/// <summary>
/// Numbers from 0 for the names and values of labels of a head's series, in the order in which they are first met, and their texts: for what
/// is written to be understood without the head. Not thread-safe.
/// </summary>
public sealed class SymbolMap : IDisposable
{
    readonly ByteWriter _texts = new(4096);
    SymbolPool? _pool;
    int[] _numbers = [];
    long _removals;

    public int Count { get; private set; }

    /// <summary>All texts in order of number, each behind its length as a uvarint.</summary>
    public ReadOnlySpan<byte> Texts => _texts.Written;

    /// <summary>Adds a text, whether there is an equal one or not.</summary>
    public int Add(ReadOnlySpan<byte> text)
    {
        _texts.LengthPrefixed(text);
        return Count++;
    }

    public void Clear()
    {
        Array.Clear(_numbers);
        _texts.Clear();
        Count = 0;
    }

    public void Dispose() => _texts.Dispose();

    /// <summary>Begins to read numbers of a pool. Where texts were removed from it since, its numbers may stand for others.</summary>
    internal void Follow(SymbolPool pool)
    {
        if (_pool != pool || _removals != pool.Removals)
        {
            Array.Clear(_numbers);
            (_pool, _removals) = (pool, pool.Removals);
        }
    }

    internal int NumberOf(int id)
    {
        if (id >= _numbers.Length)
        {
            Array.Resize(ref _numbers, Math.Max(id + 1, _numbers.Length * 2));
        }

        ref var number = ref _numbers[id];
        if (number == 0)
        {
            number = Add(_pool!.Text(id)) + 1;
        }

        return number - 1;
    }
}
