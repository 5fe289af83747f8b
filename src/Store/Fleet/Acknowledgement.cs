using Observe.Store.Bucket;

namespace Observe.Store.Fleet;

/// <summary>The outcome of acknowledging that a collector is gone for good.</summary>
public enum AcknowledgeResult
{
    Done,

    /// <summary>There is no such collector in the bucket.</summary>
    Unknown,

    /// <summary>It wrote its status a moment ago, so that it is not gone.</summary>
    Alive,
}

/// <summary>
/// Somebody's word that a collector is gone for good: what it should have gathered is missing from no answer, and its silence is no alarm.
/// It stands in the collector's status, so that a collector that returns takes it back with its first status.
/// </summary>
public static class Acknowledgement
{
    /// <exception cref="ArgumentException">A name that is not valid.</exception>
    /// <exception cref="BucketException">The bucket fails.</exception>
    /// <exception cref="Tsdb.Bytes.CorruptionException">The status can't be read.</exception>
    public static async Task<AcknowledgeResult> WriteAsync(
        IBucket bucket, string cluster, string collector, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var key = CollectorStatus.Key(cluster, collector);
        if (await bucket.AttributesAsync(key, cancellationToken) is not { } there)
        {
            return AcknowledgeResult.Unknown;
        }

        var status = CollectorStatus.Parse(
            await bucket.GetBytesAsync(key, CollectorStatus.MaxSize, cancellationToken), $"{bucket.Name}/{key}");
        if (status.Acknowledged is not null)
        {
            return AcknowledgeResult.Done;
        }

        if (!status.Stopped && !FleetStatus.IsSilent(status, now))
        {
            return AcknowledgeResult.Alive;
        }

        var put = await bucket.PutBytesAsync(
            key, (status with { Acknowledged = now }).ToJson(), PutCondition.Match(there.ETag), cancellationToken);
        return put == PutResult.Written ? AcknowledgeResult.Done : AcknowledgeResult.Alive;
    }
}
