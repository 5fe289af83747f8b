using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Head;

/// <summary>
/// Readers see only whole commits, and no commit waits for them: a reader notes between which two commits it begins, collects the series
/// one by one while further commits are made, and then removes what these commits have added.
/// </summary>
public sealed partial class HeadBlock
{
    /// <summary>
    /// What the newest commits have changed; kept only while somebody selects. All fields here are guarded by <see cref="_applying"/>.
    /// </summary>
    CommitTrace _trace = new();
    int _selecting;

    /// <summary>How many readers are collecting their series.</summary>
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
            // Acquiring it waits for the commit under way: every commit of which something was seen has left its trace then.
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

    /// <summary>Removes what the commits after <paramref name="before"/> have added to the series.</summary>
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
    /// Where each series of one commit ended before that commit. A linked list from older commits to newer ones: a reader keeps those alive
    /// that it needs by a reference to the first of them.
    /// </summary>
    sealed class CommitTrace
    {
        public List<(int Slot, long MaxTime)> Ends { get; init; } = [];

        public CommitTrace? Next { get; set; }
    }
}
