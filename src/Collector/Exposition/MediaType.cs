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
        var parameters = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        while (!(rest = rest.TrimStart()).IsEmpty && rest.TrimEnd() is not ";")
        {
            if (!TryParameter(ref rest, out var name, out var value) || (!parameters.TryAdd(name, value) && parameters[name] != value))
            {
                return null;
            }
        }

        return type.ToString().ToLowerInvariant();
    }

    static bool IsToken(ReadOnlySpan<char> text) => !text.IsEmpty && !text.ContainsAnyExcept(s_token);

    static bool TryParameter(ref ReadOnlySpan<char> rest, out string name, out string value)
    {
        (name, value) = ("", "");
        if (rest[0] != ';')
        {
            return false;
        }

        rest = rest[1..].TrimStart();
        var length = TokenLength(rest);
        var equal = rest[length..].TrimStart();
        if (length == 0 || equal.IsEmpty || equal[0] != '=')
        {
            return false;
        }

        name = rest[..length].ToString();
        rest = equal[1..].TrimStart();
        var quoted = rest.StartsWith("\"");
        length = quoted ? QuotedLength(rest) : TokenLength(rest);
        value = quoted && length > 0 ? rest[1..(length - 1)].ToString().Replace("\\", "", StringComparison.Ordinal) : rest[..length].ToString();
        rest = rest[length..];
        return length > 0;
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
