using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Head;

/// <summary>
/// How readers see whole commits without holding any back: a reader notes the moment between two commits at which it begins, looks at the
/// series one by one while commits go on, and then takes back what these have added meanwhile.
/// </summary>
public sealed partial class HeadBlock
{
    /// <summary>
    /// What the newest commits have changed, for as long as somebody selects. Guarded by <see cref="_applying"/>, as all of it.
    /// </summary>
    CommitTrace _trace = new();
    int _selecting;

    /// <summary>Readers that are looking for their series.</summary>
    internal int Selecting => Volatile.Read(ref _selecting);

    /// <param name="MaxTime">Of the newest sample that the reader sees.</param>
    readonly record struct VisibleSeries(uint Ref, int Slot, long MaxTime);

    /// <summary>Those series that have samples in a range, all as they were at one moment between two commits.</summary>
    /// <param name="range">Cut down to what was visible at that moment.</param>
    List<VisibleSeries> Visible(ReadOnlySpan<uint> references, ref TimeRange range, QueryContext query)
    {
        CommitTrace before;
        lock (_applying)
        {
            range = range.Intersect(new TimeRange(_visibleFrom, _maxTime));
            if (range.IsEmpty)
            {
                return [];
            }

            _selecting++;
            before = _trace;
        }

        var seen = new List<VisibleSeries>(references.Length);
        CommitTrace last;
        try
        {
            Collect(references, range, seen, query);
        }
        finally
        {
            // A commit of which something was seen is over once this lock is held, and its trace is there.
            lock (_applying)
            {
                last = _trace;
                if (--_selecting == 0)
                {
                    _trace = new CommitTrace();
                }
            }
        }

        if (before != last)
        {
            RemoveLater(seen, range, before, last);
        }

        return seen;
    }

    void Collect(ReadOnlySpan<uint> references, TimeRange range, List<VisibleSeries> seen, QueryContext query)
    {
        foreach (var reference in references)
        {
            query.ThrowIfOver();
            if (Series.TryGetSlot(reference, out var slot))
            {
                lock (Series.Stripe(slot))
                {
                    ref readonly var series = ref Series.At(slot);
                    if (series.Ref == reference && Chunks.HasChunks(series, slot, range))
                    {
                        seen.Add(new VisibleSeries(reference, slot, series.MaxTime));
                    }
                }
            }
        }
    }

    /// <summary>Lets each series end where it ended before the first commit after <paramref name="before"/>.</summary>
    static void RemoveLater(List<VisibleSeries> seen, TimeRange range, CommitTrace before, CommitTrace last)
    {
        var ends = new Dictionary<int, long>();
        for (var trace = before; trace != last;)
        {
            trace = trace.Next!;
            foreach (var (slot, maxTime) in trace.Ends)
            {
                ends.TryAdd(slot, maxTime);
            }
        }

        var kept = 0;
        for (var i = 0; i < seen.Count; i++)
        {
            var series = seen[i];
            var end = ends.TryGetValue(series.Slot, out var maxTime) ? Math.Min(maxTime, series.MaxTime) : series.MaxTime;
            if (end >= range.MinTime)
            {
                seen[kept++] = series with { MaxTime = end };
            }
        }

        seen.RemoveRange(kept, seen.Count - kept);
    }

    /// <summary>Begins a commit's trace; null while nobody selects.</summary>
    List<(int Slot, long MaxTime)>? BeginTrace(int samples) => _selecting > 0 ? new List<(int Slot, long MaxTime)>(samples) : null;

    void EndTrace(List<(int Slot, long MaxTime)>? ends)
    {
        if (ends is not null)
        {
            _trace = _trace.Next = new CommitTrace { Ends = ends };
        }
    }

    /// <summary>
    /// Where the series of one commit ended before it; a chain from older to newer, of which each reader holds the part it needs.
    /// </summary>
    sealed class CommitTrace
    {
        public List<(int Slot, long MaxTime)> Ends { get; init; } = [];

        public CommitTrace? Next { get; set; }
    }
}
