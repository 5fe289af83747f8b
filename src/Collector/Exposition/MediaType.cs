using System.Buffers;

namespace Observe.Collector.Exposition;

/// <summary>Content types as Go's mime.ParseMediaType reads them: a malformed parameter makes the whole type malformed.</summary>
static class MediaType
{
    static readonly SearchValues<char> s_token =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>The type without its parameters, in lower case; null when it is malformed.</summary>
    public static string? Parse(string header)
    {
        var rest = header.AsSpan();
        var end = rest.IndexOf(';');
        var type = (end < 0 ? rest : rest[..end]).Trim();
        var slash = type.IndexOf('/');
        if (slash < 0 ? !IsToken(type) : !IsToken(type[..slash]) || !IsToken(type[(slash + 1)..]))
        {
            return null;
        }

        rest = end < 0 ? default : rest[end..];
        while (!(rest = rest.TrimStart()).IsEmpty && rest.TrimEnd() is not ";")
        {
            if (!TryParameter(ref rest))
            {
                return null;
            }
        }

        return type.ToString().ToLowerInvariant();
    }

    static bool IsToken(ReadOnlySpan<char> text) => !text.IsEmpty && !text.ContainsAnyExcept(s_token);

    static bool TryParameter(ref ReadOnlySpan<char> rest)
    {
        if (rest[0] != ';')
        {
            return false;
        }

        rest = rest[1..].TrimStart();
        var name = TokenLength(rest);
        var equal = rest[name..].TrimStart();
        if (name == 0 || equal.IsEmpty || equal[0] != '=')
        {
            return false;
        }

        rest = equal[1..].TrimStart();
        var value = rest.StartsWith("\"") ? QuotedLength(rest) : TokenLength(rest);
        rest = rest[value..];
        return value > 0;
    }

    static int TokenLength(ReadOnlySpan<char> text)
    {
        var length = text.IndexOfAnyExcept(s_token);
        return length < 0 ? text.Length : length;
    }

    static int QuotedLength(ReadOnlySpan<char> text)
    {
        for (var i = 1; i < text.Length; i++)
        {
            if (text[i] == '"')
            {
                return i + 1;
            }

            i += text[i] == '\\' ? 1 : 0;
        }

        return 0;
    }
}
