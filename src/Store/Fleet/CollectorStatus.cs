using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Fleet;

/// <summary>A collector's status, which it writes to the bucket as <c>observe/fleet/CLUSTER/COLLECTOR.json</c>.</summary>
/// <remarks>Format: docs/format/fleet.md.</remarks>
public sealed record CollectorStatus
{
    public const string Folder = "observe/fleet/";

    /// <summary>The most bytes that a status object may have.</summary>
    public const int MaxSize = 1 << 20;

    const long LongestIntervalMs = 30L * 24 * 3_600_000;

    public int Version { get; set; } = 1;

    /// <summary>The external label <c>cluster</c>.</summary>
    public required string Cluster { get; init; }

    /// <summary>The collector's name, unique in its cluster: the host or pod.</summary>
    public required string Collector { get; init; }

    /// <summary>Identifies this run of the program; two runs at once under one name are a mistake.</summary>
    public required string Instance { get; init; }

    /// <summary>External labels, <c>cluster</c> among them.</summary>
    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    /// <summary>Of the program.</summary>
    public required string ProgramVersion { get; init; }

    public required string ConfigHash { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required DateTimeOffset WrittenAt { get; init; }

    /// <summary>How often the status is written, in milliseconds; silence is measured in such intervals.</summary>
    public required long IntervalMs { get; init; }

    /// <summary>Names the data folder; "" where that is not known. What a folder that is gone held is lost, unless the bucket has it.</summary>
    public string Data { get; init => field = value ?? field; } = "";

    /// <summary>Unix milliseconds; null before the first sample.</summary>
    public long? NewestSample { get; init; }

    /// <summary>Spans of time that the collector holds and has shipped to the bucket.</summary>
    public IReadOnlyList<TimeRange> Shipped { get; init => field = value ?? field; } = [];

    /// <summary>Spans of time that the collector holds and the bucket lacks, the head's span among them.</summary>
    public IReadOnlyList<TimeRange> Unshipped { get; init => field = value ?? field; } = [];

    /// <summary>What was committed here and never came into the bucket, and nobody has any more; oldest first.</summary>
    public IReadOnlyList<LostRange> Lost { get; init => field = value ?? field; } = [];

    public int TargetsUp { get; init; }

    public int TargetsDown { get; init; }

    public long Series { get; init; }

    /// <summary>Samples that the head took, a second, since the status before.</summary>
    public double SamplesPerSecond { get; init; }

    /// <summary>Blocks that are not in the bucket yet, and their bytes.</summary>
    public int PendingBlocks { get; init; }

    public long PendingBytes { get; init; }

    /// <summary>Bytes that the data folder's disk has left, and has in all; 0 where that is not known.</summary>
    public long DiskFree { get; init; }

    public long DiskSize { get; init; }

    /// <summary>Blocks lost to the size limit since the start.</summary>
    public long ShedBlocks { get; init; }

    /// <summary>The error that keeps the collector from shipping; "" when there is none.</summary>
    public string LastError { get; init => field = value ?? field; } = "";

    /// <summary>Since when that error has been the last one; null when there is none.</summary>
    public DateTimeOffset? LastErrorSince { get; init; }

    /// <summary>Whether a graceful stop wrote the status, so that the collector's silence is no alarm.</summary>
    public bool Stopped { get; init; }

    /// <summary>When somebody said that the collector is gone for good; null as long as nobody did. A collector that returns resets it.</summary>
    public DateTimeOffset? Acknowledged { get; init; }

    /// <summary>What the cluster is by itself, whatever its labels say, see <see cref="ClusterClaim"/>; "" where it is not known.</summary>
    public string ClusterUid { get; init => field = value ?? field; } = "";

    /// <summary>The UID of another cluster that had claimed the external labels before; "" when there is none.</summary>
    public string ForeignCluster { get; init => field = value ?? field; } = "";

    /// <summary>What of its live slices is in the bucket; null where it writes none.</summary>
    public LiveStatus? Live { get; init; }

    /// <summary>Another run that writes under the same name at the same time; null when there is none.</summary>
    public string? Rival { get; init; }

    /// <exception cref="ArgumentException">A name that is not valid.</exception>
    public static string Key(string cluster, string collector) =>
        !FleetName.IsValid(cluster) ? throw new ArgumentException($"{GoText.Quote(cluster)} can't name a cluster: {FleetName.Rule}")
        : !FleetName.IsValid(collector) ? throw new ArgumentException($"{GoText.Quote(collector)} can't name a collector: {FleetName.Rule}")
        : $"{Folder}{cluster}/{collector}.json";

    /// <summary>Reads a status and checks all of it, so that the result needs no further checks.</summary>
    /// <exception cref="CorruptionException">
    /// The object is no status, has an unknown version, or has values that no collector can have.
    /// </exception>
    public static CollectorStatus Parse(ReadOnlySpan<byte> json, string source)
    {
        CollectorStatus? status;
        try
        {
            status = JsonSerializer.Deserialize(json, StatusJson.Type);
        }
        catch (JsonException e)
        {
            throw new CorruptionException(source, e.BytePositionInLine ?? 0, $"is no status of a collector: {e.Message}", e);
        }

        if (status is null || Fault(status) is not null)
        {
            CorruptionException.Throw(source, 0, status is null ? "is empty" : Fault(status)!);
        }

        return status;
    }

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, StatusJson.Type);

    static string? Fault(CollectorStatus status) =>
        status.Version != 1 ? $"is a status in version {status.Version}, not 1"
        : status.Cluster is null || !FleetName.IsValid(status.Cluster)
        || status.Collector is null || !FleetName.IsValid(status.Collector) ? "names no cluster and collector"
        : status.Instance is null
        || status.ProgramVersion is null || status.ConfigHash is null ? "lacks its instance, version or configuration"
        : status.Labels is null || status.Labels.Any(l => l.Value is null || !LabelName.IsValid(l.Key)) ? "has labels that are none"
        : status.IntervalMs is <= 0 or > LongestIntervalMs ? $"is written every {status.IntervalMs} ms"
        : status.NewestSample is { } newest && !IsTime(newest) ? $"has its newest sample at {newest}"
        : status.Shipped.Concat(status.Unshipped).Any(span => !IsTime(span.MinTime) || !IsTime(span.MaxTime))
        ? "has a span of time outside the years 1 to 9999"
        : status.Lost.Any(lost => lost is null || !IsTime(lost.MinTime) || !IsTime(lost.MaxTime) || lost.MinTime > lost.MaxTime || !IsTime(lost.Since)
            || lost.Why is null or { Length: > LostRange.MaxWhy }) ? "has lost what nobody can lose"
        : status.Live is { } live && LiveFault(live) is { } fault ? fault
        : status.TargetsUp < 0
        || status.TargetsDown < 0 || status.Series < 0 || status.ShedBlocks < 0 || status.SamplesPerSecond is not (>= 0 and < double.PositiveInfinity)
        || status.PendingBlocks < 0 || status.PendingBytes < 0 || status.DiskFree < 0 || status.DiskSize < 0
        ? "counts less than none of something"
        : null;

    static string? LiveFault(LiveStatus live) =>
        live.IntervalMs is <= 0 or > LongestIntervalMs || live.Data is null || !FleetName.IsValid(live.Data) ? "writes live slices that nobody can"
        : live.Windows.Any(window => window is null || window.Name is null || !FleetName.IsValid(window.Name) || window.Last < 0
            || window.Data is null || !FleetName.IsValid(window.Data) || !IsTime(window.Until)
            || (window.MinTime <= window.MaxTime && (!IsTime(window.MinTime) || !IsTime(window.MaxTime)))) ? "has windows of live slices that are none"
        : null;

    static bool IsTime(long timestamp) =>
        timestamp >= DateTimeOffset.MinValue.ToUnixTimeMilliseconds() && timestamp <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();
}

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(CollectorStatus))]
sealed partial class StatusJson : JsonSerializerContext
{
    static readonly JsonSerializerOptions s_options = new()
    {
        TypeInfoResolver = new StatusJson(),
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        IgnoreReadOnlyProperties = true,
        AllowDuplicateProperties = false,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static JsonTypeInfo<CollectorStatus> Type { get; } = (JsonTypeInfo<CollectorStatus>)s_options.GetTypeInfo(
        typeof(CollectorStatus));
}
