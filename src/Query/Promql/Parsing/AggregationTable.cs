using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>The traits of an aggregation.</summary>
public sealed record AggregationTraits(Aggregation Id, string Name)
{
    public bool TakesParameter { get; init; }

    public bool Experimental { get; init; }

    /// <summary>The value of downsampled windows that a selector right below it reads; Raw: their averages.</summary>
    public Aggregate Aggregate { get; init; }

    /// <summary>As <see cref="Function.NeedsRaw"/>, of a selector right below it.</summary>
    public bool NeedsRaw { get; init; }
}

/// <summary>The aggregations of Prometheus 3.14 with all their traits.</summary>
public static class AggregationTable
{
    static readonly AggregationTraits[] s_all =
    [
        new(Aggregation.Sum, "sum"),
        new(Aggregation.Avg, "avg"),
        new(Aggregation.Count, "count"),
        new(Aggregation.Min, "min") { Aggregate = Aggregate.Min },
        new(Aggregation.Max, "max") { Aggregate = Aggregate.Max },
        new(Aggregation.Group, "group"),
        new(Aggregation.Stddev, "stddev") { NeedsRaw = true },
        new(Aggregation.Stdvar, "stdvar") { NeedsRaw = true },
        new(Aggregation.TopK, "topk") { TakesParameter = true, Aggregate = Aggregate.Max },
        new(Aggregation.BottomK, "bottomk") { TakesParameter = true, Aggregate = Aggregate.Min },
        new(Aggregation.CountValues, "count_values") { TakesParameter = true, NeedsRaw = true },
        new(Aggregation.Quantile, "quantile") { TakesParameter = true, NeedsRaw = true },
        new(Aggregation.LimitK, "limitk") { TakesParameter = true, Experimental = true },
        new(Aggregation.LimitRatio, "limit_ratio") { TakesParameter = true, Experimental = true },
    ];

    public static AggregationTraits Of(Aggregation id) => s_all[(int)id];

    /// <summary>The aggregation of that name; null when there is none.</summary>
    public static AggregationTraits? Find(string name) => Array.Find(s_all, traits => traits.Name == name);

    public static IReadOnlyList<AggregationTraits> All => s_all;
}
