using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Querying;

public sealed class DedupIteratorTests
{
    // Times in seconds and values as time:value; s is a staleness marker.
    [Theory]
    // While a replica delivers, nothing is taken from the other; only the newest sample is.
    [InlineData("0:1 10:2 20:3 30:4", "4:1 14:2 24:3 34:4", "0:1 10:2 20:3 30:4 34:4")]
    [InlineData("0:1 10:2 20:3 30:4", "6:1 16:2 26:3 36:4", "0:1 10:2 20:3 30:4 36:4")]
    // A scrape that failed is no reason to leave when the other one failed too.
    [InlineData("0:1 10:2 20:3 40:5 50:6", "4:1 14:2 24:3 44:5 54:6", "0:1 10:2 20:3 40:5 50:6 54:6")]
    // A gap is filled, and after it the one that filled it stays; no two samples of one scrape stand side by side.
    [InlineData("0:1 10:2 20:3 60:7 70:8", "6:1 16:2 26:3 36:4 46:5 56:6 66:7", "0:1 10:2 20:3 26:3 36:4 46:5 56:6 66:7 70:8")]
    [InlineData("0:1 10:2 20:3 60:7 70:8", "2:1 12:2 22:3 32:4 42:5 52:6 62:7", "0:1 10:2 20:3 32:4 42:5 52:6 62:7 70:8")]
    // The end of one replica, and its staleness marker.
    [InlineData("0:1 10:2 20:3", "5:1 15:2 25:3 35:4", "0:1 10:2 20:3 25:3 35:4")]
    [InlineData("0:1 10:2 20:s", "5:1 15:2 25:3 35:4", "0:1 10:2 15:2 25:3 35:4")]
    [InlineData("0:1 10:2 20:s 50:5 60:6", "4:1 14:s 54:5 64:6", "0:1 10:2 20:s 50:5 60:6 64:6")]
    [InlineData("0:1 10:2 20:s", "5:1 15:2 25:s", "0:1 10:2 15:2 25:s")]
    // The one that begins earlier begins.
    [InlineData("100:1 110:2 120:3", "4:1 14:2 24:3 34:4", "4:1 14:2 24:3 34:4 100:1 110:2 120:3")]
    [InlineData("", "4:1 14:2", "4:1 14:2")]
    [InlineData("4:1", "7:2", "4:1 7:2")]
    // The newest sample is kept though it is near the last one.
    [InlineData("0:1 10:2 20:3", "1:1 11:2 21:9", "0:1 10:2 20:3 21:9")]
    public void A_replica_is_left_for_a_gap_only(string a, string b, string expected)
    {
        Assert.Equal(expected, Dedup(DedupKind.Gauge, a, b));
        if (!a.StartsWith(b.Split(':')[0] + ":", StringComparison.Ordinal))
        {
            Assert.Equal(expected, Dedup(DedupKind.Gauge, b, a));
        }
    }

    [Theory]
    // Replica b reads a little behind: its sample after the gap is skipped where it would look like a reset.
    [InlineData("0:100 10:110 20:120", "7:101 17:111 27:119 37:130", "0:100 10:110 20:120 37:130")]
    // A reset that the replica itself saw is one.
    [InlineData("0:100 10:110 20:120", "7:101 17:111 27:5 37:15", "0:100 10:110 20:120 27:5 37:15")]
    // A replica that counts something else is no longer held back after two intervals.
    [InlineData("0:100 10:110 20:120", "7:1 17:11 27:21 37:31 47:41", "0:100 10:110 20:120 47:41")]
    public void A_counter_does_not_fall_because_of_a_switch(string a, string b, string expected) =>
        Assert.Equal(expected, Dedup(DedupKind.Counter, a, b));

    [Fact]
    public void Counters_whose_resets_are_applied_go_on_with_what_the_other_replica_gained() =>
        Assert.Equal(
            "0:1000 10:1010 20:1020 27:1030 37:1040",
            Dedup(DedupKind.AdjustedCounter, "0:1000 10:1010 20:1020", "7:5 17:15 27:25 37:35"));

    [Fact]
    public void Histograms_stay_and_switch_alike_and_do_not_fall()
    {
        var read = Samples.All(new DedupIterator([Histograms("0:10 10:20 20:30"), Histograms("7:12 17:25 27:29 37:45 47:50")], DedupKind.Gauge));
        Assert.Equal([(0, 10.0), (10, 20), (20, 30), (37, 45), (47, 50)], read.Select(s => (s.Timestamp / 1000, s.Histogram!.Count)));
        Assert.Equal(CounterResetHint.Unknown, read[3].Histogram!.CounterResetHint);
        Assert.Equal(CounterResetHint.NotCounterReset, read[4].Histogram!.CounterResetHint);
    }

    [Fact]
    public void Of_one_counter_seen_by_replicas_with_gaps_nothing_falls_nothing_new_is_lost_and_gaps_are_filled() =>
        Gen.Select(Gen.Int[0, 9].Array[3, 120], Gen.Int[0, 9].Array[3, 120], Gen.Long[0, 14_999], Gen.Int[0, 400]).Sample((a, b, phase, jitter) =>
        {
            var samples = new[] { Scrapes(a, 0, 11), Scrapes(b, phase, 13) };
            var read = Samples.Floats(new DedupIterator([.. samples.Select(Iterator)], DedupKind.Counter), capacity: 19);
            Assert.Equal(read.Select(s => s.Timestamp).Distinct().Order(), read.Select(s => s.Timestamp));
            Assert.Equal(read.Select(s => s.Value).Order(), read.Select(s => s.Value));
            Assert.Subset(samples.SelectMany(s => s).ToHashSet(), read.Select(s => (s.Timestamp, s.Value)).ToHashSet());
            var newest = samples.SelectMany(s => s).Max(s => s.Timestamp);
            Assert.True(newest - read[^1].Timestamp <= 800, "the newest sample is lost");

            // No gap of the result is one that either replica could have filled with two samples.
            foreach (var (before, after) in read.Zip(read.Skip(1)))
            {
                Assert.All(samples, s => Assert.True(s.Count(p => p.Timestamp > before.Timestamp && p.Timestamp < after.Timestamp) < 3));
            }

            (long Timestamp, double Value)[] Scrapes(int[] rolls, long from, int seed)
            {
                var random = new Random(seed);
                return [.. rolls.Select((roll, i) => (roll, Time: from + (i * 15_000L) + random.Next(jitter)))
                    .Where((s, i) => s.roll > 2 || i < 2)
                    // A replica may get an answer that is a little older than the time it writes.
                    .Select(s => (s.Time, (double)(s.Time - random.Next(400))))];
            }
        });

    [Fact]
    public void Seek_skips_and_goes_on()
    {
        var dedup = new DedupIterator([Parse("0:1 10:2 20:3 60:7 70:8"), Parse("6:1 16:2 26:3 36:4 46:5 56:6 66:7")], DedupKind.Gauge);
        dedup.Seek(30_000);
        Assert.Equal("36:4 46:5 56:6 66:7 70:8", Text(dedup));
    }

    static string Dedup(DedupKind kind, params string[] replicas) => Text(new DedupIterator([.. replicas.Select(Parse)], kind));

    static string Text(ISampleIterator iterator) => string.Join(
        ' ', Samples.Floats(iterator).Select(s => $"{s.Timestamp / 1000}:{(StaleMarker.IsStale(s.Value) ? "s" : s.Value)}"));

    static ISampleIterator Parse(string text) => Iterator(
        [.. Pairs(text).Select(p => (p.Time * 1000, p.Value == "s" ? StaleMarker.Value : double.Parse(p.Value, System.Globalization.CultureInfo.InvariantCulture)))]);

    static ISampleIterator Histograms(string text)
    {
        var samples = Pairs(text).ToArray();
        var batch = new SampleBatch(samples.Length) { Kind = SampleKind.Histogram, Count = samples.Length };
        for (var i = 0; i < samples.Length; i++)
        {
            batch.Timestamps[i] = samples[i].Time * 1000;
            batch.Histograms[i] = new Histogram
            {
                Count = double.Parse(samples[i].Value, System.Globalization.CultureInfo.InvariantCulture),
                CounterResetHint = i == 0 ? CounterResetHint.Unknown : CounterResetHint.NotCounterReset,
            };
        }

        return new OneBatch(batch);
    }

    static ISampleIterator Iterator((long Timestamp, double Value)[] samples)
    {
        var batch = new SampleBatch(Math.Max(1, samples.Length)) { Count = samples.Length };
        for (var i = 0; i < samples.Length; i++)
        {
            (batch.Timestamps[i], batch.Values[i]) = samples[i];
        }

        return new OneBatch(batch);
    }

    static IEnumerable<(long Time, string Value)> Pairs(string text) =>
        text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(p => p.Split(':'))
            .Select(p => (long.Parse(p[0], System.Globalization.CultureInfo.InvariantCulture), p[1]));
}
