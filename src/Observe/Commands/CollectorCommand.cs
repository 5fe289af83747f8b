using System.CommandLine;
using Observe.Hosting;
using Observe.Query.Fanout;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Bucket;
using Observe.Tsdb.Head;

namespace Observe.Commands;

/// <summary>
/// <c>observe collector</c>: scrape, federate, store, ship. A collector also answers PromQL over the samples that it still holds.
/// </summary>
static class CollectorCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(9091, 10901, httpAliases: ["--web.listen-address"]);
        var objstore = new ObjstoreFlags();
        var collector = new CollectorFlags("./data");
        var sidecar = new SidecarFlags();
        var engine = new EngineFlags();
        var storeApi = new StoreApiFlags();
        var command = new Command("collector", "scrape and federate a cluster's endpoints and ship blocks to the bucket");
        server.AddTo(command);
        collector.AddTo(command);
        sidecar.AddTo(command);
        objstore.AddTo(command);
        engine.AddTo(command);
        storeApi.AddTo(command);
        command.SetAction(async (flags, _) =>
        {
            using var host = new RoleHost("collector", flags, server);
            if (!sidecar.IsGiven(flags))
            {
                collector.Load(flags);
            }

            var (yaml, source) = objstore.Required(flags);
            using var folder = DataFolder.Open(flags, collector.DataFolder, locked: false);
            var options = collector.Options(flags, host, folder.Path) with
            {
                FolderFlag = Flags.NameOf(flags, collector.DataFolder),
                Serve = storeApi.Options(flags, host),
            };
            var beside = sidecar.IsGiven(flags) ? sidecar.Options(flags, collector, options) : null;
            var bucket = BucketConfig.Parse(yaml, source).Open(host.Time, new BucketMetrics(host.Registry, host.Time));
            var stores = new StoreSet(new StoreSetOptions { Time = host.Time, Loops = host.Loops });
            var promql = new PromqlEngine(engine.Options(flags, host));
            var api = new PrometheusApiOptions
            {
                Engine = promql,
                Querier = options => new FanoutQuerier(stores, options),
                Stores = () => stores.Stores,
                Flags = Flags.All(flags),
                Build = new BuildDescription(BuildVersion.Version, BuildVersion.Revision, Runtime: BuildVersion.Runtime),
                Time = host.Time,
                Logging = host.Logging,
            };
            IRole role;
            if (beside is null)
            {
                var scraping = new CollectorRole(host, bucket, options);
                stores.AddLocal("head", scraping.Querier, scraping.Describe);
                (role, api) = (scraping, CollectorApi.With([scraping], api));
            }
            else
            {
                var following = new SidecarRole(host, bucket, beside);
                stores.AddLocal("head", following.Querier, following.Describe);
                (role, api) = (following, CollectorApi.With(following, api));
            }

            return await host.RunAsync([role, new QueryRole(host, stores, promql, api, serve: null)]);
        });
        return command;
    }
}

/// <summary>What the HTTP API shows of the collectors in this process: targets, configuration, head.</summary>
static class CollectorApi
{
    public static PrometheusApiOptions With(IReadOnlyList<CollectorRole> collectors, PrometheusApiOptions options) => options with
    {
        Targets = _ => new CollectorTargets(collectors, withExternal: false),
        Configuration = () => string.Join("---\n", collectors.Select(c => c.Config.ToYaml())),
        Tsdb = limit => Tsdb(collectors.Select(collector => collector.Head), limit),
    };

    public static PrometheusApiOptions With(SidecarRole sidecar, PrometheusApiOptions options) => options with
    {
        Targets = _ => sidecar.Targets(withExternal: false),
        Tsdb = limit => Tsdb([sidecar.Head], limit),
    };

    static TsdbStatus Tsdb(IEnumerable<HeadBlock?> heads, int limit)
    {
        var stats = heads.OfType<HeadBlock>().Select(h => h.Stats(limit)).ToList();
        var held = stats.Where(s => s.Series > 0).ToList();
        return new TsdbStatus(
            stats.Sum(s => s.Series), stats.Sum(s => s.LabelPairs), stats.Sum(s => s.Chunks),
            held.Count == 0 ? 0 : held.Min(s => s.Range.MinTime), held.Count == 0 ? 0 : held.Max(s => s.Range.MaxTime))
        {
            SeriesByMetric = Top(stats.SelectMany(s => s.SeriesByMetricName), limit),
            ValuesByLabel = Top(stats.SelectMany(s => s.ValuesByLabelName), limit),
            BytesByLabel = Top(stats.SelectMany(s => s.BytesByLabelName), limit),
            SeriesByPair = Top(stats.SelectMany(s => s.SeriesByLabelPair), limit),
        };
    }

    static IReadOnlyList<(string Name, long Value)> Top(IEnumerable<Cardinality> counts, int limit) =>
        [.. counts.GroupBy(c => c.Name).Select(g => (g.Key, g.Sum(c => c.Value))).OrderByDescending(c => c.Item2).ThenBy(c => c.Key, StringComparer.Ordinal).Take(limit)];
}
