using System.Text.RegularExpressions;

namespace Observe.Store.Fleet;

/// <summary>The rule for names of clusters and collectors, which are parts of keys in the bucket.</summary>
/// <remarks>100 characters is the longest name that a managed Kubernetes cluster has; a host's has at most 64.</remarks>
public static partial class FleetName
{
    /// <summary>The rule in words, for errors.</summary>
    public const string Rule = "up to 100 letters, digits, underscores, dots and dashes, the first no dot and no dash";

    public static bool IsValid(string name) => Pattern().IsMatch(name);

    [GeneratedRegex(@"\A[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,99}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
