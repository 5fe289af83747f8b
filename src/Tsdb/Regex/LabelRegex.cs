using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Observe.Tsdb.Regex;

/// <summary>
/// A regex of RE2's language, anchored at both ends, dot matching newlines, in time linear in the value: what matchers,
/// relabelling and label_replace all use. Thread-safe.
/// </summary>
public sealed class LabelRegex
{
    readonly Re2Pattern _pattern;
    readonly List<Re2Glob>? _globs;
    readonly byte[][]? _literals;
    readonly HashSet<byte[]>.AlternateLookup<ReadOnlySpan<byte>>? _literalSet;
    readonly Re2Automaton? _automaton;
    readonly Lazy<Re2Captures> _captures;

    /// <exception cref="FormatException">The pattern is not valid, or too large; the message is Go's.</exception>
    public LabelRegex(string pattern)
    {
        Pattern = pattern;
        _pattern = Re2Parser.Parse(pattern);
        var trimmed = Re2Literals.Trim(_pattern.Root);
        _captures = new Lazy<Re2Captures>(() => new Re2Captures(Re2Program.Compile(_pattern, capturing: true)));
        Prefix = Re2Literals.Prefix(trimmed).Text;
        if (Re2Literals.Texts(trimmed) is { } literals)
        {
            Literals = literals;
            _literals = [.. literals.Select(Encoding.UTF8.GetBytes)];
            _literalSet = _literals.Length > 8
                ? new HashSet<byte[]>(_literals, ByteOrder.Instance).GetAlternateLookup<ReadOnlySpan<byte>>()
                : null;
        }
        else if ((_globs = Re2Glob.Of(trimmed)) is null)
        {
            _automaton = new Re2Automaton(Re2Program.Compile(_pattern with { Root = trimmed }, capturing: false));
        }
    }

    public string Pattern { get; }

    /// <summary>
    /// The only values that match, each once, when the pattern is a literal, an alternation of literals, or a product of a few choices;
    /// else null.
    /// </summary>
    public IReadOnlyList<string>? Literals { get; }

    /// <summary>What every matching value starts with; "" when nothing is known.</summary>
    public string Prefix { get; } = "";

    public bool IsMatch(string value) => IsMatch(value, CancellationToken.None);

    /// <param name="utf8">A byte that is not UTF-8 counts as U+FFFD.</param>
    public bool IsMatch(ReadOnlySpan<byte> utf8) => IsMatch(utf8, CancellationToken.None);

    bool IsMatch(string value, CancellationToken cancellationToken)
    {
        byte[]? rented = null;
        var size = Encoding.UTF8.GetMaxByteCount(value.Length);
        var utf8 = size <= 1024 ? stackalloc byte[1024] : rented = ArrayPool<byte>.Shared.Rent(size);
        var matches = IsMatch(utf8[..Encoding.UTF8.GetBytes(value, utf8)], cancellationToken);
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return matches;
    }

    bool IsMatch(ReadOnlySpan<byte> utf8, CancellationToken cancellationToken)
    {
        if (_literals is not null)
        {
            return _literalSet?.Contains(utf8) ?? IsAnyOf(_literals, utf8);
        }

        if (_globs is not null)
        {
            foreach (var glob in _globs)
            {
                if (glob.IsMatch(utf8))
                {
                    return true;
                }
            }

            return false;
        }

        return _automaton!.IsMatch(utf8, cancellationToken);
    }

    /// <summary>
    /// Go's <c>Regexp.Expand</c> of a template (<c>$1</c>, <c>${name}</c>, <c>$$</c>) with what the pattern matched; null when it does not
    /// match.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled: a long value takes a large pattern its time.</exception>
    public string? Expand(string value, string template, CancellationToken cancellationToken = default)
    {
        if (!IsMatch(value, cancellationToken))
        {
            return null;
        }

        var utf8 = Encoding.UTF8.GetBytes(value);
        int[]? slots = null;
        var result = new StringBuilder();
        for (var at = 0; at < template.Length;)
        {
            var dollar = template.IndexOf('$', at);
            if (dollar < 0)
            {
                result.Append(template, at, template.Length - at);
                break;
            }

            result.Append(template, at, dollar - at);
            at = dollar + 1;
            if (at < template.Length && template[at] == '$')
            {
                result.Append('$');
                at++;
            }
            else if (TryReadName(template, ref at, out var name))
            {
                slots ??= _captures.Value.Match(utf8, cancellationToken) ?? [];
                if (GroupOf(name, slots) is >= 0 and var group)
                {
                    result.Append(Encoding.UTF8.GetString(utf8, slots[2 * group], slots[(2 * group) + 1] - slots[2 * group]));
                }
            }
            else
            {
                result.Append('$');
            }
        }

        return result.ToString();
    }

    /// <summary>The name after a dollar, as long as it goes; in braces it must end with one.</summary>
    static bool TryReadName(string template, ref int at, out string name)
    {
        var brace = at < template.Length && template[at] == '{';
        var start = at + (brace ? 1 : 0);
        var end = start;
        while (end < template.Length && Rune.DecodeFromUtf16(template.AsSpan(end), out var rune, out var length) == OperationStatus.Done
            && (Rune.IsLetter(rune) || Rune.IsDigit(rune) || rune.Value == '_'))
        {
            end += length;
        }

        name = template[start..end];
        if (name.Length == 0 || (brace && (end == template.Length || template[end] != '}')))
        {
            return false;
        }

        at = end + (brace ? 1 : 0);
        return true;
    }

    /// <summary>
    /// The group of a number, or the first of a name, that took part in the match; -1 when there is none. A number with leading
    /// zeros is a name.
    /// </summary>
    int GroupOf(string name, int[] slots)
    {
        var isNumber = name.All(char.IsAsciiDigit) && (name[0] != '0' || name.Length == 1) && name.Length <= 9;
        var number = isNumber ? int.Parse(name, CultureInfo.InvariantCulture) : -1;
        for (var group = 0; 2 * group < slots.Length; group++)
        {
            if ((isNumber ? group == number : _pattern.Groups[group] == name) && slots[2 * group] >= 0)
            {
                return group;
            }
        }

        return -1;
    }

    static bool IsAnyOf(byte[][] literals, ReadOnlySpan<byte> utf8)
    {
        foreach (var literal in literals)
        {
            if (utf8.SequenceEqual(literal))
            {
                return true;
            }
        }

        return false;
    }

    sealed class ByteOrder : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static ByteOrder Instance { get; } = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate) => (int)System.IO.Hashing.XxHash3.HashToUInt64(alternate);
    }
}
