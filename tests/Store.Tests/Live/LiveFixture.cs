using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Gateway;
using Observe.Store.Live;
using Observe.Store.Shipping;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;

namespace Observe.Store.Tests.Live;

/// <summary>A collector as far as it writes: head, shipper, slices and status, and a ledger of what it committed.</summary>
sealed class LiveCollector(IBucket bucket, FakeTimeProvider time, string name, string replica) : IAsyncDisposable
{
    public const long Range = 600_000;
    public const long Interval = 15_000;

    readonly List<IAsyncDisposable> _left = [];
    readonly Random _random = new(name[0]);
    string _folder = Checkout.NewFolder("live");
    HeadBlock _head = null!;
    LocalBlocks _blocks = null!;
    Shipper _shipper = null!;
    SliceWriter _writer = null!;
    DateTimeOffset _started;
    string _instance = "";
    uint _run;

    public Labels External { get; } = Labels.Of(("cluster", "c"), ("replica", replica));

    /// <summary>Whether no slice is to be written under its labels.</summary>
    public bool IsRefused { get; set; }

    /// <summary>What was committed: by series and time.</summary>
    public SortedDictionary<(string Series, long Time), double> Ledger { get; } = [];

    public async Task OpenAsync()
    {
        _blocks = new LocalBlocks(_folder, NullLogger<LocalBlocks>.Instance);
        _head = await HeadBlock.OpenAsync(
            new HeadOptions
            {
                Directory = _folder,
                Time = time,
                BlockRangeMs = Range,
                WalSyncInterval = TimeSpan.Zero,
                BlockCut = (path, _) =>
                {
                    _blocks.Add(path);
                    return ValueTask.CompletedTask;
                },
            },
            default);
        _shipper = new Shipper(new ShipperOptions
        {
            Directory = _folder,
            Bucket = bucket,
            ExternalLabels = () => External,
            Origin = () => new BlockOrigin(name, "1", "c"),
            Time = time,
            Random = new Random(1),
            Metrics = new ShipperMetrics(Metrics.NewCustomRegistry()),
            Spread = TimeSpan.Zero,
            Retention = TimeSpan.FromMilliseconds(3 * Range),
            Grace = TimeSpan.FromMilliseconds(Range),
            Deleting = (path, _) =>
            {
                _blocks.Remove(path);
                return ValueTask.CompletedTask;
            },
        });
        (_started, _instance) = (time.GetUtcNow(), Guid.NewGuid().ToString("N"));
        _writer = new SliceWriter(new SliceWriterOptions
        {
            Bucket = bucket,
            Cluster = "c",
            Collector = name,
            ExternalLabels = () => IsRefused ? throw new IOException("refused") : External,
            Interval = TimeSpan.FromMilliseconds(Interval),
            BlockRangeMs = Range,
            Data = SliceWriter.DataOf(_folder),
            Run = ++_run,
            Head = _head,
            Local = new MergeQuerier([_head, _blocks]),
            Shipped = () => _shipper.Status.Shipped,
            DeleteDelay = TimeSpan.FromMilliseconds(Range / 2),
            Time = time,
            Metrics = new SliceWriterMetrics(Metrics.NewCustomRegistry()),
        });
    }

    /// <summary>A scrape: some series, now and then one less or one more.</summary>
    public void Scrape()
    {
        using var appender = _head.Appender();
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        for (var series = 0; series < 4; series++)
        {
            if (_random.Next(8) > 0)
            {
                var metric = string.Create(CultureInfo.InvariantCulture, $"m{series + (now / Range % 3)}");
                var value = _random.Next(3) == 0 ? _random.NextDouble() : _random.Next(100);
                if (appender.Append(appender.GetOrAdd(Labels.Of(("__name__", metric), ("n", name))), now, value) == Tsdb.Ingest.AppendResult.Appended)
                {
                    Ledger.TryAdd(($"{metric} of {name}", now), value);
                }
            }
        }

        appender.Commit();
    }

    /// <summary>Seals and sends, and writes the status; false when the bucket failed.</summary>
    public async Task<bool> SendAsync()
    {
        await _writer.SealAsync(default);
        return await TryAsync(() => _writer.SendAsync(default)) & await ReportAsync();
    }

    public async Task<bool> ShipAsync()
    {
        await _head.CutAsync(force: false, default);
        return await _shipper.SyncAsync(default) & await ReportAsync();
    }

    public Task<bool> ReportAsync() => TryAsync(async () =>
    {
        await _writer.PrepareAsync(default);
        var (head, shipped) = (_head.Range, _shipper.Status);
        var status = new CollectorStatus
        {
            Cluster = "c",
            Collector = name,
            Instance = _instance,
            Labels = External.ToDictionary(),
            ProgramVersion = "1",
            ConfigHash = "c",
            StartedAt = _started,
            WrittenAt = time.GetUtcNow(),
            IntervalMs = Interval,
            NewestSample = head.IsEmpty ? null : head.MaxTime,
            Shipped = shipped.Shipped,
            Unshipped = head.IsEmpty ? shipped.Unshipped : [.. shipped.Unshipped, head],
            Live = _writer.Status,
        };
        await new FleetMember(bucket, "c", name).WriteAsync(status, default);
    });

    /// <summary>As by kill -9: what is on the disk stays, and another run takes it up.</summary>
    public async Task KillAsync()
    {
        var copy = Checkout.NewFolder("live");
        foreach (var path in Directory.EnumerateFiles(_folder, "*", SearchOption.AllDirectories).Where(path => Path.GetFileName(path) != "lock"))
        {
            var to = Path.Combine(copy, Path.GetRelativePath(_folder, path));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            await using var read = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            await using var written = File.Create(to);
            await read.CopyToAsync(written);
        }

        _writer.Dispose();
        _left.Add(_head);
        _blocks.Dispose();
        _shipper.Dispose();
        _folder = copy;
        await OpenAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _writer.Dispose();
        _blocks.Dispose();
        _shipper.Dispose();
        await _head.DisposeAsync();
        foreach (var head in _left)
        {
            await head.DisposeAsync();
        }
    }

    static async Task<bool> TryAsync(Func<Task> act)
    {
        try
        {
            await act();
            return true;
        }
        catch (BucketException)
        {
            return false;
        }
    }
}

/// <summary>A reader with nothing but the bucket: blocks and live slices.</summary>
sealed class LiveReader(IBucket bucket, FakeTimeProvider time) : IAsyncDisposable
{
    readonly BucketStore _blocks = new(
        bucket, new BucketStoreOptions { Directory = Checkout.NewFolder("live"), Time = time },
        new BucketStoreMetrics(Metrics.NewCustomRegistry()), NullLogger.Instance);

    public LiveStore Live { get; } = new(new LiveStoreOptions
    {
        Bucket = bucket,
        Time = time,
        Metrics = new LiveStoreMetrics(Metrics.NewCustomRegistry()),
    });

    FleetStatus _fleet = new([], []);

    /// <summary>Looks into the bucket, as a store does every half minute.</summary>
    public async Task SyncAsync()
    {
        _fleet = await FleetStatus.ReadAsync(bucket, default);
        await _blocks.SyncAsync(default);
        await Live.UpdateAsync(_fleet, Metas(), default);
    }

    public IReadOnlyList<KnownCollector> Known() => _fleet.Known(Metas(), time.GetUtcNow(), Live.Covered);

    /// <summary>Polls until nothing is left to be read.</summary>
    public async Task PollAsync()
    {
        for (var i = 0; i < 200; i++)
        {
            await Live.PollAsync(default);
        }
    }

    /// <summary>All samples of a collector, by series and time; throws where one comes twice.</summary>
    public async Task<Dictionary<(string Series, long Time), double>> ReadAsync(Labels external)
    {
        var read = new Dictionary<(string, long), double>();
        var matchers = external.ToDictionary().Select(pair => new Matcher(Tsdb.Model.MatchType.Equal, pair.Key, pair.Value)).ToList();
        var selection = new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers);
        await using var all = new MergeQuerier([Live, _blocks]).SelectAsync(selection).GetAsyncEnumerator();
        while (await all.MoveNextAsync())
        {
            foreach (var (timestamp, value) in Samples.Floats(all.Current.Samples()))
            {
                read.Add(($"{all.Current.Labels.Get("__name__")} of {all.Current.Labels.Get("n")}", timestamp), value);
            }
        }

        return read;
    }

    public async ValueTask DisposeAsync()
    {
        Live.Dispose();
        await _blocks.DisposeAsync();
    }

    List<BlockMeta> Metas() =>
        [.. _blocks.Blocks().Where(block => block.Meta is not null && block.Excluded is null or "duplicate").Select(block => block.Meta!)];
}
