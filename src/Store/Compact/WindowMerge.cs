using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Store.Compact;

/// <summary>
/// Downsampled floats of several replicas as those of one: each window is that of the first replica that has it. Counters go on with what the
/// replica of a window gained since the window before, in proportion where it was away itself, as at query.
/// </summary>
static class WindowMerge
{
    const int WindowsPerChunk = 140;

    static readonly Aggregate[] s_gauges = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max];

    /// <param name="Time">As it was written; the last window of a chunk has the time of its last sample.</param>
    /// <param name="End">The last millisecond of the window.</param>
    /// <param name="Values">Count, sum, min and max.</param>
    /// <param name="Total">What the replica counted up to the window's end, resets applied.</param>
    readonly record struct Window(long Time, long End, double[] Values, double Total);

    /// <summary>One replica's windows.</summary>
    /// <param name="First">The first raw sample.</param>
    /// <param name="Last">The value of the last raw sample.</param>
    sealed record Replica(List<Window> Windows, (long Time, double Value) First, double Last);

    /// <param name="replicas">The chunks of each, in order of preference; in order of time, none overlapping another of its replica.</param>
    /// <param name="source">For messages.</param>
    public static IEnumerable<Chunk> Join(IReadOnlyList<IReadOnlyList<Chunk>> replicas, long resolutionMs, string source)
    {
        var all = replicas.Where(chunks => chunks.Count > 0).Select(chunks => Read(chunks, resolutionMs, source)).ToArray();
        var (next, joined, of) = (new int[all.Length], new List<Window>(), new List<Replica>());
        while (true)
        {
            var end = long.MaxValue;
            for (var i = 0; i < all.Length; i++)
            {
                end = next[i] < all[i].Windows.Count ? Math.Min(end, all[i].Windows[next[i]].End) : end;
            }

            if (end == long.MaxValue)
            {
                break;
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
                    var total = joined.Count == 0 ? replica.Windows[at].Total : joined[^1].Total + Gained(replica, at, joined[^1].End);
                    joined.Add(replica.Windows[at] with { Total = total });
                    of.Add(replica);
                    isGiven = true;
                }

                next[i]++;
            }
        }

        for (var from = 0; from < joined.Count; from += WindowsPerChunk)
        {
            var to = Math.Min(from + WindowsPerChunk, joined.Count);

            // Chunks follow one another without a gain between them; the last value is the true one, which a block that follows goes on from.
            var first = from == 0 ? of[0].First : (joined[from - 1].End + 1, joined[from - 1].Total);
            yield return Encode(joined, from, to, first, to == joined.Count ? of[^1].Last : joined[to - 1].Total);
        }
    }

    /// <summary>What a replica counted from a time on to one of its windows' end.</summary>
    static double Gained(Replica replica, int at, long since)
    {
        var (window, before) = (replica.Windows[at], at == 0 ? replica.First.Value : replica.Windows[at - 1].Total);
        return at == 0
            ? window.Total - before
            : (window.Total - before) * (window.End - since) / (window.End - replica.Windows[at - 1].End);
    }

    static Replica Read(IReadOnlyList<Chunk> chunks, long resolutionMs, string source)
    {
        var windows = new List<Window>();
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
                windows.Add(new Window(
                    times[i], Downsampler.WindowEnd(times[i], resolutionMs), Array.ConvertAll(gauges, g => g.Values[i]), total));
            }

            last = counter.Values[count + before];
        }

        return new Replica(windows, start, last);
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

    static Chunk Encode(List<Window> windows, int from, int to, (long Time, double Value) first, double last)
    {
        var parts = new AggregateBuilder[s_gauges.Length + 1];
        for (var i = 0; i < parts.Length; i++)
        {
            parts[i] = new AggregateBuilder();
        }

        var (counter, time) = (parts[^1], 0L);
        counter.Append(first.Time, first.Value);
        for (var at = from; at < to; at++)
        {
            // Only behind the very last one a block ends.
            time = at == windows.Count - 1 ? windows[at].Time : windows[at].End;
            for (var i = 0; i < s_gauges.Length; i++)
            {
                parts[i].Append(time, windows[at].Values[i]);
            }

            counter.Append(time, windows[at].Total);
        }

        counter.Append(time, last);
        var minTime = from == windows.Count - 1 ? windows[from].Time : windows[from].End;
        return new Chunk(minTime, time, ChunkEncoding.Aggregates, AggregatesChunk.Encode([.. parts.Select(part => part.Chunk())]));
    }
}
