using System.CommandLine;
using System.Globalization;
using Observe.Collector.Config;
using Observe.Hosting;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Store.Bucket;
using Prometheus;

namespace Observe.Commands;

/// <summary>
/// <c>observe all</c>: every role in one process, on one folder. Without a configuration the process scrapes itself and a node_exporter on
/// this machine.
/// </summary>
static class AllCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(9090, 10901, loopback: true);
        var objstore = new ObjstoreFlags();
        var collector = new CollectorFlags("./data");
        var compact = new CompactFlags();
        var engine = new EngineFlags();
        var storeApi = new StoreApiFlags();
        var query = new QueryFlags();
        var sync = Flags.Span("--sync-block-duration", "how often the bucket is looked into", "30s");
        var command = new Command("all", "all roles in one process, on one folder");
        server.AddTo(command);
        collector.AddTo(command);
        objstore.AddTo(command);
        compact.AddTo(command);
        engine.AddTo(command);
        storeApi.AddTo(command);
        query.AddTo(command);
        command.Options.Add(sync);
        command.SetAction(async (flags, _) =>
        {
            using var host = new RoleHost("all", flags, server);
            using var data = DataFolder.Open(flags, collector.DataFolder);
            var folder = data.Path;
            var config = objstore.Content(flags) is { } yaml
                ? BucketConfig.Parse(yaml.Content, yaml.Source)
                : BucketConfig.OfFolder(Path.Combine(folder, "bucket"));
            var self = Flags.Address("--http-address", flags.GetValue(server.HttpAddress)!).Port;
            var metrics = new BucketMetrics(host.Registry, host.Time);
            var options = collector.Options(flags, host, Path.Combine(folder, "collector"));
            var role = new CollectorRole(
                host,
                config.Open(host.Time, metrics),
                flags.GetValue(collector.ConfigFile) is null ? options with { Load = () => Default(self) } : options);
            return await RunAsync(
                host, [role], config, metrics,
                new Store.Gateway.BucketStoreOptions { Directory = Path.Combine(folder, "store"), Time = host.Time },
                flags.GetValue(sync), compact.Options(
                    flags, Path.Combine(folder, "compact"), host), flags.GetValue(compact.WaitInterval), flags, engine, storeApi, query);
        });
        return command;
    }

    /// <summary>Collectors, and beside them store, compact and query over the bucket that they ship to.</summary>
    internal static async Task<int> RunAsync(
        RoleHost host,
        IReadOnlyList<CollectorRole> collectors, BucketConfig bucket, BucketMetrics metrics, Store.Gateway.BucketStoreOptions store,
        TimeSpan sync, Store.Compact.CompactOptions compact,
            TimeSpan wait, ParseResult flags, EngineFlags engine, StoreApiFlags storeApi, QueryFlags query,
        IReadOnlyList<IRole>? before = null)
    {
        var storeRole = new StoreRole(host, bucket.Open(host.Time, metrics), store, sync, serve: null);
        var fanout = new FanoutMetrics(Metrics.WithCustomRegistry(host.Registry));
        var stores = query.Stores(flags, host, fanout);
        foreach (var collector in collectors)
        {
            stores.AddLocal(collector.Name, collector.Querier, collector.Describe);
        }

        stores.AddLocal("bucket", storeRole.Querier, storeRole.Describe);
        var promql = new PromqlEngine(engine.Options(flags, host));
        return await host.RunAsync([
            .. before ?? [],
            .. collectors,
            storeRole,
            new CompactRole(host, bucket.Open(host.Time, metrics), compact, wait),
            new QueryRole(host, stores, promql, BucketApi.With(storeRole, query.IsAdmin(flags), CollectorApi.With(
                collectors, query.Api(flags, host, promql, stores, fanout))), serve: storeApi.Options(flags, host),
                new CollectorTargets(collectors, withExternal: true)),
        ]);
    }

    static CollectorConfig Default(int self) => CollectorConfig.Parse(
        string.Create(CultureInfo.InvariantCulture, $$"""
            global:
              scrape_interval: 15s
              external_labels: {cluster: local}
            scrape_configs:
              - job_name: observe
                static_configs: [{targets: ['127.0.0.1:{{self}}']}]
              - job_name: node
                static_configs: [{targets: ['127.0.0.1:9100']}]
            """),
        "the built-in configuration");
}
