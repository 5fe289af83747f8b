using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Regex;

namespace Observe.Tsdb.Model;

public enum MatchType : byte
{
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

/// <summary>
/// One condition on a label's value. A label that a series lacks has the value "". Regexes are RE2's and match the whole value.
/// </summary>
public sealed class Matcher : IEquatable<Matcher>
{
    readonly byte[] _utf8Value;
    readonly bool _orEmpty;

    /// <exception cref="FormatException">The pattern is not valid RE2; the message is the one Prometheus gives.</exception>
    public Matcher(MatchType type, string name, string value)
    {
        (Type, Name, Value) = (type, name, value);
        _utf8Value = Encoding.UTF8.GetBytes(value);
        Regex = type is MatchType.Regex or MatchType.NotRegex ? new LabelRegex(value) : null;
    }

    Matcher(Matcher other) =>
        (Type, Name, Value, Regex, _utf8Value, _orEmpty) = (other.Type, other.Name, other.Value, other.Regex, other._utf8Value, true);

    public MatchType Type { get; }

    public string Name { get; }

    public string Value { get; }

    /// <summary>The compiled pattern of the two regex types, else null.</summary>
    public LabelRegex? Regex { get; }

    public bool MatchesEmpty => Matches("");

    /// <summary>This matcher, which matches series that lack the label too. For this process only: it has no text form.</summary>
    public Matcher OrEmpty() => MatchesEmpty ? this : new Matcher(this);

    public bool Matches(string value) => (_orEmpty && value.Length == 0) || Type switch
    {
        MatchType.Equal => value == Value,
        MatchType.NotEqual => value != Value,
        MatchType.Regex => Regex!.IsMatch(value),
        _ => !Regex!.IsMatch(value),
    };

    /// <param name="utf8">The value as UTF-8; empty when the series lacks the label.</param>
    public bool Matches(ReadOnlySpan<byte> utf8) => (_orEmpty && utf8.IsEmpty) || Type switch
    {
        MatchType.Equal => utf8.SequenceEqual(_utf8Value),
        MatchType.NotEqual => !utf8.SequenceEqual(_utf8Value),
        MatchType.Regex => Regex!.IsMatch(utf8),
        _ => !Regex!.IsMatch(utf8),
    };

    public bool Matches(Labels labels) => Matches(labels.Value(Utf8Order.Bytes(Name)));

    public static bool All(IReadOnlyList<Matcher> matchers, Labels labels)
    {
        foreach (var matcher in matchers)
        {
            if (!matcher.Matches(labels))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether all of them match a value of the label that they are about.</summary>
    public static bool All(IReadOnlyList<Matcher> matchers, ReadOnlySpan<byte> value)
    {
        foreach (var matcher in matchers)
        {
            if (!matcher.Matches(value))
            {
                return false;
            }
        }

        return true;
    }

    public bool Equals(Matcher? other) =>
        other is not null && Type == other.Type && Name == other.Name && Value == other.Value && _orEmpty == other._orEmpty;

    public override bool Equals(object? obj) => Equals(obj as Matcher);

    public override int GetHashCode() => HashCode.Combine(Type, Name, Value);

    public override string ToString()
    {
        var name = LabelName.IsLegacyValid(Name) ? Name : GoText.Quote(Name);
        return name
            + Type switch { MatchType.Equal => "=", MatchType.NotEqual => "!=", MatchType.Regex => "=~", _ => "!~" } + GoText.Quote(Value);
    }
}
