using Observe.Store.Fleet;

namespace Observe.Query.HttpApi;

/// <summary>A block that stands in a bucket.</summary>
/// <param name="Meta">Its <c>meta.json</c> as it is; empty when it can't be read.</param>
/// <param name="Excluded">Why it is not served; null when it is.</param>
/// <param name="Fault">What is wrong with its <c>meta.json</c>; null when nothing is.</param>
/// <param name="DeletionTime">Since when it is marked for deletion, Unix milliseconds; null when it is not.</param>
public sealed record BlockState(string Id, ReadOnlyMemory<byte> Meta, string? Excluded, string? Fault, long? DeletionTime);

/// <summary>What stands in the bucket: <c>blocks</c>, as Thanos has it and with what is not served, and <c>status/fleet</c>.</summary>
static class BucketEndpoints
{
    public static void Map(ApiRoutes api)
    {
        api.Map("blocks", "blocks", BlocksAsync);
        api.Map("status/fleet", "status_fleet", FleetAsync);
    }

    static async Task BlocksAsync(ApiCall call)
    {
        var blocks = call.Options.Blocks?.Invoke() ?? [];
        var json = call.Begin().Raw("{\"label\":\"\",\"blocks\":["u8);
        var first = true;
        foreach (var block in blocks.Where(b => !b.Meta.IsEmpty))
        {
            json.Raw(first ? ""u8 : ","u8).Finished(block.Meta.Span);
            first = false;
            await call.FlushAsync();
        }

        json.Raw("],\"states\":{"u8);
        first = true;
        foreach (var block in blocks.Where(b => b.Excluded is not null || b.Fault is not null || b.DeletionTime is not null))
        {
            json.Raw(first ? ""u8 : ","u8)
                .Text(block.Id).Raw(":{\"excluded\":"u8).Text(block.Excluded ?? "").Key("fault"u8).Text(block.Fault ?? "")
                .Key("deletionTime"u8).Number(block.DeletionTime ?? 0).Raw("}"u8);
            first = false;
            await call.FlushAsync();
        }

        json.Raw("}"u8).Key("bucket"u8).Bool(call.Options.Blocks is not null)
            .Key("refreshedAt"u8).Time(call.Now).Key("err"u8).Text("").Raw("}"u8);
        await call.EndAsync();
    }

    static async Task FleetAsync(ApiCall call)
    {
        var fleet = call.Options.Fleet is { } read ? await read(call.Cancelled) : new FleetStatus([], []);
        var now = call.Options.Time.GetUtcNow();
        var json = call.Begin().Raw("{\"clusters\":["u8);
        var first = true;
        foreach (var cluster in fleet.Clusters)
        {
            json.Raw(first ? "{\"cluster\":"u8 : ",{\"cluster\":"u8)
                .Text(cluster.Cluster).Key("newestSample"u8).Number(cluster.NewestSample ?? 0)
                .Key("silent"u8).TextList(cluster.Silent(now).Select(c => c.Collector)).Key("collectors"u8).Raw("["u8);
            for (var i = 0; i < cluster.Collectors.Count; i++)
            {
                json.Raw(i > 0 ? ","u8 : ""u8).Finished(cluster.Collectors[i].ToJson());
            }

            json.Raw("]}"u8);
            first = false;
            await call.FlushAsync();
        }

        json.Raw("],\"gaps\":["u8);
        first = true;
        foreach (var gap in fleet.Gaps(Tsdb.Model.TimeRange.All, now))
        {
            json.Raw(first ? "{\"cluster\":"u8 : ",{\"cluster\":"u8).Text(gap.Cluster).Key("collector"u8).Text(gap.Collector)
                .Key("minTime"u8)
                .Number(gap.Range.MinTime).Key("maxTime"u8).Number(gap.Range.MaxTime).Key("why"u8).Text(gap.Why).Raw("}"u8);
            first = false;
        }

        json.Raw("]"u8).Key("faults"u8).TextList(fleet.Faults).Key("bucket"u8).Bool(call.Options.Fleet is not null)
            .Key("serverTime"u8).Number(call.Now).Raw("}"u8);
        await call.EndAsync();
    }
}
