using System.Text.Json.Nodes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// What a block's meta says of samples that were lost with damaged parts, under <c>thanos.extensions.observe.lost</c>: in a block that was made
/// of what was whole in another one a list of times, in one that was joined of several such a list for each collector.
/// </summary>
/// <remarks>Format: docs/format/block.md.</remarks>
public static class LostTimes
{
    /// <summary>The section that Observe writes into a block's extensions.</summary>
    public const string Section = "observe";

    const string Field = "lost";

    /// <summary>Times in which samples may be missing, each with the collector that had them: "" where that is the one that wrote the block.</summary>
    public static IEnumerable<(string Collector, TimeRange Range)> Of(BlockMeta meta) =>
        (meta.Thanos?.Extensions?[Section] as JsonObject)?[Field] switch
        {
            JsonArray own => Ranges(own).Select(range => ("", range)),
            JsonObject collectors => collectors.SelectMany(one => Ranges(one.Value).Select(range => (one.Key, range))),
            _ => [],
        };

    /// <summary>The meta of a block that lacks samples of these times beside those that it lacked before.</summary>
    public static BlockMeta AddTo(BlockMeta meta, IReadOnlyCollection<TimeRange> lost)
    {
        if (lost.Count == 0)
        {
            return meta;
        }

        var extensions = meta.Thanos?.Extensions?.DeepClone().AsObject() ?? [];
        var observe = extensions[Section] as JsonObject;
        if (observe is null)
        {
            extensions[Section] = observe = [];
        }

        if (observe[Field] is JsonObject collectors)
        {
            foreach (var (collector, before) in collectors.ToList())
            {
                collectors[collector] = ToJson([.. Ranges(before), .. lost]);
            }
        }
        else
        {
            observe[Field] = ToJson([.. Of(meta).Select(one => one.Range), .. lost]);
        }

        return meta with { Thanos = (meta.Thanos ?? new ThanosSection()) with { Extensions = extensions } };
    }

    /// <summary>Copies what is lost from extensions to others of the same block.</summary>
    public static void Copy(JsonObject? extensions, JsonObject observe)
    {
        if ((extensions?[Section] as JsonObject)?[Field] is { } lost)
        {
            observe[Field] = lost.DeepClone();
        }
    }

    /// <summary>Adds what collectors lost to the section of a block that is made of others.</summary>
    public static void Add(JsonObject observe, IEnumerable<(string Collector, TimeRange Range)> lost)
    {
        var collectors = new JsonObject();
        foreach (var one in lost.GroupBy(one => one.Collector, one => one.Range).OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            collectors[one.Key] = ToJson(one);
        }

        if (collectors.Count > 0)
        {
            observe[Field] = collectors;
        }
    }

    /// <summary>Times as metas have them, in order: maxTime is exclusive.</summary>
    public static JsonArray ToJson(IEnumerable<TimeRange> ranges) => new([.. TimeSpans.Union(ranges).Select(range => (JsonNode)new JsonObject
    {
        ["minTime"] = range.MinTime,
        ["maxTime"] = range.MaxTime + 1,
    })]);

    /// <summary>The times of such a list; what is none of them is left out.</summary>
    public static IEnumerable<TimeRange> Ranges(JsonNode? ranges) => ranges is not JsonArray all ? [] : all.OfType<JsonObject>()
        .Where(range => Time(range["minTime"]) is not null && Time(range["maxTime"]) is > long.MinValue)
        .Select(range => new TimeRange(Time(range["minTime"])!.Value, Time(range["maxTime"])!.Value - 1));

    static long? Time(JsonNode? time) => time is JsonValue value && value.TryGetValue<long>(out var number) ? number : null;
}
