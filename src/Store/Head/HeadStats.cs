using Observe.Store.Model;

namespace Observe.Store.Head;

/// <summary>How many there are of one thing.</summary>
public readonly record struct Cardinality(string Name, long Value);

/// <summary>The head's size, and what makes it so large: each list descending by value, then by name.</summary>
public sealed record HeadStats
{
    public required TimeRange Range { get; init; }

    public required long Series { get; init; }

    public required long LabelPairs { get; init; }

    public required long Chunks { get; init; }

    public required IReadOnlyList<Cardinality> SeriesByMetricName { get; init; }

    public required IReadOnlyList<Cardinality> ValuesByLabelName { get; init; }

    /// <summary>Bytes of the values of a label, each counted once for each series that has it.</summary>
    public required IReadOnlyList<Cardinality> BytesByLabelName { get; init; }

    /// <summary>Names are <c>name=value</c>.</summary>
    public required IReadOnlyList<Cardinality> SeriesByLabelPair { get; init; }
}
