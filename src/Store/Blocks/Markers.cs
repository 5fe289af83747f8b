using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Blocks;

/// <summary><c>deletion-mark.json</c>: the block goes once the deletion delay has passed.</summary>
public sealed record DeletionMark(
    BlockId Id, [property: JsonPropertyName("deletion_time")] long DeletionTimeSeconds, string Details = "", int Version = 1)
{
    public const string FileName = "deletion-mark.json";

    [JsonIgnore]
    public DateTimeOffset DeletionTime => DateTimeOffset.FromUnixTimeSeconds(DeletionTimeSeconds);
}

/// <summary><c>no-compact-mark.json</c>: compaction leaves the block alone.</summary>
/// <param name="Reason"><c>manual</c>, <c>index-size-exceeding</c>, <c>block-index-out-of-order-chunk</c> or <c>downsample-vertical-compaction</c>.</param>
public sealed record NoCompactMark(
    BlockId Id, [property: JsonPropertyName("no_compact_time")] long TimeSeconds, string Reason = "manual", string Details = "", int Version = 1)
{
    public const string FileName = "no-compact-mark.json";
}

/// <summary><c>no-downsample-mark.json</c>: downsampling leaves the block alone.</summary>
public sealed record NoDownsampleMark(
    BlockId Id, [property: JsonPropertyName("no_downsample_time")] long TimeSeconds, string Reason = "manual", string Details = "", int Version = 1)
{
    public const string FileName = "no-downsample-mark.json";
}

static class MarkerJson
{
    /// <exception cref="CorruptionException">It is not JSON, or of another version.</exception>
    public static TMark Parse<TMark>(ReadOnlySpan<byte> json, string source)
        where TMark : class
    {
        try
        {
            return JsonSerializer.Deserialize(json, MarkJson.TypeOf<TMark>()) ?? throw new CorruptionException(source, 0, "is empty");
        }
        catch (JsonException e)
        {
            throw new CorruptionException(source, e.BytePositionInLine ?? 0, $"is no marker: {e.Message}", e);
        }
    }

    public static byte[] Write<TMark>(TMark mark) => JsonSerializer.SerializeToUtf8Bytes(mark, MarkJson.TypeOf<TMark>());
}

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(DeletionMark))]
[JsonSerializable(typeof(NoCompactMark))]
[JsonSerializable(typeof(NoDownsampleMark))]
sealed partial class MarkJson : JsonSerializerContext
{
    static readonly JsonSerializerOptions s_options = MetaFormat.Options(new MarkJson());

    public static JsonTypeInfo<T> TypeOf<T>() => (JsonTypeInfo<T>)s_options.GetTypeInfo(typeof(T));
}
