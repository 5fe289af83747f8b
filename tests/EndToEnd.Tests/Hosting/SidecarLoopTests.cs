using Observe.Collector.Config;
using Observe.Commands;
using Observe.EndToEnd.Tests.Repository;
using Observe.Store.Bucket;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>The loops of a collector beside a Prometheus meet what nobody foresaw, and Prometheus goes and comes.</summary>
public sealed class SidecarLoopTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("sidecar-loops");
    readonly Unforeseen _unforeseen = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    [Trait(BackgroundWorkTests.Loop, "prometheus")]
    [Trait(BackgroundWorkTests.Loop, "prometheus log")]
    public async Task A_loop_that_meets_what_nobody_foresaw_goes_on_and_Prometheus_may_go_away()
    {
        var data = Path.Combine(_folder, "prometheus");
        Directory.CreateDirectory(data);
        var prometheus = await PrometheusServer.StartAsync(data, "global: {external_labels: {cluster: a}}\nscrape_configs: []\n");
        await using var host = await RunningHost.StartAsync(new UnforeseenClock(_unforeseen), host => [new SidecarRole(host, new MemoryBucket(host.Time), new SidecarOptions
        {
            Url = prometheus.Url,
            TsdbPath = data,
            Collector = new CollectorOptions
            {
                Load = () => new CollectorConfig(),
                Folder = Path.Combine(_folder, "data"),
                Name = "a",
                LiveInterval = TimeSpan.FromMilliseconds(200),
                Registry = host.Registry,
            },
        })]);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        _unforeseen.Throw("PrometheusWatch.LookAsync");
        _unforeseen.Throw("PrometheusBlocks.Sync", 3);
        await host.UntilAsync(
            async () => (await host.GetAsync("-/ready")) is { Status: 503, Text: var text } && text.Contains("prometheus log failed 3 times in a row", StringComparison.Ordinal), "the reason");
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Status == 200, "readiness");
        await host.UntilAsync(async () => await host.MetricAsync("observe_loop_failures_total{loop=\"prometheus\"}") == 1, "a failure of the watch");
        await host.UntilAsync(async () => await host.MetricAsync("thanos_sidecar_prometheus_up") == 1, "Prometheus");
        await prometheus.DisposeAsync();
        await host.UntilAsync(async () => await host.MetricAsync("thanos_sidecar_prometheus_up") == 0, "its absence");
        Assert.Equal(200, (await host.GetAsync("-/ready")).Status);
        Assert.Equal(1, await host.MetricAsync("observe_loop_failures_total{loop=\"prometheus\"}"));
        Assert.Equal(0, await host.StopAsync());
    }
}
