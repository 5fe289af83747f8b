using System.Text;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Head;

public sealed partial class HeadBlock
{
    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        new HeldSelection<ReaderGate.Reader>(
            _readers.Enter,
            _ => Select(selection).ToAsyncEnumerable());

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection)
    {
        if (!selection.Range.Overlaps(Range))
        {
            return ValueTask.FromResult<IReadOnlyList<string>>([]);
        }

        if (selection.Matchers.Count == 0)
        {
            return ValueTask.FromResult(selection.Limited(Series.Postings.LabelNames()));
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var labels in MatchingLabels(selection))
        {
            foreach (var label in labels)
            {
                names.Add(label.NameText);
            }
        }

        return ValueTask.FromResult(selection.Limited([.. names.Order(Utf8Order.Instance)]));
    }

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection)
    {
        if (!selection.Range.Overlaps(Range))
        {
            return ValueTask.FromResult<IReadOnlyList<string>>([]);
        }

        if (selection.Matchers.Count == 0)
        {
            return ValueTask.FromResult(selection.Limited(Series.Postings.LabelValues(name)));
        }

        var utf8 = Encoding.UTF8.GetBytes(name);
        var values = new HashSet<string>(StringComparer.Ordinal);
        foreach (var labels in MatchingLabels(selection))
        {
            if (labels.TryGet(utf8, out var value))
            {
                values.Add(Encoding.UTF8.GetString(value));
            }
        }

        return ValueTask.FromResult(selection.Limited([.. values.Order(Utf8Order.Instance)]));
    }

    IEnumerable<Labels> MatchingLabels(Selection selection)
    {
        foreach (var reference in Series.Postings.Select(selection.Matchers, selection.CancellationToken).ToArray())
        {
            selection.Query.ThrowIfOver();
            if (Series.TryGetLabels(reference, out var labels))
            {
                yield return labels;
            }
        }
    }

    List<HeadSeries> Select(Selection selection)
    {
        selection.Query.ThrowIfOver();
        var hints = selection.Hints;
        var references = Series.Postings.Select(selection.Matchers, selection.CancellationToken).Rest().Span;
        var range = hints.Range;
        var seen = Visible(references, ref range, selection.Query);
        var selected = new List<HeadSeries>(seen.Count);
        foreach (var (reference, slot, maxTime) in seen)
        {
            selection.Query.ThrowIfOver();
            if (Series.TryGetLabels(reference, out var labels))
            {
                selected.Add(
                    new HeadSeries(this, labels, reference, slot, range with { MaxTime = Math.Min(range.MaxTime, maxTime) }, hints));
            }
        }

        selected.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        if (hints.Limit > 0 && selected.Count > hints.Limit)
        {
            selected.RemoveRange(hints.Limit, selected.Count - hints.Limit);
            selection.Coverage.Truncate();
        }

        return selected;
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
