using System.Globalization;
using Observe.Query.Fanout;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

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
        api.Map("alerts", "alerts", call => ConstantAsync(call, "{\"alerts\":[]}"u8.ToArray()));
        api.Map("alertmanagers", "alertmanagers", call => ConstantAsync(
            call, "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}"u8.ToArray()));
        api.Map("stores", "stores", StoresAsync);
        api.Map("status/buildinfo", "status_buildinfo", BuildAsync, post: true);
        api.Map("status/config", "status_config", ConfigurationAsync);
        api.Map("status/flags", "status_flags", FlagsAsync);
        api.Map("status/runtimeinfo", "status_runtimeinfo", RuntimeAsync);
        api.Map("status/tsdb", "status_tsdb", TsdbAsync);
    }

    static Task ConstantAsync(ApiCall call, byte[] data)
    {
        call.Begin().Raw(data);
        return call.EndAsync().AsTask();
    }

    static ApiTargets Snapshot(ApiCall call) => call.Options.Targets?.Invoke() ?? ApiTargets.Empty;

    static async Task TargetsAsync(ApiCall call)
    {
        var pool = call.Parameters.Url("scrapePool");
        var state = call.Parameters.Url("state").ToLowerInvariant();
        var snapshot = Snapshot(call);
        var json = call.Begin().Raw("{\"activeTargets\":["u8);
        var first = true;
        if (state is "" or "any" or "active")
        {
            foreach (var target in snapshot.Active.Where(t => pool.Length == 0 || t.Pool == pool)
                .OrderBy(t => t.Pool, StringComparer.Ordinal))
            {
                json.Raw(first ? ""u8 : ","u8);
                first = false;
                json.Raw("{\"discoveredLabels\":"u8).LabelSet(target.DiscoveredLabels)
                    .Key("labels"u8).LabelSet(target.Labels)
                    .Key("scrapePool"u8).Text(target.Pool)
                    .Key("scrapeUrl"u8).Text(target.Url)
                    .Key("globalUrl"u8).Text(target.GlobalUrl)
                    .Key("lastError"u8).Text(target.LastError)
                    .Key("lastScrape"u8).Time(target.LastScrape)
                    .Key("lastScrapeDuration"u8).Number(target.LastScrapeDuration)
                    .Key("health"u8).Text(target.Health)
                    .Key("scrapeInterval"u8).Text(target.ScrapeInterval)
                    .Key("scrapeTimeout"u8).Text(target.ScrapeTimeout);
                if (target.Cluster.Length > 0)
                {
                    json.Key("cluster"u8).Text(target.Cluster);
                }

                if (target.Collector.Length > 0)
                {
                    json.Key("collector"u8).Text(target.Collector);
                }

                json.Raw("}"u8);
                await call.FlushAsync();
            }
        }

        json.Raw("],\"droppedTargets\":["u8);
        var showDropped = state is "" or "any" or "dropped";
        first = true;
        if (showDropped)
        {
            foreach (var target in snapshot.Dropped.Where(t => pool.Length == 0 || t.Pool == pool)
                .OrderBy(t => t.Pool, StringComparer.Ordinal))
            {
                json.Raw(first ? ""u8 : ","u8);
                first = false;
                json.Raw("{\"discoveredLabels\":"u8).LabelSet(target.DiscoveredLabels).Key("scrapePool"u8).Text(target.Pool).Raw("}"u8);
                await call.FlushAsync();
            }
        }

        json.Raw("],\"droppedTargetCounts\":"u8);
        if (showDropped)
        {
            json.Raw("{"u8);
            first = true;
            foreach (var (name, count) in snapshot.DroppedCounts.OrderBy(c => c.Key, StringComparer.Ordinal))
            {
                json.Raw(first ? ""u8 : ","u8).Text(name).Raw(":"u8).Number((long)count);
                first = false;
            }

            json.Raw("}"u8);
        }
        else
        {
            json.Raw("null"u8);
        }

        json.Raw("}"u8);
        await call.EndAsync();
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

        var json = call.Begin().Raw("["u8);
        var written = 0;
        foreach (var target in Snapshot(call).Active.Where(t => Matcher.All(matchers, t.Labels)))
        {
            foreach (var metadata in target.Metadata.Where(m => metric.Length == 0 || m.Metric == metric))
            {
                if (limit >= 0 && written >= limit)
                {
                    break;
                }

                json.Raw(written++ > 0 ? ",{\"target\":"u8 : "{\"target\":"u8).LabelSet(target.Labels);
                if (metric.Length == 0)
                {
                    json.Key("metric"u8).Text(metadata.Metric);
                }

                json.Key("type"u8).Text(metadata.Kind).Key("help"u8).Text(metadata.Help).Key("unit"u8).Text(metadata.Unit).Raw("}"u8);
            }

            await call.FlushAsync();
        }

        json.Raw("]"u8);
        await call.EndAsync();
    }

    static async Task MetadataAsync(ApiCall call)
    {
        var limit = Count(call, "limit");
        var perMetric = Count(call, "limit_per_metric");
        var metric = call.Parameters["metric"];
        var metrics = new SortedDictionary<string, List<ApiMetadata>>(Utf8Order.Instance);
        foreach (var metadata in Snapshot(call).Active.SelectMany(t => t.Metadata).Where(m => metric.Length == 0 || m.Metric == metric))
        {
            if (!metrics.TryGetValue(metadata.Metric, out var known))
            {
                metrics[metadata.Metric] = known = [];
            }

            if (!known.Contains(metadata) && (perMetric <= 0 || known.Count < perMetric))
            {
                known.Add(metadata);
            }
        }

        var json = call.Begin().Raw("{"u8);
        var written = 0;
        foreach (var (name, known) in limit >= 0 ? metrics.Take(limit) : metrics)
        {
            json.Raw(written++ > 0 ? ","u8 : ""u8).Text(name).Raw(":["u8);
            for (var i = 0; i < known.Count; i++)
            {
                json.Raw(i > 0 ? ",{\"type\":"u8 : "{\"type\":"u8).Text(known[i].Kind)
                    .Key("unit"u8).Text(known[i].Unit).Key("help"u8).Text(known[i].Help).Raw("}"u8);
            }

            json.Raw("]"u8);
            await call.FlushAsync();
        }

        json.Raw("}"u8);
        await call.EndAsync();
    }

    static async Task PoolsAsync(ApiCall call)
    {
        call.Begin().Raw("{\"scrapePools\":"u8).TextList(Snapshot(call).Pools.Order(StringComparer.Ordinal)).Raw("}"u8);
        await call.EndAsync();
    }

    /// <summary>There are no rules; what is asked for is checked all the same.</summary>
    static async Task RulesAsync(ApiCall call)
    {
        call.Parameters.Matchers(wrap: false);
        if (call.Parameters.Url("type").ToLowerInvariant() is not ("" or "alert" or "record") and var kind)
        {
            throw ApiException.Parameter("type", $"not supported value {GoText.Quote(kind)}");
        }

        await ConstantAsync(call, "{\"groups\":[]}"u8.ToArray());
    }

    /// <summary>Stores by component, as Thanos lists them.</summary>
    static async Task StoresAsync(ApiCall call)
    {
        var stores = call.Options.Stores?.Invoke() ?? [];
        var json = call.Begin().Raw("{"u8);
        var first = true;
        foreach (var component in stores.GroupBy(s => s.Description?.Component ?? "unknown").OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            json.Raw(first ? ""u8 : ","u8).Text(component.Key).Raw(":["u8);
            first = false;
            var firstStore = true;
            foreach (var store in component)
            {
                json.Raw(firstStore ? ""u8 : ","u8);
                firstStore = false;
                Store(json, store);
            }

            json.Raw("]"u8);
            await call.FlushAsync();
        }

        json.Raw("}"u8);
        await call.EndAsync();
    }

    static void Store(JsonText json, StoreState store)
    {
        json.Raw("{\"name\":"u8).Text(store.Name).Key("lastCheck"u8).Time(store.LastCheck).Key("lastError"u8);
        _ = store.LastError is null ? json.Raw("null"u8) : json.Text(store.LastError);
        json.Key("labelSets"u8).Raw("["u8);
        var sets = store.Description?.LabelSets ?? [];
        for (var i = 0; i < sets.Count; i++)
        {
            json.Raw(i > 0 ? ","u8 : ""u8).LabelSet(sets[i]);
        }

        json.Raw("]"u8).Key("minTime"u8).Number(store.Description?.Range.MinTime ?? 0)
            .Key("maxTime"u8).Number(store.Description?.Range.MaxTime ?? 0).Raw("}"u8);
    }

    static async Task BuildAsync(ApiCall call)
    {
        var build = call.Options.Build;
        call.Begin()
            .Raw("{"u8).Key("version"u8).Text(build.Version).Key("revision"u8).Text(build.Revision).Key("branch"u8).Text(build.Branch)
            .Key("buildUser"u8)
            .Text(build.BuildUser).Key("buildDate"u8).Text(build.BuildDate).Key("goVersion"u8).Text(build.Runtime).Raw("}"u8);
        await call.EndAsync();
    }

    static async Task ConfigurationAsync(ApiCall call)
    {
        call.Begin().Raw("{\"yaml\":"u8).Text(call.Options.Configuration?.Invoke() ?? "").Raw("}"u8);
        await call.EndAsync();
    }

    static async Task FlagsAsync(ApiCall call)
    {
        var json = call.Begin().Raw("{"u8);
        var first = true;
        foreach (var (name, value) in call.Options.Flags.OrderBy(f => f.Key, StringComparer.Ordinal))
        {
            json.Raw(first ? ""u8 : ","u8).Text(name).Raw(":"u8).Text(value);
            first = false;
        }

        json.Raw("}"u8);
        await call.EndAsync();
    }

    static async Task RuntimeAsync(ApiCall call)
    {
        var runtime = call.Options.Runtime?.Invoke() ?? new RuntimeDescription(0);
        call.Begin().Raw("{"u8).Key("startTime"u8).Time(runtime.StartTime)
            .Key("CWD"u8).Text(Environment.CurrentDirectory)
            .Key("hostname"u8).Text(Environment.MachineName)
            .Key("serverTime"u8).Time(call.Now)
            .Key("reloadConfigSuccess"u8).Bool(runtime.ReloadSuccess)
            .Key("lastConfigTime"u8).Time(runtime.LastConfigTime)
            .Key("corruptionCount"u8).Number(runtime.CorruptionCount)
            .Key("goroutineCount"u8).Number((long)ThreadPool.ThreadCount)
            .Key("GOMAXPROCS"u8).Number((long)Environment.ProcessorCount)
            .Key("GOMEMLIMIT"u8).Number(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)
            .Key("GOGC"u8).Text("").Key("GODEBUG"u8).Text("")
            .Key("storageRetention"u8).Text(runtime.StorageRetention).Raw("}"u8);
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
        var json = call.Begin().Raw("{\"headStats\":{"u8)
            .Key("numSeries"u8).Number(status.Series)
            .Key("numLabelPairs"u8).Number(status.LabelPairs)
            .Key("chunkCount"u8).Number(status.Chunks)
            .Key("minTime"u8).Number(status.MinTime)
            .Key("maxTime"u8).Number(status.MaxTime).Raw("}"u8);
        Counts(json.Key("seriesCountByMetricName"u8), status.SeriesByMetric, limit);
        Counts(json.Key("labelValueCountByLabelName"u8), status.ValuesByLabel, limit);
        Counts(json.Key("memoryInBytesByLabelName"u8), status.BytesByLabel, limit);
        Counts(json.Key("seriesCountByLabelValuePair"u8), status.SeriesByPair, limit);
        json.Raw("}"u8);
        await call.EndAsync();
    }

    static void Counts(JsonText json, IReadOnlyList<(string Name, long Value)> counts, long limit)
    {
        json.Raw("["u8);
        for (var i = 0; i < counts.Count && i < limit; i++)
        {
            json.Raw(i > 0 ? ",{\"name\":"u8 : "{\"name\":"u8).Text(counts[i].Name).Key("value"u8).Number(counts[i].Value).Raw("}"u8);
        }

        json.Raw("]"u8);
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
