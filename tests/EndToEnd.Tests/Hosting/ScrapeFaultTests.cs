using System.Net;
using System.Net.Sockets;
using System.Text;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Commands;
using Observe.Store.Bucket;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>
/// What nobody foresees inside a scrape, in a collector: the scrape of that target fails and says why, its series end, all others go on,
/// and the next scrape is tried as ever.
/// </summary>
public sealed class ScrapeFaultTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("scrape-faults");
    readonly Unforeseen _unforeseen = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Asked on the way of a scrape: the headers of its request, the clock before its parser, the rules of its relabelling.</summary>
    [Theory]
    [InlineData("ScrapeClient.Authorize")]
    [InlineData("ScrapeLoop.Append")]
    [InlineData("SampleLabels.Apply")]
    public async Task A_scrape_that_breaks_off_fails_alone(string place)
    {
        await using var odd = FakeExporter.Start(Body(0));
        await using var sound = await LedgerExporter.StartAsync(series: 1);
        CollectorRole? collector = null;
        await using var host = await RunningHost.StartAsync(new UnforeseenClock(_unforeseen), h => [collector = Collector(h, Config(odd.Address, sound.Address))]);
        await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
        await host.UntilAsync(() => Task.FromResult(odd.Requests.Count > 2 && sound.Scrapes > 2), "scrapes");
        var failed = false;
        for (var most = 100; !failed && most > 0; most--)
        {
            // Whose scrape comes first, meets it: until it is that of the odd one. Only a new series is relabelled.
            odd["/metrics"] = Body(most);
            _unforeseen.Throw(place);
            await host.UntilAsync(() => Task.FromResult(_unforeseen.Left(place) <= 0), "the fault");
            await host.UntilAsync(async () => await UpAsync(collector!, "odd", 0) + await UpAsync(collector!, "sound", 0) > 0, "a failed scrape");
            failed = await UpAsync(collector!, "odd", 0) > 0;
        }

        Assert.True(failed);
        Assert.True(await StaleAsync(collector!) >= 2);
        Assert.Contains(host.Log, line => line.StartsWith("Error: a scrape broke off", StringComparison.Ordinal)
            && line.Contains(odd.Address, StringComparison.Ordinal) && line.Contains($"KeyNotFoundException: nobody foresaw this in {place}", StringComparison.Ordinal));
        Assert.True(await host.MetricAsync("observe_scrapes_broken_total") > 0);
        var (ups, sounds) = (await UpAsync(collector!, "odd", 1), await UpAsync(collector!, "sound", 1));
        await host.UntilAsync(async () => await UpAsync(collector!, "odd", 1) > ups + 2 && await UpAsync(collector!, "sound", 1) > sounds + 2, "scrapes that go well");
        Assert.Equal(0, await host.StopAsync());
    }

    /// <summary>What targets send that are none, or are broken.</summary>
    public static TheoryData<string, byte[]> Odd => new()
    {
        { "nothing", [] },
        { "no HTTP", "220 mail.example.com ESMTP\r\n"u8.ToArray() },
        { "zeros", new byte[4096] },
        { "half a head", "HTTP/1.1 200 OK\r\nContent-Le"u8.ToArray() },
        { "a header without a name", "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 4\r\n\r\nm 1\n"u8.ToArray() },
        { "a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nm 1\n"u8.ToArray() },
        { "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nm 1\n"u8.ToArray() },
        { "an immense length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nm 1\n"u8.ToArray() },
        { "a body cut short", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\nm 1\n"u8.ToArray() },
        { "a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nm 1\n\r\n0\r\n\r\n"u8.ToArray() },
        { "gzip that is none", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nm 1\n"u8.ToArray() },
        { "gzip cut short", [.. "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n"u8, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x2c] },
        { "a media type that is none", "HTTP/1.1 200 OK\r\nContent-Type: ;;;=\"\r\nContent-Length: 4\r\n\r\n\xff\xfe{{"u8.ToArray() },
        { "a redirection to nowhere", "HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n"u8.ToArray() },
        { "a redirection to no HTTP", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"u8.ToArray() },
        { "a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"u8.ToArray() },
        { "a status that is none", "HTTP/1.1 999999 What\r\nContent-Length: 0\r\n\r\n"u8.ToArray() },
        { "no exposition", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>\0\xff</html>"u8.ToArray() },
    };

    [Fact]
    public async Task Whatever_targets_send_only_their_own_scrapes_fail()
    {
        await using var sound = await LedgerExporter.StartAsync(series: 1);
        var listeners = Odd.Select(row => (What: row.Data.Item1, Bytes: row.Data.Item2, Listener: new TcpListener(IPAddress.Loopback, 0))).ToList();
        using var stop = new CancellationTokenSource();
        var serving = listeners.Select(odd => ServeAsync(odd.Listener, odd.Bytes, stop.Token)).ToList();
        CollectorRole? collector = null;
        await using (var host = await RunningHost.StartAsync(h => [collector = Collector(h, Config(
            string.Join("', '", listeners.Select(odd => odd.Listener.LocalEndpoint)), sound.Address))]))
        {
            await host.Ready.WaitAsync(TimeSpan.FromSeconds(60));
            await host.UntilAsync(
                () => Task.FromResult(sound.Scrapes > 5 && collector!.Scrape!.Targets().Active.All(target => target.LastScrape is not null)), "scrapes");
            foreach (var target in collector!.Scrape!.Targets().Active.Where(target => target.ScrapePool == "odd"))
            {
                var what = listeners.Single(odd => target.ScrapeUrl.Contains($"{odd.Listener.LocalEndpoint}", StringComparison.Ordinal)).What;
                Assert.True(target.Health == TargetHealth.Down && target.LastError.Length > 0, $"{what}: {target.Health} {target.LastError}");
            }

            Assert.Equal(0, await UpAsync(collector, "odd", 1));
            Assert.True(await UpAsync(collector, "sound", 1) >= 5);
            Assert.Equal(0, await host.MetricAsync("observe_scrapes_broken_total") ?? 0);
            Assert.Equal(0, await host.StopAsync());
        }

        await stop.CancelAsync();
        await Task.WhenAll(serving);
    }

    static async Task ServeAsync(TcpListener listener, byte[] bytes, CancellationToken cancellationToken)
    {
        listener.Start();
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(cancellationToken);
                await using var stream = client.GetStream();
                try
                {
                    // The whole of the request, lest the close resets what was sent.
                    var request = new StringBuilder();
                    var buffer = new byte[4096];
                    while (!request.ToString().Contains("\r\n\r\n", StringComparison.Ordinal) && await stream.ReadAsync(buffer, cancellationToken) is > 0 and var read)
                    {
                        request.Append(Encoding.Latin1.GetString(buffer, 0, read));
                    }

                    await stream.WriteAsync(bytes, cancellationToken);
                }
                catch (IOException)
                {
                    // The collector has hung up.
                }
            }
        }
        catch (OperationCanceledException)
        {
            listener.Stop();
        }
    }

    static FakeAnswer Body(int fresh) => $"ledger{{series=\"0\"}} 1\nledger{{series=\"1\"}} 1\nledger{{series=\"{fresh + 10}\"}} 1\n";

    CollectorConfig Config(string odd, string sound)
    {
        var config = CollectorConfig.Parse(
            $$"""
            global: { scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: { cluster: a } }
            scrape_configs:
              - { job_name: odd, static_configs: [ { targets: ['{{odd}}'] } ] }
              - { job_name: sound, static_configs: [ { targets: ['{{sound}}'] } ] }
            """,
            "test");
        return config with
        {
            ScrapeConfigs =
            [
                .. config.ScrapeConfigs.Select(job => job with
                {
                    MetricRelabelConfigs = new UnforeseenList<RelabelRule>(_unforeseen, job.MetricRelabelConfigs),
                    Http = job.Http with { HttpHeaders = new UnforeseenList<HttpHeaderConfig>(_unforeseen, job.Http.HttpHeaders) },
                }),
            ],
        };
    }

    CollectorRole Collector(Observe.Hosting.RoleHost host, CollectorConfig config) => new(host, new MemoryBucket(TimeProvider.System), new CollectorOptions
    {
        Load = () => config,
        Folder = Path.Combine(_folder, "data"),
        Name = "a",
        Registry = host.Registry,
    });

    /// <summary>How many samples of up a job has that say so.</summary>
    static async Task<int> UpAsync(CollectorRole collector, string job, double value) =>
        (await SamplesAsync(collector, new Matcher(Tsdb.Model.MatchType.Equal, "__name__", "up"), new Matcher(Tsdb.Model.MatchType.Equal, "job", job))).Count(v => v == value);

    /// <summary>How many markers the odd one's series have.</summary>
    static async Task<int> StaleAsync(CollectorRole collector) =>
        (await SamplesAsync(collector, new Matcher(Tsdb.Model.MatchType.Equal, "__name__", "ledger"), new Matcher(Tsdb.Model.MatchType.Equal, "job", "odd"))).Count(StaleMarker.IsStale);

    static async Task<List<double>> SamplesAsync(CollectorRole collector, params Matcher[] matchers)
    {
        var values = new List<double>();
        await foreach (var series in collector.Querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers)))
        {
            values.AddRange(TestBlocks.Floats(series).Select(sample => sample.Value));
        }

        return values;
    }
}
