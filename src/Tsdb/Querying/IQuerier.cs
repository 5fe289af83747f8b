using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>Reads series of one source: the head, a block, a bucket, live slices, a remote store, or other queriers behind it.</summary>
/// <remarks>
/// A source that cannot answer in full says so in the selection's <see cref="Coverage"/> and returns what it has. Thread-safe. Errors:
/// <see cref="Bytes.CorruptionException"/> and <see cref="IOException"/> for a source that fails as a whole; <see cref="LimitException"/>
/// for a limit.
/// </remarks>
public interface IQuerier
{
    /// <summary>
    /// Series that match, sorted by labels and replica, each once. Returned series and their labels stay readable until the enumerator is
    /// disposed, since it holds the blocks and buffers that they lie in: callers collect the series, read their samples, then dispose the
    /// enumerator, and copy anything that outlives it. The query's token cancels the enumeration; the enumerator's own token is ignored.
    /// </summary>
    IAsyncEnumerable<Series> SelectAsync(Selection selection);

    /// <summary>Names of labels, sorted by bytes, of series that match (all series where there are no matchers).</summary>
    ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection);

    /// <summary>Values of one label, sorted by bytes.</summary>
    ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection);
}

/// <summary>One series of an answer. Thread-safe: iterators are independent of one another.</summary>
public abstract class Series(Labels labels)
{
    /// <summary>Valid as long as the series; <see cref="Labels.Copy"/> makes labels that stay valid longer.</summary>
    public Labels Labels { get; } = labels;

    /// <summary>
    /// The external labels that the series came without (<see cref="SelectHints.ReplicaLabels"/>): series with equal labels are replicas
    /// of one another where these differ. Valid as long as the series.
    /// </summary>
    public virtual Labels Replica => Labels.Empty;

    public SeriesKey Key => new(Labels, Replica);

    /// <summary>
    /// A new iterator over the samples within the selection's range; synchronous, since the samples are on this machine already.
    /// </summary>
    public abstract ISampleIterator Samples();

    /// <summary>
    /// The chunks that hold the samples, in order of MinTime, perhaps with samples outside the range and overlapping;
    /// null when the series is not made of whole chunks. For senders and compaction, which need not decode.
    /// </summary>
    public virtual IEnumerable<Chunks.Chunk>? Chunks() => null;

    /// <summary>The same chunks for a reader that is done with them soon: they may lie in buffers that are used again.</summary>
    public virtual OpenedChunks? OpenChunks() =>
        Chunks() is { } chunks ? new OpenedChunks(chunks as Chunks.Chunk[] ?? [.. chunks]) : null;
}

/// <summary>Chunks of one series, readable until this is disposed.</summary>
public class OpenedChunks(ArraySegment<Chunks.Chunk> all) : IDisposable
{
    public virtual ArraySegment<Chunks.Chunk> All => all;

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    protected virtual void Release()
    {
    }
}

/// <summary>What makes two series of several sources the same, and the order of series.</summary>
/// <param name="Replica">The external labels that were left off.</param>
public readonly record struct SeriesKey(Labels Labels, Labels Replica) : IComparable<SeriesKey>
{
    public int CompareTo(SeriesKey other) =>
        Labels.CompareTo(other.Labels) is var order and not 0 ? order : Replica.CompareTo(other.Replica);
}
