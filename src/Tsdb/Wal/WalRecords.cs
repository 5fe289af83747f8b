using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Wal;

/// <summary>A record's first byte.</summary>
enum WalRecordType : byte
{
    Series = 1,
    Samples = 2,
    Tombstones = 3,
    Exemplars = 4,
    MmapMarkers = 5,
    Metadata = 6,
    Histograms = 7,
    FloatHistograms = 8,
    CustomBucketsHistograms = 9,
    CustomBucketsFloatHistograms = 10,
    SamplesV2 = 11,
    HistogramsV2 = 12,
    FloatHistogramsV2 = 13,
}

readonly record struct WalSeries(ulong Ref, Labels Labels);

/// <param name="Time">Unix milliseconds.</param>
/// <param name="Start">When the counter started, Unix milliseconds; 0 where unknown.</param>
readonly record struct WalSample(ulong Ref, long Time, double Value, long Start = 0);

/// <param name="Time">Unix milliseconds.</param>
/// <param name="Start">When the histogram's counters started, Unix milliseconds; 0 where unknown.</param>
readonly record struct WalHistogram(ulong Ref, long Time, Histogram Histogram, long Start = 0);

/// <param name="Type">Prometheus's number: 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info, 7 state set.</param>
readonly record struct WalMetadata(ulong Ref, byte Type, string Unit, string Help);

/// <summary>Records of Prometheus's write-ahead log. Decoding appends to the caller's lists, or throws and leaves them in part.</summary>
static partial class WalRecords
{
    const byte NoStart = 0;
    const byte SameStart = 1;
    const byte OtherStart = 2;

    /// <summary>Starts a record of series; <see cref="Add"/> as many as wanted.</summary>
    public static void BeginSeries(ByteWriter record) => record.Byte((byte)WalRecordType.Series);

    public static void Add(ByteWriter record, ulong series, Labels labels)
    {
        record.UInt64(series);
        record.UVarint((ulong)labels.Count);
        record.Raw(labels.Encoded);
    }

    /// <exception cref="CorruptionException"/>
    public static void Series(ReadOnlySpan<byte> record, List<WalSeries> into, string source, long offset)
    {
        var reader = new ByteReader(record, source, offset);
        Expect(ref reader, WalRecordType.Series);
        var builder = new LabelsBuilder();
        while (!reader.AtEnd)
        {
            var series = reader.UInt64();
            into.Add(new WalSeries(series, ReadLabels(record, ref reader, builder)));
        }
    }

    /// <summary>One record; of the version that knows start timestamps if a sample has one, since not every reader does.</summary>
    public static void Samples(ByteWriter record, ReadOnlySpan<WalSample> samples)
    {
        foreach (ref readonly var sample in samples)
        {
            if (sample.Start != 0)
            {
                SamplesWithStart(record, samples);
                return;
            }
        }

        record.Byte((byte)WalRecordType.Samples);
        if (samples.IsEmpty)
        {
            return;
        }

        var first = samples[0];
        record.UInt64(first.Ref);
        record.UInt64((ulong)first.Time);
        foreach (ref readonly var sample in samples)
        {
            var room = record.GetSpan((2 * Varint.MaxSize) + 8);
            var at = Varint.WriteSigned(room, (long)(sample.Ref - first.Ref));
            at += Varint.WriteSigned(room[at..], sample.Time - first.Time);
            System.Buffers.Binary.BinaryPrimitives.WriteDoubleBigEndian(room[at..], sample.Value);
            record.Advance(at + 8);
        }
    }

    /// <summary>Samples of either version.</summary>
    /// <exception cref="CorruptionException"/>
    public static void Samples(ReadOnlySpan<byte> record, List<WalSample> into, string source, long offset)
    {
        var reader = new ByteReader(record, source, offset);
        var type = (WalRecordType)reader.Byte();
        if (reader.AtEnd)
        {
            return;
        }

        if (type == WalRecordType.Samples)
        {
            var (firstRef, firstTime) = (reader.UInt64(), (long)reader.UInt64());
            while (!reader.AtEnd)
            {
                var (series, time) = (firstRef + (ulong)reader.Varint(), firstTime + reader.Varint());
                into.Add(new WalSample(series, time, reader.Double()));
            }

            return;
        }

        if (type != WalRecordType.SamplesV2)
        {
            reader.Fail($"a record of type {(byte)type} where samples were expected");
        }

        var frame = new StartFrame();
        while (!reader.AtEnd)
        {
            frame.Read(ref reader);
            into.Add(new WalSample(frame.Ref, frame.Time, reader.Double(), frame.Start));
        }
    }

    public static void Metadata(ByteWriter record, ReadOnlySpan<WalMetadata> metadata)
    {
        record.Byte((byte)WalRecordType.Metadata);
        foreach (var one in metadata)
        {
            record.UVarint(one.Ref);
            record.Byte(one.Type);
            record.UVarint(2);
            record.LengthPrefixed("UNIT"u8);
            record.LengthPrefixed(System.Text.Encoding.UTF8.GetBytes(one.Unit));
            record.LengthPrefixed("HELP"u8);
            record.LengthPrefixed(System.Text.Encoding.UTF8.GetBytes(one.Help));
        }
    }

    /// <exception cref="CorruptionException"/>
    public static void Metadata(ReadOnlySpan<byte> record, List<WalMetadata> into, string source, long offset)
    {
        var reader = new ByteReader(record, source, offset);
        Expect(ref reader, WalRecordType.Metadata);
        while (!reader.AtEnd)
        {
            var (series, type) = (reader.UVarint(), reader.Byte());
            var (unit, help) = ("", "");
            for (var fields = reader.Length(); fields > 0; fields--)
            {
                var name = reader.LengthPrefixed();
                var value = System.Text.Encoding.UTF8.GetString(reader.LengthPrefixed());
                if (name.SequenceEqual("UNIT"u8))
                {
                    unit = value;
                }
                else if (name.SequenceEqual("HELP"u8))
                {
                    help = value;
                }
            }

            into.Add(new WalMetadata(series, type, unit, help));
        }
    }

    static void SamplesWithStart(ByteWriter record, ReadOnlySpan<WalSample> samples)
    {
        record.Byte((byte)WalRecordType.SamplesV2);
        var frame = new StartFrame();
        foreach (ref readonly var sample in samples)
        {
            frame.Write(record, sample.Ref, sample.Time, sample.Start);
            record.Double(sample.Value);
        }
    }

    /// <summary>
    /// Labels as they lie in a record, which is how <see cref="Labels"/> holds them; sorted where another writer did not.
    /// </summary>
    static Labels ReadLabels(ReadOnlySpan<byte> record, ref ByteReader reader, LabelsBuilder builder)
    {
        var count = reader.Length();
        var start = reader.Position;
        var sorted = true;
        ReadOnlySpan<byte> last = default;
        for (var i = 0; i < count; i++)
        {
            var name = reader.LengthPrefixed();
            var value = reader.LengthPrefixed();
            sorted &= (i == 0 || name.SequenceCompareTo(last) > 0) && !value.IsEmpty;
            last = name;
        }

        var encoded = record[start..reader.Position];
        if (sorted)
        {
            return Labels.FromEncoded(encoded);
        }

        builder.Reset();
        var again = new ByteReader(encoded, "labels");
        for (var i = 0; i < count; i++)
        {
            builder.Set(again.LengthPrefixed(), again.LengthPrefixed());
        }

        return builder.Build();
    }

    static void Expect(ref ByteReader reader, WalRecordType type)
    {
        var found = reader.Byte();
        if (found != (byte)type)
        {
            reader.Fail($"a record of type {found} where {(byte)type} was expected");
        }
    }

    /// <summary>What stands before each sample in the records that know start timestamps: most of it relative to the one before.</summary>
    struct StartFrame
    {
        long _firstTime;
        long _firstStart;
        bool _begun;

        public ulong Ref { get; private set; }

        public long Time { get; private set; }

        public long Start { get; private set; }

        public void Read(ref ByteReader reader)
        {
            if (!_begun)
            {
                _begun = true;
                Ref = (ulong)reader.Varint();
                Time = _firstTime = reader.Varint();
                Start = _firstStart = reader.Varint();
                return;
            }

            Ref += (ulong)reader.Varint();
            Time = _firstTime + reader.Varint();
            Start = reader.Byte() switch
            {
                NoStart => 0,
                SameStart => Start,
                _ => _firstStart + reader.Varint(),
            };
        }

        public void Write(ByteWriter record, ulong series, long time, long start)
        {
            if (!_begun)
            {
                (_begun, _firstTime, _firstStart) = (true, time, start);
                record.Varint((long)series);
                record.Varint(time);
                record.Varint(start);
            }
            else
            {
                record.Varint((long)(series - Ref));
                record.Varint(time - _firstTime);
                var marker = start == 0 ? NoStart : start == Start ? SameStart : OtherStart;
                record.Byte(marker);
                if (marker == OtherStart)
                {
                    record.Varint(start - _firstStart);
                }
            }

            (Ref, Start) = (series, start);
        }
    }
}
