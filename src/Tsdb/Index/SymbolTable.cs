using System.IO.Hashing;
using System.Numerics;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>
/// A set of byte strings, numbered from 0 in order of arrival, all in one array. Not thread-safe; what was there when
/// <see cref="Snapshot"/> was called can be read beside later additions.
/// </summary>
sealed class SymbolTable
{
    byte[] _bytes = [];
    int _used;
    Symbol[] _symbols = [];
    int[] _buckets = [];

    /// <param name="Start">Of the uvarint length before the bytes.</param>
    /// <param name="Next">The next symbol of the same hash bucket, plus one; 0 ends the chain.</param>
    record struct Symbol(int Start, int Next);

    public int Count { get; private set; }

    /// <summary>Lives on when the table grows.</summary>
    public ReadOnlySpan<byte> this[int number]
    {
        get
        {
            var start = _symbols[number].Start;
            var length = (int)Varint.ReadUnsigned(_bytes.AsSpan(start), out var size);
            return _bytes.AsSpan(start + size, length);
        }
    }

    /// <summary>The number of a symbol, -1 when it is not there.</summary>
    public int Find(ReadOnlySpan<byte> symbol)
    {
        if (_buckets.Length == 0)
        {
            return -1;
        }

        var number = _buckets[Bucket(symbol)] - 1;
        while (number >= 0 && !this[number].SequenceEqual(symbol))
        {
            number = _symbols[number].Next - 1;
        }

        return number;
    }

    public int FindOrAdd(ReadOnlySpan<byte> symbol)
    {
        var found = Find(symbol);
        return found >= 0 ? found : Add(symbol);
    }

    /// <summary>The table as it is now, to be read by number only.</summary>
    public SymbolTable Snapshot() => new() { _bytes = _bytes, _symbols = _symbols, Count = Count };

    /// <summary>Numbers in the order of their bytes.</summary>
    public int[] Sorted()
    {
        var numbers = new int[Count];
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = i;
        }

        Array.Sort(numbers, (a, b) => this[a].SequenceCompareTo(this[b]));
        return numbers;
    }

    int Add(ReadOnlySpan<byte> symbol)
    {
        var size = Varint.SizeUnsigned((ulong)symbol.Length) + symbol.Length;
        if (_bytes.Length - _used < size)
        {
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max((long)_used + size, _used + ((long)_used / 2))));
        }

        if (Count == _symbols.Length)
        {
            Array.Resize(ref _symbols, Count < 2 ? 2 : Count + (Count / 2));
        }

        _symbols[Count] = new Symbol(_used, 0);
        _used += Varint.WriteUnsigned(_bytes.AsSpan(_used), (ulong)symbol.Length);
        symbol.CopyTo(_bytes.AsSpan(_used));
        _used += symbol.Length;
        if (++Count > _buckets.Length)
        {
            // Snapshots share the array of symbols but follow no chains, so linking anew does not disturb them.
            _buckets = new int[Math.Max(2, (int)BitOperations.RoundUpToPowerOf2((uint)Count))];
            for (var i = 0; i < Count - 1; i++)
            {
                Link(i);
            }
        }

        Link(Count - 1);
        return Count - 1;
    }

    void Link(int number)
    {
        ref var bucket = ref _buckets[Bucket(this[number])];
        _symbols[number].Next = bucket;
        bucket = number + 1;
    }

    int Bucket(ReadOnlySpan<byte> symbol) => (int)(XxHash3.HashToUInt64(symbol) & (uint)(_buckets.Length - 1));
}
