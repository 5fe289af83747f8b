using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A block's <c>meta.json</c>, version 1, with Thanos's section. Not changed once it is made; fields that are not known here are kept as
/// they came and written again. Field names and order are Prometheus's and Thanos's.
/// </summary>
/// <remarks>
/// Generated readers give a property that is set by <c>init</c> its type's default where a field is missing: the others have <c>set</c>.
/// </remarks>
public sealed record BlockMeta
{
    public const string FileName = "meta.json";

    /// <summary>Bytes that a meta may have.</summary>
    public const int MaxSize = 64 << 20;

    [JsonPropertyName("ulid"), JsonPropertyOrder(0)]
    public required BlockId Id { get; init; }

    /// <summary>Unix milliseconds, inclusive.</summary>
    [JsonPropertyOrder(1), JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public required long MinTime { get; init; }

    /// <summary>Unix milliseconds, exclusive: a sample at it belongs to the next block.</summary>
    [JsonPropertyOrder(2), JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public required long MaxTime { get; init; }

    [JsonPropertyOrder(3)]
    public BlockStats Stats { get; init => field = value ?? field; } = new();

    [JsonPropertyOrder(4)]
    public BlockCompaction Compaction { get; init => field = value ?? field; } = new();

    [JsonPropertyOrder(5)]
    public int Version { get; set; } = 1;

    [JsonPropertyOrder(6)]
    public ThanosSection? Thanos { get; init; }

    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Unknown { get; set; }

    /// <summary>The samples' span with both ends inclusive.</summary>
    [JsonIgnore]
    public TimeRange Range => new(MinTime, MaxTime - 1);

    /// <summary>
    /// Whether a reader of a range has to know where chunks lie. A reader of labels need not where the range is the whole block, of which
    /// every series has a chunk.
    /// </summary>
    public bool NeedsChunks(TimeRange range, SelectHints hints) =>
        !hints.SkipSamples || MinTime < range.MinTime || Range.MaxTime > range.MaxTime;

    /// <summary>The labels that all series of the block have besides their own; empty for a block without Thanos's section.</summary>
    [JsonIgnore]
    public Labels ExternalLabels => Thanos is null ? default : Labels.Of(Thanos.Labels);

    /// <summary>Milliseconds between samples of a downsampled block, 0 for raw.</summary>
    [JsonIgnore]
    public long ResolutionMs => Thanos?.Downsample.ResolutionMs ?? 0;

    /// <summary>The level 1 blocks whose samples are in this one; itself where its compaction names none.</summary>
    [JsonIgnore]
    public IReadOnlyList<BlockId> Sources => Compaction.Sources.Count > 0 ? Compaction.Sources : [Id];

    /// <summary>The meta of a block's folder. A folder that is a symbolic link is no block.</summary>
    /// <exception cref="CorruptionException">As of <see cref="Parse"/>, or it names another block than the folder does.</exception>
    public static BlockMeta Read(string directory)
    {
        var path = Path.Combine(directory, FileName);
        if (new DirectoryInfo(directory).LinkTarget is not null)
        {
            CorruptionException.Throw(directory, 0, "is a symbolic link, not a block");
        }

        if (new FileInfo(path).Length > MaxSize)
        {
            CorruptionException.Throw(path, MaxSize, "is larger than any block's meta");
        }

        var meta = Parse(File.ReadAllBytes(path), path);
        var folder = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)));
        if (BlockId.TryParse(folder, out var id) && id != meta.Id)
        {
            CorruptionException.Throw(path, 0, $"names block {meta.Id}");
        }

        return meta;
    }

    /// <summary>Reads it and checks all of it: what is returned can be used as it is.</summary>
    /// <param name="source">File or object for error messages.</param>
    /// <exception cref="CorruptionException">
    /// It is not JSON, lacks a field, is of another version, or says what no block can be: of times, counts, labels or files.
    /// </exception>
    public static BlockMeta Parse(ReadOnlySpan<byte> json, string source)
    {
        BlockMeta? meta;
        try
        {
            meta = JsonSerializer.Deserialize(json, BlockJson.TypeOf<BlockMeta>());
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            // A name that stands twice in a JsonObject is an ArgumentException, elsewhere a JsonException.
            throw new CorruptionException(source, (e as JsonException)?.BytePositionInLine ?? 0, $"is no block's meta: {e.Message}", e);
        }

        if (meta is null || BlockMetaRules.Fault(meta) is not null)
        {
            CorruptionException.Throw(source, 0, meta is null ? "is empty" : BlockMetaRules.Fault(meta)!);
        }

        return meta;
    }

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, BlockJson.TypeOf<BlockMeta>());
}

/// <summary>Counts of what is in a block. A field that is 0 is not written.</summary>
public sealed record BlockStats
{
    [JsonPropertyName("numSamples")]
    public long Samples { get; init; }

    [JsonPropertyName("numFloatSamples")]
    public long FloatSamples { get; init; }

    [JsonPropertyName("numHistogramSamples")]
    public long HistogramSamples { get; init; }

    [JsonPropertyName("numSeries")]
    public long Series { get; init; }

    [JsonPropertyName("numChunks")]
    public long Chunks { get; init; }

    [JsonPropertyName("numTombstones")]
    public long Tombstones { get; init; }

    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Unknown { get; set; }
}

/// <summary>Which blocks this one was made of.</summary>
public sealed record BlockCompaction
{
    /// <summary>1 for a block that was cut from a head; each compaction adds one.</summary>
    public int Level { get; set; } = 1;

    /// <summary>The level 1 blocks whose samples are in this one; itself at level 1. Sorted.</summary>
    public IReadOnlyList<BlockId> Sources { get; init => field = value ?? field; } = [];

    /// <summary>The blocks that were read for this one.</summary>
    public IReadOnlyList<BlockParent>? Parents { get; init; }

    /// <summary>The compaction found nothing to keep: the block may go.</summary>
    public bool Deletable { get; init; }

    public bool Failed { get; init; }

    public IReadOnlyList<string>? Hints { get; init; }

    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Unknown { get; set; }
}

public sealed record BlockParent(
    [property: JsonPropertyName("ulid")] BlockId Id,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long MinTime,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long MaxTime);

/// <summary>Thanos's section of a block's meta.</summary>
public sealed record ThanosSection
{
    [JsonPropertyOrder(0)]
    public int Version { get; init; }

    /// <summary>External labels: they name the stream that the block belongs to.</summary>
    [JsonPropertyOrder(1)]
    public IReadOnlyDictionary<string, string> Labels { get; init => field = value ?? field; } = new SortedDictionary<string, string>(
        StringComparer.Ordinal);

    [JsonPropertyOrder(2)]
    public DownsampleSection Downsample { get; init => field = value ?? field; } = new();

    /// <summary>What made the block: <c>sidecar</c>, <c>receive</c>, <c>compactor</c>, ….</summary>
    [JsonPropertyOrder(3), JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string Source { get; set; } = "";

    [JsonPropertyName("segment_files"), JsonPropertyOrder(4)]
    public IReadOnlyList<string>? SegmentFiles { get; init; }

    /// <summary>All files of the block, meta.json (without size) among them.</summary>
    [JsonPropertyOrder(5)]
    public IReadOnlyList<BlockFile>? Files { get; init; }

    [JsonPropertyName("index_stats"), JsonPropertyOrder(6)]
    public IndexStats? IndexStats { get; init; }

    /// <summary>Free for tools; <c>observe</c> says who wrote the block.</summary>
    [JsonPropertyOrder(7)]
    public JsonObject? Extensions { get; init; }

    /// <summary>When the block came into the bucket.</summary>
    [JsonPropertyName("upload_time"), JsonPropertyOrder(8)]
    public DateTimeOffset? UploadTime { get; init; }

    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Unknown { get; set; }
}

public sealed record DownsampleSection
{
    [JsonPropertyName("resolution"), JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public long ResolutionMs { get; init; }
}

/// <param name="Path">Relative to the block, with slashes.</param>
/// <param name="Size">Bytes; 0 for meta.json itself, which cannot know.</param>
public sealed record BlockFile(
    [property: JsonPropertyName("rel_path")] string Path,
    [property: JsonPropertyName("size_bytes")] long Size = 0,
    FileHash? Hash = null);

/// <param name="Function">SHA256.</param>
/// <param name="Value">Lower-case hexadecimal.</param>
public sealed record FileHash([property: JsonPropertyName("hashFunc")] string Function, string Value);

/// <summary>The largest entry of each kind, in bytes, so that a reader can fetch one without asking twice.</summary>
public sealed record IndexStats(
    [property: JsonPropertyName("series_max_size")] long SeriesMaxSize,
    [property: JsonPropertyName("chunk_max_size")] long ChunkMaxSize);

sealed class BlockIdConverter : JsonConverter<BlockId>
{
    public override BlockId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String
            && BlockId.TryParse(reader.GetString(), out var id) ? id : throw new JsonException("not a ULID");

    public override void Write(Utf8JsonWriter writer, BlockId value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}

/// <summary>
/// How Prometheus and Thanos write <c>meta.json</c> and the marks beside it: tabs, their field names, and no field without a value.
/// </summary>
public static class MetaFormat
{
    /// <summary>Options that read and write the types that the resolver knows in this form.</summary>
    public static JsonSerializerOptions Options(IJsonTypeInfoResolver types) => new()
    {
        TypeInfoResolver = types,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        AllowDuplicateProperties = false,
        WriteIndented = true,
        IndentCharacter = '\t',
        IndentSize = 1,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new BlockIdConverter() },
    };
}

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BlockMeta))]
sealed partial class BlockJson : JsonSerializerContext
{
    static readonly JsonSerializerOptions s_options = MetaFormat.Options(new BlockJson());

    public static JsonTypeInfo<T> TypeOf<T>() => (JsonTypeInfo<T>)s_options.GetTypeInfo(typeof(T));
}
