using System.Globalization;
using System.Text.Json;
using Observe.Collector.Config;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Discovery;

/// <summary>A file of target groups: a list of <c>{targets: […], labels: {…}}</c> in JSON or YAML, by the name's ending.</summary>
static class TargetFile
{
    /// <summary>The groups of a file; each target group knows the file as <c>__meta_filepath</c>.</summary>
    /// <exception cref="ConfigException">The file is malformed; the message names each fault and its line.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IReadOnlyList<TargetGroup> Read(string path)
    {
        var text = ConfigFile.Read(path);
        var groups = path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? ReadJson(text, path) : ReadYaml(text, path);
        return [.. groups.Select((group, index) => new TargetGroup(
            string.Create(CultureInfo.InvariantCulture, $"{path}:{index}"),
            [.. group.Targets.Select(address => Labels.Of(("__address__", address)))],
            new LabelsBuilder(group.Labels).Set("__meta_filepath", path).Build()))];
    }

    static List<StaticConfig> ReadYaml(string text, string path)
    {
        var errors = new ConfigErrors(path);
        var groups = new List<StaticConfig>();
        if (YamlTree.TryRead(text, errors, out var root))
        {
            if (root is YamlList list)
            {
                groups.AddRange(list.Items.Select(node => JobReader.ReadGroup(new ConfigSection(node, "the group", errors))));
            }
            else if (root is not (null or YamlText { IsNull: true }))
            {
                errors.Add(root, "the file must hold a list of groups");
            }
        }

        errors.ThrowIfAny();
        return groups;
    }

    static List<StaticConfig> ReadJson(string text, string path)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Null
                ? []
                : [.. document.RootElement.EnumerateArray().Select(group => ReadGroup(group, path))];
        }
        catch (JsonException e)
        {
            throw Fault(path, (int)(e.LineNumber ?? -1) + 1, $"not valid JSON: {e.Message}");
        }
        catch (InvalidOperationException e)
        {
            throw Fault(path, 0, $"not a list of groups: {e.Message}");
        }
    }

    /// <summary>As Go's decoder reads it: names of keys in any case, the last of equal ones counts, and null is as good as nothing.</summary>
    static StaticConfig ReadGroup(JsonElement group, string path)
    {
        IReadOnlyList<string> targets = [];
        var labels = new LabelsBuilder();
        foreach (var property in group.EnumerateObject())
        {
            var value = property.Value;
            if (property.Name.Equals("targets", StringComparison.OrdinalIgnoreCase))
            {
                targets = value.ValueKind == JsonValueKind.Null ? [] : [.. value.EnumerateArray().Select(target => target.GetString() ?? "")];
            }
            else if (property.Name.Equals("labels", StringComparison.OrdinalIgnoreCase))
            {
                ReadLabels(value, labels.Reset(), path);
            }
            else
            {
                throw Fault(path, 0, $"unknown key {GoText.Quote(property.Name)} in a group");
            }
        }

        return new StaticConfig(targets, labels.Build());
    }

    static void ReadLabels(JsonElement value, LabelsBuilder labels, string path)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        foreach (var label in value.EnumerateObject())
        {
            if (!LabelName.IsValid(label.Name))
            {
                throw Fault(path, 0, $"{GoText.Quote(label.Name)} is not a valid label name");
            }

            labels.Set(label.Name, label.Value.GetString() ?? "");
        }
    }

    static ConfigException Fault(string path, int line, string message) => new([new ConfigError(path, line, line > 0 ? 1 : 0, message)]);
}
