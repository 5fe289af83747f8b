using System.IO.Hashing;

namespace Observe.Tsdb.Head;

/// <summary>Names and values of labels, each kept once and counted: a series is a list of their numbers. Not thread-safe.</summary>
sealed class SymbolPool(ByteArena arena)
{
    readonly Dictionary<int, byte[]> _large = [];
    Symbol[] _symbols = new Symbol[64];
    int[] _buckets = new int[64];
    int _count;
    int _free;

    public int Count { get; private set; }

    /// <summary>How many texts were removed: while it stays the same, a number stands for one text.</summary>
    public long Removals { get; private set; }

    /// <summary>The number of a text, which is added when it is new. Each call counts as one use.</summary>
    public int Use(ReadOnlySpan<byte> text)
    {
        var hash = (uint)XxHash3.HashToUInt64(text);
        for (var i = _buckets[hash & (_buckets.Length - 1)]; i != 0; i = _symbols[i - 1].Next)
        {
            ref var candidate = ref _symbols[i - 1];
            if (candidate.Hash == hash && Text(i - 1).SequenceEqual(text))
            {
                candidate.Uses++;
                return i - 1;
            }
        }

        return Enter(text, hash);
    }

    /// <summary>Ends one use; a text without uses is removed, and its number is used again.</summary>
    public void Release(int id)
    {
        ref var symbol = ref _symbols[id];
        if (--symbol.Uses > 0)
        {
            return;
        }

        ref var link = ref _buckets[symbol.Hash & (_buckets.Length - 1)];
        while (link != id + 1)
        {
            link = ref _symbols[link - 1].Next;
        }

        link = symbol.Next;
        if (!_large.Remove(id))
        {
            arena.Free(symbol.At, symbol.Length);
        }

        symbol.Next = _free;
        _free = id + 1;
        Count--;
        Removals++;
    }

    /// <summary>Valid while the text has a use.</summary>
    public ReadOnlySpan<byte> Text(int id)
    {
        ref readonly var symbol = ref _symbols[id];
        return symbol.Length > ByteArena.MaxSize ? _large[id] : arena.Span(symbol.At, symbol.Length);
    }

    int Enter(ReadOnlySpan<byte> text, uint hash)
    {
        int id;
        if (_free != 0)
        {
            id = _free - 1;
            _free = _symbols[id].Next;
        }
        else
        {
            id = _count++;
            if (id == _symbols.Length)
            {
                Array.Resize(ref _symbols, _symbols.Length + (_symbols.Length / 2));
            }
        }

        ref var symbol = ref _symbols[id];
        symbol = new Symbol { Length = text.Length, Uses = 1, Hash = hash };
        if (text.Length > ByteArena.MaxSize)
        {
            _large[id] = text.ToArray();
        }
        else
        {
            symbol.At = arena.Allocate(text.Length);
            text.CopyTo(arena.Span(symbol.At, text.Length));
        }

        if (++Count > _buckets.Length)
        {
            Rehash(id);
        }

        Link(id);
        return id;
    }

    void Rehash(int except)
    {
        _buckets = new int[_buckets.Length * 2];
        for (var i = 0; i < _count; i++)
        {
            if (i != except && _symbols[i].Uses > 0)
            {
                Link(i);
            }
        }
    }

    void Link(int id)
    {
        ref var bucket = ref _buckets[_symbols[id].Hash & (_buckets.Length - 1)];
        _symbols[id].Next = bucket;
        bucket = id + 1;
    }

    struct Symbol
    {
        public uint At;
        public int Length;
        public int Uses;
        public uint Hash;

        /// <summary>The next of the same bucket, or of the free ones; plus one.</summary>
        public int Next;
    }
}
