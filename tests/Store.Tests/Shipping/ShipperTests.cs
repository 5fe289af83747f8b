using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Shipping;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;
using Prometheus;
using Xunit;

namespace Observe.Store.Tests.Shipping;

public sealed class ShipperTests : IDisposable
{
    const long Hour = 3_600_000;

    readonly string _folder = Checkout.NewFolder("shipper");
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(100 * Hour));
    readonly MemoryBucket _bucket;
    readonly CollectorRegistry _registry = Metrics.NewCustomRegistry();
    readonly List<string> _log = [];
    Labels _external = Labels.Of(("cluster", "prod"), ("replica", "a"));
    int _blocks;

    public ShipperTests() => _bucket = new MemoryBucket(_time);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_block_is_shipped_with_its_stream_and_origin()
    {
        var id = await WriteAsync(10);
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        var meta = (await new BucketBlocks(_bucket).MetaAsync(id, default))!;
        Assert.Equal(_external, meta.ExternalLabels);
        Assert.Equal(_time.GetUtcNow(), meta.Thanos!.UploadTime);
        Assert.Equal("""{"collector":"node-1","version":"0.1.0","configHash":"abc"}""", meta.Thanos.Extensions!["observe"]!.ToJsonString());
        Assert.Equal(["chunks/000001", "index", "meta.json"], meta.Thanos.Files!.Select(f => f.Path).Order(StringComparer.Ordinal));
        Assert.All(meta.Thanos.Files!.Where(f => f.Path != "meta.json"), f => Assert.Equal(64, f.Hash!.Value.Length));
        Assert.Equal([new TimeRange(10 * Hour, (10 * Hour) + 99)], shipper.Status.Shipped);
        Assert.Empty(shipper.Status.Unshipped);
        Assert.Empty(BlockVerifier.Verify(Path.Combine(_folder, id.ToString()), decode: true, default));
    }

    [Fact]
    public async Task A_block_is_verified_and_sent_beside_the_thread_pool()
    {
        using var threads = ComputeThreads.ForBackground();
        await WriteAsync(10);
        var places = new HashSet<string>();
        _bucket.Fault = (_, _) =>
        {
            places.Add(ThreadPlace.Current);
            return null;
        };
        using var shipper = Shipper(o => o with { Background = threads });
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([ThreadPlace.Background], places);
    }

    [Fact]
    public async Task A_shipped_block_is_not_sent_again_by_the_next_run()
    {
        await WriteAsync(10);
        using (var first = Shipper())
        {
            await first.SyncAsync(default);
        }

        var puts = 0;
        _bucket.Fault = (operation, _) =>
        {
            puts += operation == BucketOperation.Put ? 1 : 0;
            return null;
        };
        using var second = Shipper();
        Assert.True(await second.SyncAsync(default));
        Assert.Equal(0, puts);
    }

    [Fact]
    public async Task A_block_keeps_the_labels_it_was_found_with()
    {
        var id = await WriteAsync(10);
        _bucket.Fault = (_, _) => new BucketException("away");
        using var shipper = Shipper();
        Assert.False(await shipper.SyncAsync(default));
        _external = Labels.Of(("cluster", "renamed"));
        _bucket.Fault = null;
        _time.Advance(TimeSpan.FromMinutes(5));
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal("prod", (await new BucketBlocks(_bucket).MetaAsync(id, default))!.ExternalLabels.Get("cluster"));
    }

    [Fact]
    public async Task The_oldest_goes_first_and_an_outage_stops_the_rest()
    {
        var ids = new List<BlockId>();
        foreach (var hour in new[] { 50, 40, 30, 20, 10 })
        {
            ids.Insert(0, await WriteAsync(hour));
        }

        var asked = new List<string>();
        _bucket.Fault = (operation, key) =>
        {
            asked.Add(key[..BlockId.TextLength]);
            return new BucketException("away");
        };
        using var shipper = Shipper();
        Assert.False(await shipper.SyncAsync(default));
        Assert.Equal(ids.Take(3).Select(id => id.ToString()), asked.Distinct());
        Assert.Equal("away", shipper.Status.LastError);
        Assert.Equal(5, shipper.Status.Unshipped.Count);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.False(await shipper.SyncAsync(default));
        Assert.Equal(3600, await CounterAsync("observe_shipper_lag_seconds"));
        _bucket.Fault = null;
        Assert.True(await shipper.ShipAllAsync(default));
        Assert.All(ids, id => Assert.Contains($"{id}/meta.json", _bucket.Keys));
        Assert.Equal("", shipper.Status.LastError);
        Assert.Equal(0, await CounterAsync("observe_shipper_lag_seconds"));
    }

    [Fact]
    public async Task Blocks_that_cannot_be_uploaded_hold_no_later_one_back()
    {
        var stuck = new HashSet<string>();
        foreach (var hour in new[] { 10, 11, 12, 13 })
        {
            stuck.Add((await WriteAsync(hour)).ToString());
        }

        var (good, asked) = (new[] { await WriteAsync(20), await WriteAsync(30) }, 0);
        _bucket.Fault = (_, key) =>
        {
            var isStuck = stuck.Contains(key[..BlockId.TextLength]);
            asked += isStuck ? 1 : 0;
            return isStuck ? new BucketException("no room for this one") : null;
        };
        using var shipper = Shipper();
        for (var pass = 0; pass < 2; pass++)
        {
            Assert.False(await shipper.SyncAsync(default));
        }

        Assert.All(good, id => Assert.Contains($"{id}/meta.json", _bucket.Keys));
        Assert.Equal("no room for this one", shipper.Status.LastError);

        // Ever less often.
        asked = 0;
        for (var minute = 0; minute < 60; minute++)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            await shipper.SyncAsync(default);
        }

        Assert.InRange(asked, 4 * 10, 4 * 25);
        stuck.Clear();
        _time.Advance(TimeSpan.FromMinutes(5));
        Assert.True(await shipper.SyncAsync(default));
        Assert.Empty(shipper.Status.Unshipped);
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_at_present_is_no_damage()
    {
        var (id, other) = (await WriteAsync(10), await WriteAsync(20));
        using var shipper = Shipper();
        foreach (var file in new[] { "index", "chunks/000001", "meta.json" })
        {
            var path = Path.Combine(_folder, id.ToString(), file);
            File.Move(path, path + ".away");
            File.CreateSymbolicLink(path, path); // ELOOP
            Assert.False(await shipper.SyncAsync(default));
            Assert.Empty(shipper.Status.Damaged);
            Assert.NotEqual("", shipper.Status.LastError);
            File.Delete(path);
            File.Move(path + ".away", path);
            _time.Advance(TimeSpan.FromMinutes(5));
        }

        Assert.Contains($"{other}/meta.json", _bucket.Keys);
        Assert.True(await shipper.SyncAsync(default));
        Assert.Contains($"{id}/meta.json", _bucket.Keys);
        Assert.Equal(0, await CounterAsync("thanos_shipper_corrupted_blocks_total"));
    }

    [Fact]
    public async Task A_block_that_another_program_cut_is_shipped_and_stays_as_it_is()
    {
        var id = await WriteAsync(10);
        var folder = Path.Combine(_folder, id.ToString());
        Dictionary<string, string> Files() => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories)
            .ToDictionary(f => Path.GetRelativePath(folder, f.FullName), f => $"{f.LastWriteTimeUtc:O} {Convert.ToBase64String(File.ReadAllBytes(f.FullName))}");
        var before = Files();
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal(before, Files());
        Assert.Equal(_external, (await new BucketBlocks(_bucket).MetaAsync(id, default))!.ExternalLabels);
    }

    [Fact]
    public async Task A_block_that_was_stamped_where_it_was_cut_keeps_its_stream_and_is_not_sent_again()
    {
        var (waiting, shipped) = (await WriteAsync(10), await WriteAsync(20));
        foreach (var (id, time) in new[] { (waiting, (DateTimeOffset?)null), (shipped, _time.GetUtcNow()) })
        {
            var folder = Path.Combine(_folder, id.ToString());
            var meta = BlockMeta.Read(folder) with
            {
                Thanos = new ThanosSection { Version = 1, Source = "sidecar", UploadTime = time, Labels = new Dictionary<string, string> { ["cluster"] = "other" } },
            };
            await File.WriteAllBytesAsync(Path.Combine(folder, "meta.json"), meta.ToJson());
        }

        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal("other", (await new BucketBlocks(_bucket).MetaAsync(waiting, default))!.ExternalLabels.Get("cluster"));
        Assert.Null(await new BucketBlocks(_bucket).MetaAsync(shipped, default));
        Assert.Equal(2, shipper.Status.Shipped.Count);
    }

    [Fact]
    public async Task Whatever_becomes_of_the_file_of_states_nothing_is_lost_or_sent_twice()
    {
        var ids = new[] { await WriteAsync(10), await WriteAsync(20) };
        using (var first = Shipper())
        {
            Assert.True(await first.SyncAsync(default));
        }

        var path = Path.Combine(_folder, Outbox.FileName);
        var whole = await File.ReadAllBytesAsync(path);
        var puts = 0;
        _bucket.Fault = (operation, _) =>
        {
            puts += operation == BucketOperation.Put ? 1 : 0;
            return null;
        };
        for (var at = 0; at < whole.Length; at += 7)
        {
            byte[] damaged = [.. whole[..at], (byte)(whole[at] ^ (1 << (at % 8))), .. whole[(at + 1)..]];
            await File.WriteAllBytesAsync(path, damaged);
            using var shipper = Shipper();
            Assert.True(await shipper.SyncAsync(default));
            Assert.Equal(2, shipper.Status.Shipped.Count);
        }

        Assert.Equal(0, puts);
        Assert.Contains(_log, line => line.Contains("what is known of the blocks is lost", StringComparison.Ordinal));
        await File.WriteAllBytesAsync(path, whole);
        Directory.Delete(Path.Combine(_folder, ids[0].ToString()), recursive: true);
        using var last = Shipper();
        await last.SyncAsync(default);
        Assert.DoesNotContain(ids[0].ToString(), await File.ReadAllTextAsync(path), StringComparison.Ordinal);
        Assert.Contains(ids[1].ToString(), await File.ReadAllTextAsync(path), StringComparison.Ordinal);
    }

    /// <summary>Whichever bit the bucket keeps wrongly of the meta.json, the block becomes whole there.</summary>
    [Fact]
    public async Task A_meta_that_the_bucket_holds_damaged_is_replaced()
    {
        var id = await WriteAsync(10);
        using (var first = Shipper())
        {
            Assert.True(await first.SyncAsync(default));
        }

        var key = $"{id}/meta.json";
        var whole = await _bucket.GetBytesAsync(key, 1 << 20, default);
        for (var at = 0; at < whole.Length; at += 11)
        {
            byte[] damaged = [.. whole[..at], (byte)(whole[at] ^ (1 << (at % 8))), .. whole[(at + 1)..]];
            await _bucket.PutBytesAsync(key, damaged, PutCondition.None, default);
            File.Delete(Path.Combine(_folder, Outbox.FileName));
            using var shipper = Shipper();
            Assert.True(await shipper.SyncAsync(default), Encoding.UTF8.GetString(damaged));
            var meta = (await new BucketBlocks(_bucket).MetaAsync(id, default))!;
            Assert.Equal(BlockMeta.Parse(whole, "").Thanos!.Files, meta.Thanos!.Files);
        }
    }

    [Fact]
    public async Task Another_block_under_the_same_id_is_left_alone()
    {
        var id = await WriteAsync(10);
        using (var first = Shipper())
        {
            await first.SyncAsync(default);
        }

        var theirs = await _bucket.GetBytesAsync($"{id}/index", 1 << 20, default);
        File.Delete(Path.Combine(_folder, Outbox.FileName));
        Directory.Delete(Path.Combine(_folder, id.ToString()), recursive: true);
        _blocks--;
        Assert.Equal(id, await WriteAsync(11));
        using var shipper = Shipper();
        Assert.False(await shipper.SyncAsync(default));
        Assert.Contains("there is another block", shipper.Status.LastError, StringComparison.Ordinal);
        Assert.Equal(theirs, await _bucket.GetBytesAsync($"{id}/index", 1 << 20, default));
    }

    [Theory]
    [InlineData(BucketOperation.Put, "chunks/000001")]
    [InlineData(BucketOperation.Put, "index")]
    [InlineData(BucketOperation.Put, "meta.json")]
    public async Task A_write_whose_answer_was_lost_is_made_good(BucketOperation operation, string file)
    {
        var id = await WriteAsync(10);
        _bucket.LateFault = (o, key) => o == operation && key.EndsWith(file, StringComparison.Ordinal) ? new BucketException("connection broke") : null;
        using var shipper = Shipper();
        Assert.False(await shipper.SyncAsync(default));
        _bucket.LateFault = null;
        _time.Advance(TimeSpan.FromMinutes(5));
        Assert.True(await shipper.SyncAsync(default));
        Assert.NotNull(await new BucketBlocks(_bucket).MetaAsync(id, default));
    }

    [Fact]
    public async Task A_damaged_block_stays_here_and_does_not_stop_the_others()
    {
        var (damaged, good) = (await WriteAsync(10), await WriteAsync(20));
        var chunks = Path.Combine(_folder, damaged.ToString(), "chunks", "000001");
        var bytes = await File.ReadAllBytesAsync(chunks);
        bytes[^6] ^= 1;
        await File.WriteAllBytesAsync(chunks, bytes);
        var torn = await WriteAsync(30);
        await File.WriteAllTextAsync(Path.Combine(_folder, torn.ToString(), "meta.json"), "{");
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([good.ToString()], _bucket.Keys.Select(k => k[..BlockId.TextLength]).Distinct());
        Assert.Equal(2, shipper.Status.Damaged.Count);
        Assert.Contains(shipper.Status.Damaged, d => d.Contains("checksum", StringComparison.Ordinal));
        Assert.Equal(2, await CounterAsync("thanos_shipper_corrupted_blocks_total"));
        Assert.True(Directory.Exists(Path.Combine(_folder, damaged.ToString())));
    }

    [Fact]
    public async Task What_is_whole_in_a_damaged_block_is_shipped_in_its_place()
    {
        var ids = new[] { await WriteAsync(10), await WriteAsync(20), await WriteAsync(30), await WriteAsync(40) };
        Flip(ids[0], "index", 0.9);
        Flip(ids[1], "meta.json", 0.5);
        Flip(ids[2], "chunks/000001", 0.99);
        var (closed, opened) = (new List<string>(), new List<string>());
        using var shipper = Shipper(o => o with
        {
            Salvaged = (folder, _) =>
            {
                Assert.Empty(BlockVerifier.Verify(folder, decode: true, default));
                opened.Add(Path.GetFileName(folder));
                return ValueTask.CompletedTask;
            },
            Deleting = (folder, _) =>
            {
                closed.Add(Path.GetFileName(folder));
                return ValueTask.CompletedTask;
            },
        });
        Assert.True(await shipper.SyncAsync(default), string.Join('\n', _log));
        Assert.Equal(ids.Take(3).Select(id => id.ToString()).Order(), closed.Order());
        Assert.Equal(2, opened.Count);
        Assert.Equal(
            opened.Append(ids[3].ToString()).Order(StringComparer.Ordinal),
            _bucket.Keys.Select(k => k[..BlockId.TextLength]).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(3, shipper.Status.Damaged.Count);
        Assert.All(ids.Take(3), id => Assert.True(Directory.Exists(Path.Combine(_folder, "damaged", id.ToString()))));
        Assert.Contains(shipper.Status.Damaged, d => d.Contains("nothing in it is whole", StringComparison.Ordinal));
        Assert.Equal(3, await CounterAsync("thanos_shipper_corrupted_blocks_total"));
        Assert.Equal(3, shipper.Status.Shipped.Count);

        // Of the one in which nothing is whole it is known what it had.
        var lost = Assert.Single(shipper.Status.Lost);
        Assert.Equal((30 * Hour, (30 * Hour) + 99), (lost.MinTime, lost.MaxTime));
        Assert.StartsWith("damaged", lost.Why, StringComparison.Ordinal);

        using var limited = Shipper(o => o with { SizeLimit = 1, Retention = TimeSpan.FromDays(1) });
        await limited.SyncAsync(default);
        Assert.Empty(Directory.GetDirectories(Path.Combine(_folder, "damaged")));
    }

    [Fact]
    public async Task A_shipped_block_that_a_reader_finds_damaged_is_replaced_here_and_not_sent_again()
    {
        var (damaged, whole) = (await WriteAsync(10), await WriteAsync(20));
        var (suspects, closed, opened) = (new List<string>(), new List<string>(), new List<string>());
        using var shipper = Shipper(o => o with
        {
            Salvaged = (folder, _) =>
            {
                opened.Add(folder);
                return ValueTask.CompletedTask;
            },
            Deleting = (folder, _) =>
            {
                closed.Add(folder);
                return ValueTask.CompletedTask;
            },
            Suspects = () => suspects,
        });
        Assert.True(await shipper.SyncAsync(default), string.Join('\n', _log));
        var keys = _bucket.Keys;
        Flip(damaged, "index", 0.9);
        suspects.AddRange(new[] { damaged, whole }.Select(id => Path.Combine(_folder, id.ToString())));
        Assert.True(await shipper.SyncAsync(default), string.Join('\n', _log));
        Assert.Equal(keys, _bucket.Keys);
        Assert.Equal(suspects, closed);
        Assert.Equal(Path.Combine(_folder, whole.ToString()), opened[1]);
        Assert.Empty(BlockVerifier.Verify(opened[0], decode: true, default));
        Assert.Equal(2, shipper.Status.Shipped.Count);
    }

    void Flip(BlockId id, string file, double at)
    {
        var path = Path.Combine(_folder, id.ToString(), file);
        var bytes = File.ReadAllBytes(path);
        bytes[(int)(bytes.Length * at)] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    [Fact]
    public async Task A_shipped_block_is_deleted_after_retention_and_grace_and_its_readers_are_told()
    {
        var id = await WriteAsync(90);
        var deleting = new List<string>();
        using var shipper = Shipper(o => o with
        {
            Retention = TimeSpan.FromHours(12),
            Grace = TimeSpan.FromMinutes(15),
            Deleting = (folder, _) =>
            {
                Assert.True(Directory.Exists(folder));
                deleting.Add(folder);
                return ValueTask.CompletedTask;
            },
        });
        await shipper.SyncAsync(default);
        _time.Advance(TimeSpan.FromHours(1));
        await shipper.SyncAsync(default);
        Assert.Empty(deleting);
        _time.Advance(TimeSpan.FromHours(2));
        await shipper.SyncAsync(default);
        Assert.Equal([Path.Combine(_folder, id.ToString())], deleting);
        Assert.Empty(Directory.GetDirectories(_folder));
        Assert.NotNull(await new BucketBlocks(_bucket).MetaAsync(id, default));
    }

    [Fact]
    public async Task An_old_block_is_kept_for_the_grace_after_its_upload()
    {
        await WriteAsync(10);
        using var shipper = Shipper(o => o with { Retention = TimeSpan.FromHours(1), Grace = TimeSpan.FromMinutes(15) });
        await shipper.SyncAsync(default);
        Assert.Single(Directory.GetDirectories(_folder));
        _time.Advance(TimeSpan.FromMinutes(15));
        await shipper.SyncAsync(default);
        Assert.Empty(Directory.GetDirectories(_folder));
    }

    [Fact]
    public async Task An_unshipped_block_is_never_deleted_for_its_age()
    {
        await WriteAsync(10);
        _bucket.Fault = (_, _) => new BucketException("away");
        using var shipper = Shipper(o => o with { Retention = TimeSpan.Zero, Grace = TimeSpan.Zero });
        _time.Advance(TimeSpan.FromDays(30));
        await shipper.SyncAsync(default);
        Assert.Single(Directory.GetDirectories(_folder));
    }

    [Fact]
    public async Task Over_the_size_limit_shipped_blocks_go_first_and_lost_ones_are_named()
    {
        var shipped = await WriteAsync(90);
        using var shipper = Shipper(o => o with { SizeLimit = 1 });
        await shipper.SyncAsync(default);
        Assert.False(Directory.Exists(Path.Combine(_folder, shipped.ToString())));
        Assert.Equal(0, shipper.Status.ShedBlocks);

        _bucket.Fault = (_, _) => new BucketException("away");
        var size = new DirectoryInfo(Path.Combine(_folder, (await WriteAsync(91)).ToString())).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
        var (lost, kept) = (Ids().Single(), await WriteAsync(92));
        using var limited = Shipper(o => o with { SizeLimit = (size * 2) - 1 });
        await limited.SyncAsync(default);
        Assert.Equal([kept], Ids());
        Assert.Equal(1, limited.Status.ShedBlocks);
        var range = Assert.Single(limited.Status.Lost);
        Assert.StartsWith("shed", range.Why, StringComparison.Ordinal);

        // The next run remembers, and a block that is there after all is not lost.
        _bucket.Fault = null;
        using var next = Shipper();
        await next.SyncAsync(default);
        Assert.Equal([range], next.Status.Lost);
        Assert.Contains(_log, l => l.Contains($"block is lost, deleted before it was in the bucket: {lost}", StringComparison.Ordinal) && l.Contains("100 samples", StringComparison.Ordinal));
        Assert.Equal(1, await CounterAsync("observe_shipper_shed_blocks_total"));
        Assert.Equal(100, await CounterAsync("observe_shipper_shed_samples_total"));
    }

    [Fact]
    public async Task Uploads_keep_to_their_rate_but_a_stop_does_not_wait()
    {
        var (_, second) = (await WriteAsync(10), await WriteAsync(20));
        using var shipper = Shipper(o => o with { UploadBytesPerSecond = 1 });
        using var stop = new CancellationTokenSource();
        var syncing = shipper.SyncAsync(stop.Token);
        await Eventually.TrueAsync(() => Task.FromResult(_bucket.Keys.Count(k => k.EndsWith("meta.json", StringComparison.Ordinal)) == 1), TimeSpan.FromSeconds(20), "the first upload");
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(syncing.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => syncing);
        Assert.DoesNotContain($"{second}/meta.json", _bucket.Keys);
        Assert.True(await shipper.ShipAllAsync(default));
        Assert.Contains($"{second}/meta.json", _bucket.Keys);
    }

    [Fact]
    public async Task Without_external_labels_nothing_is_shipped()
    {
        await WriteAsync(10);
        _external = default;
        using var shipper = Shipper();
        Assert.False(await shipper.SyncAsync(default));
        Assert.Empty(_bucket.Keys);
        Assert.Contains("external labels", shipper.Status.LastError, StringComparison.Ordinal);
        Assert.Equal(1, await CounterAsync("thanos_shipper_dir_sync_failures_total"));
    }

    [Fact]
    public async Task The_loop_ships_when_it_is_woken_and_survives_an_outage()
    {
        using var shipper = Shipper(o => o with { Interval = TimeSpan.FromMinutes(1), Spread = TimeSpan.FromSeconds(1) });
        using var stop = new CancellationTokenSource();
        var running = shipper.RunAsync(stop.Token);
        var away = true;
        _bucket.Fault = (_, _) => away ? new BucketException("away") : null;
        var id = await WriteAsync(10);
        shipper.Wake();
        await AdvanceUntilAsync(() => shipper.Status.LastError == "away");
        away = false;
        await AdvanceUntilAsync(() => _bucket.Keys.Contains($"{id}/meta.json"));
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_folder_half_deleted_is_cleared_up_and_one_half_written_is_left_alone()
    {
        var doomed = Path.Combine(_folder, "01HF0000000000000000000000.tmp-for-deletion");
        var young = Path.Combine(_folder, "01HF0000000000000000000001.tmp");
        Directory.CreateDirectory(doomed);
        Directory.CreateDirectory(young);
        using var shipper = Shipper();
        Assert.True(await shipper.SyncAsync(default));
        Assert.Equal([young], Directory.GetDirectories(_folder));
    }

    async Task AdvanceUntilAsync(Func<bool> done) => await Eventually.TrueAsync(
        () =>
        {
            _time.Advance(TimeSpan.FromSeconds(10));
            return Task.FromResult(done());
        },
        TimeSpan.FromSeconds(20),
        "the shipper's next step");

    IEnumerable<BlockId> Ids() => Directory.GetDirectories(_folder).Select(d => BlockId.Parse(Path.GetFileName(d)));

    Shipper Shipper(Func<ShipperOptions, ShipperOptions>? change = null)
    {
        var options = new ShipperOptions
        {
            Directory = _folder,
            Bucket = _bucket,
            ExternalLabels = () => _external,
            Origin = () => new BlockOrigin("node-1", "0.1.0", "abc"),
            Time = _time,
            Random = new Random(100),
            Metrics = new ShipperMetrics(_registry),
            Logger = new ListLogger(_log),
            Retention = TimeSpan.FromDays(365),
        };
        return new Shipper(change?.Invoke(options) ?? options);
    }

    /// <summary>A block of one series and 100 samples, a millisecond apart from an hour on.</summary>
    async Task<BlockId> WriteAsync(int hour)
    {
        var id = BlockId.New(_time.GetUtcNow(), new Random(++_blocks));
        var samples = Enumerable.Range(0, 100).Select(i => ((hour * Hour) + i, (double)i)).ToArray();
        var meta = new BlockMeta { Id = id, MinTime = hour * Hour, MaxTime = (hour * Hour) + 100 };
        await WrittenBlock.WriteAsync(_folder, meta, [new TestSeries(Labels.Of(("__name__", "a")), samples)]);
        return id;
    }

    async Task<double> CounterAsync(string name)
    {
        using var text = new MemoryStream();
        await _registry.CollectAndExportAsTextAsync(text);
        var line = Encoding.UTF8.GetString(text.ToArray()).Split('\n').Single(l => l.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    sealed class ListLogger(List<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Add(formatter(state, exception));
    }
}
