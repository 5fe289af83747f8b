using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>The samples of one chunk. Timestamps rise strictly, save in a counter aggregate (see <see cref="AggregatesChunk"/>).</summary>
public abstract class ChunkIterator : ISampleIterator
{
    long _from = long.MinValue;

    public bool Read(SampleBatch batch)
    {
        while (true)
        {
            batch.Clear();
            Append(batch);
            if (batch.Count == 0)
            {
                return false;
            }

            if (batch.Timestamps[0] >= _from)
            {
                return true;
            }

            batch.DropBefore(_from);
            if (batch.Count > 0)
            {
                return true;
            }
        }
    }

    public void Seek(long timestamp) => _from = Math.Max(_from, timestamp);

    /// <summary>
    /// Adds samples behind those that are in the batch, as many as it has room for; returns how many. An empty batch gets this
    /// chunk's kind; a batch of another kind gets nothing.
    /// </summary>
    public abstract int Append(SampleBatch batch);

    /// <summary>There is certainly no sample left; where that is not known without reading on it is false.</summary>
    public virtual bool IsExhausted => false;

    public void Dispose()
    {
    }

    /// <summary>Sets the kind of a batch that is empty; false when it holds samples that don't go with this chunk's.</summary>
    protected static bool Accepts(
        SampleBatch batch, SampleKind kind, bool startTimestamps, long resolutionMs = 0, bool weights = false)
    {
        if (batch.Count == 0)
        {
            (batch.Kind, batch.HasStartTimestamps, batch.HasWeights, batch.ResolutionMs) = (kind, startTimestamps, weights, resolutionMs);
            return true;
        }

        return batch.Kind == kind && batch.HasStartTimestamps == startTimestamps && batch.HasWeights == weights
            && batch.ResolutionMs == resolutionMs && batch.Count < batch.Capacity;
    }

    protected static void CheckHeader(ReadOnlyMemory<byte> data, int header, string source, long origin)
    {
        // Positions within a chunk are counted in bits of an int.
        if (data.Length < header || data.Length > int.MaxValue / 8 - 64)
        {
            CorruptionException.Throw(source, origin, $"a chunk of {data.Length} bytes");
        }
    }
}

/// <summary>What readers of several sources do with batches.</summary>
static class SampleBatches
{
    /// <summary>Drops the samples before a time from the front.</summary>
    public static void DropBefore(this SampleBatch batch, long timestamp)
    {
        var from = batch.Timestamps.AsSpan(0, batch.Count).BinarySearch(timestamp);
        batch.DropFirst(from < 0 ? ~from : from);
    }

    public static void DropFirst(this SampleBatch batch, int count)
    {
        if (count == 0)
        {
            return;
        }

        var left = batch.Count - count;
        Array.Copy(batch.Timestamps, count, batch.Timestamps, 0, left);
        if (batch.Kind == SampleKind.Float)
        {
            Array.Copy(batch.Values, count, batch.Values, 0, left);
        }
        else
        {
            Array.Copy(batch.Histograms, count, batch.Histograms, 0, left);
        }

        if (batch.HasStartTimestamps)
        {
            Array.Copy(batch.StartTimestamps, count, batch.StartTimestamps, 0, left);
        }

        if (batch.HasWeights)
        {
            Array.Copy(batch.Weights, count, batch.Weights, 0, left);
        }

        batch.Count = left;
    }

    /// <summary>Drops the samples after a time from the end; true when there were any.</summary>
    public static bool DropAfter(this SampleBatch batch, long timestamp)
    {
        if (batch.Count == 0 || batch.Timestamps[batch.Count - 1] <= timestamp)
        {
            return false;
        }

        var to = batch.Timestamps.AsSpan(0, batch.Count).BinarySearch(timestamp);
        batch.Count = to < 0 ? ~to : to + 1;
        return true;
    }

    /// <summary>Adds one sample of another batch behind those that are here; false when it is full or of another kind.</summary>
    public static bool Add(this SampleBatch batch, SampleBatch from, int index)
    {
        if (!batch.Takes(from))
        {
            return false;
        }

        batch.Timestamps[batch.Count] = from.Timestamps[index];
        if (from.Kind == SampleKind.Float)
        {
            batch.Values[batch.Count] = from.Values[index];
        }
        else
        {
            batch.Histograms[batch.Count] = from.Histograms[index];
        }

        if (from.HasStartTimestamps)
        {
            batch.StartTimestamps[batch.Count] = from.StartTimestamps[index];
        }

        if (from.HasWeights)
        {
            batch.Weights[batch.Count] = from.Weights[index];
        }

        batch.Count++;
        return true;
    }

    /// <summary>Adds samples of another batch behind those that are here.</summary>
    /// <returns>How many: fewer when it is full, none when it is of another kind.</returns>
    public static int Add(this SampleBatch batch, SampleBatch from, int index, int count)
    {
        if (!batch.Takes(from))
        {
            return 0;
        }

        count = Math.Min(count, batch.Capacity - batch.Count);
        Array.Copy(from.Timestamps, index, batch.Timestamps, batch.Count, count);
        if (from.Kind == SampleKind.Float)
        {
            Array.Copy(from.Values, index, batch.Values, batch.Count, count);
        }
        else
        {
            Array.Copy(from.Histograms, index, batch.Histograms, batch.Count, count);
        }

        if (from.HasStartTimestamps)
        {
            Array.Copy(from.StartTimestamps, index, batch.StartTimestamps, batch.Count, count);
        }

        if (from.HasWeights)
        {
            Array.Copy(from.Weights, index, batch.Weights, batch.Count, count);
        }

        batch.Count += count;
        return count;
    }

    /// <summary>Whether there is room for samples of the other batch; one that is empty becomes of its kind.</summary>
    static bool Takes(this SampleBatch batch, SampleBatch from)
    {
        if (batch.Count == 0)
        {
            (batch.Kind, batch.HasStartTimestamps, batch.HasWeights, batch.ResolutionMs) =
                (from.Kind, from.HasStartTimestamps, from.HasWeights, from.ResolutionMs);
            return true;
        }

        return batch.Kind == from.Kind && batch.HasStartTimestamps == from.HasStartTimestamps && batch.HasWeights == from.HasWeights
            && batch.ResolutionMs == from.ResolutionMs && batch.Count < batch.Capacity;
    }
}
