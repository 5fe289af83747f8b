using System.CommandLine;
using Microsoft.Extensions.Logging;
using Observe.Hosting;
using Observe.Query.Fanout;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Api;
using Prometheus;

namespace Observe.Commands;

/// <summary><c>observe query</c>: PromQL over endpoints of the store API, a bucket, or both.</summary>
static class QueryCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(9090, 10901);
        var objstore = new ObjstoreFlags();
        var engine = new EngineFlags();
        var query = new QueryFlags();
        var store = new StoreFlags();
        var storeApi = new StoreApiFlags();
        var command = new Command("query", "answer PromQL over stores, collectors and a bucket");
        server.AddTo(command);
        objstore.AddTo(command);
        store.AddTo(command);
        storeApi.AddTo(command);
        engine.AddTo(command);
        query.AddTo(command);
        command.SetAction(async (flags, _) =>
        {
            using var host = new RoleHost("query", flags, server);
            var fanout = new FanoutMetrics(Metrics.WithCustomRegistry(host.Registry));
            var stores = query.Stores(flags, host, fanout);
            var roles = new List<IRole>();
            StoreRole? bucketRole = null;
            DataFolder? folder = null;
            if (objstore.Content(flags) is { } bucket)
            {
                folder = DataFolder.Open(flags, store.DataFolder, "query");
                bucketRole = StoreRole.Create(host, flags, store, folder, bucket, serve: null);
                stores.AddLocal("bucket", bucketRole.Querier, bucketRole.Describe);
                roles.Add(bucketRole);
            }
            else if (flags.GetValue(query.Endpoints)!.Length == 0)
            {
                throw new FlagException("there is nothing to query: give --endpoint, --objstore.config or --objstore.config-file");
            }

            var promql = new PromqlEngine(engine.Options(flags, host));
            var api = query.Api(flags, host, promql, stores, fanout);
            roles.Add(new QueryRole(
                host, stores, promql, bucketRole is null ? api : BucketApi.With(bucketRole, query.IsAdmin(flags), api),
                serve: storeApi.Options(flags, host),
                new FanoutTargets(stores, api.Defaults with { Deduplicate = false }, fanout)));
            using (folder)
            {
                return await host.RunAsync(roles);
            }
        });
        return command;
    }
}

/// <summary>The flags of fan-out and HTTP API.</summary>
sealed class QueryFlags
{
    readonly Option<string[]> _replicaLabels = Flags.Many(
        "--query.replica-label", "label that tells replicas apart; repeatable (default replica)");
    readonly Option<bool> _partialResponse = Flags.Switch(
        "--query.partial-response", "answer without a store that fails, with a warning (default true)", true);
    readonly Option<bool> _autoDownsampling = Flags.Switch(
        "--query.auto-downsampling", "choose downsampled data by the step where a request says nothing");
    readonly Option<TimeSpan> _responseTimeout = Flags.Span(
        "--store.response-timeout", "how long a store may be silent during a query", "30s");
    readonly Option<TimeSpan> _lookup = Flags.Span("--store.sd-dns-interval", "how often names are looked up", "30s");
    readonly Option<TimeSpan> _slow = Flags.Span("--query.slow-query-threshold", "queries that take longer are logged; 0 for none", "10s");
    readonly Option<string> _cors = Flags.Text("--web.cors.origin", "RE2 of the origins that a browser may ask from (default none)");

    readonly Option<bool> _admin = Flags.Switch(
        "--web.enable-admin-api", "let the page acknowledge that a collector is gone for good");

    public Option<string[]> Endpoints { get; } = Flags.Many(
        "--endpoint", "store API to ask: HOST:PORT, dns+NAME:PORT, dnssrv+NAME or dnssrvnoa+NAME; repeatable");

    public void AddTo(Command command, bool endpoints = true)
    {
        if (endpoints)
        {
            command.Options.Add(Endpoints);
        }

        foreach (var option in (Option[])[_replicaLabels, _partialResponse, _autoDownsampling, _responseTimeout, _lookup, _slow, _cors, _admin])
        {
            command.Options.Add(option);
        }
    }

    public bool IsAdmin(ParseResult flags) => flags.GetValue(_admin);

    public StoreSet Stores(ParseResult flags, RoleHost host, FanoutMetrics metrics) => new(
        new StoreSetOptions
        {
            Endpoints = flags.CommandResult.Command.Options.Contains(Endpoints) ? flags.GetValue(Endpoints)! : [],
            LookupInterval = flags.GetValue(_lookup),
            Client = new StoreApiClientOptions { ResponseTimeout = flags.GetValue(_responseTimeout) },
            Time = host.Time,
            Loops = host.Loops,
        },
        new Logger<StoreSet>(host.Logging),
        metrics);

    public PrometheusApiOptions Api(ParseResult flags, RoleHost host, PromqlEngine engine, StoreSet stores, FanoutMetrics metrics)
    {
        var started = host.Time.GetUtcNow().ToUnixTimeMilliseconds();
        var replicas = flags.GetValue(_replicaLabels)!;
        return new PrometheusApiOptions
        {
            Engine = engine,
            Querier = options => new FanoutQuerier(stores, options, metrics),
            Defaults = new FanoutOptions
            {
                ReplicaLabels = replicas.Length == 0
                ? ["replica"]
                : replicas,
                PartialResponse = flags.GetValue(_partialResponse)
            },
            Stores = () => stores.Stores,
            Targets = options => new FanoutTargets(stores, options, metrics),
            Flags = Flags.All(flags),
            Build = new BuildDescription(BuildVersion.Version, BuildVersion.Revision, Runtime: BuildVersion.Runtime),
            Runtime = () => new RuntimeDescription(started),
            CorsOrigin = flags.GetValue(_cors) is { Length: > 0 } origin ? origin : null,
            AutoDownsampling = flags.GetValue(_autoDownsampling),
            SlowQuery = flags.GetValue(_slow),
            Time = host.Time,
            Metrics = new QueryMetrics(Metrics.WithCustomRegistry(host.Registry)),
            Logging = host.Logging,
        };
    }
}
