using System.Globalization;
using System.Text.Json;
using Observe.Collector.Sidecar;
using Observe.Store.Api;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Commands;

/// <summary>The targets and metadata of a Prometheus, asked for each time.</summary>
/// <param name="external">External labels, which targets get too; null: they are shown as Prometheus shows them.</param>
sealed class PrometheusTargets(PrometheusApi prometheus, Func<Labels>? external, Func<string> cluster, string collector) : ITargetSource
{
    public async Task<ApiTargets> TargetsAsync(QueryContext query)
    {
        using var answer = await prometheus.GetAsync("api/v1/targets", query.CancellationToken);
        var data = PrometheusApi.Data(answer);
        var active = PrometheusApi.Elements(data, "activeTargets").Select(Target).ToList();
        var dropped = PrometheusApi.Elements(data, "droppedTargets").Select(target => new ApiDroppedTarget(
            PrometheusApi.Text(target, "scrapePool"), LabelsOf(target, "discoveredLabels"))).ToList();
        var counts = data.TryGetProperty("droppedTargetCounts", out var found) && found.ValueKind == JsonValueKind.Object
            ? found.EnumerateObject().ToDictionary(pool => pool.Name, pool => pool.Value.TryGetInt32(out var count) ? count : 0) : [];
        var targets = new ApiTargets(
            [.. active.Select(target => target.Pool).Concat(counts.Keys).Distinct().Order(StringComparer.Ordinal)], active, dropped, counts);
        return external is null ? targets : targets.With(external());
    }

    public async Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query)
    {
        var path = string.Create(CultureInfo.InvariantCulture, $"api/v1/metadata?metric={Uri.EscapeDataString(metric)}&limit={limit}");
        using var answer = await prometheus.GetAsync(path, query.CancellationToken);
        var data = PrometheusApi.Data(answer);
        return data.ValueKind != JsonValueKind.Object ? [] : ApiMetadata.Merge(
            data.EnumerateObject().Where(one => one.Value.ValueKind == JsonValueKind.Array).SelectMany(one => one.Value.EnumerateArray().Select(entry => new ApiMetadata(
                one.Name, PrometheusApi.Text(entry, "type"), PrometheusApi.Text(entry, "help"), PrometheusApi.Text(entry, "unit")))),
            metric, limit);
    }

    ApiTarget Target(JsonElement target) => new(
        PrometheusApi.Text(target, "scrapePool"), LabelsOf(target, "discoveredLabels"), LabelsOf(target, "labels"), PrometheusApi.Text(target, "scrapeUrl"),
        PrometheusApi.Text(target, "health"), PrometheusApi.Text(target, "lastError"),
        DateTimeOffset.TryParse(PrometheusApi.Text(target, "lastScrape"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var last)
            && last.Year > 1 ? last.ToUnixTimeMilliseconds() : 0,
        target.TryGetProperty("lastScrapeDuration", out var took) && took.TryGetDouble(out var seconds) ? seconds : 0,
        PrometheusApi.Text(target, "scrapeInterval"), PrometheusApi.Text(target, "scrapeTimeout"))
    {
        GlobalUrl = PrometheusApi.Text(target, "globalUrl"),
        Cluster = cluster(),
        Collector = collector,
    };

    static Labels LabelsOf(JsonElement target, string field)
    {
        var labels = new LabelsBuilder();
        if (target.TryGetProperty(field, out var found) && found.ValueKind == JsonValueKind.Object)
        {
            foreach (var label in found.EnumerateObject().Where(label => label.Value.ValueKind == JsonValueKind.String))
            {
                labels.Set(label.Name, label.Value.GetString()!);
            }
        }

        return labels.Build();
    }
}
