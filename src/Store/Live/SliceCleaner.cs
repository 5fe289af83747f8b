using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;

namespace Observe.Store.Live;

/// <summary>
/// Deletes the slices of collectors that are gone: at once those that blocks have, and the others, which are the only copy of what was not shipped,
/// when they are so old that nobody will miss them.
/// </summary>
public sealed partial class SliceCleaner(IBucket bucket, TimeProvider time, ILogger logger)
{
    /// <summary>How long slices are kept of which no block will be made.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromDays(14);

    /// <summary>How long a collector must have been silent before others delete its slices that blocks have.</summary>
    static readonly TimeSpan s_patience = TimeSpan.FromHours(1);

    /// <summary>Looks through the bucket once; returns how many windows were deleted.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task<int> CleanAsync(CancellationToken cancellationToken)
    {
        var fleet = await FleetStatus.ReadAsync(bucket, cancellationToken);
        var known = fleet.Clusters.SelectMany(cluster => cluster.Collectors).ToDictionary(status => (status.Cluster, status.Collector));
        var deleted = 0;
        BucketException? fault = null;
        await foreach (var (cluster, collector, window) in WindowsAsync(cancellationToken))
        {
            var status = known.GetValueOrDefault((cluster, collector));
            if (!IsDue(status, window, out var isShipped))
            {
                continue;
            }

            try
            {
                await SliceWriter.DeleteAsync(bucket, cluster, collector, window, cancellationToken);
            }
            catch (BucketException e)
            {
                fault ??= e; // The next window may be luckier.
                continue;
            }

            deleted++;
            if (!isShipped)
            {
                LogDeleted(logger, cluster, collector, window);
            }
        }

        return fault is null ? deleted : throw fault;
    }

    /// <summary>Whether a collector has been gone for so long that none of its slices are kept.</summary>
    public static bool IsOver(CollectorStatus status, DateTimeOffset now) => !IsAlive(status, now) && now - status.WrittenAt > Kept;

    static bool IsAlive(CollectorStatus status, DateTimeOffset now) =>
        status is { Stopped: false, Acknowledged: null } && !FleetStatus.IsSilent(status, now);

    bool IsDue(CollectorStatus? status, string window, out bool isShipped)
    {
        var now = time.GetUtcNow();
        var listed = status?.Live?.Windows.FirstOrDefault(one => one.Name == window);
        isShipped = listed?.Shipped is not null;

        // What a collector lists it deletes itself, as long as it is there.
        return listed is null ? SliceKey.BeginOf(window) is { } begin && now - begin > Kept
            : isShipped ? !IsAlive(status!, now) && now - status!.WrittenAt > s_patience : IsOver(status!, now);
    }

    async IAsyncEnumerable<(string Cluster, string Collector, string Window)> WindowsAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var cluster in await FoldersAsync(SliceKey.Folder, cancellationToken))
        {
            foreach (var collector in await FoldersAsync($"{SliceKey.Folder}{cluster}/", cancellationToken))
            {
                foreach (var window in await FoldersAsync($"{SliceKey.Folder}{cluster}/{collector}/", cancellationToken))
                {
                    if (FleetName.IsValid(cluster) && FleetName.IsValid(collector) && SliceKey.BeginOf(window) is not null)
                    {
                        yield return (cluster, collector, window);
                    }
                }
            }
        }
    }

    async Task<List<string>> FoldersAsync(string prefix, CancellationToken cancellationToken)
    {
        var folders = new List<string>();
        await foreach (var entry in bucket.ListAsync(prefix, recursive: false, cancellationToken))
        {
            if (entry.IsFolder)
            {
                folders.Add(entry.Key[prefix.Length..^1]);
            }
        }

        return folders;
    }

    [LoggerMessage(LogLevel.Warning, "live slices of a collector that is gone were deleted, no block has their samples cluster={Cluster} collector={Collector} window={Window}")]
    static partial void LogDeleted(ILogger logger, string cluster, string collector, string window);
}
