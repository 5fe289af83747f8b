using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

/// <param name="Time">As it was written; the last window of a chunk has the time of its last sample.</param>
/// <param name="End">The last millisecond of the window.</param>
/// <param name="Values">Sum, and of floats min and max.</param>
/// <param name="Total">What the replica counted up to the window's end, resets applied.</param>
readonly record struct ReplicaWindow<T>(long Time, long End, double Count, T[] Values, T Total);

/// <summary>One replica's windows.</summary>
/// <param name="First">The first raw sample.</param>
/// <param name="Last">The value of the last raw sample.</param>
sealed record ReplicaWindows<T>(List<ReplicaWindow<T>> Windows, (long Time, T Value) First, T Last);

/// <summary>
/// Downsampled series of several replicas as those of one: each window is that of the first replica that has it. Counters go on with what the
/// replica of a window gained since the window before, in proportion where it was away itself, as at query.
/// </summary>
static class WindowMerge
{
    const int WindowsPerChunk = 140;

    static readonly Aggregate[] s_gauges = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max];

    /// <param name="replicas">The chunks of each, in order of preference; in order of time, none overlapping another of its replica.</param>
    /// <param name="source">For messages.</param>
    public static IEnumerable<Chunk> Join(IReadOnlyList<IReadOnlyList<Chunk>> replicas, long resolutionMs, string source)
    {
        var all = replicas.Where(chunks => chunks.Count > 0).Select(chunks => Read(chunks, resolutionMs, source)).ToArray();
        var joined = Choose(all, (total, window, before, part) => total + ((window - before) * part));
        for (var from = 0; from < joined.Count; from += WindowsPerChunk)
        {
            var to = Math.Min(from + WindowsPerChunk, joined.Count);

            // Chunks follow one another without a gain between them; the last value is the true one, which a block that follows goes on from.
            var first = from == 0 ? joined[0].Of.First : (joined[from - 1].Window.End + 1, joined[from - 1].Window.Total);
            yield return Encode(joined, from, to, first, to == joined.Count ? joined[^1].Of.Last : joined[to - 1].Window.Total);
        }
    }

    /// <summary>The windows that are kept, and of which replica each is.</summary>
    /// <param name="goOn">
    /// Where a counter stands at a window's end: from its total so far, the replica's own there and before, and the part of what was gained
    /// between those two that is not in the total yet.
    /// </param>
    public static List<(ReplicaWindow<T> Window, ReplicaWindows<T> Of)> Choose<T>(ReplicaWindows<T>[] all, Func<T, T, T, double, T> goOn)
    {
        var (next, joined) = (new int[all.Length], new List<(ReplicaWindow<T> Window, ReplicaWindows<T> Of)>());
        while (true)
        {
            var end = long.MaxValue;
            for (var i = 0; i < all.Length; i++)
            {
                end = next[i] < all[i].Windows.Count ? Math.Min(end, all[i].Windows[next[i]].End) : end;
            }

            if (end == long.MaxValue)
            {
                return joined;
            }

            var isGiven = false;
            for (var i = 0; i < all.Length; i++)
            {
                var (replica, at) = (all[i], next[i]);
                if (at == replica.Windows.Count || replica.Windows[at].End != end)
                {
                    continue;
                }

                if (!isGiven)
                {
                    var window = replica.Windows[at];
                    if (joined.Count > 0)
                    {
                        var (last, isFirst) = (joined[^1].Window, at == 0);
                        var part = isFirst ? 1 : (double)(window.End - last.End) / (window.End - replica.Windows[at - 1].End);
                        var before = isFirst ? replica.First.Value : replica.Windows[at - 1].Total;
                        window = window with { Total = goOn(last.Total, window.Total, before, part) };
                    }

                    joined.Add((window, replica));
                    isGiven = true;
                }

                next[i]++;
            }
        }
    }

    static ReplicaWindows<double> Read(IReadOnlyList<Chunk> chunks, long resolutionMs, string source)
    {
        var windows = new List<ReplicaWindow<double>>();
        var (total, last, start) = (0.0, 0.0, default((long, double)));
        foreach (var chunk in chunks)
        {
            var gauges = Array.ConvertAll(s_gauges, aggregate => Part(chunk, aggregate, source));
            var counter = Part(chunk, Aggregate.Counter, source);
            var (times, count) = (gauges[0].Timestamps, gauges[0].Count);

            // The first raw sample before the windows, unless it was cut off, and the last one behind them.
            var before = counter.Count - count - 1;
            if (count == 0 || before is not (0 or 1) || Array.Exists(
                gauges, g => g.Count != count || !g.Timestamps.AsSpan(0, count).SequenceEqual(times.AsSpan(0, count))))
            {
                CorruptionException.Throw(source, 0, "aggregates that don't belong together");
            }

            var value = counter.Values[0];
            (total, start) = windows.Count == 0
                ? (value, (counter.Timestamps[0], value))
                : (total + (value >= last ? value - last : value), start);
            for (var i = 0; i < count; i++)
            {
                total += counter.Values[i + before] - value;
                value = counter.Values[i + before];
                windows.Add(new ReplicaWindow<double>(
                    times[i], Downsampler.WindowEnd(times[i], resolutionMs), gauges[0].Values[i],
                    [.. gauges.Skip(1).Select(g => g.Values[i])], total));
            }

            last = counter.Values[count + before];
        }

        return new ReplicaWindows<double>(windows, start, last);
    }

    static SampleBatch Part(Chunk chunk, Aggregate aggregate, string source)
    {
        if (!AggregatesChunk.TryGet(chunk, aggregate, source, 0, out var part))
        {
            CorruptionException.Throw(source, 0, $"windows without {aggregate}");
        }

        var batch = new SampleBatch(Math.Max(1, ChunkIterators.Count(part, source, 0)));
        ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch);
        return batch.Kind == SampleKind.Float ? batch : throw new CorruptionException(source, 0, "windows of floats and of histograms in one chunk");
    }

    static Chunk Encode(
        List<(ReplicaWindow<double> Window, ReplicaWindows<double> Of)> joined, int from, int to, (long Time, double Value) first, double last)
    {
        var parts = new AggregateBuilder[s_gauges.Length + 1];
        for (var i = 0; i < parts.Length; i++)
        {
            parts[i] = new AggregateBuilder();
        }

        var (counter, time, minTime) = (parts[^1], 0L, 0L);
        counter.Append(first.Time, first.Value);
        for (var at = from; at < to; at++)
        {
            // Only behind the very last one a block ends.
            var window = joined[at].Window;
            time = at == joined.Count - 1 ? window.Time : window.End;
            minTime = at == from ? time : minTime;
            parts[0].Append(time, window.Count);
            for (var i = 0; i < window.Values.Length; i++)
            {
                parts[i + 1].Append(time, window.Values[i]);
            }

            counter.Append(time, window.Total);
        }

        counter.Append(time, last);
        return new Chunk(minTime, time, ChunkEncoding.Aggregates, AggregatesChunk.Encode([.. parts.Select(part => part.Chunk())]));
    }
}
