using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Store.Gateway;

/// <summary>
/// Counters where one resolution takes over from another within a chunk of windows. What the counter truly had there the chunk does not
/// say: its windows have the values with all resets applied. It is made to fit the chunk at the other side, so that a reader adds what was
/// gained between the two, at the rate of the samples before, and sees no reset.
/// </summary>
static class CounterSeam
{
    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    /// <summary>Fits the end of a chunk whose last windows were cut off.</summary>
    public static Chunk FitEnd(Chunk cut, Chunk next, string source)
    {
        if (Counter(cut, source) is not { } counter || Counter(next, source) is not { } following)
        {
            return cut;
        }

        // The last sample is the true value, at the time of the one before it. A window's value is that of its last sample, at the window's
        // end: from there to the first sample of windows that follow there is an interval of samples.
        var end = counter.Values.Length - 1;
        counter.Values[end] = following.Values[0] - (next.Encoding == ChunkEncoding.Aggregates
            ? GainOfSample(cut, counter, end - 1, source)
            : Gain(counter, end - 1, following.Times[0]));
        return With(cut, counter, source);
    }

    /// <summary>Fits the beginning of a chunk of windows, the first of which were cut off.</summary>
    public static Chunk FitBeginning(Chunk cut, Chunk previous, string source)
    {
        if (Counter(cut, source) is not { } counter || Counter(previous, source) is not { } before)
        {
            return cut;
        }

        var last = before.Values.Length - 1;
        var shift = before.Values[last]
            + Gain(before, previous.Encoding == ChunkEncoding.Aggregates ? last - 1 : last, counter.Times[0]) - counter.Values[0];
        foreach (ref var value in counter.Values.AsSpan(..^1))
        {
            value += shift;
        }

        return With(cut, counter, source);
    }

    // What is gained from a sample to a later time, as from the sample before to it.
    static double Gain((long[] Times, double[] Values) counter, int at, long until) => at < 1 || counter.Times[at] == counter.Times[at - 1] ? 0
        : Math.Max(0, counter.Values[at] - counter.Values[at - 1])
            * (until - counter.Times[at]) / (counter.Times[at] - counter.Times[at - 1]);

    // What is gained from one raw sample to the next in the window that a sample is of.
    static double GainOfSample(Chunk chunk, (long[] Times, double[] Values) counter, int at, string source) =>
        at > 0 && AggregatesChunk.TryGet(chunk, Aggregate.Count, source, 0, out var counts) && Samples(counts, source) is { } samples
            ? Math.Max(0, counter.Values[at] - counter.Values[at - 1]) / Math.Max(1, samples.Values[^1])
            : 0;

    // The samples as they are encoded; null where there are none, or histograms.
    static (long[] Times, double[] Values)? Counter(Chunk chunk, string source)
    {
        if (chunk.Encoding == ChunkEncoding.Aggregates && !AggregatesChunk.TryGet(chunk, Aggregate.Counter, source, 0, out chunk))
        {
            return null;
        }

        return Samples(chunk, source);
    }

    static (long[] Times, double[] Values)? Samples(Chunk chunk, string source)
    {
        var batch = new SampleBatch(Math.Max(1, ChunkIterators.Count(chunk, source, 0)));
        return ChunkIterators.OpenChunk(chunk, Aggregate.Raw, source, 0).Append(batch) > 0 && batch.Kind == SampleKind.Float
            ? (batch.Timestamps[..batch.Count], batch.Values[..batch.Count])
            : null;
    }

    static Chunk With(Chunk chunk, (long[] Times, double[] Values) counter, string source)
    {
        var builder = new AggregateBuilder();
        for (var i = 0; i < counter.Times.Length; i++)
        {
            builder.Append(counter.Times[i], counter.Values[i]);
        }

        return chunk with
        {
            Data = AggregatesChunk.Encode([.. s_aggregates.Select(aggregate => aggregate == Aggregate.Counter ? builder.Chunk()
                : AggregatesChunk.TryGet(chunk, aggregate, source, 0, out var part) ? part : default)]),
        };
    }
}
