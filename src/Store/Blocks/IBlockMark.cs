using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Blocks;

/// <summary>What is written beside a block's meta.json to say what is to become of it.</summary>
interface IBlockMark
{
    BlockId Id { get; }

    int Version { get; }

    /// <summary>Unix seconds.</summary>
    long TimeSeconds { get; }
}

/// <summary><c>deletion-mark.json</c>: the block goes once the deletion delay has passed.</summary>
public sealed record DeletionMark(
    BlockId Id, [property: JsonPropertyName("deletion_time")] long TimeSeconds, string Details = "", int Version = 1) : IBlockMark
{
    public const string FileName = "deletion-mark.json";

    [JsonIgnore]
    public DateTimeOffset DeletionTime => DateTimeOffset.FromUnixTimeSeconds(TimeSeconds);
}

/// <summary><c>no-compact-mark.json</c>: compaction leaves the block alone.</summary>
/// <param name="Reason">
/// <c>manual</c>, <c>index-size-exceeding</c>, <c>block-index-out-of-order-chunk</c> or <c>downsample-vertical-compaction</c>.
/// </param>
public sealed record NoCompactMark(
    BlockId Id, [property: JsonPropertyName("no_compact_time")] long TimeSeconds,
    string Reason = "manual", string Details = "", int Version = 1)
    : IBlockMark
{
    public const string FileName = "no-compact-mark.json";
}

/// <summary><c>no-downsample-mark.json</c>: downsampling leaves the block alone.</summary>
public sealed record NoDownsampleMark(
    BlockId Id, [property: JsonPropertyName("no_downsample_time")] long TimeSeconds,
    string Reason = "manual", string Details = "", int Version = 1)
    : IBlockMark
{
    public const string FileName = "no-downsample-mark.json";
}

static class MarkerJson
{
    /// <param name="id">The block beside which it lies.</param>
    /// <exception cref="CorruptionException">It is not JSON, of another version or block, or of no time.</exception>
    public static TMark Parse<TMark>(ReadOnlySpan<byte> json, BlockId id, string source)
        where TMark : class, IBlockMark
    {
        TMark? mark;
        try
        {
            mark = JsonSerializer.Deserialize(json, MarkJson.TypeOf<TMark>());
        }
        catch (JsonException e)
        {
            throw new CorruptionException(source, e.BytePositionInLine ?? 0, $"is no marker: {e.Message}", e);
        }

        if (mark is null || mark.Version != 1 || mark.Id != id
            || mark.TimeSeconds < DateTimeOffset.MinValue.ToUnixTimeSeconds()
            || mark.TimeSeconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds())
        {
            CorruptionException.Throw(source, 0, mark is null ? "is empty"
                : mark.Version != 1 ? $"has version {mark.Version}, not 1"
                : mark.Id != id ? $"marks block {mark.Id}"
                : $"is of the time {mark.TimeSeconds}, which is none");
        }

        return mark;
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
