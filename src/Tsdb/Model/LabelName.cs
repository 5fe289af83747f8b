using System.Text;

namespace Observe.Tsdb.Model;

/// <summary>What names may look like: Prometheus 3's UTF-8 names and the legacy ones.</summary>
public static class LabelName
{
    /// <summary><c>[a-zA-Z_][a-zA-Z0-9_]*</c>: needs no quotes as a label name.</summary>
    public static bool IsLegacyValid(ReadOnlySpan<char> name) => IsLegacy(name, colons: false);

    /// <summary><c>[a-zA-Z_:][a-zA-Z0-9_:]*</c>: needs no quotes as a metric name.</summary>
    public static bool IsLegacyMetricValid(ReadOnlySpan<char> name) => IsLegacy(name, colons: true);

    /// <summary>Any text but the empty one that UTF-8 can hold, so no half of a surrogate pair: what Prometheus 3 allows.</summary>
    public static bool IsValid(ReadOnlySpan<char> name)
    {
        for (var i = 0; i < name.Length; i++)
        {
            if (char.IsSurrogate(name[i]) && !(char.IsHighSurrogate(name[i]) && i + 1 < name.Length && char.IsLowSurrogate(name[++i])))
            {
                return false;
            }
        }

        return !name.IsEmpty;
    }

    static bool IsLegacy(ReadOnlySpan<char> name, bool colons)
    {
        for (var i = 0; i < name.Length; i++)
        {
            var c = name[i];
            if (!(char.IsAsciiLetter(c) || c == '_' || (colons && c == ':') || (i > 0 && char.IsAsciiDigit(c))))
            {
                return false;
            }
        }

        return !name.IsEmpty;
    }
}

/// <summary>Orders strings as their UTF-8 bytes, which is how Prometheus sorts names and values.</summary>
public sealed class Utf8Order : IComparer<string>
{
    public static Utf8Order Instance { get; } = new();

    public int Compare(string? x, string? y)
    {
        if (x is null || y is null)
        {
            return string.CompareOrdinal(x, y);
        }

        var shared = x.AsSpan().CommonPrefixLength(y);
        if (shared == x.Length || shared == y.Length)
        {
            return x.Length.CompareTo(y.Length);
        }

        // Code units order as bytes do, save that surrogates (U+10000 and up) sort after U+E000..U+FFFF.
        char a = x[shared], b = y[shared];
        var (highA, highB) = (char.IsSurrogate(a), char.IsSurrogate(b));
        return highA == highB ? a.CompareTo(b) : highA ? 1 : -1;
    }

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
