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
    /// Series that match, sorted by labels, each once. Series that were returned stay readable, their labels too, until the enumerator is
    /// disposed: it holds what they lie in (blocks, buffers), so collect first, read then, dispose last, and copy what is to outlive it.
    /// It is cancelled by the query's token; the enumerator's own is not looked at.
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
