using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Regex;

namespace Observe.Tsdb.Model;

public enum RelabelAction : byte
{
    /// <summary>Where the regex matches, sets target_label to the expanded replacement; an empty result deletes it.</summary>
    Replace,

    /// <summary>Drops what the regex does not match.</summary>
    Keep,

    /// <summary>Drops what the regex matches.</summary>
    Drop,

    /// <summary>Drops what differs from target_label's value.</summary>
    KeepEqual,

    /// <summary>Drops what equals target_label's value.</summary>
    DropEqual,

    /// <summary>Sets target_label to a hash of the source labels modulo <see cref="RelabelRule.Modulus"/>.</summary>
    HashMod,

    /// <summary>
    /// Copies each label whose name the regex matches to the expanded replacement; of several that lead to one name, the label that was
    /// set last wins over one that was there first.
    /// </summary>
    LabelMap,

    /// <summary>Deletes labels whose name the regex matches.</summary>
    LabelDrop,

    /// <summary>Deletes labels whose name the regex does not match.</summary>
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// <summary>One rule of <c>relabel_configs</c> or <c>metric_relabel_configs</c>, in Prometheus's form and with its defaults.</summary>
public sealed record RelabelRule
{
    public const string DefaultSeparator = ";";
    public const string DefaultRegex = "(.*)";
    public const string DefaultReplacement = "$1";

    public IReadOnlyList<string> SourceLabels { get; init; } = [];

    /// <summary>Stands between the values of the source labels.</summary>
    public string Separator { get; init; } = DefaultSeparator;

    public LabelRegex Regex { get; init; } = s_defaultRegex;

    public ulong Modulus { get; init; }

    public string TargetLabel { get; init; } = "";

    public string Replacement { get; init; } = DefaultReplacement;

    public RelabelAction Action { get; init; }

    /// <summary>Names must be legacy names (<c>metric_name_validation_scheme: legacy</c>), not any UTF-8.</summary>
    public bool LegacyNames { get; init; }

    /// <summary>What is wrong with the rule, in Prometheus's words; null when it is valid.</summary>
    public string? Fault()
    {
        var action = Name(Action);
        if (Modulus == 0 && Action == RelabelAction.HashMod)
        {
            return "relabel configuration for hashmod requires non-zero modulus";
        }

        if (NeedsTarget && TargetLabel.Length == 0)
        {
            return $"relabel configuration for {action} action requires 'target_label' value";
        }

        // In the UTF-8 scheme any name is good, a template too.
        var validTarget = Action == RelabelAction.Replace
            && HasVariable(TargetLabel) ? IsValidTemplate(TargetLabel) : IsValidName(TargetLabel);
        if (NeedsTarget && !validTarget)
        {
            return $"{GoText.Quote(TargetLabel)} is invalid 'target_label' for {action} action";
        }

        if (Action is RelabelAction.Lowercase or RelabelAction.Uppercase or RelabelAction.KeepEqual or RelabelAction.DropEqual
            && Replacement != DefaultReplacement)
        {
            return $"'replacement' can not be set for {action} action";
        }

        if (Action == RelabelAction.LabelMap && !IsValidTemplate(Replacement))
        {
            return $"{GoText.Quote(Replacement)} is invalid 'replacement' for {action} action";
        }

        var defaults = Modulus == 0 && Separator == DefaultSeparator && Replacement == DefaultReplacement;
        if (Action is RelabelAction.DropEqual or RelabelAction.KeepEqual && !(defaults && Regex.Pattern == DefaultRegex))
        {
            return $"{action} action requires only 'source_labels' and `target_label`, and no other fields";
        }

        if (Action is RelabelAction.LabelDrop or RelabelAction.LabelKeep
            && !(defaults && SourceLabels.Count == 0 && TargetLabel.Length == 0))
        {
            return $"{action} action requires only 'regex', and no other fields";
        }

        return null;
    }

    /// <summary>Applies rules in order; false as soon as one says to drop, and the labels are then of no use.</summary>
    public static bool Apply(IReadOnlyList<RelabelRule> rules, LabelsBuilder labels)
    {
        for (var i = 0; i < rules.Count; i++)
        {
            if (!rules[i].Apply(labels))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The action as configuration files write it.</summary>
    public static string Name(RelabelAction action) => s_names[(int)action];

    /// <summary>The action of a name, in any case.</summary>
    public static bool TryParseAction(string name, out RelabelAction action)
    {
        var index = Array.IndexOf(s_names, name.ToLowerInvariant());
        action = (RelabelAction)Math.Max(index, 0);
        return index >= 0;
    }

    bool Apply(LabelsBuilder labels)
    {
        switch (Action)
        {
            case RelabelAction.Keep:
                return Regex.IsMatch(Source(labels));
            case RelabelAction.Drop:
                return !Regex.IsMatch(Source(labels));
            case RelabelAction.KeepEqual:
                return labels.Get(TargetLabel) == Source(labels);
            case RelabelAction.DropEqual:
                return labels.Get(TargetLabel) != Source(labels);
            case RelabelAction.Replace:
                Replace(labels, Source(labels));
                break;
            case RelabelAction.Lowercase:
                labels.Set(TargetLabel, Lower(Source(labels)));
                break;
            case RelabelAction.Uppercase:
                labels.Set(TargetLabel, Upper(Source(labels)));
                break;
            case RelabelAction.HashMod:
                labels.Set(TargetLabel, HashModulo(Source(labels)).ToString(CultureInfo.InvariantCulture));
                break;
            case RelabelAction.LabelMap:
                foreach (var (name, value) in labels.InOrderOfSetting())
                {
                    if (Regex.Expand(name, Replacement) is { } mapped)
                    {
                        labels.Set(mapped, value);
                    }
                }

                break;
            case RelabelAction.LabelDrop or RelabelAction.LabelKeep:
                foreach (var (name, _) in labels.ToList())
                {
                    if (Regex.IsMatch(name) == (Action == RelabelAction.LabelDrop))
                    {
                        labels.Delete(name);
                    }
                }

                break;
        }

        return true;
    }

    // .NET's invariant cases leave three letters as they are whose other case is ASCII.
    static string Lower(string text) => text.ToLowerInvariant().Replace('İ', 'i');

    static string Upper(string text) => text.ToUpperInvariant().Replace('ı', 'I').Replace('ſ', 'S');

    void Replace(LabelsBuilder labels, string value)
    {
        if (Regex.Expand(value, Replacement) is not { } replacement)
        {
            return;
        }

        var target = HasVariable(TargetLabel) ? Regex.Expand(value, TargetLabel)! : TargetLabel;
        if (IsValidName(target))
        {
            labels.Set(target, replacement);
        }
    }

    /// <summary>The last eight bytes of the value's MD5, big-endian: shards are the same as in Prometheus.</summary>
    [SuppressMessage("Security", "CA5351", Justification = "the hash that Prometheus shards by; nothing is kept secret with it")]
    ulong HashModulo(string value)
    {
        Span<byte> hash = stackalloc byte[MD5.HashSizeInBytes];
        MD5.HashData(Encoding.UTF8.GetBytes(value), hash);
        return BinaryPrimitives.ReadUInt64BigEndian(hash[8..]) % Modulus;
    }

    string Source(LabelsBuilder labels) => SourceLabels.Count switch
    {
        0 => "",
        1 => labels.Get(SourceLabels[0]),
        _ => string.Join(Separator, SourceLabels.Select(labels.Get)),
    };

    bool NeedsTarget => Action is RelabelAction.Replace or RelabelAction.HashMod or RelabelAction.Lowercase or RelabelAction.Uppercase
        or RelabelAction.KeepEqual or RelabelAction.DropEqual;

    bool IsValidName(string name) => LegacyNames ? LabelName.IsLegacyValid(name) : LabelName.IsValid(name);

    bool IsValidTemplate(string template) => LegacyNames ? s_legacyTemplate.IsMatch(template) : LabelName.IsValid(template);

    static bool HasVariable(string template) => template.Contains('$', StringComparison.Ordinal);

    static readonly LabelRegex s_defaultRegex = new(DefaultRegex);

    static readonly LabelRegex s_legacyTemplate = new(@"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+");

    static readonly string[] s_names =
    [
        "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
    ];
}
