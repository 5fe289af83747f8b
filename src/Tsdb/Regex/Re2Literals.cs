using System.Text;

namespace Observe.Tsdb.Regex;

/// <summary>What can be known of a pattern without running it: the texts it matches, or their shape.</summary>
static class Re2Literals
{
    /// <summary>Products of choices (<c>[ab][cd]</c>) are written out up to so many texts; plain alternations without limit.</summary>
    const int MaxProduct = 256;

    /// <summary>Without groups, and without anchors where they hold anyway, since the whole text must match.</summary>
    public static Re2Node Trim(Re2Node node, bool atStart = true, bool atEnd = true)
    {
        switch (node)
        {
            case Re2Capture capture:
                return Trim(capture.Inner, atStart, atEnd);
            case Re2Assert { Kind: Re2Assertion.TextStart } when atStart:
            case Re2Assert { Kind: Re2Assertion.TextEnd } when atEnd:
                return Re2Node.Empty;
            case Re2Alternate alternate:
                return new Re2Alternate([.. alternate.Choices.Select(c => Trim(c, atStart, atEnd))]);
            case Re2Repeat repeat:
                return repeat with { Inner = Trim(repeat.Inner, false, false), Height = 1 };
            case Re2Concat concat:
                var parts = new List<Re2Node>();
                for (var i = 0; i < concat.Parts.Count; i++)
                {
                    var first = atStart && concat.Parts.Take(i).All(IsTextStart);
                    var last = atEnd && concat.Parts.Skip(i + 1).All(IsTextEnd);
                    var part = Trim(concat.Parts[i], first, last);
                    parts.AddRange(part is Re2Concat inner ? inner.Parts : [part]);
                }

                return parts is [var only] ? only : new Re2Concat(parts);
            default:
                return node;
        }
    }

    static bool IsTextStart(Re2Node node) => node is Re2Assert { Kind: Re2Assertion.TextStart };

    static bool IsTextEnd(Re2Node node) => node is Re2Assert { Kind: Re2Assertion.TextEnd };

    /// <summary>All texts that a trimmed pattern matches, each once; null when they are too many or can't be told.</summary>
    public static List<string>? Texts(Re2Node node)
    {
        switch (node)
        {
            case Re2Class { Runes: var runes }:
                return runes.Count > MaxProduct ? null : [.. Runes(runes)];
            case Re2Concat concat:
                List<string>? product = [""];
                var run = new StringBuilder();
                foreach (var part in concat.Parts)
                {
                    var texts = Texts(part);
                    if (texts is [var only])
                    {
                        run.Append(only);
                        continue;
                    }

                    product = Product(Product(product, [run.ToString()])!, texts);
                    run.Clear();
                    if (product is null)
                    {
                        return null;
                    }
                }

                return Product(product, [run.ToString()]);
            case Re2Alternate alternate:
                var all = new List<string>();
                foreach (var choice in alternate.Choices)
                {
                    if (Texts(choice) is not { } some)
                    {
                        return null;
                    }

                    all.AddRange(some);
                }

                return [.. all.Distinct(StringComparer.Ordinal)];
            case Re2Repeat { Max: >= 0 } repeat when Texts(repeat.Inner) is { } once:
                List<string>? result = repeat.Min == 0 ? [""] : [];
                List<string>? power = [""];
                for (var i = 1; i <= repeat.Max && power is not null && result.Count <= MaxProduct; i++)
                {
                    power = Product(power, once);
                    result.AddRange(i >= repeat.Min ? power ?? [] : []);
                }

                return power is null || result.Count > MaxProduct ? null : [.. result.Distinct(StringComparer.Ordinal)];
            default:
                return null;
        }
    }

    static List<string>? Product(List<string> left, List<string>? right)
    {
        if (right is null || (left.Count > 1 && right.Count > 1 && (long)left.Count * right.Count > MaxProduct))
        {
            return null;
        }

        return [.. left.SelectMany(_ => right, (l, r) => l + r)];
    }

    static IEnumerable<string> Runes(Re2RuneSet set)
    {
        foreach (var (low, high) in set.Ranges)
        {
            for (var rune = low; rune <= high; rune++)
            {
                if (Rune.IsValid(rune))
                {
                    yield return new Rune(rune).ToString();
                }
            }
        }
    }

    /// <summary>What each match of a trimmed pattern starts with; Whole when nothing follows it.</summary>
    public static (string Text, bool Whole) Prefix(Re2Node node)
    {
        switch (node)
        {
            case Re2Class { Runes.Single: >= 0 and var rune } when Rune.IsValid(rune):
                return (new Rune(rune).ToString(), true);
            case Re2Assert:
                return ("", true);
            case Re2Concat concat:
                var text = new StringBuilder();
                foreach (var part in concat.Parts)
                {
                    var (next, whole) = Prefix(part);
                    text.Append(next);
                    if (!whole)
                    {
                        return (text.ToString(), false);
                    }
                }

                return (text.ToString(), true);
            case Re2Alternate alternate:
                var common = Prefix(alternate.Choices[0]);
                foreach (var choice in alternate.Choices.Skip(1))
                {
                    var other = Prefix(choice);
                    common = common == other ? common : (Common(common.Text, other.Text), false);
                }

                return common;
            case Re2Repeat { Min: > 0 } repeat:
                var once = Prefix(repeat.Inner);
                return (once.Text, once.Whole && repeat is { Min: 1, Max: 1 });
            default:
                return ("", false);
        }
    }

    static string Common(string a, string b)
    {
        var length = a.AsSpan().CommonPrefixLength(b);
        return a[..(length > 0 && char.IsHighSurrogate(a[length - 1]) ? length - 1 : length)];
    }
}

/// <summary>A pattern that is only texts with anything between them: <c>prefix.*</c>, <c>.+suffix</c>, <c>.*part.*part.*</c>.</summary>
sealed class Re2Glob
{
    /// <summary>Alternatives beyond it are left to the automaton.</summary>
    const int MaxGlobs = 16;

    readonly byte[][] _texts;

    /// <summary>Bytes that must at least stand before each text but the first: 0 for <c>.*</c>, 1 for <c>.+</c>.</summary>
    readonly int[] _gaps;
    readonly int _minLength;

    Re2Glob(IReadOnlyList<string> texts, IReadOnlyList<int> gaps)
    {
        _texts = [.. texts.Select(Encoding.UTF8.GetBytes)];
        _gaps = [0, .. gaps];
        _minLength = _texts.Sum(t => t.Length) + _gaps.Sum();
    }

    public bool IsMatch(ReadOnlySpan<byte> value)
    {
        var (first, last) = (_texts[0], _texts[^1]);
        if (value.Length < _minLength || !value.StartsWith(first) || !value.EndsWith(last))
        {
            return false;
        }

        var rest = value[first.Length..(value.Length - last.Length)];
        for (var i = 1; i < _texts.Length - 1; i++)
        {
            if (rest.Length < _gaps[i])
            {
                return false;
            }

            var at = rest[_gaps[i]..].IndexOf(_texts[i]);
            if (at < 0)
            {
                return false;
            }

            rest = rest[(_gaps[i] + at + _texts[i].Length)..];
        }

        return rest.Length >= _gaps[^1];
    }

    /// <summary>The alternatives of a trimmed pattern, each a glob; null when it has other parts.</summary>
    public static List<Re2Glob>? Of(Re2Node node)
    {
        var globs = new List<Re2Glob>();
        foreach (var choice in node is Re2Alternate alternate ? alternate.Choices : [node])
        {
            var parts = choice is Re2Concat concat ? concat.Parts : [choice];
            List<(List<string> Texts, List<int> Gaps)> open = [([""], [])];
            foreach (var part in parts)
            {
                if (part is Re2Repeat { Inner: Re2Class { Runes.IsAll: true }, Max: < 0, Min: <= 1 } any)
                {
                    // Two .+ in a row want two code points, which bytes can't count.
                    if (open.Exists(o => o.Gaps.Count > 0 && o.Texts[^1].Length == 0 && o.Gaps[^1] + any.Min > 1))
                    {
                        return null;
                    }

                    open.ForEach(o => AddGap(o.Texts, o.Gaps, any.Min));
                    continue;
                }

                if (Re2Literals.Texts(part) is not { Count: > 0 and <= MaxGlobs } texts || texts.Count * open.Count > MaxGlobs)
                {
                    return null;
                }

                open = [.. open.SelectMany(_ => texts, (o, text) => (o.Texts[..^1].Append(o.Texts[^1] + text).ToList(), o.Gaps.ToList()))];
            }

            globs.AddRange(open.Where(o => o.Gaps.Count > 0).Select(o => new Re2Glob(o.Texts, o.Gaps)));
            if (open.Exists(o => o.Gaps.Count == 0) || globs.Count > MaxGlobs)
            {
                return null;
            }
        }

        return globs;
    }

    static void AddGap(List<string> texts, List<int> gaps, int min)
    {
        if (gaps.Count > 0 && texts[^1].Length == 0)
        {
            gaps[^1] += min;
            return;
        }

        gaps.Add(min);
        texts.Add("");
    }
}
