using System.Buffers;
using System.Runtime.InteropServices;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>Spans of time in which samples of a series are deleted; the default is none.</summary>
/// <param name="spans">In order of time, not touching; at least one.</param>
public readonly struct DeletedSpans(TimeRange[] spans)
{
    readonly TimeRange[]? _spans = spans;

    public bool IsEmpty => _spans is null;

    public ReadOnlySpan<TimeRange> Spans => _spans;

    /// <summary>
    /// What was attached to the places of a series' chunks. Of hardly any series something is deleted, so that the others pay nothing for it,
    /// where a field of each would.
    /// </summary>
    public static DeletedSpans Of(ReadOnlyMemory<ChunkMeta> chunks) =>
        MemoryMarshal.TryGetMemoryManager<ChunkMeta, Attached>(chunks, out var attached) ? attached.Deleted : default;

    /// <summary>The places of chunks, from which <see cref="Of"/> finds these spans again.</summary>
    /// <param name="chunks">Not changed any more.</param>
    public ReadOnlyMemory<ChunkMeta> AttachTo(ChunkMeta[] chunks) => new Attached(chunks, this).Memory;

    /// <summary>Takes out of a list the chunks of which nothing is left.</summary>
    public void RemoveCovered(List<ChunkMeta> chunks)
    {
        var deleted = this;
        chunks.RemoveAll(chunk => deleted.IndexOf(chunk.MinTime) is var at and >= 0 && deleted._spans![at].MaxTime >= chunk.MaxTime);
    }

    /// <summary>
    /// Chunks with what is not deleted. One that is deleted in part is encoded anew, one with nothing deleted is returned as it is.
    /// </summary>
    /// <param name="source">File or object, for error messages.</param>
    public List<Chunk> Cut(ReadOnlySpan<Chunk> chunks, string source)
    {
        var rest = new List<Chunk>(chunks.Length);
        foreach (var chunk in chunks)
        {
            if (!Overlaps(chunk))
            {
                rest.Add(chunk);
            }
            else if (chunk.Encoding != ChunkEncoding.Aggregates)
            {
                rest.AddRange(ChunkEncoder.Encode(
                    new UndeletedIterator(ChunkIterators.Open(chunk, Aggregate.Raw, source, 0), this)));
            }
            else if (AggregatesChunk.Without(chunk, this, source) is { } windows)
            {
                rest.Add(windows);
            }
        }

        return rest;
    }

    public bool Contains(long timestamp) => IndexOf(timestamp) is var at and >= 0 && _spans![at].MaxTime >= timestamp;

    bool Overlaps(Chunk chunk) => IndexOf(chunk.MaxTime) is var at and >= 0 && _spans![at].MaxTime >= chunk.MinTime;

    // The last span that begins at or before a time; -1 where none does.
    int IndexOf(long timestamp)
    {
        var (low, high) = (0, Spans.Length);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = _spans![middle].MinTime <= timestamp ? (middle + 1, high) : (low, middle);
        }

        return low - 1;
    }

    sealed class Attached(ChunkMeta[] chunks, DeletedSpans deleted) : MemoryManager<ChunkMeta>
    {
        public DeletedSpans Deleted => deleted;

        public override Span<ChunkMeta> GetSpan() => chunks;

        public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException("chunks' places are not pinned");

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}

/// <summary>Leaves out the samples that are deleted.</summary>
sealed class UndeletedIterator(ISampleIterator samples, DeletedSpans deleted) : ISampleIterator
{
    public bool Read(SampleBatch batch)
    {
        while (samples.Read(batch))
        {
            var kept = 0;
            for (var i = 0; i < batch.Count; i++)
            {
                if (!deleted.Contains(batch.Timestamps[i]))
                {
                    Move(batch, i, kept++);
                }
            }

            batch.Count = kept;
            if (kept > 0)
            {
                return true;
            }
        }

        return false;
    }

    public void Seek(long timestamp) => samples.Seek(timestamp);

    public void Dispose() => samples.Dispose();

    static void Move(SampleBatch batch, int from, int to)
    {
        batch.Timestamps[to] = batch.Timestamps[from];
        if (batch.Kind == SampleKind.Float)
        {
            batch.Values[to] = batch.Values[from];
        }
        else
        {
            batch.Histograms[to] = batch.Histograms[from];
        }

        if (batch.HasStartTimestamps)
        {
            batch.StartTimestamps[to] = batch.StartTimestamps[from];
        }

        if (batch.HasWeights)
        {
            batch.Weights[to] = batch.Weights[from];
        }
    }
}
