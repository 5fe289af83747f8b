using Observe.Tsdb.Bytes;

namespace Observe.Store.Live;

/// <summary>A float sample of a series of a slice.</summary>
/// <param name="Series">Its number in the slice.</param>
/// <param name="Start">When the counter started, Unix milliseconds; 0 where unknown.</param>
public readonly record struct SliceSample(int Series, long Time, double Value, long Start);

/// <summary>The floats of a slice in columns.</summary>
/// <remarks>Format: docs/format/live-slice.md.</remarks>
static class FloatColumns
{
    const byte Same = 0;
    const byte Integer = 1;
    const byte Hundredths = 2;
    const byte Any = 3;
    const byte Stale = 4;
    const double LargestInteger = 1L << 53;

    /// <param name="samples">By series, then time.</param>
    public static void Write(ByteWriter into, ReadOnlySpan<SliceSample> samples)
    {
        using var column = new ByteWriter(Math.Max(1024, samples.Length * 2));
        WriteSeries(column, samples);
        Flush(into, column);
        var last = 0L;
        var hasStarts = false;
        foreach (ref readonly var sample in samples)
        {
            column.Varint(sample.Time - last);
            last = sample.Time;
            hasStarts |= sample.Start != 0;
        }

        Flush(into, column);
        last = 0;
        foreach (ref readonly var sample in hasStarts ? samples : [])
        {
            column.Varint(sample.Start - last);
            last = sample.Start;
        }

        Flush(into, column);
        WriteValues(into, column, samples);
    }

    /// <param name="series">How many series the slice has.</param>
    /// <param name="most">More samples than this can't be in it.</param>
    /// <exception cref="CorruptionException"/>
    public static SliceSample[] Read(ReadOnlySpan<byte> bytes, int series, long most, string source, long origin)
    {
        var all = new ByteReader(bytes, source, origin);
        var runs = new ByteReader(all.LengthPrefixed(), source, origin);
        var times = new ByteReader(all.LengthPrefixed(), source, origin);
        var starts = new ByteReader(all.LengthPrefixed(), source, origin);
        var kinds = all.LengthPrefixed();
        var numbers = new ByteReader(all.LengthPrefixed(), source, origin);
        var values = new ByteReader(all.LengthPrefixed(), source, origin);
        if (kinds.Length > most)
        {
            all.Fail("more samples than the header says");
        }

        var samples = new SliceSample[kinds.Length];
        var hasStarts = starts.Remaining > 0;
        long time = 0, start = 0, integer = 0, hundredths = 0;
        var value = 0.0;
        for (int i = 0, current = -1; i < samples.Length;)
        {
            var step = runs.UVarint();
            if (step >= (ulong)(series - 1 - current))
            {
                runs.Fail("a sample of no series");
            }

            current += (int)step + 1;
            var more = runs.UVarint();
            if (more >= (ulong)(samples.Length - i))
            {
                runs.Fail("more samples than there are");
            }

            for (var end = i + (int)more + 1; i < end; i++)
            {
                time += times.Varint();
                start = hasStarts ? start + starts.Varint() : 0;
                value = kinds[i] switch
                {
                    Same => value,
                    Integer => integer += numbers.Varint(),
                    Hundredths => (hundredths += numbers.Varint()) / 100.0,
                    Any => values.Double(),
                    Stale => StaleMarker.Value,
                    _ => throw new CorruptionException(source, origin, $"a value of kind {kinds[i]}"),
                };
                samples[i] = new SliceSample(current, time, value, start);
            }
        }

        if (!runs.AtEnd || !times.AtEnd || !starts.AtEnd || !numbers.AtEnd || !values.AtEnd || !all.AtEnd)
        {
            all.Fail("columns of different lengths");
        }

        return samples;
    }

    static void WriteSeries(ByteWriter column, ReadOnlySpan<SliceSample> samples)
    {
        for (int i = 0, last = -1; i < samples.Length;)
        {
            var series = samples[i].Series;
            var end = i + 1;
            while (end < samples.Length && samples[end].Series == series)
            {
                end++;
            }

            column.UVarint((ulong)(series - last - 1));
            column.UVarint((ulong)(end - i - 1));
            (i, last) = (end, series);
        }
    }

    static void WriteValues(ByteWriter into, ByteWriter kinds, ReadOnlySpan<SliceSample> samples)
    {
        using var numbers = new ByteWriter(Math.Max(1024, samples.Length * 3));
        using var values = new ByteWriter(Math.Max(1024, samples.Length));
        var room = kinds.GetSpan(samples.Length);
        long integer = 0, hundredths = 0;
        var last = 0.0;
        for (var i = 0; i < samples.Length; i++)
        {
            var value = samples[i].Value;
            if (BitConverter.DoubleToInt64Bits(value) == BitConverter.DoubleToInt64Bits(last))
            {
                room[i] = Same;
                continue;
            }

            last = value;
            if (IsInteger(value))
            {
                room[i] = Integer;
                numbers.Varint((long)value - integer);
                integer = (long)value;
            }
            else if (Math.Round(value * 100) is var near && Math.Abs(near) < LargestInteger && near / 100 == value && near != 0)
            {
                room[i] = Hundredths;
                numbers.Varint((long)near - hundredths);
                hundredths = (long)near;
            }
            else if (StaleMarker.IsStale(value))
            {
                room[i] = Stale;
            }
            else
            {
                room[i] = Any;
                values.Double(value);
            }
        }

        kinds.Advance(samples.Length);
        Flush(into, kinds);
        Flush(into, numbers);
        Flush(into, values);
    }

    /// <summary>Whether an integer stands for exactly the value: not for negative zero.</summary>
    static bool IsInteger(double value) => Math.Abs(value) < LargestInteger
        && BitConverter.DoubleToInt64Bits((long)value) == BitConverter.DoubleToInt64Bits(value);

    static void Flush(ByteWriter into, ByteWriter column)
    {
        into.LengthPrefixed(column.Written);
        column.Clear();
    }
}
