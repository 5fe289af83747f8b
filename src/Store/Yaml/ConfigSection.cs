using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Yaml;

/// <summary>
/// A mapping of a configuration file, read key by key. A value of the wrong kind is an error and reads as not set; keys that nobody
/// asked for are errors too, once <see cref="Done"/> is called.
/// </summary>
public sealed class ConfigSection
{
    readonly HashSet<string> _known = [];
    readonly List<(YamlText Key, YamlNode Value)> _entries = [];
    readonly string _name;
    readonly bool _isNoMapping;

    /// <param name="node">Null, or a null in the file: an empty section.</param>
    /// <param name="name">What the section is called in errors.</param>
    public ConfigSection(YamlNode? node, string name, ConfigErrors errors)
    {
        (_name, Errors, Node) = (name, errors, node);
        if (node is YamlMap map)
        {
            _entries = map.Entries;
        }
        else if (node is not (null or YamlText { IsNull: true }))
        {
            _isNoMapping = true;
            errors.Add(node, $"{name} must be a mapping");
        }
    }

    public ConfigErrors Errors { get; }

    public YamlNode? Node { get; }

    /// <summary>The value of a key; null when it is not there or null in the file.</summary>
    public YamlNode? Find(string key)
    {
        _known.Add(key);
        foreach (var (name, value) in _entries)
        {
            if (name.Text == key)
            {
                return value is YamlText { IsNull: true } ? null : value;
            }
        }

        return null;
    }

    /// <summary>The key as it stands in the file, for errors about it.</summary>
    public YamlNode? Key(string key)
    {
        foreach (var (name, _) in _entries)
        {
            if (name.Text == key)
            {
                return name;
            }
        }

        return Node;
    }

    /// <summary>Whether a key is there and null: then it is zero, false or empty, and not what it is when it is left out.</summary>
    public bool IsNull(string key) => _entries.Any(entry => entry.Key.Text == key && entry.Value is YamlText { IsNull: true });

    /// <summary>A text, or what it is when the key is left out.</summary>
    public string TextOr(string key, string standard) => Text(key) ?? (IsNull(key) ? "" : standard);

    /// <summary>A switch that is on when its key is left out.</summary>
    public bool BoolOrTrue(string key) => Bool(key) ?? !IsNull(key);

    public string? Text(string key) => Find(key) is { } node ? TextOf(node, key) : null;

    /// <summary>A text that must be there; "" where it is not, which is an error.</summary>
    public string Required(string key)
    {
        var text = Text(key) ?? "";
        if (text.Length == 0 && !_isNoMapping)
        {
            Errors.Add(Find(key) ?? Node, $"{key} is missing in {_name}");
        }

        return text;
    }

    public Secret? Secret(string key) => Text(key) is { } text ? new Secret(text) : null;

    public bool? Bool(string key)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        switch (text)
        {
            case "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON" or "y" or "Y":
                return true;
            case "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF" or "n" or "N":
                return false;
            default:
                Errors.Add(node, $"{key} must be true or false, not {GoText.Quote(text)}");
                return null;
        }
    }

    /// <summary>A duration above zero; zero reads as not set, as in Prometheus.</summary>
    public TimeSpan? Duration(string key)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        if (!Tsdb.Model.Duration.TryParse(text, out var milliseconds, out var error))
        {
            Errors.Add(node, $"{key}: {error}");
            return null;
        }

        return milliseconds == 0 ? null : TimeSpan.FromMilliseconds(milliseconds);
    }

    /// <summary>A whole number that is not negative, as Go's YAML reads one; beyond 2^63-1 it is that.</summary>
    public long? Count(string key) => UnsignedCount(key) is { } value ? (long)Math.Min(value, long.MaxValue) : null;

    /// <summary>The same up to 2^64-1.</summary>
    public ulong? UnsignedCount(string key)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        if (YamlNumber.TryParseUnsigned(text, out var value))
        {
            return value;
        }

        Errors.Add(node, $"{key} must be a number that is not negative, not {GoText.Quote(text)}");
        return null;
    }

    /// <summary>A number within bounds, both of them allowed.</summary>
    public long? Count(string key, long min, long max)
    {
        var value = Count(key);
        if (value < min || value > max)
        {
            Errors.Add(Find(key), $"{key} must be a number from {min} to {max}, not {value}");
            return null;
        }

        return value;
    }

    public double? Number(string key)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        if (YamlNumber.TryParse(text, out var value))
        {
            return value;
        }

        Errors.Add(node, $"{key} must be a number, not {GoText.Quote(text)}");
        return null;
    }

    /// <summary>A size in bytes: <c>64MB</c>, <c>1GiB</c>, <c>0</c>.</summary>
    public long? Size(string key)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        if (ByteSize.TryParse(text, out var bytes))
        {
            return bytes;
        }

        Errors.Add(node, $"{key} must be a size with its unit, such as 64MB, not {GoText.Quote(text)}");
        return null;
    }

    /// <summary>One of a few words; an empty text reads as not set.</summary>
    public string? Choice(string key, params ReadOnlySpan<string> words)
    {
        if (Find(key) is not { } node || TextOf(node, key) is not { } text)
        {
            return null;
        }

        if (text.Length == 0)
        {
            return null;
        }

        if (words.Contains(text))
        {
            return text;
        }

        Errors.Add(node, $"{key} must be one of {string.Join(", ", words!)}, not {GoText.Quote(text)}");
        return null;
    }

    public ConfigSection? Section(string key) => Find(key) is { } node ? new ConfigSection(node, key, Errors) : null;

    /// <summary>A section that need not be there: an empty one then.</summary>
    public ConfigSection SectionOrEmpty(string key) => new(Find(key), key, Errors);

    /// <summary>The items of a list; null when the key is not set.</summary>
    public IReadOnlyList<YamlNode>? List(string key)
    {
        switch (Find(key))
        {
            case null:
                return null;
            case YamlList list:
                return list.Items;
            case var node:
                Errors.Add(node, $"{key} must be a list");
                return null;
        }
    }

    /// <summary>The texts of a list; null when the key is not set.</summary>
    public IReadOnlyList<string>? Texts(string key) =>
        List(key)?.Select(node => TextOf(node, key)).OfType<string>().ToList();

    /// <summary>The entries of a mapping from names to texts.</summary>
    public IReadOnlyList<(YamlText Key, string Value)> Pairs(string key)
    {
        switch (Find(key))
        {
            case null:
                return [];
            case YamlMap map:
                return [.. map.Entries.Select(e => (e.Key, TextOf(e.Value, e.Key.Text) ?? ""))];
            case var node:
                Errors.Add(node, $"{key} must be a mapping");
                return [];
        }
    }

    /// <summary>The entries of a mapping from names to whatever they hold.</summary>
    public IReadOnlyList<(YamlText Key, YamlNode Value)> Entries(string key)
    {
        switch (Find(key))
        {
            case null:
                return [];
            case YamlMap map:
                return map.Entries;
            case var node:
                Errors.Add(node, $"{key} must be a mapping");
                return [];
        }
    }

    public string? TextOf(YamlNode node, string key)
    {
        if (node is YamlText text)
        {
            return text.IsNull ? "" : text.Text;
        }

        Errors.Add(node, $"{key} must be a single value");
        return null;
    }

    /// <summary>Reports a key that the section may have but that Observe does not act on.</summary>
    public void NotSupported(string key, string consequence)
    {
        if (Find(key) is { } node && node is not (YamlList { Items.Count: 0 } or YamlText { Text: "" or "false" }))
        {
            Errors.Add(Key(key), $"{key} is not supported yet: {consequence}");
        }
    }

    /// <summary>Reports a key that does no harm when it is left out of account.</summary>
    public void Ignored(string key, string consequence)
    {
        if (Find(key) is { } node && node is not YamlList { Items.Count: 0 })
        {
            Errors.Warn(Key(key)!, $"{key} is ignored: {consequence}");
        }
    }

    /// <summary>Ends the reading: what was not asked for is unknown.</summary>
    public void Done()
    {
        foreach (var (key, _) in _entries)
        {
            if (!_known.Contains(key.Text))
            {
                var near = NearestWord.Find(key.Text, _known, within: 3);
                Errors.Add(key, $"unknown key {GoText.Quote(key.Text)} in {_name}" + (near is null ? "" : $"; is {near} meant?"));
            }
        }
    }
}
