using System.Buffers;
using System.Text;

namespace Observe.Tsdb.Regex;

/// <summary>Code points that no set of a program tells apart, as one symbol.</summary>
sealed class Re2Alphabet
{
    readonly int[] _starts;
    readonly int[] _symbols;
    readonly int[] _ascii = new int[128];

    public Re2Alphabet(IReadOnlyList<Re2RuneSet> sets)
    {
        var starts = new SortedSet<int> { 0 };
        foreach (var (low, high) in sets.SelectMany(s => s.Ranges))
        {
            starts.Add(low);
            starts.Add(high + 1);
        }

        starts.Remove(Re2RuneSet.MaxRune + 1);
        _starts = [.. starts];
        _symbols = new int[_starts.Length];
        var count = 1;
        foreach (var set in sets)
        {
            // What is in the set becomes a symbol of its own for each symbol that it had.
            var split = new Dictionary<int, int>();
            foreach (var (low, high) in set.Ranges)
            {
                for (var i = Array.BinarySearch(_starts, low); i < _starts.Length && _starts[i] <= high; i++)
                {
                    if (!split.TryGetValue(_symbols[i], out var symbol))
                    {
                        split[_symbols[i]] = symbol = count++;
                    }

                    _symbols[i] = symbol;
                }
            }
        }

        // Symbols that were split in whole are gone: number those that are left.
        var numbers = new Dictionary<int, int>();
        var members = new List<int>();
        for (var i = 0; i < _symbols.Length; i++)
        {
            if (numbers.TryAdd(_symbols[i], members.Count))
            {
                members.Add(_starts[i]);
            }

            _symbols[i] = numbers[_symbols[i]];
        }

        Members = [.. members];
        for (var c = 0; c < 128; c++)
        {
            _ascii[c] = Find(c);
        }
    }

    /// <summary>A code point of each symbol.</summary>
    public int[] Members { get; }

    /// <summary>The symbol at a place in a text, and how many bytes it takes.</summary>
    public int Read(ReadOnlySpan<byte> utf8, int at, out int length)
    {
        if (utf8[at] < 0x80)
        {
            length = 1;
            return _ascii[utf8[at]];
        }

        return Find(ReadRune(utf8, at, out length));
    }

    /// <summary>A code point; a byte that is not UTF-8 is U+FFFD.</summary>
    public static int ReadRune(ReadOnlySpan<byte> utf8, int at, out int length)
    {
        if (Rune.DecodeFromUtf8(utf8[at..], out var rune, out length) != OperationStatus.Done)
        {
            length = 1;
        }

        return rune.Value;
    }

    int Find(int rune)
    {
        var index = Array.BinarySearch(_starts, rune);
        return _symbols[index >= 0 ? index : ~index - 1];
    }
}
