using System.CommandLine;
using Observe.Collector.Config;
using Observe.Demo;
using Observe.Hosting;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Prometheus;

namespace Observe.Commands;

/// <summary>
/// <c>observe demo</c>: all roles, fed by simulated clusters, with blocks so short that shipping and compaction can be seen within minutes.
/// </summary>
static class DemoCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(9090, 10901, loopback: true);
        var engine = new EngineFlags();
        var storeApi = new StoreApiFlags();
        var query = new QueryFlags();
        var folder = Flags.Text("--data-dir", "where everything lies (default ./data/demo)", "./data/demo");
        var block = Flags.Span("--demo.block-duration", "span of a block", "2m");
        var command = new Command("demo", "all roles, fed by three simulated clusters");
        server.AddTo(command);
        engine.AddTo(command);
        storeApi.AddTo(command);
        query.AddTo(command);
        command.Options.Add(folder);
        command.Options.Add(block);
        command.SetAction(async (flags, _) =>
        {
            using var host = new RoleHost("demo", flags, server);
            using var data = DataFolder.Open(flags, folder);
            var (root, span) = (data.Path, flags.GetValue(block));
            var bucket = BucketConfig.OfFolder(Path.Combine(root, "bucket"));
            var metrics = new BucketMetrics(host.Registry, host.Time);
            var exporters = new ExportersRole(new SimulatedExporters(host.Time, DemoFleet.Clusters));
            var collectors = DemoFleet.Collectors.Select((member, i) =>
            {
                var name = member.Cluster.Name + (member.Replica is null ? "" : "-" + member.Replica);
                return new CollectorRole(host, bucket.Open(host.Time, metrics), new CollectorOptions
                {
                    Load = () => CollectorConfig.Parse(DemoFleet.Configuration(member.Cluster, member.Replica, exporters.Address), name),
                    Folder = Path.Combine(root, name),
                    Name = name,
                    BlockRange = span,
                    Retention = 2 * span,
                    LiveInterval = TimeSpan.FromSeconds(5),

                    // The collectors' metrics have the same names, so that only those of the first are shown.
                    Registry = i == 0 ? host.Registry : Metrics.NewCustomRegistry(),
                });
            }).ToList();
            var spanMs = (long)span.TotalMilliseconds;
            return await AllCommand.RunAsync(
                host,
                collectors,
                bucket,
                metrics,
                new BucketStoreOptions { Directory = Path.Combine(root, "store"), Time = host.Time, IgnoreDeletionMarksDelay = span },
                TimeSpan.FromSeconds(5),
                new CompactOptions
                {
                    Directory = Path.Combine(root, "compact"),
                    Time = host.Time,
                    Random = new Random(),
                    Background = host.BackgroundThreads,
                    LevelsMs = [spanMs, 3 * spanMs, 9 * spanMs],
                    FiveMinutesAfterMs = 3 * spanMs,
                    OneHourAfterMs = 9 * spanMs,
                    ReplicaLabels = ["replica"],
                    ConsistencyDelay = TimeSpan.Zero,
                    DeleteDelay = 2 * span,
                },
                TimeSpan.FromSeconds(10),
                flags,
                engine,
                storeApi,
                query,
                [exporters]);
        });
        return command;
    }

    /// <summary>The simulated exporters, which start before the first collector and stop after the last.</summary>
    sealed class ExportersRole(SimulatedExporters exporters) : IRole
    {
        public string Address => exporters.Address;

        public string Name => "exporters";

        public Task StartAsync(CancellationToken cancellationToken) => exporters.StartAsync(cancellationToken);

        public Task StopAsync(StopSequence stop, CancellationToken grace) => Task.CompletedTask;

        public ValueTask DisposeAsync() => exporters.DisposeAsync();
    }
}
