using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Shipping;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Shipping;

/// <summary>A data folder whose owner joins and deletes blocks by itself.</summary>
public sealed class ShipperForeignTests : IDisposable
{
    const long Hour = 3_600_000;

    readonly string _folder = Checkout.NewFolder("foreign");
    readonly string _state = Checkout.NewFolder("foreign-state");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(100 * Hour));
    readonly MemoryBucket _bucket;
    int _blocks;

    public ShipperForeignTests() => _bucket = new MemoryBucket(_time);

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public async Task Nothing_in_the_folder_is_changed()
    {
        var id = await WriteAsync(1, 2);
        Directory.CreateDirectory(Path.Combine(_folder, "01HF0000000000000000000000.tmp-for-deletion"));
        Directory.CreateDirectory(Path.Combine(_folder, "01HF0000000000000000000001.tmp-for-creation"));
        Directory.CreateSymbolicLink(Path.Combine(_folder, "01HF0000000000000000000002"), Path.Combine(_folder, id.ToString()));
        var before = Files();
        using var shipper = Shipper(o => o with { SizeLimit = 1, Retention = TimeSpan.Zero, Grace = TimeSpan.Zero });
        await shipper.SyncAsync(default);
        _time.Advance(TimeSpan.FromDays(10));
        await shipper.SyncAsync(default);
        Assert.Equal(before, Files());
        Assert.Equal([id], InBucket());
        Assert.Equal(["outbox.json"], Directory.GetFiles(_state).Select(Path.GetFileName));
    }

    [Fact]
    public async Task What_was_shipped_in_parts_is_not_shipped_as_a_whole()
    {
        var (a, b) = (await WriteAsync(1, 2), await WriteAsync(2, 3));
        using (var shipper = Shipper())
        {
            Assert.True(await shipper.SyncAsync(default));
        }

        var joined = await WriteAsync(1, 3, a, b);
        Delete(a, b);
        using (var shipper = Shipper())
        {
            Assert.True(await shipper.SyncAsync(default));
            Assert.Empty(shipper.Status.Pending);
            Assert.Equal(0, shipper.Status.ShedBlocks);
        }

        Assert.Equal([a, b], InBucket());

        // The parts of what is joined once more are known too, though the blocks are long gone.
        var c = await WriteAsync(3, 4);
        using (var shipper = Shipper())
        {
            Assert.True(await shipper.SyncAsync(default));
            await WriteAsync(1, 4, a, b, c);
            Delete(joined, c);
            Assert.True(await shipper.SyncAsync(default));
            Assert.Empty(shipper.Status.Pending);
        }

        Assert.Equal([a, b, c], InBucket());
    }

    [Fact]
    public async Task History_that_was_joined_before_is_shipped_and_not_repeated_by_what_it_is_joined_into()
    {
        BlockId a = Id(), b = Id(), c = Id();
        var joined = await WriteAsync(1, 3, a, b);
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        await WriteAsync(1, 4, a, b, c);
        Delete(joined);
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal(2, InBucket().Count);
        Assert.Empty(shipper.Status.Pending);

        // All that it is made of is in the bucket by now.
        var last = await WriteAsync(1, 4, a, b, c);
        Assert.True(await shipper.SyncAsync(default));
        Assert.DoesNotContain(last, InBucket());
    }

    [Fact]
    public async Task Parts_that_are_still_there_are_shipped_rather_than_the_whole()
    {
        var (a, b) = (await WriteAsync(1, 2), await WriteAsync(2, 3));
        await WriteAsync(1, 3, a, b);
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([a, b], InBucket());
        Assert.Empty(shipper.Status.Pending);
    }

    [Fact]
    public async Task A_block_that_is_deleted_during_its_upload_is_named_and_is_no_failure()
    {
        var (gone, next) = (await WriteAsync(1, 2), await WriteAsync(2, 3));
        _bucket.Fault = (_, key) =>
        {
            if (key.StartsWith($"{gone}/chunks", StringComparison.Ordinal) && Directory.Exists(Path.Combine(_folder, gone.ToString())))
            {
                Delete(gone);
            }

            return null;
        };
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([next], InBucket());
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal(1, shipper.Status.ShedBlocks);
        Assert.Empty(shipper.Status.Damaged);
    }

    [Fact]
    public async Task What_a_Thanos_sidecar_had_shipped_is_not_shipped_again()
    {
        var (a, b) = (await WriteAsync(1, 2), await WriteAsync(2, 3));
        await File.WriteAllTextAsync(Path.Combine(_folder, "thanos.shipper.json"), $$"""{"version":1,"uploaded":["{{a}}"]}""");
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([b], InBucket());
    }

    List<BlockId> InBucket() =>
        [.. _bucket.Keys.Where(key => key.EndsWith("/meta.json", StringComparison.Ordinal)).Select(key => BlockId.Parse(key[..BlockId.TextLength])).Order()];

    List<string> Files() => [.. Directory.EnumerateFileSystemEntries(_folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    BlockId Id() => BlockId.New(_time.GetUtcNow() + TimeSpan.FromMilliseconds(++_blocks), new Random(_blocks));

    void Delete(params BlockId[] ids)
    {
        foreach (var id in ids)
        {
            Directory.Delete(Path.Combine(_folder, id.ToString()), recursive: true);
        }
    }

    /// <param name="sources">The blocks that it was made of; none: it was cut.</param>
    async Task<BlockId> WriteAsync(int from, int to, params BlockId[] sources)
    {
        var id = Id();
        var samples = Enumerable.Range(0, 100).Select(i => ((from * Hour) + i, (double)i)).ToArray();
        var meta = new BlockMeta
        {
            Id = id,
            MinTime = from * Hour,
            MaxTime = to * Hour,
            Compaction = new BlockCompaction { Level = sources.Length == 0 ? 1 : 2, Sources = sources.Length == 0 ? [id] : [.. sources.Order()] },
        };
        await WrittenBlock.WriteAsync(_folder, meta, [new TestSeries(Labels.Of(("__name__", "a")), samples)]);
        return id;
    }

    Shipper Shipper(Func<ShipperOptions, ShipperOptions>? change = null)
    {
        var options = new ShipperOptions
        {
            Directory = _folder,
            StateDirectory = _state,
            Bucket = _bucket,
            ExternalLabels = () => Labels.Of(("cluster", "prod")),
            Origin = () => new BlockOrigin("node-1", "0.1.0", "abc"),
            Time = _time,
            Random = new Random(100),
            Metrics = new ShipperMetrics(Metrics.NewCustomRegistry()),
        };
        return new Shipper(change?.Invoke(options) ?? options);
    }
}
