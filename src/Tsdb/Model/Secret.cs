namespace Observe.Tsdb.Model;

/// <summary>
/// A password, token or key. Prints as <c>&lt;secret&gt;</c> everywhere; <see cref="Reveal"/> is the only way to its text.
/// </summary>
public sealed class Secret(string text) : IEquatable<Secret>
{
    public const string Hidden = "<secret>";

    public string Reveal() => text;

    public bool Equals(Secret? other) => other is not null && other.Reveal() == text;

    public override bool Equals(object? obj) => Equals(obj as Secret);

    public override int GetHashCode() => string.GetHashCode(text, StringComparison.Ordinal);

    public override string ToString() => Hidden;
}
