using System.Globalization;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

/// <summary>Prometheus's own tool reads histograms as they were written.</summary>
public sealed class PromtoolTests
{
    [Fact]
    public async Task Native_histograms_are_dumped_as_we_print_them()
    {
        var promtool = Required.Peer("promtool");
        var folder = Checkout.NewFolder("promtool");
        var expected = new SortedSet<string>(StringComparer.Ordinal);
        var random = new Random(11);
        try
        {
            using (var writer = BlockWriter.Create(folder, BlockId.New(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000), random)))
            {
                foreach (var kind in new[] { "custom", "float", "gauge", "integer" })
                {
                    var labels = Labels.Of(("__name__", "h"), ("kind", kind));
                    var batch = new SampleBatch(300) { Kind = SampleKind.Histogram, Count = 300 };
                    var histogram = Next(null, kind, random);
                    for (var i = 0; i < batch.Count; i++)
                    {
                        batch.Timestamps[i] = 1_700_000_000_000 + (i * 15_000L) + random.Next(3);
                        batch.Histograms[i] = histogram;
                        // promtool looks for floats, then for float histograms, and drops the sample that tells it that there are none.
                        if (i > (histogram.IsInteger ? 1 : 0))
                        {
                            expected.Add($"{labels} {histogram} {batch.Timestamps[i].ToString(CultureInfo.InvariantCulture)}");
                        }

                        histogram = Next(histogram, kind, random);
                    }

                    writer.Add(labels, ChunkEncoder.Encode(new OneBatch(batch)));
                }

                writer.Finish(new BlockMeta { Id = default, MinTime = 1_700_000_000_000, MaxTime = 1_700_007_200_000 });
            }

            // It opens a data folder, which has a log.
            Directory.CreateDirectory(Path.Combine(folder, "wal"));
            var (exit, output) = await ChildProcess.RunAsync(promtool, ["tsdb", "dump", folder]);
            Assert.True(exit == 0, output[..Math.Min(output.Length, 2000)]);
            var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal([], expected.Except(lines));
            Assert.Equal(expected.Count, lines.Length);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The next of a run that grows, gets new buckets, and now and then is reset.</summary>
    static Histogram Next(Histogram? last, string kind, Random random)
    {
        if (last is null || random.Next(60) == 0)
        {
            return new Histogram
            {
                IsInteger = kind is "integer" or "custom",
                CounterResetHint = kind == "gauge" ? CounterResetHint.Gauge : CounterResetHint.Unknown,
                Schema = kind == "custom" ? Histogram.CustomBucketsSchema : 3,
                CustomValues = kind == "custom" ? [0.005, 0.25, 1, 7.7777, 40_000] : null,
                ZeroThreshold = kind == "custom" ? 0 : kind == "float" ? 0.001 : Math.ScaleB(1, -128),
                ZeroCount = kind == "custom" ? 0 : 2,
                Count = kind == "custom" ? 3 : 9,
                Sum = 1.5,
                PositiveSpans = [new(1, 2)],
                PositiveBuckets = [1, 2],
                NegativeSpans = kind == "custom" ? [] : [new(-2, 1)],
                NegativeBuckets = kind == "custom" ? [] : [4],
            };
        }

        var step = kind == "float" ? 0.1 + random.Next(3) : random.Next(kind == "gauge" ? -1 : 0, 3);
        var next = last.Copy();
        var extra = new Histogram
        {
            Schema = last.Schema,
            CustomValues = last.CustomValues,
            ZeroThreshold = last.ZeroThreshold,
            CounterResetHint = last.CounterResetHint,
            Count = step,
            Sum = step * 1.1,
            PositiveSpans = [new(random.Next(kind == "custom" ? 5 : 12), 1)],
            PositiveBuckets = [step],
        };
        next.Add(extra);
        next.IsInteger = last.IsInteger;
        return next;
    }
}
