using System.Text;
using Observe.Query.Promql.Parsing;

namespace Observe.Query.HttpApi;

/// <summary>
/// What stands in a URL or a form, as Go reads it. Bytes that are not UTF-8 (<c>%ff</c>) become lone surrogates, as in
/// <see cref="Literals.Text"/>: whoever reads the text refuses them, and messages show them as they were.
/// </summary>
static class UrlEncoded
{
    /// <summary>Names and values of <c>a=b&amp;c=d</c>. A pair that is not encoded right, or has a semicolon, is left out.</summary>
    /// <param name="most">More pairs are an <see cref="InvalidDataException"/>.</param>
    public static Dictionary<string, List<string>> Values(ReadOnlySpan<byte> text, int most)
    {
        var values = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        var count = 0;
        foreach (var range in text.Split((byte)'&'))
        {
            var pair = text[range];
            if (pair.IsEmpty)
            {
                continue;
            }

            if (++count > most)
            {
                throw new InvalidDataException($"there are more than {most} values");
            }

            var equals = pair.IndexOf((byte)'=');
            var name = equals < 0 ? pair : pair[..equals];
            var value = equals < 0 ? default : pair[(equals + 1)..];
            if (!pair.Contains((byte)';') && TryDecode(name, isPath: false, out var decodedName) && TryDecode(value, isPath: false, out var decoded))
            {
                if (!values.TryGetValue(decodedName, out var all))
                {
                    values[decodedName] = all = [];
                }

                all.Add(decoded);
            }
        }

        return values;
    }

    /// <param name="isPath">A plus is a plus, not a space.</param>
    /// <returns>False for a percent sign without two digits behind it.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> text, bool isPath, out string decoded)
    {
        decoded = "";
        if (text.IndexOfAny((byte)'%', (byte)'+') < 0)
        {
            decoded = Literals.Text(text);
            return true;
        }

        var bytes = new byte[text.Length];
        var length = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '%')
            {
                bytes[length++] = text[i] == '+' && !isPath ? (byte)' ' : text[i];
                continue;
            }

            if (i + 2 >= text.Length || !char.IsAsciiHexDigit((char)text[i + 1]) || !char.IsAsciiHexDigit((char)text[i + 2]))
            {
                return false;
            }

            bytes[length++] = Convert.FromHexString(Encoding.ASCII.GetString(text.Slice(i + 1, 2)))[0];
            i += 2;
        }

        decoded = Literals.Text(bytes.AsSpan(0, length));
        return true;
    }
}
