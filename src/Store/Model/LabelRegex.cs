using System.Text;
using System.Text.RegularExpressions;

namespace Observe.Store.Model;

/// <summary>
/// A regex of RE2's language, anchored at both ends, dot matching newlines, in time linear in the value: what matchers,
/// relabelling and label_replace all use.
/// </summary>
public sealed class LabelRegex
{
    readonly Regex _regex;

    /// <exception cref="FormatException">The pattern is not valid.</exception>
    public LabelRegex(string pattern)
    {
        Pattern = pattern;
        try
        {
            _regex = new Regex(@"\A(?:" + pattern + @")\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FormatException($"error parsing regexp: {e.Message}", e);
        }
    }

    public string Pattern { get; }

    /// <summary>The only values that match, when the pattern is a literal or an alternation of a few; else null.</summary>
    public IReadOnlyList<string>? Literals { get; }

    /// <summary>What every matching value starts with; "" when nothing is known.</summary>
    public string Prefix { get; } = "";

    public bool IsMatch(string value) => _regex.IsMatch(value);

    public bool IsMatch(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > 512)
        {
            return _regex.IsMatch(Encoding.UTF8.GetString(utf8));
        }

        Span<char> chars = stackalloc char[512];
        return _regex.IsMatch(chars[..Encoding.UTF8.GetChars(utf8, chars)]);
    }

    /// <summary>
    /// Go's <c>Regexp.Expand</c> of a template (<c>$1</c>, <c>${name}</c>, <c>$$</c>) with what the pattern matched; null when it does not match.
    /// </summary>
    public string? Expand(string value, string template)
    {
        var match = _regex.Match(value);
        if (!match.Success)
        {
            return null;
        }

        var result = new StringBuilder();
        for (var i = 0; i < template.Length; i++)
        {
            if (template[i] != '$' || i + 1 == template.Length)
            {
                result.Append(template[i]);
            }
            else if (template[i + 1] == '$')
            {
                result.Append('$');
                i++;
            }
            else
            {
                var brace = template[i + 1] == '{';
                var start = i + (brace ? 2 : 1);
                var end = start;
                while (end < template.Length && (char.IsLetterOrDigit(template[end]) || template[end] == '_'))
                {
                    end++;
                }

                if (end == start || (brace && (end == template.Length || template[end] != '}')))
                {
                    result.Append('$');
                    continue;
                }

                result.Append(match.Groups[template[start..end]].Value);
                i = brace ? end : end - 1;
            }
        }

        return result.ToString();
    }
}
