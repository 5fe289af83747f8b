using System.Text.Json;
using System.Text.Json.Nodes;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Blocks;

/// <summary>Who wrote a block, under <c>thanos.extensions.observe</c>: one collector, or after a compaction several.</summary>
public sealed record BlockOrigin(string Collector, string Version, string ConfigHash)
{
    /// <summary>Extensions that say that this collector wrote the block, beside what others wrote there and what the block has lost.</summary>
    public JsonObject AddTo(JsonObject? extensions)
    {
        var observe = new JsonObject
        {
            ["collector"] = Collector,
            ["version"] = Version,
            ["configHash"] = ConfigHash,
        };
        LostTimes.Copy(extensions, observe);
        return With(extensions, observe);
    }

    /// <summary>Extensions of a block that is made of others; null where nobody knows who wrote them.</summary>
    public static JsonObject? Joined(IReadOnlyList<BlockMeta> blocks)
    {
        var collectors = new JsonObject();
        foreach (var one in blocks.SelectMany(Collectors).GroupBy(one => one.Collector, one => one.Range).OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            collectors[one.Key] = LostTimes.ToJson(one);
        }

        var observe = new JsonObject();
        if (collectors.Count > 0)
        {
            observe["collectors"] = collectors;
        }

        LostTimes.Add(observe, blocks.SelectMany(Lost));
        return observe.Count == 0 ? null : With(null, observe);
    }

    /// <summary>
    /// The collectors that wrote a block, each with the times of which it has all that the collector had. None where its meta does not say.
    /// </summary>
    public static IEnumerable<(string Collector, TimeRange Range)> Collectors(BlockMeta meta)
    {
        if (meta.Thanos?.Extensions?[LostTimes.Section] is not JsonObject observe)
        {
            return [];
        }

        if (observe["collectors"] is JsonObject collectors)
        {
            return collectors.SelectMany(one => LostTimes.Ranges(one.Value).Select(range => (one.Key, range.Intersect(meta.Range))))
                .Where(one => !one.Item2.IsEmpty);
        }

        return Single(meta) is { } name
            ? TimeSpans.Except([meta.Range], LostTimes.Of(meta).Select(one => one.Range)).Select(range => (name, range))
            : [];
    }

    /// <summary>Times of which a block lacks samples that collectors had; "" where its meta does not say which collector.</summary>
    public static IEnumerable<(string Collector, TimeRange Range)> Lost(BlockMeta meta) =>
        LostTimes.Of(meta).Select(one => one.Collector.Length == 0 ? (Single(meta) ?? "", one.Range) : one);

    static string? Single(BlockMeta meta) => meta.Thanos?.Extensions?[LostTimes.Section] is JsonObject observe
        && observe["collector"] is JsonValue name && name.GetValueKind() == JsonValueKind.String ? name.GetValue<string>() : null;

    static JsonObject With(JsonObject? extensions, JsonObject observe)
    {
        var all = extensions?.DeepClone().AsObject() ?? [];
        all[LostTimes.Section] = observe;
        return all;
    }
}
