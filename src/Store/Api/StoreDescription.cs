using Observe.Store.Fleet;
using Observe.Tsdb.Model;

namespace Observe.Store.Api;

/// <summary>A process's description of what it serves over the store API.</summary>
/// <param name="Component">Thanos's word for the process's role: sidecar, store, query, rule, receive.</param>
/// <param name="LabelSets">
/// Sets of external labels: each series of the process has all labels of one of the sets. Empty: the process may hold any series.
/// </param>
/// <param name="Range">The range of time that the process has samples of.</param>
public sealed record StoreDescription(string Component, IReadOnlyList<Labels> LabelSets, TimeRange Range)
{
    /// <summary>What it serves beside series.</summary>
    public ServedApis Apis { get; init; }

    /// <summary>The range of each set of labels, where it is known to be less than the whole.</summary>
    public IReadOnlyDictionary<Labels, TimeRange> Ranges { get; init; } = new Dictionary<Labels, TimeRange>();

    /// <summary>The name of the collector that the process is; "" for others, and where it is not known.</summary>
    public string Collector { get; init; } = "";

    /// <summary>The collectors of the bucket that the process serves.</summary>
    public IReadOnlyList<KnownCollector> Fleet { get; init; } = [];

    public TimeRange RangeOf(Labels labels) => Ranges.TryGetValue(labels, out var range) ? range : Range;
}

/// <summary>APIs of a process beside that of series.</summary>
[Flags]
public enum ServedApis
{
    None = 0,
    Metadata = 1,
    Targets = 2,
    Query = 4,
}
