using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// One query, passed from where it begins (a request, a call, a tool, a script) down to every source: its deadline, its budgets over all
/// selections and sources together, the matchers that are enforced on it, and the coverage of its answer. Thread-safe.
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
        (Slot, Replicas) = (outer.Slot, outer.Replicas);
    }

    public CancellationToken CancellationToken { get; }

    public Deadline Deadline { get; init; } = Deadline.None;

    /// <summary>The slot that the query is evaluated in.</summary>
    public QuerySlot Slot { get; private init; } = QuerySlot.Unlimited;

    /// <summary>Bytes held in memory by the evaluation of the query and by its sources.</summary>
    public Budget Bytes { get; init; } = new();

    /// <summary>Samples held at once, counted as Prometheus counts them.</summary>
    public Budget Samples { get; init; } = new();

    /// <summary>Series of all selections.</summary>
    public Budget Series { get; init; } = new();

    /// <summary>
    /// Bytes fetched from buckets. They are counted here over all selections; the limit is that of the store that fetches.
    /// </summary>
    public Budget Fetched { get; } = new();

    /// <summary>Matchers that are added to every selection.</summary>
    public IReadOnlyList<Matcher> EnforcedMatchers { get; init; } = [];

    /// <summary>What the answer lacks.</summary>
    public Coverage Coverage { get; } = new();

    /// <summary>Where it is noted which replicas gave the samples; null where nobody wants to know.</summary>
    public ServedReplicas? Replicas { get; private init; }

    /// <summary>Makes a selection, with the enforced matchers added. There is no other way to make one.</summary>
    public Selection Select(SelectHints hints, IReadOnlyList<Matcher> matchers) =>
        new(this, hints, EnforcedMatchers.Count == 0 ? matchers : [.. matchers, .. EnforcedMatchers]);

    /// <summary>A context for a part of the query that has a token or a coverage of its own, and shares the rest.</summary>
    public QueryContext Derive(CancellationToken cancellationToken) => new(this, Coverage, cancellationToken);

    /// <summary>As <see cref="Derive(CancellationToken)"/>.</summary>
    public QueryContext Derive(Coverage coverage, ServedReplicas? replicas = null) =>
        new(this, coverage, CancellationToken) { Replicas = replicas ?? Replicas };

    /// <summary>The query from when it has a slot.</summary>
    public QueryContext Within(QuerySlot slot, CancellationToken cancellationToken) => new(this, Coverage, cancellationToken) { Slot = slot };

    /// <summary>A context for a part of the query that wants no partial answer; see <see cref="Coverage.Refusing"/>.</summary>
    public QueryContext Refusing(Func<string, Exception> refusal) => Derive(Coverage.Refusing(refusal));

    /// <summary>
    /// Throws when the query is to stop. The timer that cancels the query may fire late while all cores compute, so the clock is read too,
    /// every few calls. Cheap enough for a loop over series.
    /// </summary>
    /// <exception cref="DeadlineException">The query's time is up.</exception>
    /// <exception cref="OperationCanceledException">The query was cancelled.</exception>
    public void ThrowIfOver()
    {
        CancellationToken.ThrowIfCancellationRequested();

        // Threads that increment at the same time may lose a count, which does not matter.
        if ((_checks++ & 7) == 0 && Deadline.IsOver)
        {
            throw new DeadlineException();
        }
    }
}
