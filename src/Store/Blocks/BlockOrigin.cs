using System.Text.Json;
using System.Text.Json.Nodes;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Blocks;

/// <summary>Who wrote a block, under <c>thanos.extensions.observe</c>: one collector, or after a compaction several.</summary>
public sealed record BlockOrigin(string Collector, string Version, string ConfigHash)
{
    const string Section = "observe";

    /// <summary>Extensions that say that this collector wrote the block, beside what others wrote there.</summary>
    public JsonObject AddTo(JsonObject? extensions) => With(extensions, new JsonObject
    {
        ["collector"] = Collector,
        ["version"] = Version,
        ["configHash"] = ConfigHash,
    });

    /// <summary>Extensions of a block that is made of others; null where nobody knows who wrote them.</summary>
    public static JsonObject? Joined(IReadOnlyList<BlockMeta> blocks)
    {
        var collectors = new JsonObject();
        foreach (var one in blocks.SelectMany(Collectors).GroupBy(one => one.Collector, one => one.Range).OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            collectors[one.Key] = new JsonArray([.. TimeSpans.Union(one).Select(range => (JsonNode)new JsonObject
            {
                ["minTime"] = range.MinTime,
                ["maxTime"] = range.MaxTime + 1,
            })]);
        }

        return collectors.Count == 0 ? null : With(null, new JsonObject { ["collectors"] = collectors });
    }

    /// <summary>
    /// The collectors that wrote a block, each with the times of which it has all that the collector had. None where its meta does not say.
    /// </summary>
    public static IEnumerable<(string Collector, TimeRange Range)> Collectors(BlockMeta meta)
    {
        if (meta.Thanos?.Extensions?[Section] is not JsonObject observe)
        {
            return [];
        }

        return observe["collectors"] is JsonObject collectors
            ? collectors.SelectMany(one => Ranges(one.Value).Select(range => (one.Key, range.Intersect(meta.Range)))).Where(one => !one.Item2.IsEmpty)
            : observe["collector"] is JsonValue name && name.GetValueKind() == JsonValueKind.String ? [(name.GetValue<string>(), meta.Range)] : [];
    }

    static JsonObject With(JsonObject? extensions, JsonObject observe)
    {
        var all = extensions?.DeepClone().AsObject() ?? [];
        all[Section] = observe;
        return all;
    }

    static IEnumerable<TimeRange> Ranges(JsonNode? ranges) => ranges is not JsonArray all ? [] : all.OfType<JsonObject>()
        .Where(range => Time(range["minTime"]) is not null && Time(range["maxTime"]) is > long.MinValue)
        .Select(range => new TimeRange(Time(range["minTime"])!.Value, Time(range["maxTime"])!.Value - 1));

    static long? Time(JsonNode? time) => time is JsonValue value && value.TryGetValue<long>(out var number) ? number : null;
}
