using Microsoft.AspNetCore.Http;
using Observe.Store.Fleet;

namespace Observe.Query.HttpApi;

/// <summary>A block that stands in a bucket.</summary>
/// <param name="Meta">The content of its <c>meta.json</c>; empty when it can't be read.</param>
/// <param name="Excluded">Why it is not served; null when it is.</param>
/// <param name="Fault">What is wrong with its <c>meta.json</c>; null when nothing is.</param>
/// <param name="DeletionTime">Since when it is marked for deletion, Unix milliseconds; null when it is not.</param>
public sealed record BlockState(string Id, ReadOnlyMemory<byte> Meta, string? Excluded, string? Fault, long? DeletionTime);

/// <summary>
/// The contents of the bucket: <c>blocks</c>, as in Thanos but with blocks that are not served too, and <c>clusters</c>.
/// </summary>
static class BucketEndpoints
{
    public static void Map(ApiRoutes api)
    {
        api.Map("blocks", "blocks", BlocksAsync);
        api.Map("clusters", "clusters", ClustersAsync);
        api.Map("clusters/acknowledge", "clusters_acknowledge", AcknowledgeAsync, post: true);
    }

    static async Task BlocksAsync(ApiCall call)
    {
        var blocks = call.Options.Blocks?.Invoke() ?? [];
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteString("label", "");
        json.WriteStartArray("blocks");
        foreach (var block in blocks.Where(b => !b.Meta.IsEmpty))
        {
            json.WriteRawValue(block.Meta.Span);
            await call.FlushAsync();
        }

        json.WriteEndArray();
        json.WriteStartObject("states");
        foreach (var block in blocks.Where(b => b.Excluded is not null || b.Fault is not null || b.DeletionTime is not null))
        {
            json.WriteStartObject(block.Id);
            json.WriteString("excluded", block.Excluded ?? "");
            json.WriteString("fault", block.Fault ?? "");
            json.WriteNumber("deletionTime", block.DeletionTime ?? 0);
            json.WriteEndObject();
            await call.FlushAsync();
        }

        json.WriteEndObject();
        json.WriteBoolean("bucket", call.Options.Blocks is not null);
        json.WriteTime("refreshedAt", call.Now);
        json.WriteString("err", "");
        json.WriteEndObject();
        await call.EndAsync();
    }

    static async Task ClustersAsync(ApiCall call)
    {
        var (fleet, known) = call.Options.Fleet is { } read ? await read(call.Cancelled) : (new FleetStatus([], []), []);
        var now = call.Options.Time.GetUtcNow();
        var shared = SharedLabels.Among(known).ToLookup(labels => labels.Labels.Get("cluster"), labels => labels.ToString());
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteStartArray("clusters");
        foreach (var cluster in fleet.Clusters)
        {
            json.WriteStartObject();
            json.WriteString("cluster", cluster.Cluster);
            json.WriteNumber("newestSample", cluster.NewestSample ?? 0);
            json.WriteTexts("silent", cluster.Silent(now).Select(c => c.Collector));
            json.WriteTexts("conflicts", shared[cluster.Cluster]);
            json.WriteStartArray("collectors");
            foreach (var collector in cluster.Collectors)
            {
                json.WriteRawValue(collector.ToJson());
            }

            json.WriteEndArray();
            json.WriteEndObject();
            await call.FlushAsync();
        }

        json.WriteEndArray();
        json.WriteStartArray("gaps");
        foreach (var collector in known)
        {
            foreach (var gap in collector.Gaps.Where(gap => gap.Range.MinTime <= call.Now))
            {
                json.WriteStartObject();
                json.WriteString("cluster", collector.Cluster);
                json.WriteString("collector", collector.Collector);
                json.WriteNumber("minTime", gap.Range.MinTime);
                json.WriteNumber("maxTime", Math.Min(gap.Range.MaxTime, call.Now));
                json.WriteString("why", gap.Why);
                json.WriteNumber("since", gap.Since);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
        json.WriteTexts("replicaLabels", call.Options.Defaults.ReplicaLabels);
        json.WriteTexts("faults", fleet.Faults);
        json.WriteBoolean("bucket", call.Options.Fleet is not null);
        json.WriteBoolean("canAcknowledge", call.Options.Acknowledge is not null);
        json.WriteNumber("serverTime", call.Now);
        json.WriteEndObject();
        await call.EndAsync();
    }

    /// <summary>Only what a page of this very server sends is taken: a browser sends a form from anywhere.</summary>
    static async Task AcknowledgeAsync(ApiCall call)
    {
        var request = call.Http.Request;
        if (!HttpMethods.IsPost(request.Method))
        {
            throw ApiException.BadData("a collector is acknowledged by POST");
        }

        if (call.Options.Acknowledge is not { } acknowledge)
        {
            throw ApiException.Unavailable("admin APIs disabled");
        }

        if (request.Headers.Origin is [{ Length: > 0 } origin]
            && !(Uri.TryCreate(origin, UriKind.Absolute, out var from) && from.Authority == request.Host.Value))
        {
            throw ApiException.BadData("a page from elsewhere may not acknowledge a collector");
        }

        var (cluster, collector) = (call.Parameters["cluster"], call.Parameters["collector"]);
        if (!FleetName.IsValid(cluster) || !FleetName.IsValid(collector))
        {
            throw ApiException.BadData("cluster and collector are needed, by their names");
        }

        switch (await acknowledge(cluster, collector, call.Cancelled))
        {
            case AcknowledgeResult.Unknown:
                throw ApiException.BadData($"the bucket knows no collector {collector} of cluster {cluster}");
            case AcknowledgeResult.Alive:
                throw ApiException.BadData($"collector {collector} of cluster {cluster} is alive; stop it first");
        }

        call.Begin().Raw("{}"u8);
        await call.EndAsync();
    }
}
