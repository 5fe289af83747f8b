using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// One query, from where it begins (a request, a call, a tool, a script) down to every source that is asked for it: until when it may go
/// on, what it may use over all its selections and sources together, which series it may see, and what its answer lacks. Thread-safe.
/// </summary>
public sealed class QueryContext
{
    int _checks;

    public QueryContext(CancellationToken cancellationToken = default) => CancellationToken = cancellationToken;

    QueryContext(QueryContext outer, Coverage coverage, CancellationToken cancellationToken)
    {
        (CancellationToken, Coverage) = (cancellationToken, coverage);
        (Deadline, EnforcedMatchers) = (outer.Deadline, outer.EnforcedMatchers);
        (Bytes, Samples, Series, Fetched) = (outer.Bytes, outer.Samples, outer.Series, outer.Fetched);
    }

    public CancellationToken CancellationToken { get; }

    public Deadline Deadline { get; init; } = Deadline.None;

    /// <summary>Bytes held in memory: by who evaluates the query, and by the sources for it.</summary>
    public Budget Bytes { get; init; } = new();

    /// <summary>Samples held at once, counted as Prometheus counts them.</summary>
    public Budget Samples { get; init; } = new();

    /// <summary>Series of all selections.</summary>
    public Budget Series { get; init; } = new();

    /// <summary>
    /// Bytes fetched from buckets. They are counted here over all selections; the limit is that of the store that fetches.
    /// </summary>
    public Budget Fetched { get; } = new();

    /// <summary>Matchers of every selection, whatever else it asks for.</summary>
    public IReadOnlyList<Matcher> EnforcedMatchers { get; init; } = [];

    /// <summary>What the answer lacks.</summary>
    public Coverage Coverage { get; } = new();

    /// <summary>The only way to a <see cref="Selection"/>, so that the enforced matchers are in each.</summary>
    public Selection Select(SelectHints hints, IReadOnlyList<Matcher> matchers) =>
        new(this, hints, EnforcedMatchers.Count == 0 ? matchers : [.. matchers, .. EnforcedMatchers]);

    /// <summary>
    /// The same query for a part of it that may be stopped before the rest, or whose lacks are somebody's own: all else is shared.
    /// </summary>
    public QueryContext Derive(CancellationToken cancellationToken) => new(this, Coverage, cancellationToken);

    /// <summary>As <see cref="Derive(CancellationToken)"/>.</summary>
    public QueryContext Derive(Coverage coverage) => new(this, coverage, CancellationToken);

    /// <summary>The same query for a part of it that wants all or nothing; see <see cref="Coverage.Refusing"/>.</summary>
    public QueryContext Refusing(Func<string, Exception> refusal) => Derive(Coverage.Refusing(refusal));

    /// <summary>
    /// Throws when the query is to stop. The timer that cancels it may come late while all cores compute, so the clock is asked too, now
    /// and
    /// then. Cheap enough for a loop over series.
    /// </summary>
    /// <exception cref="DeadlineException">Its time is up.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public void ThrowIfOver()
    {
        CancellationToken.ThrowIfCancellationRequested();

        // Threads that count at once may lose a count, which does not matter.
        if ((_checks++ & 7) == 0 && Deadline.IsOver)
        {
            throw new DeadlineException();
        }
    }
}
