using System.Globalization;
using Microsoft.Extensions.Time.Testing;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Live;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;

namespace Observe.Store.Tests.Live;

/// <summary>The slices of one collector, written one by one: the n-th has a sample n of each series at its own time.</summary>
sealed class WrittenSlices(IBucket bucket, TimeProvider time, string collector)
{
    public const long IntervalMs = 15_000;

    ReadOnlyMemory<byte> _hash = new byte[SliceHeader.HashSize];

    public string Window { get; init; } = SliceKey.Window(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_400_000), 1);

    public int Series { get; init; } = 1;

    /// <summary>How many were written.</summary>
    public int Count { get; private set; }

    /// <summary>Changes what a slice says before it is sealed.</summary>
    public Func<SliceHeader, SliceHeader> Header { get; init; } = header => header;

    /// <summary>What was measured, Unix milliseconds.</summary>
    public List<long> Times { get; } = [];

    public string Key(int number) => SliceKey.Of("c", collector, Window, number);

    public async Task WriteAsync()
    {
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        using var builder = new SliceBuilder();
        for (var series = 0; series < Series; series++)
        {
            var batch = new SampleBatch { Count = 1 };
            (batch.Timestamps[0], batch.Values[0]) = (now - 1, Count + 1);
            builder.Add(Labels.Of(("__name__", "m"), ("n", series.ToString(CultureInfo.InvariantCulture))), new OneBatch(batch));
        }

        var samples = builder.Pack();
        var header = Header(new SliceHeader
        {
            Cluster = "c",
            Collector = collector,
            Window = Window,
            Sequence = ++Count,
            Data = "d",
            Labels = Labels.Of(("cluster", "c"), ("collector", collector)),
            From = now - IntervalMs,
            To = now,
            IntervalMs = IntervalMs,
            Previous = _hash,
            Series = samples.Series,
            Samples = samples.Samples,
            Range = samples.Range,
        });
        var bytes = Slice.Seal(header, samples);
        _hash = bytes.AsMemory(bytes.Length - SliceHeader.HashSize);
        Times.Add(now - 1);
        await bucket.PutBytesAsync(header.Key, bytes, PutCondition.None, default);
    }

    /// <param name="more">Windows before this one.</param>
    public CollectorStatus Status(params LiveWindow[] more) => new()
    {
        Cluster = "c",
        Collector = collector,
        Instance = "i",
        Labels = new Dictionary<string, string> { ["cluster"] = "c", ["collector"] = collector },
        ProgramVersion = "1",
        ConfigHash = "c",
        StartedAt = time.GetUtcNow(),
        WrittenAt = time.GetUtcNow(),
        IntervalMs = IntervalMs,
        Live = new LiveStatus
        {
            IntervalMs = IntervalMs,
            Data = "d",
            Windows = [.. more, new LiveWindow(Window, Count, time.GetUtcNow().ToUnixTimeMilliseconds(), Times[0], Times[^1], "d")],
        },
    };

    /// <summary>The values that a reader has of the first series of the collector.</summary>
    public async Task<List<double>> ReadAsync(LiveStore live)
    {
        var values = new List<double>();
        Matcher[] matchers =
        [
            new(Tsdb.Model.MatchType.Equal, "collector", collector), new(Tsdb.Model.MatchType.Equal, "n", "0"),
        ];
        await foreach (var series in live.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers)))
        {
            values.AddRange(Samples.Floats(series.Samples()).Select(sample => sample.Value));
        }

        return values;
    }
}

/// <summary>A reader of live slices, its metrics, and the requests that it makes for slices.</summary>
sealed class WatchedReader : IDisposable
{
    readonly FakeTimeProvider _time;
    readonly CollectorRegistry _metrics = Metrics.NewCustomRegistry();

    /// <param name="clock">Where the reader's clock is another one than <paramref name="time"/>.</param>
    public WatchedReader(MemoryBucket bucket, FakeTimeProvider time, long memory = 1 << 30, TimeProvider? clock = null)
    {
        _time = time;
        Live = new LiveStore(new LiveStoreOptions
        {
            Bucket = bucket,
            Time = clock ?? time,
            MemoryLimit = memory,
            Metrics = new LiveStoreMetrics(_metrics),
        });
    }

    public LiveStore Live { get; }

    public Task LookAsync(params CollectorStatus[] collectors) =>
        Live.UpdateAsync(new FleetStatus([new ClusterStatus("c", collectors)], []), [], default);

    /// <summary>Polls for a while, as often as a store does.</summary>
    public async Task PollAsync(TimeSpan span)
    {
        for (var left = span; left > TimeSpan.Zero; left -= TimeSpan.FromMilliseconds(250))
        {
            await Live.PollAsync(default);
            _time.Advance(TimeSpan.FromMilliseconds(250));
        }
    }

    public async Task<double> MetricAsync(string name)
    {
        using var text = new MemoryStream();
        await _metrics.CollectAndExportAsTextAsync(text, default);
        var line = System.Text.Encoding.UTF8.GetString(text.ToArray()).Split('\n').First(one => one.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture);
    }

    public void Dispose() => Live.Dispose();
}
