using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// What the reader of a selection's series needs of them. A hint lets a source do less work, and must not change an answer.
/// </summary>
public sealed record SelectHints
{
    /// <summary>The range of time of the samples; series without a sample in it may be returned.</summary>
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

    /// <summary>The reader takes samples as a counter's: a fall is a reset.</summary>
    public bool IsCounter { get; init; }

    /// <summary>Milliseconds of a range selector; 0 for an instant selector.</summary>
    public long WindowMs { get; init; }

    /// <summary>
    /// The coarsest resolution that will do, in milliseconds: 0 is raw only, 300 000 or 3 600 000 allow downsampled data.
    /// </summary>
    public long MaxResolutionMs { get; init; }

    /// <summary>
    /// The value of downsampled windows that samples are made of, wherever a source has nothing else, whatever resolution was wanted. Raw
    /// samples stay as they are.
    /// </summary>
    public Aggregate Aggregate { get; init; }

    /// <summary>
    /// So much before and after <see cref="Range"/>, in milliseconds, samples of downsampled windows are wanted too: those that stand at its
    /// first time, and what tells where a series begins and ends, are further away than raw samples are.
    /// </summary>
    public long WindowsMarginMs { get; init; }

    /// <summary>The range of time of samples of downsampled windows.</summary>
    public TimeRange WindowRange => Range.Widened(WindowsMarginMs);

    /// <summary>
    /// Names of external labels that tell replicas apart. Unlike other hints this is no choice: a source leaves off those of its external
    /// labels that have one of these names, says so in <see cref="Series.Replica"/>, and returns a series for each replica. A label of such
    /// a name that a series has itself stays, and is what the answer shows. Names and values are those of the labels that stay.
    /// </summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Only labels are wanted: series need not have samples.</summary>
    public bool SkipSamples { get; init; }

    /// <summary>
    /// The most series, names or values to return; 0 is no limit. Replicas of one series count once. Of names and values they are the
    /// first, of series any. A source that stops there says so by <see cref="Coverage.Truncate"/>.
    /// </summary>
    public int Limit { get; init; }

    /// <summary>How many a source looks for at most: one more than the limit, by which it knows that there are more.</summary>
    public int Wanted => Limit is 0 or int.MaxValue ? int.MaxValue : Limit + 1;

    /// <summary>These hints without function and aggregation: selectors whose other hints are equal can read the same series.</summary>
    public SelectHints WithoutUser() => Function is null && Aggregation is null ? this : this with { Function = null, Aggregation = null };
}

/// <summary>Counts the series of an answer against the limit; replicas of one series, which follow one another, count once.</summary>
public sealed class SeriesCount(Selection selection)
{
    Labels _last;

    public int Value { get; private set; }

    /// <returns>False for one more than the limit, which is noted.</returns>
    public bool Add(Labels labels)
    {
        if (Value > 0 && labels == _last)
        {
            return true;
        }

        if (selection.Hints.Limit > 0 && Value == selection.Hints.Limit)
        {
            selection.Coverage.Truncate();
            return false;
        }

        (_last, Value) = (labels, Value + 1);
        return true;
    }
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
/// A request to a source: by one selector of a query, or by one search for names or values. <see cref="QueryContext.Select"/> makes
/// selections, and others are derived from these, so that a matcher is dropped only where it was answered.
/// </summary>
public sealed class Selection
{
    internal Selection(QueryContext query, SelectHints hints, IReadOnlyList<Matcher> matchers) =>
        (Query, Hints, Matchers) = (query, hints, matchers);

    public QueryContext Query { get; }

    public SelectHints Hints { get; }

    /// <summary>The matchers, which all have to match, those that the query enforces among them.</summary>
    public IReadOnlyList<Matcher> Matchers { get; }

    public TimeRange Range => Hints.Range;

    public Coverage Coverage => Query.Coverage;

    public CancellationToken CancellationToken => Query.CancellationToken;

    public Selection With(SelectHints hints) => new(Query, hints, Matchers);

    /// <summary>This selection for a part of the same query.</summary>
    public Selection With(QueryContext derived) => new(derived, Hints, Matchers);

    /// <summary>This selection with one matcher more.</summary>
    public Selection With(Matcher matcher) => new(Query, Hints, [.. Matchers, matcher]);

    /// <summary>Answers the matchers on labels that all series of a source have; the selection that is returned has the others.</summary>
    /// <remarks>
    /// A matcher on a label that is left off holds for a series' own label of that name, and where it has none, for the one left off.
    /// </remarks>
    /// <returns>Null when one of them does not match.</returns>
    public Selection? Answer(Labels labels)
    {
        if (labels.IsEmpty || Matchers.Count == 0)
        {
            return this;
        }

        var (rest, isSame) = (new List<Matcher>(Matchers.Count), true);
        foreach (var matcher in Matchers)
        {
            if (!labels.TryGet(Utf8Order.Bytes(matcher.Name), out var value))
            {
                rest.Add(matcher);
                continue;
            }

            isSame = false;
            var (matches, isLeftOff) = (matcher.Matches(value), Hints.ReplicaLabels.Contains(matcher.Name));
            if (!matches && !isLeftOff)
            {
                return null;
            }

            if (isLeftOff)
            {
                rest.Add(matches ? matcher.OrEmpty() : matcher);
                if (!matches && matcher.MatchesEmpty)
                {
                    rest.Add(new Matcher(Model.MatchType.NotEqual, matcher.Name, ""));
                }
            }
        }

        return isSame ? this : new Selection(Query, Hints, rest);
    }

    /// <summary>The first of sorted texts, up to the limit; notes where there are more.</summary>
    public IReadOnlyList<string> Limited(IReadOnlyList<string> sorted)
    {
        if (Hints.Limit == 0 || sorted.Count <= Hints.Limit)
        {
            return sorted;
        }

        Coverage.Truncate();
        return [.. sorted.Take(Hints.Limit)];
    }

    /// <summary>What is in any of several lists, each sorted by bytes and without doubles, up to the limit.</summary>
    public IReadOnlyList<string> Union(IReadOnlyList<IReadOnlyList<string>> lists)
    {
        var rest = new List<IReadOnlyList<string>>(lists.Where(list => list.Count > 0));
        while (rest.Count > 1)
        {
            // Always two of about the same size, so that each text is compared as often as the lists can be halved.
            for (var i = 0; i < rest.Count / 2; i++)
            {
                rest[i] = Union(rest[i], rest[rest.Count - 1 - i], Hints.Wanted);
            }

            rest.RemoveRange((rest.Count + 1) / 2, rest.Count / 2);
        }

        return rest.Count == 0 ? [] : Limited(rest[0]);
    }

    static List<string> Union(IReadOnlyList<string> a, IReadOnlyList<string> b, int most)
    {
        var union = new List<string>(Math.Min(most, Math.Max(a.Count, b.Count)));
        for (int i = 0, j = 0; union.Count < most && (i < a.Count || j < b.Count);)
        {
            var order = i == a.Count ? 1 : j == b.Count ? -1 : Utf8Order.Instance.Compare(a[i], b[j]);
            union.Add(order <= 0 ? a[i] : b[j]);
            i += order <= 0 ? 1 : 0;
            j += order >= 0 ? 1 : 0;
        }

        return union;
    }
}
