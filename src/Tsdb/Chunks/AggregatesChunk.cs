using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// Thanos's chunk of downsampled data (docs/format/downsampling.md): up to five chunks over the same windows, in the order count, sum,
/// min, max, counter. Their timestamps are the windows' ends.
/// </summary>
/// <remarks>
/// The counter's first sample is the first raw one, its last has the timestamp of the one before it and the value of the last raw sample:
/// from these a reader sees a reset between two chunks.
/// </remarks>
public static class AggregatesChunk
{
    const long FiveMinutes = 300_000;
    const long OneHour = 3_600_000;

    /// <summary>Of so many windows of five minutes one does not end with an hour; a counter has its first raw sample before.</summary>
    const int FirstWindows = 3;

    static readonly Aggregate[] s_aggregates = [Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter];

    /// <summary>Writes the aggregates that there are (<see cref="ChunkEncoding.None"/> where one is absent) in their order.</summary>
    public static byte[] Encode(ReadOnlySpan<Chunk> aggregates)
    {
        if (aggregates.Length != s_aggregates.Length)
        {
            throw new ArgumentException("an aggregate chunk is made of five", nameof(aggregates));
        }

        using var writer = new ByteWriter();
        foreach (var aggregate in aggregates)
        {
            var absent = aggregate.Encoding == ChunkEncoding.None;
            writer.UVarint(absent ? 0 : (ulong)aggregate.Data.Length);
            if (!absent)
            {
                writer.Byte((byte)aggregate.Encoding);
                writer.Raw(aggregate.Data.Span);
            }
        }

        return writer.Written.ToArray();
    }

    /// <summary>One aggregate of a chunk, within the chunk's bytes; false when it is absent. Raw is none of them.</summary>
    public static bool TryGet(Chunk chunk, Aggregate aggregate, string source, long origin, out Chunk found)
    {
        var reader = new ByteReader(chunk.Data.Span, source, origin);
        var index = aggregate switch
        {
            Aggregate.Count => 0,
            Aggregate.Sum => 1,
            Aggregate.Min => 2,
            Aggregate.Max => 3,
            Aggregate.Counter => 4,
            _ => throw new ArgumentOutOfRangeException(nameof(aggregate)),
        };
        for (var i = 0; ; i++)
        {
            var length = reader.Length();
            if (length == 0)
            {
                if (i < index)
                {
                    continue;
                }

                found = default;
                return false;
            }

            var encoding = (ChunkEncoding)reader.Byte();
            var at = reader.Position;
            reader.Skip(length);
            if (i == index)
            {
                found = new Chunk(chunk.MinTime, chunk.MaxTime, encoding, chunk.Data.Slice(at, length));
                return true;
            }
        }
    }

    /// <summary>
    /// What a series of native histograms had last, where its counter aggregate is ahead of that by resets; null where it is not, and of
    /// floats. It stands in the place of the maximum.
    /// </summary>
    public static Histogram? LastOfCounter(Chunk chunk, string source, long origin)
    {
        if (!TryGet(chunk, Aggregate.Max, source, origin, out var part)
            || part.Encoding is not (ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram))
        {
            return null;
        }

        var batch = new SampleBatch(1);
        return ChunkIterators.OpenChunk(part, Aggregate.Raw, source, origin).Append(batch) > 0 ? batch.Histograms[0] : null;
    }

    /// <summary>
    /// The resolution that the first samples of an aggregate show, since a chunk does not say it: windows end with the last millisecond of
    /// five minutes or of an hour, save the last one of a chunk. Where that is the only one, its counter may show that it is longer than five
    /// minutes.
    /// </summary>
    internal static long ResolutionMs(Chunk chunk, ChunkIterator aggregate, string source, long origin)
    {
        var first = new SampleBatch(FirstWindows);
        aggregate.Append(first);
        var isHours = false;
        foreach (var timestamp in first.Timestamps.AsSpan(0, first.Count))
        {
            if ((timestamp + 1) % OneHour == 0)
            {
                isHours = true;
            }
            else if ((timestamp + 1) % FiveMinutes == 0)
            {
                return FiveMinutes;
            }
        }

        return isHours || IsLong(chunk, source, origin) ? OneHour : FiveMinutes;
    }

    static bool IsLong(Chunk chunk, string source, long origin)
    {
        if (chunk.MinTime != chunk.MaxTime || !TryGet(chunk, Aggregate.Counter, source, origin, out var counter))
        {
            return false;
        }

        var first = new SampleBatch(1);
        return ChunkIterators.OpenChunk(counter, Aggregate.Raw, source, origin).Append(first) > 0
            && chunk.MaxTime - first.Timestamps[0] > FiveMinutes;
    }

    /// <summary>
    /// Whether the aggregates are of native histograms: these have no min and max, and float histograms as sum and counter.
    /// </summary>
    public static bool IsHistogram(Chunk chunk, string source, long origin) =>
        TryGet(chunk, Aggregate.Counter, source, origin, out var counter)
        && counter.Encoding is ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram;

    /// <summary>
    /// The windows whose timestamps are not deleted; null when there is none. A counter begins with the value of its first window, if what
    /// was before it is deleted. If what was behind its last window is deleted, it ends with the true value less what was gained there: what
    /// a reader adds on its way to the next chunk stays the same.
    /// </summary>
    public static Chunk? Without(Chunk chunk, DeletedSpans deleted, string source)
    {
        var parts = new Chunk[s_aggregates.Length];
        long minTime = long.MaxValue, maxTime = long.MinValue;
        for (var i = 0; i < parts.Length; i++)
        {
            if (TryGet(chunk, s_aggregates[i], source, 0, out var part)
                && Cut(part, deleted, source) is { Encoding: not ChunkEncoding.None } rest)
            {
                parts[i] = rest;
                (minTime, maxTime) = (Math.Min(minTime, rest.MinTime), Math.Max(maxTime, rest.MaxTime));
            }
        }

        if (parts[^1].Encoding != ChunkEncoding.None && LastOfCounter(chunk, source, 0) is { } last)
        {
            parts[3] = LastOf(chunk, parts[^1], last, source);
        }

        return minTime > maxTime ? null : new Chunk(minTime, maxTime, ChunkEncoding.Aggregates, Encode(parts));
    }

    // What stands in the place of the maximum, beside a counter that ends earlier perhaps: it stays behind the counter by as much.
    static Chunk LastOf(Chunk chunk, Chunk kept, Histogram last, string source)
    {
        TryGet(chunk, Aggregate.Counter, source, 0, out var whole);
        if (LastHistogram(whole, source) is { } before && LastHistogram(kept, source) is { } after)
        {
            last = last.Copy();
            last.Sub(before);
            last.Add(after);
            last.CounterResetHint = CounterResetHint.Unknown;
        }

        var builder = new AggregateBuilder();
        builder.TryAppend(kept.MaxTime, last);
        return builder.Chunk();
    }

    static Histogram? LastHistogram(Chunk part, string source)
    {
        var batch = new SampleBatch(Math.Max(1, ChunkIterators.Count(part, source, 0)));
        return ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch) > 0 && batch.Kind == SampleKind.Histogram
            ? batch.Histograms[batch.Count - 1] : null;
    }

    static Chunk Cut(Chunk part, DeletedSpans deleted, string source)
    {
        var batch = new SampleBatch(Math.Max(1, ChunkIterators.Count(part, source, 0)));
        ChunkIterators.OpenChunk(part, Aggregate.Raw, source, 0).Append(batch);
        var builder = new AggregateBuilder();
        var last = -1;
        for (var i = 0; i < batch.Count; i++)
        {
            if (deleted.Contains(batch.Timestamps[i]))
            {
                continue;
            }

            if (!builder.TryAppend(batch, i))
            {
                break;
            }

            last = i;
        }

        var end = batch.Count - 1;
        var isCounter = end > 0 && batch.Kind == SampleKind.Float && batch.Timestamps[end] == batch.Timestamps[end - 1];
        if (isCounter && last >= 0 && last < end)
        {
            builder.Append(batch.Timestamps[last], batch.Values[end] - (batch.Values[end - 1] - batch.Values[last]));
        }

        return builder.Chunk();
    }
}

/// <summary>The averages of downsampled windows: sums divided by counts, which are their weights.</summary>
sealed class AverageIterator(ChunkIterator sums, ChunkIterator counts, string source, long origin) : ChunkIterator
{
    readonly SampleBatch _sums = new();
    readonly SampleBatch _counts = new();
    int _at;

    public override int Append(SampleBatch batch)
    {
        var from = batch.Count;
        while (true)
        {
            if (_at == _sums.Count && !Next())
            {
                return batch.Count - from;
            }

            if (!Accepts(batch, _sums.Kind, startTimestamps: false, weights: true))
            {
                return batch.Count - from;
            }

            (batch.Timestamps[batch.Count], batch.Weights[batch.Count]) = (_sums.Timestamps[_at], _counts.Values[_at]);
            if (_sums.Kind == SampleKind.Float)
            {
                batch.Values[batch.Count] = _sums.Values[_at] / _counts.Values[_at];
            }
            else
            {
                batch.Histograms[batch.Count] = _sums.Histograms[_at].Copy().Div(_counts.Values[_at]);
            }

            batch.Count++;
            _at++;
        }
    }

    bool Next()
    {
        _at = 0;
        var more = sums.Read(_sums);
        if (counts.Read(_counts) != more
            || (more && (_counts.Kind != SampleKind.Float
                || !_sums.Timestamps.AsSpan(0, _sums.Count).SequenceEqual(_counts.Timestamps.AsSpan(0, _counts.Count)))))
        {
            CorruptionException.Throw(source, origin, "sums and counts of other windows");
        }

        _sums.Count = more ? _sums.Count : 0;
        return more;
    }
}

/// <summary>Says of which resolution the windows of a chunk are.</summary>
sealed class WindowEndIterator(ChunkIterator windows, long resolutionMs) : ChunkIterator
{
    // The time of the last window, which has that of its last sample, and the end of that window, where the series goes on.
    (long From, long To)? _moved;

    public long ResolutionMs => resolutionMs;

    /// <summary>
    /// Says where the chunk's last window is, and where the next chunk begins, which is the end of its first window where it has windows. If
    /// the series goes on in the next window, the last one gets the time of its end, like those before it, so that it stands until then.
    /// </summary>
    public void ContinueAt(long lastTime, long nextTime)
    {
        var end = lastTime - (lastTime % resolutionMs) + resolutionMs - 1;
        if (nextTime > end && nextTime - end <= resolutionMs)
        {
            _moved = (lastTime, end);
        }
    }

    public override bool IsExhausted => windows.IsExhausted;

    public override int Append(SampleBatch batch)
    {
        if (batch.Count > 0 && batch.ResolutionMs != resolutionMs)
        {
            return 0;
        }

        batch.ResolutionMs = 0;
        var added = windows.Append(batch);
        batch.ResolutionMs = resolutionMs;
        if (added > 0 && _moved is var (from, to) && batch.Timestamps[batch.Count - 1] == from)
        {
            batch.Timestamps[batch.Count - 1] = to;
        }

        return added;
    }
}
