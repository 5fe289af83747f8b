using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Head;

public sealed partial class HeadBlock
{
    const int SeriesAtOnce = 1_024;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<ReaderGate.Reader>(
            _readers.Enter,
            _ => Select(selection).ToAsyncEnumerable());

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        ValueTask.FromResult(Search(selection, labels => labels.Names(selection.Matchers, selection.Hints.Wanted, selection.CancellationToken)));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => ValueTask.FromResult(
        Search(selection, labels => labels.Values(name, selection.Matchers, selection.Hints.Wanted, selection.CancellationToken)));

    IReadOnlyList<string> Search(Selection selection, Func<HeadSearch, IReadOnlyList<string>> search)
    {
        selection.Query.ThrowIfOver();
        if (!selection.Range.Overlaps(Range))
        {
            return [];
        }

        using var labels = new HeadSearch(Series);
        return selection.Limited(search(labels));
    }

    List<HeadSeries> Select(Selection selection)
    {
        selection.Query.ThrowIfOver();
        var hints = selection.Hints;
        var references = Series.Postings.Select(selection.Matchers, selection.CancellationToken).Rest().Span;
        var selected = new List<HeadSeries>(Math.Min(references.Length, hints.Wanted));

        // Where any series will do, as many are looked at as are wanted, and more only where these have no samples in the range.
        for (int from = 0, count; from < references.Length && selected.Count < hints.Wanted; from += count)
        {
            count = Math.Min(references.Length - from, Math.Max(hints.Wanted, SeriesAtOnce));
            var range = hints.Range;
            foreach (var (reference, slot, maxTime) in Visible(references.Slice(from, count), ref range, selection.Query))
            {
                selection.Query.ThrowIfOver();
                if (selected.Count < hints.Wanted && Series.TryGetLabels(reference, out var labels))
                {
                    selected.Add(
                        new HeadSeries(this, labels, reference, slot, range with { MaxTime = Math.Min(range.MaxTime, maxTime) }, hints));
                }
            }
        }

        selected.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        if (selected.Count == hints.Wanted && hints.Limit > 0)
        {
            selected.RemoveAt(hints.Limit);
            selection.Coverage.Truncate();
        }

        return selected;
    }

    sealed class HeadSearch(SeriesTable series) : LabelSearch<ReadOnlyMemory<uint>>(series.Postings)
    {
        protected override Postings Open(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override bool TryRead(uint reference, out Labels labels) => series.TryGetLabels(reference, out labels);

        public override void Dispose()
        {
        }
    }

    /// <summary>A series as it was when it was selected: samples that came later are not in its range.</summary>
    sealed class HeadSeries(HeadBlock head, Labels labels, uint reference, int slot, TimeRange range, SelectHints hints) : Series(labels)
    {
        public override ISampleIterator Samples() => new ChunkSeriesIterator(Read(), hints.Aggregate, range, "head");

        public override IEnumerable<Chunk> Chunks() => Read();

        /// <exception cref="IOException">The reader took so long that its samples have left memory.</exception>
        Chunk[] Read()
        {
            var closed = new List<ClosedChunk>();
            Chunk open;
            lock (head.Series.Stripe(slot))
            {
                ref readonly var series = ref head.Series.At(slot);
                if (series.Ref != reference || Volatile.Read(ref head._truncatedBefore) > range.MinTime)
                {
                    throw new IOException("samples of the head were cut into a block while they were read");
                }

                open = head.Chunks.Snapshot(series, slot, range, closed);
            }

            var chunks = new Chunk[closed.Count + (open.Data.IsEmpty ? 0 : 1)];
            for (var i = 0; i < closed.Count; i++)
            {
                chunks[i] = head.Chunks.Read(closed[i]);
            }

            if (!open.Data.IsEmpty)
            {
                chunks[^1] = open;
            }

            return chunks;
        }
    }
}
