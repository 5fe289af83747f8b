using Observe.Store.Model;

namespace Observe.Store.Tests.Chunks;

/// <summary>Reads an iterator to its end.</summary>
static class Samples
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
