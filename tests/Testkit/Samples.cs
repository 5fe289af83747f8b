using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Testkit;

/// <summary>Reads an iterator to its end.</summary>
public static class Samples
{
    public static List<(long Timestamp, double Value)> Floats(ISampleIterator iterator, int capacity = SampleBatch.DefaultCapacity) =>
        [.. All(iterator, capacity).Select(s => (s.Timestamp, s.Value))];

    public static List<(long Timestamp, long Start, double Value, Histogram? Histogram)> All(
        ISampleIterator iterator, int capacity = SampleBatch.DefaultCapacity)
    {
        var read = new List<(long, long, double, Histogram?)>();
        var batch = new SampleBatch(capacity);
        while (iterator.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                read.Add((
                    batch.Timestamps[i],
                    batch.HasStartTimestamps ? batch.StartTimestamps[i] : 0,
                    batch.Kind == SampleKind.Float ? batch.Values[i] : 0,
                    batch.Kind == SampleKind.Histogram ? batch.Histograms[i] : null));
            }
        }

        return read;
    }
}

/// <summary>Gives samples in the batches that they are in.</summary>
public sealed class OneBatch(params SampleBatch[] batches) : ISampleIterator
{
    int _next;
    int _at;

    public bool Read(SampleBatch batch)
    {
        batch.Clear();
        if (_next == batches.Length)
        {
            return false;
        }

        while (_at < batches[_next].Count && Observe.Tsdb.Chunks.SampleBatches.Add(batch, batches[_next], _at))
        {
            _at++;
        }

        if (_at == batches[_next].Count)
        {
            (_next, _at) = (_next + 1, 0);
        }

        return batch.Count > 0;
    }

    public void Seek(long timestamp)
    {
        while (_next < batches.Length && (_at == batches[_next].Count || batches[_next].Timestamps[_at] < timestamp))
        {
            (_next, _at) = _at >= batches[_next].Count - 1 ? (_next + 1, 0) : (_next, _at + 1);
        }
    }

    public void Dispose()
    {
    }
}
