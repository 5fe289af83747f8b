using System.Globalization;
using Observe.Store.Blocks;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.EndToEnd.Tests.Ui;

/// <summary>Buckets of real blocks for the page to show.</summary>
static class PageBuckets
{
    const long Minute = 60_000;
    const long Hour = 60 * Minute;

    /// <summary>
    /// The last hour of <c>latency_seconds</c>, a native histogram of two pods with buckets on both sides of zero, and of the float
    /// <c>requests</c>; and behind it the past of the stream: overlapping blocks, a hole, a block that is marked for deletion.
    /// </summary>
    public static async Task WriteHistogramsAsync(string folder, DateTimeOffset now)
    {
        var end = now.ToUnixTimeMilliseconds() / Minute * Minute;
        var times = Enumerable.Range(0, 60).Select(i => end - ((59 - i) * Minute)).ToArray();
        var random = new Random(4);
        var series = new List<TestSeries>();
        foreach (var pod in new[] { "a", "b" })
        {
            series.Add(new TestSeries(Labels.Of(("__name__", "latency_seconds"), ("pod", pod))) { Histograms = [.. times.Select((time, i) => (time, Latency(i)))] });
            series.Add(new TestSeries(Labels.Of(("__name__", "requests"), ("pod", pod)), [.. times.Select((time, i) => (time, i * 10.0))]));
        }

        await WriteAsync(folder, "dev", times[0], end + 1, 1, random, series);
        var before = times[0] - (8 * Hour);
        var marked = await WriteAsync(folder, "dev", before, before + (2 * Hour), 1, random, [Constant(before)]);
        await WriteAsync(folder, "dev", before + Hour, before + (3 * Hour), 2, random, [Constant(before + Hour)]);
        await WriteAsync(folder, "dev", before + (6 * Hour), before + (7 * Hour), 3, random, [Constant(before + (6 * Hour))]);
        await File.WriteAllTextAsync(
            Path.Combine(folder, marked.ToString(), DeletionMark.FileName),
            $$"""{"id":"{{marked}}","deletion_time":{{now.ToUnixTimeSeconds()}},"details":"","version":1}""");
    }

    /// <summary>A thousand blocks of ten clusters, two hours each; the newest of one has <c>wide</c>, ten thousand series of an hour.</summary>
    public static async Task WriteManyAsync(string folder, DateTimeOffset now)
    {
        var end = now.ToUnixTimeMilliseconds() / Minute * Minute;
        var random = new Random(4);
        for (var cluster = 0; cluster < 10; cluster++)
        {
            for (var i = 0; i < 100; i++)
            {
                var (from, to) = (end - ((i + 1) * 2 * Hour) + 1, end - (i * 2 * Hour) + 1);
                var series = cluster == 0 && i == 0
                    ? Enumerable.Range(0, 10_000).Select(n => new TestSeries(
                        Labels.Of(("__name__", "wide"), ("instance", Text($"node-{n % 250}:9100")), ("job", "node"), ("series", Text($"{n}"))),
                        [.. Enumerable.Range(0, 61).Select(minute => (end - (minute * Minute), 1.0 + (n * Math.Sin(minute + n)))).Reverse()]))
                    : [Constant(from)];
                await WriteAsync(folder, Text($"cluster-{cluster}"), from, to, 1 + (i % 4), random, [.. series]);
            }
        }
    }

    static Histogram Latency(int minute)
    {
        double[] counts = [.. Enumerable.Range(0, 12).Select(bucket => Math.Round(minute * (1 + (20 * Math.Exp(-Math.Pow(bucket - 6 - (3 * Math.Sin(minute / 8.0)), 2) / 4)))))];
        return new Histogram
        {
            IsInteger = true,
            Schema = 1,
            ZeroThreshold = 0.001,
            ZeroCount = minute,
            Count = minute + minute + counts.Sum(),
            Sum = 0.3 * counts.Sum(),
            PositiveSpans = [new BucketSpan(-8, 12)],
            PositiveBuckets = counts,
            NegativeSpans = [new BucketSpan(-8, 1)],
            NegativeBuckets = [minute],
        };
    }

    static TestSeries Constant(long time) => new(Labels.Of(("__name__", "constant")), (time, 1));

    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    static async Task<BlockId> WriteAsync(string folder, string cluster, long from, long to, int level, Random random, IReadOnlyList<TestSeries> series)
    {
        var id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(to), random);
        await WrittenBlock.WriteAsync(folder, new BlockMeta
        {
            Id = id,
            MinTime = from,
            MaxTime = to,
            Compaction = new BlockCompaction { Level = level },
            Thanos = new ThanosSection { Labels = new Dictionary<string, string> { ["cluster"] = cluster }, Source = "sidecar" },
        }, series);
        return id;
    }
}
