using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Head;

public sealed partial class HeadBlock
{
    const int SeriesAtOnce = 1_024;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<ReaderGate.Reader>(_readers.Enter, _ => ReadAsync(selection));

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        SearchAsync(selection, labels => labels.NamesAsync(selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        SearchAsync(selection, labels => labels.ValuesAsync(name, selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    async ValueTask<IReadOnlyList<string>> SearchAsync(Selection selection, Func<HeadSearch, ValueTask<IReadOnlyList<string>>> search)
    {
        selection.Query.ThrowIfOver();
        if (!selection.Range.Overlaps(Range))
        {
            return [];
        }

        using var labels = new HeadSearch(Series);
        return selection.Limited(await search(labels));
    }

    async IAsyncEnumerable<Series> ReadAsync(Selection selection)
    {
        selection.Query.ThrowIfOver();
        var matching = selection.Hints.Wanted == int.MaxValue
            ? Series.Postings.Select(selection.Matchers, selection.CancellationToken).Rest()
            : default;
        if (Math.Max(matching.Length, selection.Hints.Limit) > SeriesAtOnce)
        {
            await Task.Yield();
        }

        foreach (var series in Select(selection, matching))
        {
            yield return series;
        }
    }

    /// <param name="matching">All series that match, where no limit says that some will do.</param>
    List<HeadSeries> Select(Selection selection, ReadOnlyMemory<uint> matching)
    {
        var hints = selection.Hints;
        var selected = new List<HeadSeries>();
        if (hints.Wanted == int.MaxValue)
        {
            Add(matching.Span, selection, selected);
        }
        else
        {
            Series.Postings.SelectFew(
                selection.Matchers, hints.Wanted, references => Add(references, selection, selected), selection.CancellationToken);
        }

        selected.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        if (selected.Count == hints.Wanted && hints.Limit > 0)
        {
            selected.RemoveAt(hints.Limit);
            selection.Coverage.Truncate();
        }

        return selected;
    }

    /// <returns>How many are selected then.</returns>
    int Add(ReadOnlySpan<uint> references, Selection selection, List<HeadSeries> selected)
    {
        var range = selection.Range;
        var visible = Visible(references, ref range, selection.Query);
        selected.EnsureCapacity(selected.Count + visible.Count);
        foreach (var (reference, slot, maxTime) in visible)
        {
            selection.Query.ThrowIfOver();
            if (Series.TryGetLabels(reference, out var labels))
            {
                var seen = range with { MaxTime = Math.Min(range.MaxTime, maxTime) };
                selected.Add(new HeadSeries(this, labels, reference, slot, seen, selection.Hints));
            }
        }

        return selected.Count;
    }

    sealed class HeadSearch(SeriesTable series) : LabelSearch<ReadOnlyMemory<uint>>(series.Postings)
    {
        protected override uint Last => series.Postings.All is { IsEmpty: false } all ? all.Span[^1] : 0;

        protected override Postings Open(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override Postings OpenOnce(ReadOnlyMemory<uint> list) => Open(list);

        protected override Postings OpenFew(ReadOnlyMemory<uint> list) => Open(list);

        protected override bool TryRead(uint reference, out Labels labels) => series.TryGetLabels(reference, out labels);
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
