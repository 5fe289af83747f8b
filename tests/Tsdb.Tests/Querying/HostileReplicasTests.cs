using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Querying;

/// <summary>
/// Replicas as no scraper leaves them: each in pieces of any interval, with gaps, restarts, staleness markers, NaN, values that
/// rise and fall, floats and histograms in turn.
/// </summary>
public sealed class HostileReplicasTests
{
    static readonly long[] s_intervals = [1, 40, 1_000, 5_000, 15_000, 60_000, 600_000];

    /// <param name="Bits">Of the value: a staleness marker is another NaN.</param>
    readonly record struct Sample(long Time, long Bits, bool IsHistogram)
    {
        public double Value => BitConverter.Int64BitsToDouble(Bits);

        public bool IsStale => StaleMarker.IsStale(Value);
    }

    [Fact]
    public void What_is_given_is_some_replicas_in_order_of_time_and_the_same_in_whatever_pieces()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            Check([Replica(random), Replica(random)], DedupKind.Gauge);
            Check([Replica(random), Replica(random)], DedupKind.Counter);
        }
    }

    static void Check(Sample[][] replicas, DedupKind kind)
    {
        var read = Read(Join(replicas, kind), 256);
        Assert.All(read.Zip(read.Skip(1)), pair => Assert.True(pair.First.Time < pair.Second.Time));
        Assert.Subset(replicas.SelectMany(r => r).ToHashSet(), read.ToHashSet());
        Assert.Equal(read, Read(Join(replicas, kind), 3));

        // Of the first replica everything but its markers is given, and a series is ended once.
        Assert.Subset(read.ToHashSet(), replicas[0].Where(s => !s.IsStale).ToHashSet());
        Assert.DoesNotContain(read.Zip(read.Skip(1)), pair => pair.First.IsStale && pair.Second.IsStale);
    }

    static Sample[] Replica(Random random)
    {
        var (samples, time) = (new List<Sample>(), random.NextInt64(100_000));
        for (var piece = random.Next(6); piece > 0; piece--)
        {
            var (interval, isHistogram, count) = (s_intervals[random.Next(s_intervals.Length)], random.Next(4) == 0, random.Next(random.Next(2) == 0 ? 5 : 400));
            var (jitter, markers) = (random.Next(3) == 0 ? interval / 10 : 0, random.Next(3) == 0 ? 1.0 / random.Next(1, 5) : 0);
            for (var i = 0; i < count; i++)
            {
                var value = random.NextDouble() < markers ? StaleMarker.Value : random.Next(50) == 0 ? double.NaN : random.Next(3) * (double)i;
                samples.Add(new Sample(time, BitConverter.DoubleToInt64Bits(value), isHistogram));
                time += interval + random.NextInt64(jitter + 1);
            }

            time += random.NextInt64(1, 2 * s_intervals[random.Next(s_intervals.Length)]);
        }

        return [.. samples];
    }

    static ISampleIterator Join(Sample[][] replicas, DedupKind kind) => DedupIterator.Join([.. replicas.Select(r => new Iterator(r))], kind);

    static List<Sample> Read(ISampleIterator samples, int capacity)
    {
        var (read, batch) = (new List<Sample>(), new SampleBatch(capacity));
        using (samples)
        {
            while (samples.Read(batch))
            {
                Assert.InRange(batch.Count, 1, capacity);
                for (var i = 0; i < batch.Count; i++)
                {
                    var isHistogram = batch.Kind == SampleKind.Histogram;
                    var value = isHistogram ? batch.Histograms[i].Sum : batch.Values[i];
                    read.Add(new Sample(batch.Timestamps[i], BitConverter.DoubleToInt64Bits(value), isHistogram));
                }
            }
        }

        return read;
    }

    /// <summary>Runs of one kind each.</summary>
    sealed class Iterator(Sample[] samples) : ISampleIterator
    {
        int _at;

        public bool Read(SampleBatch batch)
        {
            batch.Clear();
            for (; _at < samples.Length && batch.Count < batch.Capacity && samples[_at].IsHistogram == samples[_at - batch.Count].IsHistogram; _at++)
            {
                var sample = samples[_at];
                batch.Kind = sample.IsHistogram ? SampleKind.Histogram : SampleKind.Float;
                batch.Timestamps[batch.Count] = sample.Time;
                if (sample.IsHistogram)
                {
                    batch.Histograms[batch.Count++] = new Histogram
                    {
                        Sum = sample.Value, Count = double.IsNaN(sample.Value) ? 0 : sample.Value, Schema = (int)(sample.Time % 4),
                    };
                }
                else
                {
                    batch.Values[batch.Count++] = sample.Value;
                }
            }

            return batch.Count > 0;
        }

        public void Seek(long timestamp)
        {
            while (_at < samples.Length && samples[_at].Time < timestamp)
            {
                _at++;
            }
        }

        public void Dispose()
        {
        }
    }
}
