using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Compact;

/// <summary>
/// What counters gained between the ends of windows is what their raw samples say, wherever they were reset, cut into chunks and blocks and
/// made coarser: counters of floats, and native histograms with exponential and custom buckets.
/// </summary>
public sealed class DownsampledCounterTests
{
    const long Minute = 60_000;
    const long Hour = 60 * Minute;
    const int Buckets = 4;

    enum Kind
    {
        Float,
        Exponential,
        Custom,
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void What_a_counter_gained_is_what_its_raw_samples_say(int kind)
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            var samples = Samples(random);
            var chunks = Chunks(random, samples, (Kind)kind);
            var windows = chunks.FindLast(c => c.Encoding == ChunkEncoding.Aggregates).MaxTime;
            var read = Testkit.Samples.All(
                new ChunkSeriesIterator(chunks, Aggregate.Counter, new TimeRange(long.MinValue, windows), "test"));
            Assert.True(read.Count > 1, $"seed {seed}");
            var at = 0;
            var gained = Gained(samples, (Kind)kind);
            double[]? first = null, firstGained = null;
            foreach (var (time, _, value, histogram) in read)
            {
                while (at + 1 < samples.Count && samples[at + 1].Time <= time)
                {
                    at++;
                }

                double[] counts = histogram is null ? [value] : Counts(histogram);
                double[] expected = histogram is null ? [gained[at].Sum()] : gained[at];
                (first, firstGained) = (first ?? counts, firstGained ?? expected);
                for (var bucket = 0; bucket < expected.Length; bucket++)
                {
                    Assert.True(
                        Math.Abs(counts[bucket] - first[bucket] - (expected[bucket] - firstGained[bucket])) < 1e-6,
                        $"seed {seed}: {counts[bucket] - first[bucket]} instead of {expected[bucket] - firstGained[bucket]} gained in bucket {bucket} until {time}");
                }
            }

            // Raw samples may follow: the last value is the one that the series had.
            Assert.Equal(samples[at].Counts.Sum(), read[^1].Histogram?.Count ?? read[^1].Value, 6);
        }
    }

    /// <summary>Counts that are reset anywhere, at the edges of windows more often, and twice in a row.</summary>
    static List<(long Time, double[] Counts)> Samples(Random random)
    {
        var samples = new List<(long, double[])>();
        var counts = new double[Buckets];
        var interval = random.Next(1, 5) * 15_000;
        var end = random.Next(4, 40) * (int)Hour;
        var isAway = false;
        var likelihood = random.Next(20, 400);
        for (var time = random.Next(3_600_000); time < end; time += interval)
        {
            var isAtEdge = time % (5 * Minute) < interval || time % (5 * Minute) >= 5 * Minute - interval;
            counts = random.Next(isAtEdge ? likelihood / 10 : likelihood) == 0 ? new double[Buckets] : [.. counts];
            for (var i = 0; i < Buckets; i++)
            {
                counts[i] += random.Next(5);
            }

            isAway = isAway ? random.Next(200) > 0 : random.Next(500) == 0;
            if (!isAway)
            {
                samples.Add((time, counts));
            }
        }

        return samples;
    }

    static List<double[]> Gained(List<(long Time, double[] Counts)> samples, Kind kind)
    {
        List<double[]> gained = [samples[0].Counts];
        foreach (var (before, after) in samples.Zip(samples.Skip(1)))
        {
            var isReset = kind == Kind.Float
                ? after.Counts.Sum() < before.Counts.Sum() : after.Counts.Zip(before.Counts).Any(c => c.First < c.Second);
            gained.Add([.. gained[^1].Select((total, i) => total + after.Counts[i] - (isReset ? 0 : before.Counts[i]))]);
        }

        return gained;
    }

    /// <summary>Blocks of a series, older ones coarser, those of an hour made of one block or of several.</summary>
    static List<Chunk> Chunks(Random random, List<(long Time, double[] Counts)> samples, Kind kind)
    {
        var chunks = new List<Chunk>();
        var hour = samples[^1].Time / Hour;
        var blocks = Enumerable.Range(0, 4).Select(_ => random.NextInt64(hour + 1) * Hour).Select(edge => samples.FindIndex(s => s.Time >= edge))
            .Where(at => at > 0).Append(0).Append(samples.Count).Distinct().Order().ToList();
        long[] resolutions = [.. Enumerable.Range(0, blocks.Count - 1).Select(_ => new long[] { 0, 5 * Minute, Hour }[random.Next(3)]).OrderDescending()];
        resolutions[0] = Math.Max(resolutions[0], 5 * Minute);
        var hours = new List<Chunk>();
        for (var block = 0; block + 1 < blocks.Count; block++)
        {
            var raw = ChunkEncoder.Encode(new OneBatch(Batch(samples[blocks[block]..blocks[block + 1]], kind))).ToList();
            if (resolutions[block] > 0)
            {
                raw = [.. Downsampler.OfRaw(raw, Downsampler.FiveMinutes, "test")];
            }

            if (resolutions[block] == Hour)
            {
                hours.AddRange(raw);
                if (block + 1 < resolutions.Length && resolutions[block + 1] == Hour && random.Next(2) == 0)
                {
                    continue;
                }

                raw = [.. Downsampler.OfAggregates(hours, Downsampler.FiveMinutes, Downsampler.OneHour, "test")];
                hours.Clear();
            }

            chunks.AddRange(raw);
        }

        return chunks;
    }

    static SampleBatch Batch(List<(long Time, double[] Counts)> samples, Kind kind)
    {
        var batch = new SampleBatch(samples.Count) { Kind = kind == Kind.Float ? SampleKind.Float : SampleKind.Histogram };
        foreach (var (time, counts) in samples)
        {
            batch.Timestamps[batch.Count] = time;
            if (kind == Kind.Float)
            {
                batch.Values[batch.Count++] = counts.Sum();
                continue;
            }

            batch.Histograms[batch.Count++] = new Histogram
            {
                IsInteger = true,
                Schema = kind == Kind.Custom ? Histogram.CustomBucketsSchema : 2,
                CustomValues = kind == Kind.Custom ? [1, 2, 3] : null,
                Count = counts.Sum(),
                Sum = counts.Sum() * 2,
                PositiveSpans = [new BucketSpan(0, Buckets)],
                PositiveBuckets = [.. counts],
            };
        }

        return batch;
    }

    static double[] Counts(Histogram histogram)
    {
        var counts = new double[Buckets];
        var (index, at) = (0, 0);
        foreach (var span in histogram.PositiveSpans)
        {
            index += span.Offset;
            for (var i = 0; i < span.Length; i++)
            {
                counts[index++] = histogram.PositiveBuckets[at++];
            }
        }

        return counts;
    }
}
