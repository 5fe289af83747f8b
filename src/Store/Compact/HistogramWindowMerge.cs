using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;

namespace Observe.Store.Compact;

/// <summary>Downsampled native histograms of several replicas as those of one, as <see cref="WindowMerge"/> does of floats.</summary>
static class HistogramWindowMerge
{
    const int WindowsPerChunk = 140;

    /// <summary>Whether windows can be added to one another: all of them have custom buckets, or none has.</summary>
    public static bool CanJoin(IEnumerable<Chunk> chunks, string source) =>
        chunks.Select(chunk => HistogramWindows.Read(chunk, source).Counters.Histograms[0].UsesCustomBuckets).Distinct().Count() == 1;

    /// <param name="replicas">The chunks of each, in order of preference; in order of time, none overlapping another of its replica.</param>
    /// <param name="source">For messages.</param>
    public static IEnumerable<Chunk> Join(IReadOnlyList<IReadOnlyList<Chunk>> replicas, long resolutionMs, string source)
    {
        var all = replicas.Where(chunks => chunks.Count > 0).Select(chunks => Read(chunks, resolutionMs, source)).ToArray();
        var joined = WindowMerge.Choose(all, GoOn);
        var (chunks, open) = (new HistogramChunkBuilder(), joined.Count == 0 ? default : joined[0].Of.First);
        if (joined.Count > 0)
        {
            chunks.Begin(open.Time, open.Value);
        }

        for (var at = 0; at < joined.Count; at++)
        {
            var window = joined[at].Window;
            var isLast = at == joined.Count - 1;
            if (chunks.Append(isLast ? window.Time : window.End, window.Count, window.Values[0], window.Total) is { } full)
            {
                yield return full;
            }

            // The last value is the true one, which a block that follows goes on from.
            if ((isLast || chunks.Windows == WindowsPerChunk)
                && chunks.Chunk(isLast && !joined[at].Of.Last.Equals(window.Total) ? joined[at].Of.Last : null) is { } made)
            {
                yield return made;
            }
        }
    }

    static Histogram GoOn(Histogram total, Histogram window, Histogram before, double part)
    {
        if (window.CounterResetHint == CounterResetHint.Gauge)
        {
            return window;
        }

        var gained = Less(window, before);
        return Plus(total, part == 1 ? gained : gained.Mul(part));
    }

    static ReplicaWindows<Histogram> Read(IReadOnlyList<Chunk> chunks, long resolutionMs, string source)
    {
        var windows = new List<ReplicaWindow<Histogram>>();
        (long Time, Histogram Value)? start = null;
        Histogram? total = null, value = null, last = null;
        foreach (var chunk in chunks)
        {
            var (counts, sums, counters) = HistogramWindows.Read(chunk, source);
            var isGauge = counters.Histograms[0].CounterResetHint == CounterResetHint.Gauge;

            // The first raw sample before the windows is there where a run begins, unless it was cut off.
            var begins = counters.Count - counts.Count;
            var first = counters.Histograms[0];
            start ??= (counters.Timestamps[0], first);
            if (total is null || value is null || last is null || isGauge)
            {
                total = first;
            }
            else if (begins == 1 || first.Count < value.Count)
            {
                total = Plus(total, first.DetectReset(last) ? first : Less(first, last));
            }
            else
            {
                total = Plus(total, Less(first, value));
            }

            value = first;
            for (var i = 0; i < counts.Count; i++)
            {
                var counter = counters.Histograms[i + begins];
                total = isGauge ? counter : ReferenceEquals(counter, value) ? total : Plus(total, Less(counter, value));
                value = counter;
                windows.Add(new ReplicaWindow<Histogram>(
                    counts.Timestamps[i], Downsampler.WindowEnd(counts.Timestamps[i], resolutionMs), counts.Values[i], [sums.Histograms[i]], total));
            }

            last = AggregatesChunk.LastOfCounter(chunk, source, 0) ?? value;
        }

        return new ReplicaWindows<Histogram>(windows, start!.Value, last!);
    }

    static Histogram Plus(Histogram one, Histogram other)
    {
        var sum = one.Copy();
        sum.Add(other);
        return Counter(sum);
    }

    static Histogram Less(Histogram one, Histogram other)
    {
        var difference = one.Copy();
        difference.Sub(other);
        return Counter(difference);
    }

    // What is computed of counters is no gauge, and no integer.
    static Histogram Counter(Histogram histogram)
    {
        (histogram.IsInteger, histogram.CounterResetHint) = (false, CounterResetHint.Unknown);
        return histogram;
    }
}
