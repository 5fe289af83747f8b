using Observe.Store.Bucket;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Fleet;

/// <summary>Writes a collector's status, and finds out whether another run writes under the same name. One caller at a time.</summary>
public sealed class FleetMember
{
    readonly IBucket _bucket;
    readonly string _key;
    bool _written;

    /// <exception cref="ArgumentException">A name that is not valid.</exception>
    public FleetMember(IBucket bucket, string cluster, string collector) =>
        (_bucket, _key) = (bucket, CollectorStatus.Key(cluster, collector));

    /// <summary>Replaces the status in the bucket.</summary>
    /// <returns>
    /// The status of another run that has written since this run wrote last, and so is alive; null when there is none. A status that an
    /// earlier run left does not count.
    /// </returns>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task<CollectorStatus?> WriteAsync(CollectorStatus status, CancellationToken cancellationToken)
    {
        var there = _written ? await ReadAsync(cancellationToken) : null;
        var rival = there is not null && there.Instance != status.Instance ? there : null;
        await _bucket.PutBytesAsync(_key, (status with { Rival = rival?.Instance }).ToJson(), PutCondition.None, cancellationToken);
        _written = true;
        return rival;
    }

    /// <summary>The status that stands in the bucket; null where there is none, or one that can't be read.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task<CollectorStatus?> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            return CollectorStatus.Parse(
                await _bucket.GetBytesAsync(_key, CollectorStatus.MaxSize, cancellationToken), $"{_bucket.Name}/{_key}");
        }
        catch (ObjectNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is CorruptionException or BucketException { Failure: BucketFailure.TooLarge })
        {
            return null; // An object that is no status is overwritten.
        }
    }
}
