using CsCheck;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Wal;

public sealed class WalRecordsTests
{
    static readonly Gen<WalSample> AnySample = Gen.Select(Gen.ULong, Gen.Long, Gen.Double, (series, time, value) => new WalSample(series, time, value));

    static readonly Gen<WalSample> AnySampleWithStart = Gen.Select(
        AnySample, Gen.OneOf(Gen.Const(0L), Gen.Long[1, 3], Gen.Long), (sample, start) => sample with { Start = start });

    [Fact]
    public void Samples_come_back_as_they_were() => Gen.OneOf(AnySample.List[1, 50], AnySampleWithStart.List[1, 50]).Sample(samples =>
    {
        using var record = new ByteWriter();
        WalRecords.Samples(record, samples.ToArray());
        var read = new List<WalSample>();
        WalRecords.Samples(record.Written, read, "log", 0);
        Assert.Equal((byte)(samples.Any(s => s.Start != 0) ? WalRecordType.SamplesV2 : WalRecordType.Samples), record.Written[0]);
        Assert.Equal(samples.Select(Exact), read.Select(Exact));
        static (ulong, long, long, long) Exact(WalSample s) => (s.Ref, s.Time, BitConverter.DoubleToInt64Bits(s.Value), s.Start);
    });

    [Fact]
    public void Series_come_back_as_they_were()
    {
        var labels = Labels.Of(("__name__", "up"), ("job", "a"), ("ünïcode", "ß"));
        using var record = new ByteWriter();
        WalRecords.BeginSeries(record);
        WalRecords.Add(record, 7, labels);
        WalRecords.Add(record, ulong.MaxValue, Labels.Empty);
        var read = new List<WalSeries>();
        WalRecords.Series(record.Written, read, "log", 0);
        Assert.Equal([new WalSeries(7, labels), new WalSeries(ulong.MaxValue, Labels.Empty)], read);
    }

    [Fact]
    public void Labels_of_another_writer_are_sorted()
    {
        using var record = new ByteWriter();
        WalRecords.BeginSeries(record);
        record.UInt64(1);
        record.UVarint(2);
        foreach (var text in new[] { "b", "2", "a", "1" })
        {
            record.LengthPrefixed(System.Text.Encoding.UTF8.GetBytes(text));
        }

        var read = new List<WalSeries>();
        WalRecords.Series(record.Written, read, "log", 0);
        Assert.Equal(Labels.Of(("a", "1"), ("b", "2")), read.Single().Labels);
    }

    [Fact]
    public void Metadata_comes_back_as_it_was()
    {
        WalMetadata[] metadata = [new(1, 1, "seconds", "How long."), new(300, 2, "", "")];
        using var record = new ByteWriter();
        WalRecords.Metadata(record, metadata);
        var read = new List<WalMetadata>();
        WalRecords.Metadata(record.Written, read, "log", 0);
        Assert.Equal(metadata, read);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void Histograms_come_back_as_they_were(bool integer, bool custom)
    {
        var histogram = TestHistogram(integer, custom);
        var stale = new Histogram { IsInteger = integer, Sum = StaleMarker.Value, Schema = custom ? Histogram.CustomBucketsSchema : 0 };
        using var record = new ByteWriter();
        Assert.True(WalRecords.Histograms(record, WalRecords.TypeOf(histogram), [new(9, 1000, histogram), new(4, 500, stale)]));
        var read = new List<WalHistogram>();
        WalRecords.Histograms(record.Written, read, "log", 0);
        Assert.Equal([(9UL, 1000L), (4UL, 500L)], read.Select(h => (h.Ref, h.Time)));
        Assert.Equivalent(histogram, read[0].Histogram, strict: true);
        Assert.True(read[1].Histogram.IsStale);
    }

    [Fact]
    public void A_record_holds_histograms_of_one_type()
    {
        using var record = new ByteWriter();
        WalHistogram[] mixed = [new(1, 1, TestHistogram(true, false)), new(2, 1, TestHistogram(false, false)), new(3, 1, TestHistogram(true, false))];
        Assert.True(WalRecords.Histograms(record, WalRecordType.Histograms, mixed));
        var read = new List<WalHistogram>();
        WalRecords.Histograms(record.Written, read, "log", 0);
        Assert.Equal([1UL, 3UL], read.Select(h => h.Ref));
        record.Clear();
        Assert.False(WalRecords.Histograms(record, WalRecordType.CustomBucketsHistograms, mixed));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Histograms_with_start_timestamps_are_in_one_record_whatever_their_buckets(bool integer)
    {
        var (exponential, custom) = (TestHistogram(integer, custom: false), TestHistogram(integer, custom: true));
        WalHistogram[] histograms =
        [
            new(9, 1000, exponential), new(1, 1000, TestHistogram(!integer, custom: false), 5), new(4, 1500, custom, 900),
            new(5, 1500, exponential, 900), new(5, 1600, exponential), new(7, 1700, custom, 800),
        ];
        using var record = new ByteWriter();
        var type = integer ? WalRecordType.HistogramsV2 : WalRecordType.FloatHistogramsV2;
        Assert.True(WalRecords.Histograms(record, type, histograms));
        Assert.Equal((byte)type, record.Written[0]);
        var read = new List<WalHistogram>();
        WalRecords.Histograms(record.Written, read, "log", 0);
        Assert.Equivalent(histograms.Where(h => h.Histogram.IsInteger == integer), read, strict: true);
        record.Clear();
        Assert.False(WalRecords.Histograms(record, type, [histograms[1]]));
        Assert.Equal(0, record.Length);
    }

    [Fact]
    public void Samples_with_start_timestamps_have_the_bytes_of_the_format()
    {
        using var record = new ByteWriter();
        record.Byte((byte)WalRecordType.SamplesV2);
        record.Varint(5);
        record.Varint(1000);
        record.Varint(900);
        record.Double(1.5);
        foreach (var (series, time, marker) in new[] { (1, 10, 0), (-3, 20, 2), (4, 30, 1) })
        {
            record.Varint(series);
            record.Varint(time);
            record.Byte((byte)marker);
            if (marker == 2)
            {
                record.Varint(-50);
            }

            record.Double(time);
        }

        var read = new List<WalSample>();
        WalRecords.Samples(record.Written, read, "log", 0);
        WalSample[] samples = [new(5, 1000, 1.5, 900), new(6, 1010, 10), new(3, 1020, 20, 850), new(7, 1030, 30, 850)];
        Assert.Equal(samples, read);
        using var written = new ByteWriter();
        WalRecords.Samples(written, samples);
        Assert.Equal(record.Written.ToArray(), written.Written.ToArray());
    }

    [Fact]
    public void Damaged_records_are_corruptions_or_right_in_form()
    {
        using var record = new ByteWriter();
        WalRecords.Histograms(record, WalRecordType.CustomBucketsHistograms, [new(9, 1000, TestHistogram(true, true))]);
        CheckDamage(record.Written.ToArray(), r => WalRecords.Histograms(r, [], "log", 0));
        record.Clear();
        WalRecords.BeginSeries(record);
        WalRecords.Add(record, 7, Labels.Of(("__name__", "up"), ("job", "a")));
        CheckDamage(record.Written.ToArray(), r => WalRecords.Series(r, [], "log", 0));
        record.Clear();
        WalRecords.Samples(record, [new(1, 2, 3), new(4, 5, 6)]);
        CheckDamage(record.Written.ToArray(), r => WalRecords.Samples(r, [], "log", 0));
        record.Clear();
        WalRecords.Samples(record, [new(1, 2, 3, 1), new(4, 5, 6), new(4, 7, 6, 2)]);
        CheckDamage(record.Written.ToArray(), r => WalRecords.Samples(r, [], "log", 0));
        record.Clear();
        WalRecords.Histograms(record, WalRecordType.FloatHistogramsV2, [new(9, 1000, TestHistogram(false, true), 7)]);
        CheckDamage(record.Written.ToArray(), r => WalRecords.Histograms(r, [], "log", 0));
        record.Clear();
        WalRecords.Metadata(record, [new(1, 1, "seconds", "How long.")]);
        CheckDamage(record.Written.ToArray(), r => WalRecords.Metadata(r, [], "log", 0));
    }

    static void CheckDamage(byte[] record, Action<byte[]> read)
    {
        for (var at = 0; at < record.Length; at++)
        {
            for (var value = 0; value < 256; value += 5)
            {
                var damaged = (byte[])record.Clone();
                damaged[at] = (byte)value;
                Try(damaged);
            }

            Try(record[..at]);
        }

        void Try(byte[] damaged)
        {
            try
            {
                read(damaged);
            }
            catch (CorruptionException)
            {
            }
        }
    }

    internal static Histogram TestHistogram(bool integer, bool custom) => new()
    {
        IsInteger = integer,
        CounterResetHint = CounterResetHint.NotCounterReset,
        Schema = custom ? Histogram.CustomBucketsSchema : 3,
        ZeroThreshold = custom ? 0 : 0.001,
        ZeroCount = custom ? 0 : 2,
        Count = integer ? 20 : 20.5,
        Sum = 12.25,
        PositiveSpans = [new(-2, 2), new(3, 1)],
        PositiveBuckets = integer ? [5, 3, 10] : [5.5, 3, 10],
        NegativeSpans = custom ? [] : [new(0, 1)],
        NegativeBuckets = custom ? [] : [2],
        CustomValues = custom ? [0.1, 1, 10] : null,
    };
}
