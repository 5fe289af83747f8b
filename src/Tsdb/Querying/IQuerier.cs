using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>What a reader is going to do with the series: all of it lets a source do less, none of it may change an answer.</summary>
public sealed record SelectHints
{
    /// <summary>Samples outside it are not returned; series without a sample in it may be.</summary>
    public required TimeRange Range { get; init; }

    /// <summary>Milliseconds between evaluations; 0 for an instant query.</summary>
    public long StepMs { get; init; }

    /// <summary>The function around a range selector, as in PromQL; null for an instant selector, whose series are the same for everybody.</summary>
    public string? Function { get; init; }

    /// <summary>Milliseconds of a range selector; 0 for an instant selector.</summary>
    public long WindowMs { get; init; }

    /// <summary>The coarsest resolution that will do, in milliseconds: 0 is raw only, 300 000 or 3 600 000 allow downsampled data.</summary>
    public long MaxResolutionMs { get; init; }

    public Aggregate Aggregate { get; init; }

    /// <summary>
    /// External labels that tell replicas apart. A source may leave them off; it returns a series for each replica then, equal ones next
    /// to each other in the order of what was left off.
    /// </summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Only labels are wanted: series come without samples.</summary>
    public bool SkipSamples { get; init; }

    /// <summary>At most so many series or names; 0 is no limit. What is cut off is told by a warning.</summary>
    public int Limit { get; init; }
}

/// <summary>Reads series of one source: the head, a block, a bucket, live slices, a remote store, or other queriers behind it.</summary>
/// <remarks>
/// A source that cannot answer in full adds a warning and returns what it has. Thread-safe. Errors: <see cref="Bytes.CorruptionException"/>
/// and <see cref="IOException"/> for a source that fails as a whole; <see cref="LimitException"/> for a limit.
/// </remarks>
public interface IQuerier
{
    /// <summary>
    /// Series that match, sorted by labels, each once. Series that were returned stay readable, their labels too, until the enumerator is
    /// disposed: it holds what they lie in (blocks, buffers), so collect first, read then, dispose last, and copy what is to outlive it.
    /// </summary>
    IAsyncEnumerable<Series> SelectAsync(SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken);

    /// <summary>Names of labels, sorted by bytes, of series that match (all series where there are no matchers).</summary>
    ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken);

    /// <summary>Values of one label, sorted by bytes.</summary>
    ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken);
}

/// <summary>One series of an answer. Thread-safe: iterators are independent of one another.</summary>
public abstract class Series(Labels labels)
{
    /// <summary>Valid as long as the series; <see cref="Labels.Copy"/> is for those who keep it longer.</summary>
    public Labels Labels { get; } = labels;

    /// <summary>
    /// A new iterator over the samples within the range that was asked for; synchronous, since what it reads is local or already here.
    /// </summary>
    public abstract ISampleIterator Samples();

    /// <summary>
    /// The chunks that hold the samples, in order of MinTime, perhaps with samples outside the range and overlapping;
    /// null when the series is not made of whole chunks. For senders and compaction, which need not decode.
    /// </summary>
    public virtual IEnumerable<Chunks.Chunk>? Chunks() => null;
}

/// <summary>A limit of the query that would have been exceeded; names the limit and its flag.</summary>
public sealed class LimitException(string message) : Exception(message);

/// <summary>What an answer lacks or should say: collected from all sources of a query, each text once. Thread-safe.</summary>
/// <param name="told">Called with each warning, by whoever adds it; may throw where there is to be none.</param>
public sealed class Warnings(Action<string>? told = null)
{
    /// <summary>What a source says that stopped at <see cref="SelectHints.Limit"/>: the one warning that does not mean that something is missing.</summary>
    public const string Truncated = "results truncated due to limit";

    readonly Lock _lock = new();
    readonly SortedSet<string> _warnings = new(StringComparer.Ordinal);
    readonly SortedSet<string> _infos = new(StringComparer.Ordinal);

    public bool IsEmpty
    {
        get
        {
            lock (_lock)
            {
                return _warnings.Count == 0 && _infos.Count == 0;
            }
        }
    }

    public void Add(string warning)
    {
        lock (_lock)
        {
            _warnings.Add(warning);
        }

        told?.Invoke(warning);
    }

    public void AddInfo(string info)
    {
        lock (_lock)
        {
            _infos.Add(info);
        }
    }

    public IReadOnlyList<string> All()
    {
        lock (_lock)
        {
            return [.. _warnings];
        }
    }

    public IReadOnlyList<string> Infos()
    {
        lock (_lock)
        {
            return [.. _infos];
        }
    }
}
