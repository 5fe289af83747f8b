using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>A series that a store sent, whose chunks are decoded when its samples are read.</summary>
/// <param name="replica">The external labels that the store left off; null where it did not say so.</param>
sealed class RemoteSeries(Labels labels, Labels? replica, SelectHints hints, string endpoint) : Series(labels)
{
    List<Chunk> _chunks = [];
    bool _sorted;

    public override Labels Replica => replica ?? Labels.Empty;

    public bool TellsReplica => replica is not null;

    /// <summary>
    /// Adds a frame to the series under way, or begins the next series with it and returns the one before, which is whole then.
    /// </summary>
    public static RemoteSeries? Join(ref RemoteSeries? series, Wire.Series frame, SelectHints hints, string endpoint)
    {
        var labels = WireLabels.FromWire(frame.Labels);
        Labels? replica = frame.Replica is { } told ? WireLabels.FromWire(told.Labels) : null;
        var whole = series;
        if (series is null || series.Labels != labels || series.Replica != (replica ?? Labels.Empty))
        {
            series = new RemoteSeries(labels, replica, hints, endpoint);
        }
        else
        {
            whole = null;
        }

        foreach (var chunk in frame.Chunks)
        {
            series._chunks.Add(WireChunks.FromWire(chunk, endpoint));
        }

        return whole;
    }

    /// <summary>The same samples by other labels.</summary>
    public RemoteSeries As(SeriesKey key) => new(key.Labels, key.Replica, hints, endpoint) { _chunks = _chunks };

    public override ISampleIterator Samples() => new ChunkSeriesIterator(
        hints.SkipSamples ? [] : Sorted(), hints.Aggregate, hints.WindowRange, endpoint);

    public override IEnumerable<Chunk> Chunks() => Sorted();

    /// <summary>Stores send chunks in order of time, as a rule.</summary>
    List<Chunk> Sorted()
    {
        lock (_chunks)
        {
            if (!_sorted)
            {
                _chunks.Sort(static (a, b) => a.MinTime.CompareTo(b.MinTime));
                _sorted = true;
            }
        }

        return _chunks;
    }
}
