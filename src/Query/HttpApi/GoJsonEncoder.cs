using System.Buffers;
using System.Text.Encodings.Web;

namespace Observe.Query.HttpApi;

/// <summary>Escapes text in JSON as Go does, so that answers are equal to Prometheus's to the byte.</summary>
sealed unsafe class GoJsonEncoder : JavaScriptEncoder
{
    /// <summary>As Go's encoder does by default: also what a browser may take for markup, and the line separators of Unicode.</summary>
    public static readonly GoJsonEncoder Html = new("<>&\u2028\u2029");

    /// <summary>As little as JSON allows: names and values of labels.</summary>
    public static readonly GoJsonEncoder Labels = new("");

    readonly SearchValues<char> _escaped;
    readonly SearchValues<char> _escapedOrSurrogates;

    GoJsonEncoder(string more)
    {
        char[] escaped = [.. Enumerable.Range(0, 0x20).Select(i => (char)i), '"', '\\', .. more];
        _escaped = SearchValues.Create(escaped);
        _escapedOrSurrogates = SearchValues.Create([.. escaped, .. Enumerable.Range(0xd800, 0x800).Select(i => (char)i)]);
    }

    public override int MaxOutputCharactersPerInputCharacter => 6;

    /// <summary>Where the first character is that has to be escaped; -1: there is none.</summary>
    public int IndexOfEscaped(ReadOnlySpan<char> text) => text.IndexOfAny(_escaped);

    public override bool WillEncode(int unicodeScalar) => unicodeScalar <= char.MaxValue && _escaped.Contains((char)unicodeScalar);

    /// <remarks>Half a surrogate pair is not let through either; the library replaces it.</remarks>
    public override int FindFirstCharacterToEncode(char* text, int textLength) =>
        new ReadOnlySpan<char>(text, textLength).IndexOfAny(_escapedOrSurrogates);

    public override bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        var text = WillEncode(unicodeScalar) ? Escaped((char)unicodeScalar) : char.ConvertFromUtf32(unicodeScalar);
        var fits = text.TryCopyTo(new Span<char>(buffer, bufferLength));
        numberOfCharactersWritten = fits ? text.Length : 0;
        return fits;
    }

    /// <summary>The escape of a character that has to be escaped.</summary>
    public static string Escaped(char character) => character switch
    {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => $"\\u{(int)character:x4}",
    };
}
