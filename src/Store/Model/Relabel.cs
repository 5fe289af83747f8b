namespace Observe.Store.Model;

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

    /// <summary>Copies each label whose name the regex matches to the expanded replacement.</summary>
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

    public LabelRegex Regex { get; init; } = new(DefaultRegex);

    public ulong Modulus { get; init; }

    public string TargetLabel { get; init; } = "";

    public string Replacement { get; init; } = DefaultReplacement;

    public RelabelAction Action { get; init; }

    /// <summary>Names must be legacy names (<c>metric_name_validation_scheme: legacy</c>), not any UTF-8.</summary>
    public bool LegacyNames { get; init; }

    /// <summary>What is wrong with the rule, in Prometheus's words; null when it is valid.</summary>
    public string? Fault() => throw new NotImplementedException();

    /// <summary>Applies rules in order; false as soon as one says to drop, and the labels are then of no use.</summary>
    public static bool Apply(IReadOnlyList<RelabelRule> rules, LabelsBuilder labels) => throw new NotImplementedException();
}
