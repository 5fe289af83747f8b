using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Shipping;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Shipping;

/// <summary>An outbox before a real S3 server, behind a network that breaks things: nothing is lost, and nothing broken is ever visible.</summary>
[Collection(S3Server.Collection)]
public sealed class ShipperFaultTests(S3Server server, ITestOutputHelper output) : IDisposable
{
    const long Hour = 3_600_000;
    const int Blocks = 12;

    static readonly HttpFault[] s_faults = Enum.GetValues<HttpFault>();

    readonly string _folder = Checkout.NewFolder("shipper");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1)]
    [InlineData(10)]
    [InlineData(50)]
    public async Task Every_block_comes_whole_through_faults_and_an_outage(int percent)
    {
        var config = await server.NewBucketAsync();
        const int seed = 1;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var (requests, outage) = (0, 0);
        await using var proxy = new FaultProxy(config.Endpoint, seed, request =>
        {
            // For some time in the middle there is no bucket at all.
            if (++requests is > 40 and < 140)
            {
                outage++;
                return HttpFault.Reset;
            }

            return random.Next(100) < percent ? s_faults[random.Next(s_faults.Length)] : HttpFault.None;
        });
        await using var bucket = new S3Bucket(
            config with
            {
                Endpoint = proxy.Endpoint,
                MaxRetries = 2,
                RetryDelay = TimeSpan.FromMilliseconds(1),
                Http = config.Http with { ResponseHeaderTimeout = TimeSpan.FromMilliseconds(500) },
            },
            TimeProvider.System);
        await using var direct = new S3Bucket(config, TimeProvider.System);
        var blocks = new BucketBlocks(direct);
        var ids = new List<BlockId>();
        for (var i = 0; i < Blocks; i++)
        {
            ids.Add(await WriteAsync(10 + i));
        }

        using var shipper = new Shipper(new ShipperOptions
        {
            Directory = _folder,
            Bucket = bucket,
            ExternalLabels = () => Labels.Of(("cluster", "prod")),
            Origin = () => new BlockOrigin("node-1", "0.1.0", "abc"),
            Time = TimeProvider.System,
            Random = new Random(seed),
            Metrics = new ShipperMetrics(Metrics.NewCustomRegistry()),
            Logger = NullLogger.Instance,
            Interval = TimeSpan.FromMilliseconds(20),
            Spread = TimeSpan.Zero,
            MaxBackoff = TimeSpan.FromMilliseconds(100),
            Retention = TimeSpan.FromDays(36_500),
        });
        using var stop = new CancellationTokenSource();
        var running = shipper.RunAsync(stop.Token);
        await Eventually.TrueAsync(
            async () =>
            {
                await CheckVisibleAsync(blocks);
                return shipper.Status.Shipped.Count == Blocks;
            },
            TimeSpan.FromMinutes(3),
            $"all blocks in the bucket; {shipper.Status.LastError}");
        await stop.CancelAsync();
        await running;
        output.WriteLine($"{requests} requests, {outage} of them while there was no bucket");
        Assert.Empty(shipper.Status.Damaged);
        foreach (var id in ids)
        {
            var work = Checkout.NewFolder("down");
            await blocks.DownloadAsync(id, work, default);
            Assert.Empty(BlockVerifier.Verify(Path.Combine(work, id.ToString()), decode: true, default));
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>
    /// A block whose meta.json can be read has all that it names. One that cannot be read is no block for any reader, and is replaced.
    /// </summary>
    static async Task CheckVisibleAsync(BucketBlocks blocks)
    {
        await foreach (var id in blocks.ListAsync(default))
        {
            BlockMeta? meta;
            try
            {
                meta = await blocks.MetaAsync(id, default);
            }
            catch (CorruptionException)
            {
                continue;
            }

            foreach (var file in meta?.Thanos?.Files?.Where(file => file.Size > 0) ?? [])
            {
                Assert.Equal(file.Size, (await blocks.Bucket.AttributesAsync(BucketBlocks.Key(id, file.Path), default))?.Size);
            }
        }
    }

    async Task<BlockId> WriteAsync(int hour)
    {
        var id = BlockId.New(TimeProvider.System.GetUtcNow(), new Random(hour));
        var samples = Enumerable.Range(0, 100).Select(i => ((hour * Hour) + i, (double)i)).ToArray();
        var meta = new BlockMeta { Id = id, MinTime = hour * Hour, MaxTime = (hour * Hour) + 100 };
        await WrittenBlock.WriteAsync(_folder, meta, [new TestSeries(Labels.Of(("__name__", "a")), samples)]);
        return id;
    }
}
