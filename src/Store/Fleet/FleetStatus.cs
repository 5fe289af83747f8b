using System.Collections.Concurrent;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>All collectors of a cluster.</summary>
/// <param name="Collectors">In order of name.</param>
public sealed record ClusterStatus(string Cluster, IReadOnlyList<CollectorStatus> Collectors)
{
    /// <summary>The newest sample of any of the cluster's collectors, Unix milliseconds; null before the first sample.</summary>
    public long? NewestSample => Collectors.Max(c => c.NewestSample);

    /// <summary>Collectors that have not written their status for three intervals, and were neither stopped nor acknowledged as gone.</summary>
    public IReadOnlyList<CollectorStatus> Silent(DateTimeOffset now) => [.. Collectors.Where(c => FleetStatus.IsSilent(c, now))];
}

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
        !collector.Stopped && collector.Acknowledged is null && (now - collector.WrittenAt).TotalMilliseconds > SilentIntervals * (double)collector.IntervalMs;

    /// <summary>All collectors, held against the bucket.</summary>
    /// <param name="blocks">Of the bucket, listed after the statuses were read.</param>
    /// <param name="live">Called with a cluster and a collector: the times of which the reader has all that was committed, without blocks.</param>
    public IReadOnlyList<KnownCollector> Known(
        IReadOnlyCollection<BlockMeta> blocks, DateTimeOffset now, Func<string, string, IReadOnlyList<TimeRange>>? live = null)
    {
        var (shipped, all) = (ShippedBy(blocks), Clusters.SelectMany(cluster => cluster.Collectors).ToList());
        var damaged = blocks.SelectMany(meta => BlockOrigin.Lost(meta).Select(one => (one.Collector, one.Range, Labels: meta.ExternalLabels)))
            .ToLookup(one => one.Collector);
        return
        [
            .. all.Select(status => KnownCollector.Of(
                status,
                [.. shipped(status), .. live?.Invoke(status.Cluster, status.Collector) ?? []],
                now,
                [.. damaged[status.Collector].Where(one => Labels.Of(status.Labels).HasAll(one.Labels)).Select(one => one.Range)])),

            // Blocks outlive the statuses of those who wrote them.
            .. damaged.SelectMany(one => one).GroupBy(one => (one.Collector, one.Labels), one => one.Range)
                .Where(lost => !all.Exists(
                    status => status.Collector == lost.Key.Collector && Labels.Of(status.Labels).HasAll(lost.Key.Labels)))
                .Select(lost => new KnownCollector(
                    lost.Key.Labels.Get("cluster"), lost.Key.Collector, lost.Key.Labels, null, false, [.. KnownCollector.Damaged([.. lost], [])])),
        ];
    }

    /// <summary>A function of a collector: the times of which blocks have all that it had.</summary>
    public Func<CollectorStatus, IEnumerable<TimeRange>> ShippedBy(IReadOnlyCollection<BlockMeta> blocks)
    {
        var byCollector = blocks.SelectMany(meta => BlockOrigin.Collectors(meta).Select(one => (one.Collector, one.Range, Labels: meta.ExternalLabels)))
            .ToLookup(one => one.Collector);
        var ofNobody = blocks.Where(meta => !BlockOrigin.Collectors(meta).Any() && !BlockOrigin.Lost(meta).Any())
            .ToLookup(meta => meta.ExternalLabels, meta => meta.Range);
        var named = Clusters.SelectMany(cluster => cluster.Collectors).Select(status => Labels.Of(status.Labels)).CountBy(labels => labels).ToDictionary();

        // A block that was deduplicated has lost replica labels. One that names nobody is the collector's where no other one has its labels.
        return status => Labels.Of(status.Labels) is var labels ? byCollector[status.Collector]
            .Where(one => labels.HasAll(one.Labels)).Select(one => one.Range)
            .Concat(named.GetValueOrDefault(labels) == 1 ? ofNobody[labels] : []) : [];
    }
}
