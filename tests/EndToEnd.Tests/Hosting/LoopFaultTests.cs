using Observe.Collector.Config;
using Observe.Commands;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>Each loop of each role meets an exception that nobody foresaw: the role goes on, the metric counts it, the log names the loop.</summary>
public sealed class LoopFaultTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("loops");
    readonly FailingBucket _bucket = new(new MemoryBucket(TimeProvider.System));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_store_whose_sync_breaks_syncs_on_and_is_not_ready_meanwhile()
    {
        await using var host = await StoreAsync();
        await host.Ready;
        _bucket.Fail("", 3);
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Status == 503, "readiness lost");
        Assert.Contains("bucket sync failed 3 times in a row: InvalidOperationException: nobody foresaw this", (await host.GetAsync("-/ready")).Text, StringComparison.Ordinal);
        await RecoversAsync(host, "bucket sync", failures: 3);
        Assert.Equal(0, await host.StopAsync());
    }

    [Fact]
    public async Task A_store_is_ready_once_it_has_looked_into_its_bucket()
    {
        _bucket.Fail("", 2);
        await using var host = await StoreAsync();
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Text.Contains("not been looked into yet: InvalidOperationException", StringComparison.Ordinal), "the reason");
        Assert.False(host.Ready.IsCompleted);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(200, (await host.GetAsync("-/ready")).Status);
    }

    [Fact]
    public async Task A_compactor_whose_round_breaks_compacts_on()
    {
        var options = new CompactOptions { Directory = Path.Combine(_folder, "compact"), Time = TimeProvider.System, Random = new Random(1) };
        await using var host = await RunningHost.StartAsync(h => [new CompactRole(h, _bucket, options, TimeSpan.FromMilliseconds(100))]);
        await host.Ready;
        await SucceedsAsync(host, "compact");
        _bucket.Fail("", 1);
        await host.UntilAsync(async () => await host.MetricAsync("observe_loop_failures_total{loop=\"compact\"}") == 1, "a failure");
        await SucceedsAsync(host, "compact", since: TimeProvider.System.GetUtcNow());
        Assert.Contains(host.Log, line => line.Contains("nobody foresaw this", StringComparison.Ordinal));
        Assert.Equal(0, await host.StopAsync());
    }

    [Theory]
    [InlineData("status", "observe/fleet/")]
    [InlineData("live slices", "observe/live/")]
    [InlineData("shipper", "/index")]
    public async Task A_collector_whose_bucket_breaks_reports_and_ships_on(string loop, string key)
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        await using var host = await CollectorAsync(exporter.Address);
        await host.Ready;
        // Before its first status a collector reads what the run before it left there.
        await host.UntilAsync(async () => (await ListAsync()).Exists(name => name.StartsWith("observe/fleet/", StringComparison.Ordinal)), "a status");

        // A pass of the shipper fails when no upload succeeds, and ends with the third that fails.
        _bucket.Fail(key, loop == "shipper" ? 3 : 1);
        await host.UntilAsync(() => Task.FromResult(_bucket.Left(key) <= 0), "the fault");
        await RecoversAsync(host, loop, failures: 1);
        Assert.Equal(200, (await host.GetAsync("-/ready")).Status);
        await host.UntilAsync(async () => await host.MetricAsync("thanos_shipper_uploads_total") >= 1, "an upload");
        Assert.Equal(0, await host.StopAsync());
    }

    [Fact]
    public async Task A_collector_that_cannot_cut_scrapes_on_and_cuts_later()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        await using var host = await CollectorAsync(exporter.Address);
        await host.Ready;
        var (data, away) = (Path.Combine(_folder, "data"), Path.Combine(_folder, "away"));
        await host.UntilAsync(() => Task.FromResult(File.Exists(Path.Combine(data, "head.json"))), "a first cut");
        Directory.Move(data, away);
        await File.WriteAllTextAsync(data, "a file where the folder was");
        await host.UntilAsync(async () => await host.MetricAsync("observe_loop_failures_total{loop=\"head cut\"}") >= 1, "a cut that fails");
        var scrapes = exporter.Scrapes;
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > scrapes + 2), "scrapes meanwhile");
        File.Delete(data);
        Directory.Move(away, data);
        await SucceedsAsync(host, "head cut", since: TimeProvider.System.GetUtcNow());
        Assert.Contains(host.Log, line => line.Contains("head cut", StringComparison.Ordinal) && line.StartsWith("Error", StringComparison.Ordinal));
        Assert.Equal(0, await host.StopAsync());
    }

    /// <summary>The stop's own steps: what was not shipped is said, the exit code is 1, and the next start ships it.</summary>
    [Fact]
    public async Task A_stop_that_cannot_ship_goes_on_to_its_end_and_says_so()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        await using (var host = await CollectorAsync(exporter.Address, block: TimeSpan.FromHours(2)))
        {
            await host.Ready;
            await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > 3), "samples");
            _bucket.Fail("/chunks/", int.MaxValue);
            Assert.Equal(1, await host.StopAsync());
            Assert.Contains(host.Log, line => line.Contains("ship all blocks", StringComparison.Ordinal));
            Assert.DoesNotContain(await ListAsync(), key => key.EndsWith("/meta.json", StringComparison.Ordinal));
            _bucket.Fail("/chunks/", 0);
        }

        await using var again = await CollectorAsync(exporter.Address, block: TimeSpan.FromHours(2));
        await again.Ready;
        Assert.Equal(0, await again.StopAsync());
        Assert.Contains(await ListAsync(), key => key.EndsWith("/meta.json", StringComparison.Ordinal));
    }

    Task<RunningHost> StoreAsync() => RunningHost.StartAsync(h =>
    [
        new StoreRole(h, _bucket, new BucketStoreOptions { Directory = Path.Combine(_folder, "store"), Time = TimeProvider.System }, TimeSpan.FromMilliseconds(100), serve: null),
    ]);

    Task<RunningHost> CollectorAsync(string target, TimeSpan? block = null) => RunningHost.StartAsync(h =>
    [
        new CollectorRole(h, _bucket, new CollectorOptions
        {
            Load = () => CollectorConfig.Parse(
                "global: {scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {cluster: a}}\n"
                + $"scrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{target}']}}]}}]", "test"),
            Folder = Path.Combine(_folder, "data"),
            Name = "a",
            BlockRange = block ?? TimeSpan.FromSeconds(2),
            LiveInterval = TimeSpan.FromMilliseconds(200),
            Registry = h.Registry,
        }),
    ]);

    async Task<List<string>> ListAsync()
    {
        var keys = new List<string>();
        await foreach (var entry in _bucket.ListAsync("", recursive: true, default))
        {
            keys.Add(entry.Key);
        }

        return keys;
    }

    static async Task RecoversAsync(RunningHost host, string loop, int failures)
    {
        await host.UntilAsync(async () => await host.MetricAsync($"observe_loop_failures_total{{loop=\"{loop}\"}}") >= failures, "the count of failures");
        await SucceedsAsync(host, loop, since: TimeProvider.System.GetUtcNow());
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Status == 200, "readiness");
        Assert.Contains(host.Log, line => line.Contains("nobody foresaw this", StringComparison.Ordinal));
        Assert.Contains(host.Log, line => line.Contains($"works again: {loop}", StringComparison.Ordinal));
    }

    static Task SucceedsAsync(RunningHost host, string loop, DateTimeOffset since = default) => host.UntilAsync(
        async () => await host.MetricAsync($"observe_loop_last_success_timestamp_seconds{{loop=\"{loop}\"}}") > since.ToUnixTimeMilliseconds() / 1000.0, $"a success of {loop}");
}
