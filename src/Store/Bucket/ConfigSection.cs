using System.Globalization;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Observe.Store.Bucket;

/// <summary>A mapping of a YAML file, read key by key. Whatever is wrong goes to one list, so that all of it is told at once.</summary>
sealed class ConfigSection
{
    readonly YamlMappingNode? _node;
    readonly string _file;
    readonly string _path;
    readonly List<string> _errors;
    readonly HashSet<string> _known = [];

    ConfigSection(YamlMappingNode? node, string file, string path, List<string> errors) =>
        (_node, _file, _path, _errors) = (node, file, path, errors);

    /// <summary>The first document of a file.</summary>
    public static ConfigSection Read(string yaml, string file, List<string> errors)
    {
        YamlMappingNode? root = null;
        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(yaml));
            root = stream.Documents.FirstOrDefault()?.RootNode as YamlMappingNode;
            if (root is null)
            {
                errors.Add($"{file}:1: a mapping is expected");
            }
        }
        catch (YamlException e)
        {
            errors.Add($"{file}:{e.Start.Line}: {e.InnerException?.Message ?? e.Message}");
        }

        return new ConfigSection(root, file, "", errors);
    }

    public ConfigSection Section(string key) => Value(key) switch
    {
        null => new ConfigSection(null, _file, Path(key), _errors),
        YamlMappingNode mapping => new ConfigSection(mapping, _file, Path(key), _errors),
        var other => Fail(other, $"{Path(key)} is a mapping", new ConfigSection(null, _file, Path(key), _errors)),
    };

    /// <summary>"" where the key is absent or empty.</summary>
    public string Text(string key) => Value(key) switch
    {
        null => "",
        YamlScalarNode scalar => scalar.Value ?? "",
        var other => Fail(other, $"{Path(key)} is a text", ""),
    };

    public string Required(string key)
    {
        var text = Text(key);
        if (text.Length == 0)
        {
            Error(_node, $"{Path(key)} is missing");
        }

        return text;
    }

    public Secret? Secret(string key) => Text(key) is { Length: > 0 } text ? new Secret(text) : null;

    public bool Flag(string key) => Text(key) switch
    {
        "" or "false" => false,
        "true" => true,
        var text => Fail(Value(key), $"{Path(key)} is true or false, not {GoText.Quote(text)}", false),
    };

    public long Number(string key, long absent, long min, long max)
    {
        var text = Text(key);
        return text.Length == 0 ? absent
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max ? number
            : Fail(Value(key), $"{Path(key)} is a number from {min} to {max}, not {GoText.Quote(text)}", absent);
    }

    public TimeSpan Span(string key, TimeSpan absent)
    {
        var text = Text(key);
        return text.Length == 0 ? absent
            : Duration.TryParse(text, out var milliseconds, out var error) ? TimeSpan.FromMilliseconds(milliseconds)
            : Fail(Value(key), $"{Path(key)}: {error}", absent);
    }

    /// <summary>One of a few words; the first where the key is absent.</summary>
    public string Choice(string key, params ReadOnlySpan<string> choices)
    {
        var text = Text(key);
        return text.Length == 0 ? choices[0]
            : choices.Contains(text) ? text
            : Fail(Value(key), $"{Path(key)} is {string.Join(" or ", choices.ToArray().Where(c => c.Length > 0))}, not {GoText.Quote(text)}", choices[0]);
    }

    /// <summary>A mapping of texts.</summary>
    public IReadOnlyDictionary<string, string> Texts(string key)
    {
        var section = Section(key);
        var texts = new Dictionary<string, string>();
        foreach (var name in section._node?.Children.Keys.OfType<YamlScalarNode>() ?? [])
        {
            texts[name.Value ?? ""] = section.Text(name.Value ?? "");
        }

        return texts;
    }

    /// <summary>A key that is understood, but whose setting can't be honoured.</summary>
    public void Refuse(string key, string why)
    {
        if (Text(key) is not ("" or "false"))
        {
            Error(Value(key), $"{Path(key)}: {why}");
        }
    }

    public void Error(string key, string what) => Error(Value(key) ?? _node, what);

    /// <summary>After all keys that exist were asked for: every other key is an error.</summary>
    public void RefuseUnknown()
    {
        foreach (var key in _node?.Children.Keys ?? Enumerable.Empty<YamlNode>())
        {
            if (key is not YamlScalarNode { Value: { } name })
            {
                Error(key, "a key is a text");
            }
            else if (!_known.Contains(name))
            {
                Error(key, $"unknown key {Path(name)}");
            }
        }
    }

    YamlNode? Value(string key)
    {
        _known.Add(key);
        var value = _node?.Children.FirstOrDefault(c => c.Key is YamlScalarNode { Value: { } name } && name == key).Value;
        return value is YamlScalarNode { Style: ScalarStyle.Plain, Value: "" or "null" or "~" or null } ? null : value;
    }

    string Path(string key) => _path.Length == 0 ? key : $"{_path}.{key}";

    T Fail<T>(YamlNode? at, string what, T result)
    {
        Error(at, what);
        return result;
    }

    void Error(YamlNode? at, string what)
    {
        if (at is not null || _errors.Count == 0)
        {
            _errors.Add($"{_file}:{at?.Start.Line ?? 1}: {what}");
        }
    }
}
