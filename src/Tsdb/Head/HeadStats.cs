using System.Text;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Head;

/// <summary>A name, and how many series, values or bytes it has.</summary>
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

public sealed partial class HeadBlock
{
    /// <summary>What <c>/api/v1/status/tsdb</c> shows: the largest <paramref name="limit"/> of each kind.</summary>
    public HeadStats Stats(int limit = 10)
    {
        var metrics = new List<Cardinality>();
        var values = new List<Cardinality>();
        var bytes = new List<Cardinality>();
        var pairs = new List<Cardinality>();
        long pairCount = 0;
        foreach (var name in Series.Postings.LabelNames())
        {
            long valueCount = 0, byteCount = 0;
            Series.Postings.Visit(Encoding.UTF8.GetBytes(name), default, (value, list) =>
            {
                valueCount++;
                byteCount += (long)value.Length * list.Length;
                var text = Encoding.UTF8.GetString(value);
                Keep(pairs, new Cardinality($"{name}={text}", list.Length), limit);
                if (name == Labels.MetricName)
                {
                    Keep(metrics, new Cardinality(text, list.Length), limit);
                }

                return true;
            });
            pairCount += valueCount;
            Keep(values, new Cardinality(name, valueCount), limit);
            Keep(bytes, new Cardinality(name, byteCount), limit);
        }

        return new HeadStats
        {
            Range = Range,
            Series = SeriesCount,
            LabelPairs = pairCount,
            Chunks = Chunks.Count,
            SeriesByMetricName = metrics,
            ValuesByLabelName = values,
            BytesByLabelName = bytes,
            SeriesByLabelPair = pairs,
        };
    }

    /// <summary>Keeps the largest, in order.</summary>
    static void Keep(List<Cardinality> largest, Cardinality one, int limit)
    {
        if (largest.Count == limit && (limit == 0 || largest[^1].Value > one.Value))
        {
            return;
        }

        var index = largest.BinarySearch(one, Descending);
        largest.Insert(index < 0 ? ~index : index, one);
        if (largest.Count > limit)
        {
            largest.RemoveAt(limit);
        }
    }

    static readonly Comparer<Cardinality> Descending = Comparer<Cardinality>.Create((a, b) =>
        a.Value != b.Value ? b.Value.CompareTo(a.Value) : string.CompareOrdinal(a.Name, b.Name));
}
