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
    // Times in seconds and values as time:value; s is a staleness marker. The interval is ten seconds.
    [Theory]
    // While the first replica delivers, nothing is taken from the other, whatever its phase is.
    [InlineData("0:1 10:2 20:3 30:4", "4:1 14:2 24:3 34:4", "0:1 10:2 20:3 30:4")]
    [InlineData("0:1 10:2 20:3 30:4", "6:1 16:2 26:3 36:4", "0:1 10:2 20:3 30:4")]
    [InlineData("4:1 14:2 24:3 34:4", "0:1 10:2 20:3 30:4 40:5", "4:1 14:2 24:3 34:4")]
    // A scrape that failed is no reason to leave when the other one failed too.
    [InlineData("0:1 10:2 20:3 40:5 50:6", "4:1 14:2 24:3 44:5 54:6", "0:1 10:2 20:3 40:5 50:6")]
    // A gap is filled, half an interval from the samples around it: as many samples as there are scrapes missing.
    [InlineData("0:1 10:2 20:3 60:7 70:8", "6:1 16:2 26:3 36:4 46:5 56:6 66:7", "0:1 10:2 20:3 26:3 36:4 46:5 60:7 70:8")]
    [InlineData("0:1 10:2 20:3 60:7 70:8", "2:1 12:2 22:3 32:4 42:5 52:6 62:7", "0:1 10:2 20:3 32:4 42:5 52:6 60:7 70:8")]
    [InlineData("0:1 10:2 20:3 40:5 50:6", "8:1 18:2 28:3 38:4 48:5", "0:1 10:2 20:3 28:3 40:5 50:6")]
    // A replica that misses most scrapes does not hide them behind its own interval.
    [InlineData("0:1 30:4 80:8 90:9", "4:1 14:2 24:3 34:4 44:5 54:6 64:7 74:8 84:9", "0:1 14:2 24:3 30:4 44:5 54:6 64:7 74:8 80:8 90:9")]
    // One that keeps a longer interval is the answer all the same, but what the other has in its gaps stands in them.
    [InlineData("0:1 30:4 60:7 90:9", "4:1 14:2 24:3 34:4 44:5 54:6 64:7 74:8 84:9", "0:1 30:4 60:7 90:9")]
    [InlineData(
        "0:1 30:4 60:7 90:9 260:26 290:29 320:32 350:35", "205:20 245:24 255:25 265:26 275:27",
        "0:1 30:4 60:7 90:9 205:20 245:24 260:26 290:29 320:32 350:35")]
    // A restart shortens a distance, which is not the interval for that.
    [InlineData("0:1 10:2 20:3 28:4 38:5 58:7 68:8", "2:1 12:2 22:3 32:4 42:5 52:6 62:7 72:8", "0:1 10:2 20:3 28:4 38:5 52:6 58:7 68:8")]
    // Of one distance nobody knows whether it is the interval.
    [InlineData("0:1 30:4 60:7", "4:1 14:2 24:3 34:4 44:5 54:6 64:7", "0:1 14:2 24:3 30:4 44:5 54:6 60:7")]
    // Nothing near tells the interval, what is farther away does.
    [InlineData("0:1 600:2 1200:3 1800:4", "200:1 800:2 1400:3 2000:4", "0:1 600:2 1200:3 1800:4")]
    [InlineData("0:1 600:2 1800:4 2400:5", "200:1 800:2 1400:3 2000:4", "0:1 600:2 1400:3 1800:4 2400:5")]
    // The end of the first replica, once the other one has gone on for longer than a gap takes.
    [InlineData("0:1 10:2 20:3", "5:1 15:2 25:3", "0:1 10:2 20:3")]
    [InlineData("0:1 10:2 20:3", "5:1 15:2 25:3 35:4", "0:1 10:2 20:3")]
    [InlineData("0:1 10:2 20:3", "6:1 16:2 26:3 36:4", "0:1 10:2 20:3 26:3 36:4")]
    [InlineData("0:1 10:2 20:3", "3:1 13:2 23:3 33:4", "0:1 10:2 20:3")]
    [InlineData("0:1 10:2 20:3", "3:1 13:2 23:3 33:4 43:5", "0:1 10:2 20:3 33:4 43:5")]
    // Its beginning, likewise.
    [InlineData("20:3 30:4 40:5", "5:1 15:2 25:3 35:4", "20:3 30:4 40:5")]
    [InlineData("20:3 30:4 40:5", "4:1 14:2 24:3 34:4", "4:1 14:2 20:3 30:4 40:5")]
    [InlineData("100:1 110:2 120:3", "4:1 14:2 24:3 34:4", "4:1 14:2 24:3 34:4 100:1 110:2 120:3")]
    // Staleness markers: of a replica alone they end nothing; those of both end the series once.
    [InlineData("0:1 10:2 20:s", "5:1 15:2 25:3 35:4", "0:1 10:2 15:2 25:3 35:4")]
    [InlineData("0:1 10:2 20:s 30:4 40:5", "4:1 14:2 24:3 34:4", "0:1 10:2 24:3 30:4 40:5")]
    [InlineData("0:1 10:2 20:3 30:4", "4:1 14:s 24:3 34:4", "0:1 10:2 20:3 30:4")]
    [InlineData("0:1 10:2 20:s 50:5 60:6", "4:1 14:s 54:5 64:6", "0:1 10:2 20:s 50:5 60:6")]
    [InlineData("0:1 10:2 20:s", "5:1 15:2 25:s", "0:1 10:2 15:2 25:s")]
    [InlineData("0:1 10:2 20:s", "2:1 12:2 22:s", "0:1 10:2 22:s")]
    [InlineData("0:1 10:2 20:s", "9:1 10:s", "0:1 10:2 20:s")]
    [InlineData("0:1 10:2", "2:1 12:2 22:s", "0:1 10:2 22:s")]
    [InlineData("0:1 10:2", "2:1 12:2 15:s", "0:1 10:2")]
    [InlineData("0:s", "", "0:s")]
    // No interval is known.
    [InlineData("", "4:1 14:2", "4:1 14:2")]
    [InlineData("4:1 14:2", "", "4:1 14:2")]
    [InlineData("4:1", "7:2", "4:1")]
    [InlineData("4:1", "400:2", "4:1 400:2")]
    [InlineData("400:1", "4:2", "4:2 400:1")]
    public void The_gaps_of_the_first_replica_are_filled(string a, string b, string expected)
    {
        Assert.Equal(expected, Dedup(DedupKind.Gauge, a, b));
        Assert.Equal(expected, Dedup(DedupKind.Gauge, a, b, ""));
        Assert.Equal(expected, Dedup(DedupKind.Gauge, "", a, b, a));
    }

    [Fact]
    public void A_third_replica_fills_what_the_others_leave() => Assert.Equal(
        "0:1 10:2 20:3 34:14 44:15 57:26 67:27 80:9 90:10",
        Dedup(DedupKind.Gauge, "0:1 10:2 20:3 80:9 90:10", "4:11 14:12 24:13 34:14 44:15", "7:21 17:22 27:23 37:24 47:25 57:26 67:27 77:28"));

    [Theory]
    // The second replica reads a little behind: its sample after the gap is skipped where it would look like a reset.
    [InlineData("0:100 10:110 20:120", "7:101 17:111 27:119 37:130 47:131", "0:100 10:110 20:120 37:130 47:131")]
    // So is one that would make the first one's next sample look like a reset.
    [InlineData("0:100 10:110 20:120 50:150", "4:101 14:111 24:125 34:135 44:151 54:156", "0:100 10:110 20:120 34:135 50:150")]
    // A reset that the replica itself saw is one.
    [InlineData("0:100 10:110 20:120", "7:101 17:111 27:5 37:15", "0:100 10:110 20:120 27:5 37:15")]
    [InlineData("0:100 10:110 20:120 50:7", "7:101 17:111 27:121 37:1", "0:100 10:110 20:120 27:121 37:1 50:7")]
    // A replica that counts something else is held back for two intervals.
    [InlineData("0:100 10:110 20:120", "7:1 17:11 27:21 37:31 47:41", "0:100 10:110 20:120 47:41")]
    public void A_counter_does_not_fall_because_of_a_switch(string a, string b, string expected) =>
        Assert.Equal(expected, Dedup(DedupKind.Counter, a, b));

    [Theory]
    [InlineData("0:1000 10:1010 20:1020", "7:5 17:15 27:25 37:35", "0:1000 10:1010 20:1020 27:1027 37:1037")]
    // What is gained after the first one returns is counted once, in the share that lies after the last sample.
    [InlineData("0:1000 10:1010 20:1020 60:1060", "7:5 17:15 27:25 37:35 47:45", "0:1000 10:1010 20:1020 27:1027 37:1037 47:1047 60:1060")]
    // Each is there while the other is away.
    [InlineData("0:100 10:110 60:160 70:170", "30:130 40:140 90:190 100:200", "0:100 10:110 30:130 40:140 60:160 70:170 90:190 100:200")]
    [InlineData("0:100 10:110 60:160 70:170", "30:5 40:15 90:65 100:75", "0:100 10:110 30:110 40:120 60:140 70:150 90:170 100:180")]
    public void Counters_whose_resets_are_applied_go_on_with_what_the_other_replica_gained(string a, string b, string expected) =>
        Assert.Equal(expected, Dedup(DedupKind.AdjustedCounter, a, b));

    /// <summary>A window ends with its time; what it stands for is not given a second time, whichever replica has it.</summary>
    [Theory]
    // Replicas that were there every other hour: an hour is the interval, however rarely each has one.
    [InlineData("3600:1 10800:3 18000:5", 3600, "7200:2 14400:4", 3600, "3600:1 7200:2 10800:3 14400:4 18000:5")]
    // The second one has raw samples, which stand in the first one's gap alone.
    [InlineData("300:1 600:2 900:3", 300, "100:0 200:0 300:1 400:1 500:1 600:2 700:2 800:2 900:3", 0, "300:1 600:2 900:3")]
    [InlineData("300:1 1200:4", 300, "100:0 200:0 300:1 400:1 500:1 600:2 700:2 800:2 900:3 1000:3 1100:3", 0, "300:1 400:1 500:1 600:2 700:2 800:2 900:3 1200:4")]
    // The first one has raw samples, and in its gap those of the second one's windows that lie within.
    [InlineData("0:0 60:0 120:0 180:0 300:1 360:1", 0, "300:1 600:2", 300, "0:0 60:0 120:0 180:0 300:1 360:1")]
    [InlineData("0:0 60:0 120:0 180:0 1080:4 1140:4", 0, "300:1 600:2 900:3 1200:4", 300, "0:0 60:0 120:0 180:0 600:2 900:3 1080:4 1140:4")]
    [InlineData("300:1 600:2 7800:26", 300, "3600:12 7200:24", 3600, "300:1 600:2 7200:24 7800:26")]
    public void A_window_stands_for_its_time_once(string a, long resolutionA, string b, long resolutionB, string expected) =>
        Assert.Equal(expected, Text(DedupIterator.Join([Windows(a, resolutionA), Windows(b, resolutionB)], DedupKind.Gauge)));

    [Fact]
    public void A_counter_whose_resets_are_applied_goes_on_where_raw_samples_show_a_reset() => Assert.Equal(
        "300:1000 600:1005 660:1006 720:1007 780:1010",
        Text(DedupIterator.Join([Windows("300:1000", 300), new Sequence(Windows("300:0 600:5", 300), Parse("660:6 720:1 780:4"))], DedupKind.Counter, DedupKind.AdjustedCounter)));

    [Fact]
    public void Histograms_stay_and_switch_alike_and_do_not_fall()
    {
        var read = Samples.All(DedupIterator.Join([Histograms("0:10 10:20 20:30"), Histograms("7:12 17:25 27:29 37:45 47:50")], DedupKind.Gauge));
        Assert.Equal([(0, 10.0), (10, 20), (20, 30), (37, 45), (47, 50)], read.Select(s => (s.Timestamp / 1000, s.Histogram!.Count)));
        Assert.Equal(CounterResetHint.Unknown, read[3].Histogram!.CounterResetHint);
        Assert.Equal(CounterResetHint.NotCounterReset, read[4].Histogram!.CounterResetHint);
    }

    /// <summary>Replicas of one counter that scrape it every 15 seconds, each at a phase of its own, late by a jitter, and not always.</summary>
    static readonly Gen<(long Timestamp, double Value)[][]> s_replicas =
        Gen.Select(Gen.Int[0, 9].Array[3, 120].Array[2, 3], Gen.Long[0, 14_999].Array[3], Gen.Int[0, 400], Gen.Int[0, 1_000_000]).Select(
            (rolls, phases, jitter, seed) =>
            {
                var random = new Random(seed);
                return rolls.Select((replica, number) => replica
                    .Select((roll, i) => (roll, Time: phases[number] + (i * 15_000L) + random.Next(jitter + 1)))
                    .Where((s, i) => s.roll > 2 || i < 2)
                    // A replica may get an answer that is a little older than the time it writes.
                    .Select(s => (s.Time, (double)(s.Time - random.Next(400)))).ToArray()).ToArray();
            });

    [Fact]
    public void A_first_replica_without_gaps_is_all_there_is_whatever_is_asked() => Gen.Select(
        Gen.Long[0, 14_999], Gen.Long[1, 200], Gen.Int[0, 2_000], Gen.Long[-5_000, 600_000], Gen.Long[0, 600_000], Gen.Int[0, 1_000_000])
        .Sample((phase, count, jitter, from, length, seed) =>
        {
            var random = new Random(seed);
            var (a, b) = (Scrapes(0), Scrapes(phase));
            var range = new TimeRange(from, from + length);
            var (cutA, cutB) = (Cut(a, range), Cut(b, range));

            // With one sample nothing is known of the first replica's interval.
            if (cutA.Length > 1)
            {
                Assert.Equal(cutA, Samples.Floats(DedupIterator.Join([Iterator(cutA), Iterator(cutB)], DedupKind.Counter)));
            }

            (long, double)[] Scrapes(long phase) =>
                [.. Enumerable.Range(0, (int)count + 2).Select(i => (phase + (i * 15_000L) + random.Next(jitter + 1), (double)i))];
        });

    [Fact]
    public void A_first_replica_that_keeps_its_interval_is_all_there_is_whatever_the_others_keep() => Gen.Select(
        Gen.Long[5_000, 60_000], Gen.Long[1_000, 60_000].Array[1, 2], Gen.Long[0, 59_999], Gen.Int[0, 1_000_000]).Sample((interval, others, phase, seed) =>
        {
            var random = new Random(seed);
            var first = Scrapes(0, interval);
            var read = Samples.Floats(DedupIterator.Join(
                [Iterator(first), .. others.Select(other => Iterator(Scrapes(random.NextInt64(phase + 1), other)))], DedupKind.Counter), capacity: 19);
            var inner = new TimeRange(first[0].Timestamp + 150_000, first[^1].Timestamp - 150_000);
            Assert.Equal(Cut(first, inner), Cut([.. read], inner));

            (long Timestamp, double Value)[] Scrapes(long phase, long interval) =>
            [
                .. Enumerable.Range(0, (int)(900_000 / interval))
                    .Select(i => phase + (i * interval) + random.NextInt64((interval / 20) + 1)).Select(time => (time, (double)time)),
            ];
        });

    [Fact]
    public void Of_one_counter_seen_by_replicas_with_gaps_nothing_falls_nothing_is_doubled_and_gaps_are_filled() => s_replicas.Sample(replicas =>
    {
        var read = Samples.Floats(DedupIterator.Join([.. replicas.Select(Iterator)], DedupKind.Counter), capacity: 19);
        Assert.Equal(read.Select(s => s.Timestamp).Distinct().Order(), read.Select(s => s.Timestamp));
        Assert.Equal(read.Select(s => s.Value).Order(), read.Select(s => s.Value));
        Assert.Subset(replicas.SelectMany(s => s).ToHashSet(), read.ToHashSet());
        foreach (var (before, after) in read.Zip(read.Skip(1)))
        {
            var isOfOne = replicas.Any(r => r.Contains(before) && r.Contains(after));
            Assert.True(isOfOne || after.Timestamp - before.Timestamp >= 7_000, $"two samples of a scrape at {before.Timestamp} and {after.Timestamp}");

            // A gap of the result is one that no replica could have filled. Of three, the third may end shortly before the second goes on.
            var interval = Kept(before.Timestamp, after.Timestamp);
            if (replicas.Length == 2 && after.Timestamp - before.Timestamp > (interval * 3 / 2) + 1_000)
            {
                var apart = (interval / 2) + 500;
                var between = replicas.SelectMany(r => r).Where(p => p.Timestamp > before.Timestamp + apart && p.Timestamp < after.Timestamp - apart);
                Assert.DoesNotContain(between, p => p.Value >= before.Value && p.Value <= after.Value);
            }
        }

        var newest = replicas.SelectMany(s => s).Max(s => s.Timestamp);
        Assert.True(
            newest - read[^1].Timestamp <= (replicas.Length - 1) * ((Kept(read[^1].Timestamp, newest) * 3 / 2) + 1_000), "the newest sample is lost");

        // A replica that missed every other scrape for a while kept a longer interval.
        long Kept(long from, long to) => replicas.Max(replica =>
        {
            var near = Cut(replica, new TimeRange(from - 160_000, to + 160_000));
            var distances = near.Zip(near.Skip(1), (a, b) => b.Timestamp - a.Timestamp).Append(15_000).Order().ToArray();
            return distances[distances.Length / 2];
        });
    });

    [Fact]
    public void What_is_given_near_a_time_does_not_depend_on_where_reading_begins_or_ends() => Gen.Select(
        s_replicas, Gen.Long[-1_000, 1_900_000], Gen.Long[0, 900_000], Gen.Const(300_000L)).Sample((replicas, from, length, margin) =>
        {
            var range = new TimeRange(from, from + length);
            var whole = Samples.Floats(DedupIterator.Join([.. replicas.Select(Iterator)], DedupKind.Counter));
            var wide = new TimeRange(range.MinTime - margin, range.MaxTime + margin);
            var part = Samples.Floats(DedupIterator.Join([.. replicas.Select(r => Iterator(Cut(r, wide)))], DedupKind.Counter));
            Assert.Equal(Cut([.. whole], range), Cut([.. part], range));

            var sought = DedupIterator.Join([.. replicas.Select(Iterator)], DedupKind.Counter);
            sought.Seek(range.MinTime);
            Assert.Equal(whole.Where(s => s.Timestamp >= range.MinTime), Samples.Floats(sought, capacity: 7));
        });

    [Fact]
    public void Seek_skips_and_goes_on()
    {
        var dedup = DedupIterator.Join([Parse("0:1 10:2 20:3 60:7 70:8"), Parse("6:1 16:2 26:3 36:4 46:5 56:6 66:7")], DedupKind.Gauge);
        dedup.Seek(30_000);
        Assert.Equal("36:4 46:5 60:7 70:8", Text(dedup));
    }

    static (long Timestamp, double Value)[] Cut((long Timestamp, double Value)[] samples, TimeRange range) =>
        [.. samples.Where(s => range.Contains(s.Timestamp))];

    static string Dedup(DedupKind kind, params string[] replicas) => Text(DedupIterator.Join([.. replicas.Select(Parse)], kind));

    static string Text(ISampleIterator iterator) => string.Join(
        ' ', Samples.Floats(iterator).Select(s => $"{s.Timestamp / 1000}:{(StaleMarker.IsStale(s.Value) ? "s" : s.Value)}"));

    static ISampleIterator Parse(string text) => Iterator(
        [.. Pairs(text).Select(p => (p.Time * 1000, p.Value == "s" ? StaleMarker.Value : double.Parse(p.Value, System.Globalization.CultureInfo.InvariantCulture)))]);

    static ISampleIterator Windows(string text, long resolution)
    {
        var samples = Pairs(text).Select(p => (p.Time * 1000, double.Parse(p.Value, System.Globalization.CultureInfo.InvariantCulture))).ToArray();
        return new OneBatch(Batch(samples, resolution * 1000));
    }

    /// <summary>One iterator behind the other.</summary>
    sealed class Sequence(ISampleIterator first, ISampleIterator second) : ISampleIterator
    {
        public bool Read(SampleBatch batch) => first.Read(batch) || second.Read(batch);

        public void Seek(long timestamp)
        {
            first.Seek(timestamp);
            second.Seek(timestamp);
        }

        public void Dispose()
        {
        }
    }

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

    static ISampleIterator Iterator((long Timestamp, double Value)[] samples) => new OneBatch(Batch(samples, 0));

    static SampleBatch Batch((long Timestamp, double Value)[] samples, long resolutionMs)
    {
        var batch = new SampleBatch(Math.Max(1, samples.Length)) { Count = samples.Length, ResolutionMs = resolutionMs };
        for (var i = 0; i < samples.Length; i++)
        {
            (batch.Timestamps[i], batch.Values[i]) = samples[i];
        }

        return batch;
    }

    static IEnumerable<(long Time, string Value)> Pairs(string text) =>
        text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(p => p.Split(':'))
            .Select(p => (long.Parse(p[0], System.Globalization.CultureInfo.InvariantCulture), p[1]));
}
