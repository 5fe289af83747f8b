using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Commands;
using Observe.EndToEnd.Tests.Repository;
using Observe.Hosting;
using Observe.Query.Fanout;
using Observe.Query.HttpApi;
using Observe.Query.Promql;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>
/// All roles in one process, each of whose loops meets what nobody foresaw: the role goes on, the metric counts it, the log names it, and
/// readiness says it where the role cannot do its work meanwhile.
/// </summary>
public sealed partial class EveryLoopTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("every-loop");
    readonly Unforeseen _unforeseen = new();
    readonly MemoryBucket _bucket = new(TimeProvider.System);
    readonly FailingBucket _shipped;
    readonly FailingBucket _stored;
    readonly FailingBucket _compacted;
    readonly TimeProvider _clock;

    public EveryLoopTests()
    {
        (_shipped, _stored, _compacted) = (new FailingBucket(_bucket), new FailingBucket(_bucket), new FailingBucket(_bucket));
        _clock = new UnforeseenClock(_unforeseen);
        Directory.CreateDirectory(Data);
    }

    string Data => Path.Combine(_folder, "data");

    string Targets => Path.Combine(_folder, "targets.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    [Trait(BackgroundWorkTests.Loop, "bucket sync")]
    [Trait(BackgroundWorkTests.Loop, "compact")]
    [Trait(BackgroundWorkTests.Loop, "discovery")]
    [Trait(BackgroundWorkTests.Loop, "head cut")]
    [Trait(BackgroundWorkTests.Loop, "live cleaning")]
    [Trait(BackgroundWorkTests.Loop, "live sealing")]
    [Trait(BackgroundWorkTests.Loop, "live slices")]
    [Trait(BackgroundWorkTests.Loop, "live tail")]
    [Trait(BackgroundWorkTests.Loop, "scrape")]
    [Trait(BackgroundWorkTests.Loop, "scrape pool")]
    [Trait(BackgroundWorkTests.Loop, "shipper")]
    [Trait(BackgroundWorkTests.Loop, "status")]
    [Trait(BackgroundWorkTests.Loop, "stores")]
    public async Task A_loop_that_meets_what_nobody_foresaw_goes_on_and_is_counted_and_named()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        await using var other = await LedgerExporter.StartAsync(series: 1);
        WriteTargets(exporter);
        await using var host = await RunningHost.StartAsync(_clock, Roles);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > 2), "scrapes");

        // Three times in a row those without which the process cannot do its work: it is not ready from then on.
        await Task.WhenAll(
            MeetAsync(host, "bucket sync", 3, () => _stored.Fail("observe/fleet/*", 3)),
            MeetAsync(host, "compact", 3, () => _compacted.Fail("", 3), logged: "CompactLoop"),
            MeetAsync(host, "head cut", 3, () => _unforeseen.Throw("HeadBlock.WriteBlock", 3)),
            MeetAsync(host, "stores", 3, () => _unforeseen.Throw("StoreSet.RefreshAsync", 3)),

            // A pass fails when no upload succeeds, and ends with the third that fails.
            MeetAsync(host, "shipper", 1, () => _shipped.Fail("/index", 3), logged: "Shipper"),
            MeetAsync(host, "status", 1, () => _shipped.Fail("observe/fleet/", 1)),
            MeetAsync(host, "live sealing", 1, () => _unforeseen.Throw("SliceWriter.Seal")),
            MeetAsync(host, "live cleaning", 1, () => _unforeseen.Throw("SliceCleaner.CleanAsync")),
            MeetAsync(host, "live slices", 1, () => _shipped.Fail("observe/live/", 1)),
            MeetAsync(host, "live tail", 1, () => _unforeseen.Throw("LiveStore.PollAsync")),
            MeetAsync(host, "scrape", 1, () => _unforeseen.Throw("g__ScrapeOnAsync"), recovers: false),
            MeetAsync(host, "discovery", 1, () => _unforeseen.Throw("FileDiscovery.RunAsync"), Change, recovers: false),
            MeetAsync(host, "scrape pool", 1, () => _unforeseen.Throw("ScrapePool.SyncAsync"), Change));

        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Status == 200, "readiness");
        var (scrapes, uploads) = (exporter.Scrapes, await host.MetricAsync("thanos_shipper_uploads_total"));
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > scrapes + 2 && other.Scrapes > 2), "scrapes of what was found meanwhile");
        await host.UntilAsync(async () => await host.MetricAsync("thanos_shipper_uploads_total") > uploads, "another block in the bucket");
        Assert.Equal(0, await host.StopAsync());

        void Change() => WriteTargets(exporter, other);
    }

    /// <summary>The disk refuses a sync, and then even to begin another segment: what was logged is kept, and logged again.</summary>
    [Fact]
    [Trait(BackgroundWorkTests.Loop, "wal sync")]
    public async Task A_log_that_cannot_be_synced_keeps_its_samples_and_says_so()
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 1);
        WriteTargets(exporter);
        CollectorRole? collector = null;
        await using var host = await RunningHost.StartAsync(_clock, h => [collector = Collector(h, TimeSpan.FromHours(2))]);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > 2), "scrapes");

        // A file that is a folder is denied, which is no error of I/O to .NET; and what is no file cannot be synced.
        var segment = (int)(await host.MetricAsync("prometheus_tsdb_wal_segment_current"))!;
        var next = Path.Combine(Data, "wal", $"{segment + 1:D8}");
        Directory.CreateDirectory(next);
        Redirect(Path.Combine(Data, "wal", $"{segment:D8}"), "/dev/null");
        await MeetAsync(host, "wal sync", 1, () => { }, () => { }, "UnauthorizedAccessException", recovers: false);
        await host.UntilAsync(
            async () => (await host.GetAsync("-/ready")).Text.Contains("the write-ahead log cannot be written: ", StringComparison.Ordinal), "its reason");
        Directory.Delete(next);
        await host.UntilAsync(async () => (await host.GetAsync("-/ready")).Status == 200, "readiness");
        var scrapes = exporter.Scrapes;
        await host.UntilAsync(() => Task.FromResult(exporter.Scrapes > scrapes + 2), "scrapes");

        // What a kill would leave.
        var (shown, left) = (await LedgerAsync(collector!.Head!), Path.Combine(_folder, "left"));
        Directory.CreateDirectory(Path.Combine(left, "wal"));
        foreach (var file in Directory.GetFiles(Path.Combine(Data, "wal")))
        {
            File.Copy(file, Path.Combine(left, "wal", Path.GetFileName(file)));
        }

        await using (var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = left, Time = TimeProvider.System }, default))
        {
            Assert.True(shown.Count > 3);
            Assert.Empty(shown.Except(await LedgerAsync(head)));
        }

        Assert.Equal(0, await host.StopAsync());
    }

    IReadOnlyList<IRole> Roles(RoleHost host)
    {
        var collector = Collector(host, TimeSpan.FromSeconds(2));
        var store = new StoreRole(
            host, _stored, new BucketStoreOptions { Directory = Path.Combine(_folder, "store"), Time = host.Time }, TimeSpan.FromMilliseconds(200), serve: null);
        var compact = new CompactOptions { Directory = Path.Combine(_folder, "compact"), Time = host.Time, Random = new Random(1) };
        var stores = new StoreSet(new StoreSetOptions { PollInterval = TimeSpan.FromMilliseconds(200), Time = host.Time, Loops = host.Loops }, host.Logging.CreateLogger<StoreSet>());
        stores.AddLocal("bucket", store.Querier, store.Describe);
        var engine = new PromqlEngine(new EngineOptions());
        var api = new PrometheusApiOptions { Engine = engine, Querier = options => new FanoutQuerier(stores, options) };
        return [collector, store, new CompactRole(host, _compacted, compact, TimeSpan.FromMilliseconds(200)), new QueryRole(host, stores, engine, api, serve: null)];
    }

    CollectorRole Collector(RoleHost host, TimeSpan block) => new(host, _shipped, new CollectorOptions
    {
        Load = () => CollectorConfig.Parse(
            "global: {scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {cluster: a}}\n"
            + $"scrape_configs: [{{job_name: ledger, file_sd_configs: [{{files: ['{Targets}']}}]}}]", "test"),
        Folder = Data,
        Name = "a",
        BlockRange = block,
        WalSync = TimeSpan.FromMilliseconds(100),
        LiveInterval = TimeSpan.FromMilliseconds(200),
        Registry = host.Registry,
    });

    void WriteTargets(params LedgerExporter[] exporters)
    {
        var targets = string.Join(", ", exporters.Select(exporter => $"\"{exporter.Address}\""));
        File.WriteAllText(Targets + ".new", $"[{{\"targets\": [{targets}]}}]");
        File.Move(Targets + ".new", Targets, overwrite: true);
    }

    /// <summary>Lets a loop fail, and waits until it has been counted, named, said by readiness where it must be, and has worked again.</summary>
    /// <param name="logged">What its log line has instead of the loop's name, or of what nobody foresaw.</param>
    /// <param name="recovers">False for a loop that never comes to an end of its step.</param>
    static async Task MeetAsync(RunningHost host, string loop, int times, Action arm, Action? begin = null, string? logged = null, bool recovers = true)
    {
        var failures = $"observe_loop_failures_total{{loop=\"{loop}\"}}";
        var before = await host.MetricAsync(failures) ?? 0;
        arm();
        begin?.Invoke();
        if (times > 1)
        {
            await host.UntilAsync(
                async () => (await host.GetAsync("-/ready")) is { Status: 503, Text: var text } && text.Contains($"{loop} failed {times} times in a row: ", StringComparison.Ordinal),
                $"readiness that tells of {loop}");
        }

        await host.UntilAsync(async () => await host.MetricAsync(failures) >= before + times, $"the count of failures of {loop}");
        Assert.Contains(host.Log, line => !line.StartsWith("Information", StringComparison.Ordinal)
            && (line.Contains(loop, StringComparison.Ordinal) || (logged is not null && line.Contains(logged, StringComparison.Ordinal)))
            && (line.Contains("nobody foresaw this", StringComparison.Ordinal) || (logged is not null && line.Contains(logged, StringComparison.Ordinal))));
        await host.UntilAsync(() => Task.FromResult(!recovers
            || host.Log.Any(line => line.Contains($"works again: {loop}", StringComparison.Ordinal))), $"{loop} at work again");
    }

    static async Task<HashSet<double>> LedgerAsync(IQuerier querier)
    {
        var values = new HashSet<double>();
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [new Matcher(Tsdb.Model.MatchType.Equal, "__name__", "ledger")])))
        {
            values.UnionWith(TestBlocks.Floats(series).Select(sample => sample.Value));
        }

        return values;
    }

    /// <summary>Lets all descriptors of this process that are a file stand for another one.</summary>
    static void Redirect(string path, string other)
    {
        using var handle = File.OpenHandle(other, FileMode.Open, FileAccess.ReadWrite);
        var redirected = 0;
        foreach (var link in Directory.GetFiles("/proc/self/fd"))
        {
            if (File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName == path)
            {
                redirected += Dup2((int)handle.DangerousGetHandle(), int.Parse(Path.GetFileName(link), System.Globalization.CultureInfo.InvariantCulture)) >= 0 ? 1 : 0;
            }
        }

        Assert.Equal(1, redirected);
    }

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Dup2(int from, int to);
}
