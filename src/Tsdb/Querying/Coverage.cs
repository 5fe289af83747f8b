using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>The kind of a source that an answer lacks.</summary>
public enum MissingPart
{
    /// <summary>A store, or another source as a whole.</summary>
    Source,

    /// <summary>A block that can't be read.</summary>
    Block,

    /// <summary>A block that was deleted while it was read, and that no other replaces.</summary>
    VanishedBlock,

    /// <summary>A chunk that can't be read.</summary>
    Chunk,

    /// <summary>What a collector holds, or should have gathered, and the bucket lacks.</summary>
    Collector,
}

/// <summary>Something that an answer lacks.</summary>
/// <param name="Name">The name of the source, the block or the collector.</param>
/// <param name="LabelSets">External labels of what is missing; empty where they are not known, and then it may be anything.</param>
/// <param name="Range">The part of the selection's range that is missing; both ends may be infinite.</param>
/// <param name="Reason">Why.</param>
public sealed record Missing(MissingPart Part, string Name, IReadOnlyList<Labels> LabelSets, TimeRange Range, string Reason)
{
    /// <summary>Since when it has been missing, Unix milliseconds; null where that is not known.</summary>
    public long? Since { get; init; }

    public bool Equals(Missing? other) => other is not null
        && (Part, Name, Range, Reason, Since) == (other.Part, other.Name, other.Range, other.Reason, other.Since)
        && LabelSets.SequenceEqual(other.LabelSets);

    public override int GetHashCode() => HashCode.Combine(Part, Name, Range, Reason);
}

/// <summary>
/// A range of a selection that was answered from downsampled data. Ranges without such an entry were answered from raw samples.
/// </summary>
/// <param name="Matchers">The matchers of the selection.</param>
/// <param name="ExternalLabels">The external labels of the blocks.</param>
/// <param name="MaxResolutionMs">The coarsest resolution that the selection wanted.</param>
public sealed record ServedRange(
    IReadOnlyList<Matcher> Matchers, Labels ExternalLabels, TimeRange Range, long ResolutionMs, long MaxResolutionMs)
{
    /// <summary>Whether the data is coarser than the selection wanted.</summary>
    public bool IsCoarser => ResolutionMs > MaxResolutionMs;

    public bool Equals(ServedRange? other) => other is not null
        && (ExternalLabels, Range, ResolutionMs, MaxResolutionMs)
        == (other.ExternalLabels, other.Range, other.ResolutionMs, other.MaxResolutionMs)
        && Matchers.SequenceEqual(other.Matchers);

    public override int GetHashCode() => HashCode.Combine(ExternalLabels, Range, ResolutionMs, MaxResolutionMs);
}

/// <summary>
/// What an answer lacks, and which ranges were answered from downsampled data: collected from all sources of a query, each entry once. <see
/// cref="CoverageText"/> makes text of it. Thread-safe.
/// </summary>
public sealed class Coverage
{
    readonly Lock _lock = new();
    readonly HashSet<Missing> _missing = [];
    readonly HashSet<ServedRange> _served = [];
    readonly HashSet<string> _expected = [];
    readonly HashSet<string> _warnings = [];
    readonly HashSet<string> _doubts = [];
    readonly HashSet<string> _infos = [];
    readonly Coverage? _outer;
    readonly Func<string, Exception>? _refusal;
    bool _isTruncated;

    public Coverage()
    {
    }

    Coverage(Coverage outer, Func<string, Exception>? refusal) => (_outer, _refusal) = (outer, refusal);

    public bool IsTruncated => Read(() => _isTruncated);

    public IReadOnlyList<Missing> Missing => Read(() => _missing.ToArray());

    /// <summary>Clusters that should have taken part in the answer, by name.</summary>
    public IReadOnlyList<string> Expected => Read(() => _expected.ToArray());

    public IReadOnlyList<ServedRange> Served => Read(() => _served.ToArray());

    /// <summary>Warnings that are known as text only, since a peer of another make sent them.</summary>
    public IReadOnlyList<string> TextWarnings => Read(() => _warnings.ToArray());

    /// <summary>Reasons to doubt the answer although nothing is missing from it.</summary>
    public IReadOnlyList<string> Doubts => Read(() => _doubts.ToArray());

    /// <summary>Infos that are known as text only.</summary>
    public IReadOnlyList<string> TextInfos => Read(() => _infos.ToArray());

    /// <summary>Whether something is missing, or may be.</summary>
    public bool IsPartial => Read(() => _missing.Count > 0 || _warnings.Count > 0);

    /// <summary>Whether the answer lacks nothing and has no infos.</summary>
    public bool IsEmpty =>
        Read(() => _missing.Count == 0 && _warnings.Count == 0 && _doubts.Count == 0 && _infos.Count == 0 && !_isTruncated && !_served.Any(s => s.IsCoarser));

    /// <summary>A coverage for a part of a query: what is added to it is added to this one too.</summary>
    public Coverage Part() => new(this, null);

    /// <summary>
    /// A coverage for a part of a query that wants no partial answer: adding something missing to it throws this exception.
    /// </summary>
    /// <param name="refusal">Makes the exception of a text that says what is missing.</param>
    public Coverage Refusing(Func<string, Exception> refusal) => new(this, refusal);

    public void Add(Missing missing) => Add([missing]);

    /// <summary>Adds all that is known to be missing at once: a refusal names all of it.</summary>
    public void Add(IReadOnlyCollection<Missing> missing)
    {
        if (missing.Count == 0)
        {
            return;
        }

        lock (_lock)
        {
            _missing.UnionWith(missing);
        }

        Passed?.Add(missing);
        ThrowIfRefused();
    }

    /// <summary>Adds a warning that is known as text only: something is missing.</summary>
    public void AddWarning(string text)
    {
        lock (_lock)
        {
            _warnings.Add(text);
        }

        Passed?.AddWarning(text);
        ThrowIfRefused();
    }

    public void AddDoubt(string text) => Note(coverage => coverage._doubts.Add(text));

    public void AddInfo(string text) => Note(coverage => coverage._infos.Add(text));

    public void Add(ServedRange served) => Note(coverage => coverage._served.Add(served));

    public void Expect(IEnumerable<string> clusters) => Note(coverage => coverage._expected.UnionWith(clusters));

    /// <summary>The answer stops at <see cref="SelectHints.Limit"/>, which does not mean that something is missing.</summary>
    public void Truncate() => Note(static coverage => coverage._isTruncated = true);

    /// <summary>
    /// Throws where something is missing and no partial answer is wanted. Called at the end of an answer, since a source may have caught
    /// the exception and gone on.
    /// </summary>
    public void ThrowIfRefused()
    {
        if (_refusal is not null && IsPartial)
        {
            throw _refusal(CoverageText.Warnings(this).Except(Doubts).First());
        }
    }

    // Where what is missing goes too, unless it is refused here.
    Coverage? Passed => _refusal is null ? _outer : null;

    // Entries that are nothing missing are never refused, and are added to the whole query's coverage at once.
    void Note(Action<Coverage> note)
    {
        for (var coverage = this; coverage is not null; coverage = coverage._outer)
        {
            lock (coverage._lock)
            {
                note(coverage);
            }
        }
    }

    T Read<T>(Func<T> read)
    {
        lock (_lock)
        {
            return read();
        }
    }
}
