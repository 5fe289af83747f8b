using System.Globalization;
using System.Text.Json;
using Observe.Query.Fanout;
using Observe.Query.Promql.Parsing;
using Observe.Store.Api;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary>What the process says of itself: targets, metadata, rules, stores and <c>status/*</c>.</summary>
static class StatusEndpoints
{
    public static void Map(ApiRoutes api)
    {
        api.Map("targets", "targets", TargetsAsync);
        api.Map("targets/metadata", "targets_metadata", TargetMetadataAsync);
        api.Map("scrape_pools", "scrape_pools", PoolsAsync);
        api.Map("metadata", "metadata", MetadataAsync);
        api.Map("rules", "rules", RulesAsync);
        api.Map("alerts", "alerts", call => EmptyAsync(call, "alerts"));
        api.Map("alertmanagers", "alertmanagers", call => EmptyAsync(call, "activeAlertmanagers", "droppedAlertmanagers"));
        api.Map("stores", "stores", StoresAsync);
        api.Map("status/buildinfo", "status_buildinfo", BuildAsync, post: true);
        api.Map("status/config", "status_config", ConfigurationAsync);
        api.Map("status/flags", "status_flags", FlagsAsync);
        api.Map("status/runtimeinfo", "status_runtimeinfo", RuntimeAsync);
        api.Map("status/tsdb", "status_tsdb", TsdbAsync);
    }

    static async Task EmptyAsync(ApiCall call, params string[] lists)
    {
        var json = call.BeginData();
        json.WriteStartObject();
        foreach (var name in lists)
        {
            json.WriteTexts(name, []);
        }

        json.WriteEndObject();
        await call.EndAsync();
    }

    static Task<ApiTargets> TargetsAsync(ApiCall call, QueryContext query) =>
        call.Options.Targets?.Invoke(QueryEndpoints.Fanout(call)).TargetsAsync(query) ?? Task.FromResult(ApiTargets.Empty);

    static async Task TargetsAsync(ApiCall call)
    {
        var pool = call.Parameters.Url("scrapePool");
        var state = call.Parameters.Url("state").ToLowerInvariant();
        var query = QueryEndpoints.Begin(call);
        var snapshot = await TargetsAsync(call, query);
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteStartArray("activeTargets");
        if (state is "" or "any" or "active")
        {
            foreach (var target in snapshot.Active.Where(t => pool.Length == 0 || t.Pool == pool)
                .OrderBy(t => t.Pool, StringComparer.Ordinal))
            {
                WriteTarget(json, target);
                await call.FlushAsync();
            }
        }

        json.WriteEndArray();
        json.WriteStartArray("droppedTargets");
        var showDropped = state is "" or "any" or "dropped";
        if (showDropped)
        {
            foreach (var target in snapshot.Dropped.Where(t => pool.Length == 0 || t.Pool == pool)
                .OrderBy(t => t.Pool, StringComparer.Ordinal))
            {
                json.WriteStartObject();
                json.WriteLabels("discoveredLabels", target.DiscoveredLabels);
                json.WriteString("scrapePool", target.Pool);
                json.WriteEndObject();
                await call.FlushAsync();
            }
        }

        json.WriteEndArray();
        if (showDropped)
        {
            json.WriteStartObject("droppedTargetCounts");
            foreach (var (name, count) in snapshot.DroppedCounts.OrderBy(c => c.Key, StringComparer.Ordinal))
            {
                json.WriteNumber(name, count);
            }

            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("droppedTargetCounts");
        }

        json.WriteEndObject();
        await call.EndAsync(query.Coverage);
    }

    static void WriteTarget(Utf8JsonWriter json, ApiTarget target)
    {
        json.WriteStartObject();
        json.WriteLabels("discoveredLabels", target.DiscoveredLabels);
        json.WriteLabels("labels", target.Labels);
        json.WriteString("scrapePool", target.Pool);
        json.WriteString("scrapeUrl", target.Url);
        json.WriteString("globalUrl", target.GlobalUrl);
        json.WriteString("lastError", target.LastError);
        json.WriteTime("lastScrape", target.LastScrape);
        json.WriteNumber("lastScrapeDuration", target.LastScrapeDuration);
        json.WriteString("health", target.Health);
        json.WriteString("scrapeInterval", target.ScrapeInterval);
        json.WriteString("scrapeTimeout", target.ScrapeTimeout);
        if (target.Cluster.Length > 0)
        {
            json.WriteString("cluster", target.Cluster);
        }

        if (target.Collector.Length > 0)
        {
            json.WriteString("collector", target.Collector);
        }

        json.WriteEndObject();
    }

    static async Task TargetMetadataAsync(ApiCall call)
    {
        var limit = Count(call, "limit");
        var metric = call.Parameters["metric"];
        IReadOnlyList<Matcher> matchers = [];
        if (call.Parameters["match_target"] is { Length: > 0 } selector)
        {
            try
            {
                matchers = PromqlParser.ParseMetricSelector(selector);
            }
            catch (ParseException e)
            {
                throw ApiException.Parameter("match_target", e.Message);
            }
        }

        var targets = await TargetsAsync(call, QueryEndpoints.Begin(call));
        var json = call.BeginData();
        json.WriteStartArray();
        var written = 0;
        foreach (var target in targets.Active.Where(t => Matcher.All(matchers, t.Labels)))
        {
            foreach (var metadata in target.Metadata.Where(m => metric.Length == 0 || m.Metric == metric))
            {
                if (limit >= 0 && written++ >= limit)
                {
                    break;
                }

                json.WriteStartObject();
                json.WriteLabels("target", target.Labels);
                if (metric.Length == 0)
                {
                    json.WriteString("metric", metadata.Metric);
                }

                json.WriteString("type", metadata.Kind);
                json.WriteString("help", metadata.Help);
                json.WriteString("unit", metadata.Unit);
                json.WriteEndObject();
            }

            await call.FlushAsync();
        }

        json.WriteEndArray();
        await call.EndAsync();
    }

    static async Task MetadataAsync(ApiCall call)
    {
        var limit = Count(call, "limit");
        var perMetric = Count(call, "limit_per_metric");
        var metric = call.Parameters["metric"];
        var query = QueryEndpoints.Begin(call);
        var all = call.Options.Targets is { } targets
            ? await targets(QueryEndpoints.Fanout(call)).MetadataAsync(metric, limit, query)
            : [];
        var json = call.BeginData();
        json.WriteStartObject();
        foreach (var known in all.GroupBy(metadata => metadata.Metric))
        {
            json.WriteStartArray(known.Key);
            foreach (var metadata in perMetric > 0 ? known.Take(perMetric) : known)
            {
                json.WriteStartObject();
                json.WriteString("type", metadata.Kind);
                json.WriteString("unit", metadata.Unit);
                json.WriteString("help", metadata.Help);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            await call.FlushAsync();
        }

        json.WriteEndObject();
        await call.EndAsync(query.Coverage);
    }

    static async Task PoolsAsync(ApiCall call)
    {
        var query = QueryEndpoints.Begin(call);
        var targets = await TargetsAsync(call, query);
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteTexts("scrapePools", targets.Pools.Order(StringComparer.Ordinal));
        json.WriteEndObject();
        await call.EndAsync(query.Coverage);
    }

    /// <summary>There are no rules; what is asked for is checked all the same.</summary>
    static async Task RulesAsync(ApiCall call)
    {
        call.Parameters.Matchers(wrap: false);
        if (call.Parameters.Url("type").ToLowerInvariant() is not ("" or "alert" or "record") and var kind)
        {
            throw ApiException.Parameter("type", $"not supported value {GoText.Quote(kind)}");
        }

        await EmptyAsync(call, "groups");
    }

    /// <summary>Stores by component, as Thanos lists them.</summary>
    static async Task StoresAsync(ApiCall call)
    {
        var stores = call.Options.Stores?.Invoke() ?? [];
        var json = call.BeginData();
        json.WriteStartObject();
        foreach (var component in stores.GroupBy(s => s.Description?.Component ?? "unknown").OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            json.WriteStartArray(component.Key);
            foreach (var store in component)
            {
                WriteStore(json, store);
            }

            json.WriteEndArray();
            await call.FlushAsync();
        }

        json.WriteEndObject();
        await call.EndAsync();
    }

    static void WriteStore(Utf8JsonWriter json, StoreState store)
    {
        json.WriteStartObject();
        json.WriteString("name", store.Name);
        json.WriteTime("lastCheck", store.LastCheck);
        json.WriteString("lastError", store.LastError);
        json.WriteStartArray("labelSets");
        foreach (var labels in store.Description?.LabelSets ?? [])
        {
            json.WriteLabels(labels);
        }

        json.WriteEndArray();
        json.WriteNumber("minTime", store.Description?.Range.MinTime ?? 0);
        json.WriteNumber("maxTime", store.Description?.Range.MaxTime ?? 0);
        json.WriteEndObject();
    }

    static async Task BuildAsync(ApiCall call)
    {
        var build = call.Options.Build;
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteString("version", build.Version);
        json.WriteString("revision", build.Revision);
        json.WriteString("branch", build.Branch);
        json.WriteString("buildUser", build.BuildUser);
        json.WriteString("buildDate", build.BuildDate);
        json.WriteString("goVersion", build.Runtime);
        json.WriteEndObject();
        await call.EndAsync();
    }

    static async Task ConfigurationAsync(ApiCall call)
    {
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteString("yaml", call.Options.Configuration?.Invoke() ?? "");
        json.WriteEndObject();
        await call.EndAsync();
    }

    static async Task FlagsAsync(ApiCall call)
    {
        var json = call.BeginData();
        json.WriteStartObject();
        foreach (var (name, value) in call.Options.Flags.OrderBy(f => f.Key, StringComparer.Ordinal))
        {
            json.WriteString(name, value);
        }

        json.WriteEndObject();
        await call.EndAsync();
    }

    static async Task RuntimeAsync(ApiCall call)
    {
        var runtime = call.Options.Runtime?.Invoke() ?? new RuntimeDescription(0);
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteTime("startTime", runtime.StartTime);
        json.WriteString("CWD", Environment.CurrentDirectory);
        json.WriteString("hostname", Environment.MachineName);
        json.WriteTime("serverTime", call.Now);
        json.WriteBoolean("reloadConfigSuccess", runtime.ReloadSuccess);
        json.WriteTime("lastConfigTime", runtime.LastConfigTime);
        json.WriteNumber("corruptionCount", runtime.CorruptionCount);
        json.WriteNumber("goroutineCount", ThreadPool.ThreadCount);
        json.WriteNumber("GOMAXPROCS", Environment.ProcessorCount);
        json.WriteNumber("GOMEMLIMIT", GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        json.WriteString("GOGC", "");
        json.WriteString("GODEBUG", "");
        json.WriteString("storageRetention", runtime.StorageRetention);
        json.WriteEndObject();
        await call.EndAsync();
    }

    static async Task TsdbAsync(ApiCall call)
    {
        var limit = 10L;
        if (call.Parameters["limit"] is { Length: > 0 } text)
        {
            if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out limit) || limit < 1)
            {
                throw ApiException.BadData("limit must be a positive number");
            }

            if (limit > 10_000)
            {
                throw ApiException.BadData("limit must not exceed 10000");
            }
        }

        var status = call.Options.Tsdb?.Invoke((int)limit) ?? new TsdbStatus(0, 0, 0, long.MaxValue, long.MinValue);
        var json = call.BeginData();
        json.WriteStartObject();
        json.WriteStartObject("headStats");
        json.WriteNumber("numSeries", status.Series);
        json.WriteNumber("numLabelPairs", status.LabelPairs);
        json.WriteNumber("chunkCount", status.Chunks);
        json.WriteNumber("minTime", status.MinTime);
        json.WriteNumber("maxTime", status.MaxTime);
        json.WriteEndObject();
        WriteCounts(json, "seriesCountByMetricName", status.SeriesByMetric, limit);
        WriteCounts(json, "labelValueCountByLabelName", status.ValuesByLabel, limit);
        WriteCounts(json, "memoryInBytesByLabelName", status.BytesByLabel, limit);
        WriteCounts(json, "seriesCountByLabelValuePair", status.SeriesByPair, limit);
        json.WriteEndObject();
        await call.EndAsync();
    }

    static void WriteCounts(Utf8JsonWriter json, string name, IReadOnlyList<(string Name, long Value)> counts, long limit)
    {
        json.WriteStartArray(name);
        foreach (var (counted, value) in counts.Take((int)limit))
        {
            json.WriteStartObject();
            json.WriteString("name", counted);
            json.WriteNumber("value", value);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>A count that may be left out: -1 then.</summary>
    static int Count(ApiCall call, string name)
    {
        var text = call.Parameters[name];
        return text.Length == 0 ? -1
            : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var count) ? count
            : throw ApiException.BadData($"{name} must be a number");
    }
}
