using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Observe.Store.Bucket;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>Which cluster writes under a set of external labels: an object in the bucket, for each set one.</summary>
/// <remarks>
/// A configuration that is copied from one cluster to the next carries its labels along, and series of both would mix. The claim finds that
/// by what does not depend on the configuration. Format: docs/format/fleet.md.
/// </remarks>
public sealed record ClusterClaim
{
    public const string Folder = "observe/identity/";

    /// <summary>The most bytes that a claim may have.</summary>
    public const int MaxSize = 1 << 18;

    /// <summary>How old a claim gets before one of its cluster's collectors renews it.</summary>
    public static readonly TimeSpan RenewedAfter = TimeSpan.FromMinutes(30);

    /// <summary>
    /// How long a claim that nobody renews holds: a cluster that was built anew may go on under its old labels then. One that was made by a
    /// clock that is further ahead than this does not hold at all.
    /// </summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(2);

    const int Attempts = 100;

    public int Version { get; init; } = 1;

    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    public required string ClusterUid { get; init; }

    /// <summary>The collector that renewed it last.</summary>
    public required string Collector { get; init; }

    public required DateTimeOffset RenewedAt { get; init; }

    /// <summary>Claims labels for a cluster, or renews its claim.</summary>
    /// <returns>The claim of another cluster that holds; null when the labels are this cluster's own.</returns>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public static async Task<ClusterClaim?> MakeAsync(
        IBucket bucket, Labels labels, string clusterUid, string collector, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var own = new ClusterClaim { Labels = labels.ToDictionary(), ClusterUid = clusterUid, Collector = collector, RenewedAt = now };
        var key = Key(labels);
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var condition = PutCondition.Absent;
            if (await bucket.AttributesAsync(key, cancellationToken) is { } there)
            {
                if (await ReadAsync(bucket, key, cancellationToken) is { } claim && (now - claim.RenewedAt).Duration() < Lifetime)
                {
                    if (claim.ClusterUid != clusterUid)
                    {
                        return claim;
                    }

                    if (now - claim.RenewedAt < RenewedAfter)
                    {
                        return null;
                    }
                }

                condition = PutCondition.Match(there.ETag);
            }

            if (await bucket.PutBytesAsync(key, own.ToJson(), condition, cancellationToken) == PutResult.Written)
            {
                return null;
            }
        }

        throw new BucketException($"{bucket.Name}/{key} is another one each time");
    }

    public static string Key(Labels labels)
    {
        using var text = new MemoryStream();
        foreach (var (name, value) in labels.ToDictionary().OrderBy(label => label.Key, StringComparer.Ordinal))
        {
            text.Write(System.Text.Encoding.UTF8.GetBytes($"{name}\0{value}\0"));
        }

        return $"{Folder}{Convert.ToHexStringLower(SHA256.HashData(text.ToArray()))[..32]}.json";
    }

    byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, ClaimJson.Type);

    /// <summary>Null for an object that is gone, or is no claim and is overwritten.</summary>
    static async Task<ClusterClaim?> ReadAsync(IBucket bucket, string key, CancellationToken cancellationToken)
    {
        try
        {
            var claim = JsonSerializer.Deserialize(await bucket.GetBytesAsync(key, MaxSize, cancellationToken), ClaimJson.Type);
            return claim is { Version: 1, ClusterUid: not null, Collector: not null, Labels: not null } ? claim : null;
        }
        catch (Exception e) when (e is JsonException or ObjectNotFoundException or BucketException { Failure: BucketFailure.TooLarge })
        {
            return null;
        }
    }
}

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(ClusterClaim))]
sealed partial class ClaimJson : JsonSerializerContext
{
    static readonly JsonSerializerOptions s_options = new()
    {
        TypeInfoResolver = new ClaimJson(),
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        AllowDuplicateProperties = false,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static JsonTypeInfo<ClusterClaim> Type { get; } = (JsonTypeInfo<ClusterClaim>)s_options.GetTypeInfo(typeof(ClusterClaim));
}
