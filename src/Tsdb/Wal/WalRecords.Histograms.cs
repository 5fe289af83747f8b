using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;

namespace Observe.Tsdb.Wal;

static partial class WalRecords
{
    /// <summary>
    /// Adds the records of all histograms to a batch; of the version that knows start timestamps if a histogram has one, since not every
    /// reader does.
    /// </summary>
    /// <param name="record">Room to work in.</param>
    public static void AddHistograms(WalBatch batch, ByteWriter record, ReadOnlySpan<WalHistogram> histograms)
    {
        if (histograms.IsEmpty)
        {
            return;
        }

        var (type, last) = HaveStart(histograms)
            ? (WalRecordType.HistogramsV2, WalRecordType.FloatHistogramsV2)
            : (WalRecordType.Histograms, WalRecordType.CustomBucketsFloatHistograms);
        for (; type <= last; type++)
        {
            record.Clear();
            if (Histograms(record, type, histograms))
            {
                batch.Add(record.Written);
            }
        }
    }

    /// <summary>The record type that a histogram without a start timestamp goes into: one record holds histograms of one type.</summary>
    public static WalRecordType TypeOf(Histogram histogram) => (histogram.IsInteger, histogram.UsesCustomBuckets) switch
    {
        (true, false) => WalRecordType.Histograms,
        (false, false) => WalRecordType.FloatHistograms,
        (true, true) => WalRecordType.CustomBucketsHistograms,
        (false, true) => WalRecordType.CustomBucketsFloatHistograms,
    };

    /// <summary>One record of those histograms that are of the type; false, and nothing written, when there is none.</summary>
    public static bool Histograms(ByteWriter record, WalRecordType type, ReadOnlySpan<WalHistogram> histograms)
    {
        if (type >= WalRecordType.HistogramsV2)
        {
            return HistogramsWithStart(record, type, histograms);
        }

        var first = true;
        ulong firstRef = 0;
        long firstTime = 0;
        foreach (var (series, time, histogram, _) in histograms)
        {
            if (TypeOf(histogram) != type)
            {
                continue;
            }

            if (first)
            {
                (first, firstRef, firstTime) = (false, series, time);
                record.Byte((byte)type);
                record.UInt64(series);
                record.UInt64((ulong)time);
            }

            record.Varint((long)(series - firstRef));
            record.Varint(time - firstTime);
            Write(record, histogram);
        }

        return !first;
    }

    /// <summary>Histograms of any of the six types.</summary>
    /// <exception cref="CorruptionException"/>
    public static void Histograms(ReadOnlySpan<byte> record, List<WalHistogram> into, string source, long offset)
    {
        var reader = new ByteReader(record, source, offset);
        var type = (WalRecordType)reader.Byte();
        var integer = type is WalRecordType.Histograms or WalRecordType.CustomBucketsHistograms or WalRecordType.HistogramsV2;
        if (reader.AtEnd)
        {
            return;
        }

        switch (type)
        {
            case >= WalRecordType.Histograms and <= WalRecordType.CustomBucketsFloatHistograms:
                var (firstRef, firstTime) = (reader.UInt64(), (long)reader.UInt64());
                while (!reader.AtEnd)
                {
                    var (series, time) = (firstRef + (ulong)reader.Varint(), firstTime + reader.Varint());
                    into.Add(new WalHistogram(series, time, Read(ref reader, integer)));
                }

                return;
            case WalRecordType.HistogramsV2 or WalRecordType.FloatHistogramsV2:
                var frame = new StartFrame();
                while (!reader.AtEnd)
                {
                    frame.Read(ref reader);
                    into.Add(new WalHistogram(frame.Ref, frame.Time, Read(ref reader, integer), frame.Start));
                }

                return;
            default:
                reader.Fail($"a record of type {(byte)type} where histograms were expected");
                return;
        }
    }

    static bool HaveStart(ReadOnlySpan<WalHistogram> histograms)
    {
        foreach (ref readonly var histogram in histograms)
        {
            if (histogram.Start != 0)
            {
                return true;
            }
        }

        return false;
    }

    static bool HistogramsWithStart(ByteWriter record, WalRecordType type, ReadOnlySpan<WalHistogram> histograms)
    {
        var any = false;
        var frame = new StartFrame();
        foreach (var (series, time, histogram, start) in histograms)
        {
            if (histogram.IsInteger != (type == WalRecordType.HistogramsV2))
            {
                continue;
            }

            if (!any)
            {
                any = true;
                record.Byte((byte)type);
            }

            frame.Write(record, series, time, start);
            Write(record, histogram);
        }

        return any;
    }

    static void Write(ByteWriter record, Histogram histogram)
    {
        record.Byte((byte)histogram.CounterResetHint);
        record.Varint(histogram.Schema);
        record.Double(histogram.ZeroThreshold);
        if (histogram.IsInteger)
        {
            record.UVarint((ulong)histogram.ZeroCount);
            record.UVarint((ulong)histogram.Count);
        }
        else
        {
            record.Double(histogram.ZeroCount);
            record.Double(histogram.Count);
        }

        record.Double(histogram.Sum);
        Write(record, histogram.PositiveSpans);
        Write(record, histogram.NegativeSpans);
        Write(record, histogram.PositiveBuckets, histogram.IsInteger);
        Write(record, histogram.NegativeBuckets, histogram.IsInteger);
        if (histogram.UsesCustomBuckets)
        {
            Write(record, histogram.CustomValues ?? [], integer: false);
        }
    }

    static void Write(ByteWriter record, BucketSpan[] spans)
    {
        record.UVarint((ulong)spans.Length);
        foreach (var span in spans)
        {
            record.Varint(span.Offset);
            record.UVarint(span.Length);
        }
    }

    /// <summary>Integer buckets are written as differences, each from the one before.</summary>
    static void Write(ByteWriter record, double[] values, bool integer)
    {
        record.UVarint((ulong)values.Length);
        long last = 0;
        foreach (var value in values)
        {
            if (integer)
            {
                record.Varint((long)value - last);
                last = (long)value;
            }
            else
            {
                record.Double(value);
            }
        }
    }

    static Histogram Read(ref ByteReader reader, bool integer)
    {
        var histogram = new Histogram { IsInteger = integer };
        var hint = reader.Byte();
        if (hint > (byte)CounterResetHint.Gauge)
        {
            reader.Fail("unknown counter reset hint");
        }

        histogram.CounterResetHint = (CounterResetHint)hint;
        var schema = reader.Varint();
        if (schema is not (Histogram.CustomBucketsSchema or (>= Histogram.MinExponentialSchema and <= Histogram.MaxExponentialSchema)))
        {
            reader.Fail($"unknown histogram schema {schema}");
        }

        histogram.Schema = (int)schema;
        histogram.ZeroThreshold = reader.Double();
        histogram.ZeroCount = integer ? reader.UVarint() : reader.Double();
        histogram.Count = integer ? reader.UVarint() : reader.Double();
        histogram.Sum = reader.Double();
        histogram.PositiveSpans = ReadSpans(ref reader);
        histogram.NegativeSpans = ReadSpans(ref reader);
        histogram.PositiveBuckets = ReadBuckets(ref reader, integer);
        histogram.NegativeBuckets = ReadBuckets(ref reader, integer);
        if (histogram.UsesCustomBuckets)
        {
            histogram.CustomValues = ReadBuckets(ref reader, integer: false);
        }

        if (BucketSpan.Covered(histogram.PositiveSpans) != histogram.PositiveBuckets.Length
            || BucketSpan.Covered(histogram.NegativeSpans) != histogram.NegativeBuckets.Length)
        {
            reader.Fail("spans and buckets of a histogram do not match");
        }

        return histogram;
    }

    static BucketSpan[] ReadSpans(ref ByteReader reader)
    {
        var spans = new BucketSpan[reader.Length()];
        for (var i = 0; i < spans.Length; i++)
        {
            var (offset, length) = (reader.Varint(), reader.UVarint());
            if (offset != (int)offset || length > uint.MaxValue)
            {
                reader.Fail("a bucket span out of range");
            }

            spans[i] = new BucketSpan((int)offset, (uint)length);
        }

        return spans;
    }

    static double[] ReadBuckets(ref ByteReader reader, bool integer)
    {
        var count = reader.Length();
        if (!integer && count > reader.Remaining / 8)
        {
            reader.Fail("length past the end");
        }

        var buckets = new double[count];
        long last = 0;
        for (var i = 0; i < buckets.Length; i++)
        {
            if (integer)
            {
                last += reader.Varint();
                buckets[i] = last;
            }
            else
            {
                buckets[i] = reader.Double();
            }
        }

        return buckets;
    }
}
