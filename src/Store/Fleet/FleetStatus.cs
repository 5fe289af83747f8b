using System.Collections.Concurrent;
using Observe.Store.Bucket;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>All collectors of a cluster.</summary>
/// <param name="Collectors">In order of name.</param>
public sealed record ClusterStatus(string Cluster, IReadOnlyList<CollectorStatus> Collectors)
{
    /// <summary>The newest sample of any of the cluster's collectors, Unix milliseconds; null before the first sample.</summary>
    public long? NewestSample => Collectors.Max(c => c.NewestSample);

    /// <summary>Collectors that have not written their status for three intervals and were not stopped.</summary>
    public IReadOnlyList<CollectorStatus> Silent(DateTimeOffset now) => [.. Collectors.Where(c => FleetStatus.IsSilent(c, now))];
}

/// <summary>A span of time of a collector that the bucket lacks.</summary>
/// <param name="Why">For people.</param>
public sealed record FleetGap(string Cluster, string Collector, TimeRange Range, string Why);

/// <summary>All clusters and collectors that have a status in a bucket.</summary>
/// <param name="Clusters">In order of name.</param>
/// <param name="Faults">Objects that could not be read, each with its reason.</param>
public sealed record FleetStatus(IReadOnlyList<ClusterStatus> Clusters, IReadOnlyList<string> Faults)
{
    const int Parallel = 16;
    const int SilentIntervals = 3;

    /// <summary>Reads all status objects; an object that can't be read is a fault and does not hide the others.</summary>
    /// <exception cref="BucketException">The bucket can't be listed.</exception>
    public static async Task<FleetStatus> ReadAsync(IBucket bucket, CancellationToken cancellationToken)
    {
        var keys = new List<string>();
        await foreach (var entry in bucket.ListAsync(CollectorStatus.Folder, recursive: true, cancellationToken))
        {
            if (entry.Key.EndsWith(".json", StringComparison.Ordinal))
            {
                keys.Add(entry.Key);
            }
        }

        var statuses = new ConcurrentBag<CollectorStatus>();
        var faults = new ConcurrentBag<string>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Parallel, CancellationToken = cancellationToken };
        await System.Threading.Tasks.Parallel.ForEachAsync(keys, parallel, async (key, token) =>
        {
            try
            {
                var source = $"{bucket.Name}/{key}";
                var status = CollectorStatus.Parse(await bucket.GetBytesAsync(key, CollectorStatus.MaxSize, token), source);
                if (CollectorStatus.Key(status.Cluster, status.Collector) != key)
                {
                    CorruptionException.Throw(source, 0, "names another collector than its key does");
                }

                statuses.Add(status);
            }
            catch (ObjectNotFoundException)
            {
                // The object was deleted between list and read.
            }
            catch (Exception e) when (e is BucketException or CorruptionException)
            {
                faults.Add(e.Message);
            }
        });
        var clusters = statuses.GroupBy(s => s.Cluster)
            .Select(g => new ClusterStatus(g.Key, [.. g.OrderBy(s => s.Collector, StringComparer.Ordinal)]))
            .OrderBy(c => c.Cluster, StringComparer.Ordinal);
        return new FleetStatus([.. clusters], [.. faults.Order(StringComparer.Ordinal)]);
    }

    public static bool IsSilent(CollectorStatus collector, DateTimeOffset now) =>
        !collector.Stopped && (now - collector.WrittenAt).TotalMilliseconds > SilentIntervals * (double)collector.IntervalMs;

    /// <summary>
    /// What the bucket lacks of a range: spans that collectors hold and have not shipped, and of silent collectors the time since their
    /// newest known sample. Adjacent spans of one collector are joined.
    /// </summary>
    public IReadOnlyList<FleetGap> Gaps(TimeRange range, DateTimeOffset now)
    {
        var gaps = new List<FleetGap>();
        foreach (var collector in Clusters.SelectMany(c => c.Collectors))
        {
            foreach (var span in Joined(collector.Unshipped))
            {
                Add(collector, span, collector.LastError.Length == 0
                    ? "not in the bucket yet"
                    : $"not in the bucket yet: {collector.LastError}");
            }

            if (IsSilent(collector, now))
            {
                var since = Math.Max(collector.NewestSample
                    + 1 ?? long.MinValue, collector.Unshipped.Select(u => u.MaxTime + 1).DefaultIfEmpty(long.MinValue).Max());
                Add(collector, new TimeRange(
                    since, now.ToUnixTimeMilliseconds()), $"silent since {GoText.Rfc3339(collector.WrittenAt.ToUnixTimeMilliseconds())}");
            }
        }

        return gaps;

        void Add(CollectorStatus collector, TimeRange span, string why)
        {
            if (span.Intersect(range) is { IsEmpty: false } gap)
            {
                gaps.Add(new FleetGap(collector.Cluster, collector.Collector, gap, why));
            }
        }
    }

    static List<TimeRange> Joined(IEnumerable<TimeRange> spans)
    {
        var joined = new List<TimeRange>();
        foreach (var span in spans.Where(s => !s.IsEmpty).OrderBy(s => s.MinTime))
        {
            if (joined.Count > 0 && span.MinTime <= joined[^1].MaxTime + 1)
            {
                joined[^1] = joined[^1] with { MaxTime = Math.Max(joined[^1].MaxTime, span.MaxTime) };
            }
            else
            {
                joined.Add(span);
            }
        }

        return joined;
    }
}
