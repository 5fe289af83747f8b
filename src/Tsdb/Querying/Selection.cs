using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>What a reader is going to do with the series: all of it lets a source do less, none of it may change an answer.</summary>
public sealed record SelectHints
{
    /// <summary>Samples outside it are not returned; series without a sample in it may be.</summary>
    public required TimeRange Range { get; init; }

    /// <summary>Milliseconds between evaluations; 0 for an instant query.</summary>
    public long StepMs { get; init; }

    /// <summary>
    /// The function around a range selector, as in PromQL; null for an instant selector, and where selectors in several functions read the
    /// series.
    /// </summary>
    public string? Function { get; init; }

    /// <summary>
    /// The aggregation around an instant selector; null where there is none, and where several selectors with different ones read the
    /// series.
    /// </summary>
    public AggregationHint? Aggregation { get; init; }

    /// <summary>Samples are read as those of counters: a fall is a reset.</summary>
    public bool IsCounter { get; init; }

    /// <summary>Milliseconds of a range selector; 0 for an instant selector.</summary>
    public long WindowMs { get; init; }

    /// <summary>
    /// The coarsest resolution that will do, in milliseconds: 0 is raw only, 300 000 or 3 600 000 allow downsampled data.
    /// </summary>
    public long MaxResolutionMs { get; init; }

    /// <summary>What is wanted of downsampled data; of raw samples it is the samples themselves, but for <see cref="Aggregate.Count"/>.</summary>
    public Aggregate Aggregate { get; init; }

    /// <summary>
    /// External labels that tell replicas apart. A source may leave them off; it returns a series for each replica then, equal ones next
    /// to each other in the order of what was left off.
    /// </summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Only labels are wanted: series come without samples.</summary>
    public bool SkipSamples { get; init; }

    /// <summary>At most so many series or names; 0 is no limit. What is cut off is noted in <see cref="Coverage.IsTruncated"/>.</summary>
    public int Limit { get; init; }

    /// <summary>These hints without function and aggregation: selectors whose other hints are equal can read the same series.</summary>
    public SelectHints WithoutUser() => Function is null && Aggregation is null ? this : this with { Function = null, Aggregation = null };
}

/// <summary>An aggregation whose operand is a selector: <c>sum by (pod) (up)</c>.</summary>
/// <param name="Name">As in PromQL.</param>
/// <param name="Without">The labels are those that are dropped; otherwise those that are kept.</param>
public sealed record AggregationHint(string Name, IReadOnlyList<string> Labels, bool Without)
{
    public bool Equals(AggregationHint? other) =>
        other is not null && Name == other.Name && Without == other.Without && Labels.SequenceEqual(other.Labels);

    public override int GetHashCode() => HashCode.Combine(Name, Without, Labels.Count);
}

/// <summary>
/// What one selector of a query, or one search for names or values, asks of a source. It is made by <see cref="QueryContext.Select"/> and
/// derived from there: a matcher leaves it only by being answered.
/// </summary>
public sealed class Selection
{
    internal Selection(QueryContext query, SelectHints hints, IReadOnlyList<Matcher> matchers) =>
        (Query, Hints, Matchers) = (query, hints, matchers);

    public QueryContext Query { get; }

    public SelectHints Hints { get; }

    /// <summary>All have to match, those that the query enforces among them.</summary>
    public IReadOnlyList<Matcher> Matchers { get; }

    public TimeRange Range => Hints.Range;

    public Coverage Coverage => Query.Coverage;

    public CancellationToken CancellationToken => Query.CancellationToken;

    public Selection With(SelectHints hints) => new(Query, hints, Matchers);

    /// <summary>For a part of the same query.</summary>
    public Selection With(QueryContext derived) => new(derived, Hints, Matchers);

    /// <summary>With one matcher more.</summary>
    public Selection With(Matcher matcher) => new(Query, Hints, [.. Matchers, matcher]);

    /// <summary>Answers the matchers on labels that all series of a source have: what is left is for the series themselves.</summary>
    /// <returns>Null when one of them does not match.</returns>
    public Selection? Answer(Labels labels)
    {
        if (labels.IsEmpty || Matchers.Count == 0)
        {
            return this;
        }

        var rest = new List<Matcher>(Matchers.Count);
        foreach (var matcher in Matchers)
        {
            if (!labels.TryGet(Utf8Order.Bytes(matcher.Name), out var value))
            {
                rest.Add(matcher);
            }
            else if (!matcher.Matches(value))
            {
                return null;
            }
        }

        return rest.Count == Matchers.Count ? this : new Selection(Query, Hints, rest);
    }

    /// <summary>At most as many of sorted texts as are wanted; what is cut off is noted.</summary>
    public IReadOnlyList<string> Limited(IReadOnlyList<string> sorted)
    {
        if (Hints.Limit == 0 || sorted.Count <= Hints.Limit)
        {
            return sorted;
        }

        Coverage.Truncate();
        return [.. sorted.Take(Hints.Limit)];
    }
}
