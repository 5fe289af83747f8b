using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>A range of time of which a replica gave the samples of a series, or of several.</summary>
/// <param name="Labels">
/// The external labels that tell the replica from others, beside that of its cluster; without any of them it is what compaction made of
/// replicas.
/// </param>
/// <param name="Range">From the first to the last of its samples.</param>
public sealed record ServedReplica(Labels Labels, TimeRange Range);

/// <summary>Which replicas gave the samples of a selection's series, to explain a query. Thread-safe.</summary>
public sealed class ServedReplicas
{
    /// <summary>So many ranges of one replica are told apart at most. Of more those that lie next to each other become one.</summary>
    const int MostRanges = 50;

    readonly Lock _lock = new();
    readonly Dictionary<(Labels Replica, string Cluster), List<TimeRange>> _ranges = [];

    /// <summary>By labels and time; those of one replica do not overlap.</summary>
    public IReadOnlyList<ServedReplica> Ranges
    {
        get
        {
            lock (_lock)
            {
                return
                [
                    .. _ranges.SelectMany(replica => replica.Value.Select(range => new ServedReplica(LabelsOf(replica.Key), range)))
                        .OrderBy(served => served.Labels).ThenBy(served => served.Range.MinTime),
                ];
            }
        }
    }

    /// <summary>A replica gave the samples of a series from one time to another, both ends included.</summary>
    public void Add(Series replica, TimeRange range)
    {
        lock (_lock)
        {
            var key = (replica.Replica, replica.Labels.Get("cluster"));
            if (!_ranges.TryGetValue(key, out var ranges))
            {
                _ranges[(key.Replica.Copy(), key.Item2)] = ranges = [];
            }

            var first = ranges.FindIndex(other => other.MaxTime >= range.MinTime) is >= 0 and var at ? at : ranges.Count;
            var count = ranges.Skip(first).TakeWhile(other => other.MinTime <= range.MaxTime).Count();
            if (count > 0)
            {
                range = new TimeRange(
                    Math.Min(range.MinTime, ranges[first].MinTime), Math.Max(range.MaxTime, ranges[first + count - 1].MaxTime));
                ranges.RemoveRange(first, count);
            }

            ranges.Insert(first, range);
            if (ranges.Count > MostRanges)
            {
                var nearest = Enumerable.Range(1, ranges.Count - 1).MinBy(i => ranges[i].MinTime - ranges[i - 1].MaxTime);
                ranges[nearest - 1] = ranges[nearest - 1] with { MaxTime = ranges[nearest].MaxTime };
                ranges.RemoveAt(nearest);
            }
        }
    }

    /// <summary>The samples, of which is noted which replica gave them.</summary>
    /// <param name="samples">Owned from now on.</param>
    /// <param name="replicas">By the number that batches have.</param>
    public ISampleIterator Watch(ISampleIterator samples, IReadOnlyList<Series> replicas) => new Watched(this, samples, replicas);

    static Labels LabelsOf((Labels Replica, string Cluster) key) => key.Cluster.Length == 0 || key.Replica.Has("cluster")
        ? key.Replica
        : new LabelsBuilder(key.Replica).Set("cluster", key.Cluster).Build();

    sealed class Watched(ServedReplicas served, ISampleIterator samples, IReadOnlyList<Series> replicas) : ISampleIterator
    {
        Series? _replica;
        TimeRange _range;

        public bool Read(SampleBatch batch)
        {
            if (!samples.Read(batch))
            {
                Note();
                return false;
            }

            if (_replica != replicas[batch.Replica])
            {
                Note();
                (_replica, _range) = (replicas[batch.Replica], new TimeRange(batch.Timestamps[0], batch.Timestamps[0]));
            }

            _range = _range with { MaxTime = batch.Timestamps[batch.Count - 1] };
            return true;
        }

        public void Seek(long timestamp) => samples.Seek(timestamp);

        public void Dispose()
        {
            Note();
            samples.Dispose();
        }

        void Note()
        {
            if (_replica is not null)
            {
                served.Add(_replica, _range);
                _replica = null;
            }
        }
    }
}
