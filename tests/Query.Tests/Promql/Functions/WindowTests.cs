using CsCheck;
using Observe.Query.Promql.Functions;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Query.Tests.Promql.Functions;

public class WindowTests
{
    /// <summary>Whatever is loaded when, the window holds what plain filtering of all samples gives.</summary>
    [Fact]
    public void A_sliding_window_holds_the_samples_of_its_range() => Gen.Select(
            Gen.Int[1, 30].Array[1, 400],
            Gen.Double[-5, 5].Array[400],
            Gen.Int[1, 200],
            Gen.Int[1, 120],
            Gen.Int[1, 64])
        .Sample((gaps, values, range, step, batchSize) =>
        {
            var samples = new List<(long Time, double Value)>();
            var time = 0L;
            for (var i = 0; i < gaps.Length; i++)
            {
                time += gaps[i];
                samples.Add((time, i % 17 == 3 ? StaleMarker.Value : Math.Round(values[i])));
            }

            var window = new Window { TracksDrops = true };
            window.Clear();
            var batch = new SampleBatch(batchSize);
            var loaded = 0;
            var shown = new HashSet<long>();
            for (var end = 1L; end < time + range; end += step)
            {
                while (loaded < samples.Count && window.LoadedTo <= end)
                {
                    window.RemoveThrough(end - range);
                    loaded += Fill(batch, samples, loaded);
                    window.Load(batch);
                }

                window.Slide(end - range, end);
                var expected = samples.Where(s => s.Time > end - range && s.Time <= end && !StaleMarker.IsStale(s.Value)).ToArray();
                Assert.Equal(expected.Select(s => s.Time), window.Times.ToArray());
                Assert.Equal(expected.Select(s => s.Value), window.Values.ToArray());
                Assert.Equal(Enumerable.Range(1, Math.Max(0, expected.Length - 1)).Where(i => expected[i].Value < expected[i - 1].Value), Drops(window));
                Assert.Equal(expected.Count(s => shown.Add(s.Time)), window.Entered);
            }
        });

    [Fact]
    public void Start_timestamps_stay_with_their_samples()
    {
        var window = new Window { TracksStarts = true };
        window.Clear();
        var batch = new SampleBatch(3) { HasStartTimestamps = true, Count = 3 };
        for (var i = 0; i < 3; i++)
        {
            (batch.Timestamps[i], batch.Values[i], batch.StartTimestamps[i]) = (i + 10, i == 1 ? StaleMarker.Value : i, i + 1);
        }

        window.Load(batch);
        window.Slide(9, 12);
        Assert.Equal([10L, 12L], window.Times.ToArray());
        Assert.Equal([1L, 3L], window.Starts.ToArray());
    }

    static int Fill(SampleBatch batch, List<(long Time, double Value)> samples, int from)
    {
        batch.Count = Math.Min(batch.Capacity, samples.Count - from);
        for (var i = 0; i < batch.Count; i++)
        {
            (batch.Timestamps[i], batch.Values[i]) = samples[from + i];
        }

        return batch.Count;
    }

    static List<int> Drops(Window window)
    {
        var drops = new List<int>();
        while (true)
        {
            var drop = window.Drop(drops.Count, out var exists);
            if (!exists)
            {
                return drops;
            }

            drops.Add(drop);
        }
    }
}
