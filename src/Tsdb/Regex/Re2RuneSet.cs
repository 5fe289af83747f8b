using System.Globalization;
using System.Text;

namespace Observe.Tsdb.Regex;

/// <summary>A set of code points: ranges, rising and apart. Immutable.</summary>
sealed class Re2RuneSet : IEquatable<Re2RuneSet>
{
    public const int MaxRune = 0x10FFFF;

    Re2RuneSet((int Low, int High)[] ranges) => Ranges = ranges;

    public static Re2RuneSet All { get; } = new([(0, MaxRune)]);

    public static Re2RuneSet AllButNewline { get; } = new([(0, '\n' - 1), ('\n' + 1, MaxRune)]);

    /// <summary>Both ends inclusive.</summary>
    public (int Low, int High)[] Ranges { get; }

    public bool IsEmpty => Ranges.Length == 0;

    public bool IsAll => Ranges is [(0, MaxRune)];

    /// <summary>The only code point; -1 when there are more or none.</summary>
    public int Single => Ranges is [var (low, high)] && low == high ? low : -1;

    public static Re2RuneSet Of(int rune) => new([(rune, rune)]);

    /// <summary>Ranges in any order, overlapping or not.</summary>
    public static Re2RuneSet Of(IEnumerable<(int Low, int High)> ranges)
    {
        var merged = new List<(int Low, int High)>();
        foreach (var (low, high) in ranges.OrderBy(r => r.Low))
        {
            if (merged.Count > 0 && low <= merged[^1].High + 1)
            {
                merged[^1] = (merged[^1].Low, Math.Max(merged[^1].High, high));
            }
            else
            {
                merged.Add((low, high));
            }
        }

        return new Re2RuneSet([.. merged]);
    }

    public static Re2RuneSet Of(string pairs) => Of(pairs.Chunk(2).Select(p => ((int)p[0], (int)p[1])));

    public long Count => Ranges.Sum(r => r.High - r.Low + 1L);

    public bool Equals(Re2RuneSet? other) => other is not null && Ranges.AsSpan().SequenceEqual(other.Ranges);

    public override bool Equals(object? obj) => Equals(obj as Re2RuneSet);

    public override int GetHashCode() => Ranges.Length == 0 ? 0 : HashCode.Combine(Ranges.Length, Ranges[0], Ranges[^1]);

    public Re2RuneSet Negate()
    {
        var ranges = new List<(int, int)>();
        var next = 0;
        foreach (var (low, high) in Ranges)
        {
            if (low > next)
            {
                ranges.Add((next, low - 1));
            }

            next = high + 1;
        }

        if (next <= MaxRune)
        {
            ranges.Add((next, MaxRune));
        }

        return new Re2RuneSet([.. ranges]);
    }

    /// <summary>With all code points that differ from these in case only.</summary>
    public Re2RuneSet Fold()
    {
        var added = new List<(int, int)>();
        foreach (var (rune, others) in s_orbits.Value)
        {
            if (Contains(rune))
            {
                added.AddRange(others.Select(o => (o, o)));
            }
        }

        return added.Count == 0 ? this : Of(Ranges.Concat(added));
    }

    public bool Contains(int rune)
    {
        var (first, last) = (0, Ranges.Length - 1);
        while (first <= last)
        {
            var middle = (first + last) / 2;
            if (rune < Ranges[middle].Low)
            {
                last = middle - 1;
            }
            else if (rune > Ranges[middle].High)
            {
                first = middle + 1;
            }
            else
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>\d, \s, \w: ASCII only.</summary>
    public static Re2RuneSet? Perl(char letter) => char.ToLowerInvariant(letter) switch
    {
        'd' => Of("09"),
        's' => Of("\t\n\f\r  "),
        'w' => Of("09AZ__az"),
        _ => null,
    };

    /// <summary>[:alpha:] and its like, without the brackets; null for an unknown name.</summary>
    public static Re2RuneSet? Posix(string name) => name switch
    {
        "alnum" => Of("09AZaz"),
        "alpha" => Of("AZaz"),
        "ascii" => Of("\0\x7f"),
        "blank" => Of("\t\t  "),
        "cntrl" => Of("\0\x1f\x7f\x7f"),
        "digit" => Of("09"),
        "graph" => Of("!~"),
        "lower" => Of("az"),
        "print" => Of(" ~"),
        "punct" => Of("!/:@[`{~"),
        "space" => Of("\t\r  "),
        "upper" => Of("AZ"),
        "word" => Of("09AZ__az"),
        "xdigit" => Of("09AFaf"),
        _ => null,
    };

    /// <summary>A general category (<c>L</c>, <c>Lu</c>), a script (<c>Greek</c>) or <c>Any</c>; null for an unknown name.</summary>
    public static Re2RuneSet? Unicode(string name) => name == "Any" ? All
        : s_categories.Value.TryGetValue(name, out var set) ? set
        : Re2Scripts.Find(name);

    static readonly Lazy<Dictionary<string, Re2RuneSet>> s_categories = new(ReadCategories);

    static readonly Lazy<Dictionary<int, int[]>> s_orbits = new(ReadOrbits);

    static Dictionary<string, Re2RuneSet> ReadCategories()
    {
        // In the order of UnicodeCategory.
        string[] names =
        [
            "Lu", "Ll",
            "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe",
            "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
        ];
        var ranges = names.ToDictionary(n => n, _ => new List<(int Low, int High)>());
        var (start, current) = (0, CharUnicodeInfo.GetUnicodeCategory(0));
        for (var rune = 1; rune <= MaxRune + 1; rune++)
        {
            var category = rune <= MaxRune ? CharUnicodeInfo.GetUnicodeCategory(rune) : (UnicodeCategory)(-1);
            if (category != current)
            {
                ranges[names[(int)current]].Add((start, rune - 1));
                (start, current) = (rune, category);
            }
        }

        var sets = ranges.Where(r => r.Key != "Cn").ToDictionary(r => r.Key, r => Of(r.Value));
        foreach (var group in ranges.Where(r => r.Key != "Cn").GroupBy(r => r.Key[..1]))
        {
            sets[group.Key] = Of(group.SelectMany(r => r.Value));
        }

        return sets;
    }

    /// <summary>Every code point that has cases, with the others of its kind.</summary>
    static Dictionary<int, int[]> ReadOrbits()
    {
        var kinds = new Dictionary<int, HashSet<int>>();
        for (var code = 0; code < 0x1F000; code++)
        {
            if (!Rune.IsValid(code))
            {
                continue;
            }

            var rune = new Rune(code);
            // .NET maps nothing into ASCII: the long s and the Kelvin sign are s and k of their own to it.
            var ascii = code switch { 0x17F => 's', 0x212A => 'k', _ => code };
            Join(code, ascii);
            Join(code, Rune.ToLowerInvariant(rune).Value);
            Join(code, Rune.ToUpperInvariant(rune).Value);
        }

        return kinds.ToDictionary(k => k.Key, k => k.Value.Where(o => o != k.Key).ToArray());

        void Join(int code, int other)
        {
            if (other == code)
            {
                return;
            }

            var kind = kinds.GetValueOrDefault(code) ?? [code];
            kind.UnionWith(kinds.GetValueOrDefault(other) ?? [other]);
            foreach (var member in kind)
            {
                kinds[member] = kind;
            }
        }
    }
}
