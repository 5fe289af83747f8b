using System.Globalization;
using System.Security.Cryptography;
using CsCheck;
using Observe.Store.Live;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Live;

public sealed class SliceTests
{
    static readonly Gen<double> s_value = Gen.OneOf(
        Gen.Double, Gen.Int[-3, 3].Select(n => (double)n), Gen.Long.Select(n => (double)n), Gen.Int.Select(n => n / 100.0),
        Gen.Const(StaleMarker.Value), Gen.Const(-0.0), Gen.Const(double.NaN), Gen.Const(double.PositiveInfinity), Gen.Const(9007199254740993.0),
        Gen.ULong.Select(BitConverter.UInt64BitsToDouble));

    static readonly string[] s_names = ["__name__", "job", "instance", "le", "ä", "z"];

    static readonly Gen<Labels> s_labels = Gen.Dictionary(
        Gen.Int[0, 5].Select(n => s_names[n]), Gen.OneOf(Gen.Int[1, 3].Select(n => "v" + n), Gen.Int[0, 9999].Select(n => "ü" + n)))[1, 6]
        .Select(pairs => Labels.Of(pairs));

    static readonly Gen<(long Delta, double Value, long Start)[]> s_samples =
        Gen.Select(Gen.OneOf(Gen.Const(15_000L), Gen.Long[1, 100_000]), s_value, Gen.OneOf(Gen.Const(0L), Gen.Long[1, 1_000_000])).Array[1, 5];

    static SliceHeader Header(PackedSamples samples, int sequence = 1) => new()
    {
        Cluster = "prod",
        Collector = "node-1",
        Window = SliceKey.Window(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000), 0xabcdef01),
        Sequence = sequence,
        Data = "folder",
        Labels = Labels.Of(("cluster", "prod"), ("replica", "a")),
        From = 1_700_000_000_000,
        To = 1_700_000_015_000,
        IntervalMs = 15_000,
        Previous = new byte[SliceHeader.HashSize],
        Lost = new LostSamples(7, [new TimeRange(1, 5), new TimeRange(9, 20)]),
        Series = samples.Series,
        Samples = samples.Samples,
        Range = samples.Range,
    };

    static Slice Sealed(PackedSamples samples) => Assert.Single(Slice.Parse(Slice.Seal(Header(samples), samples), "slice"));

    static SampleBatch Batch((long Delta, double Value, long Start)[] samples)
    {
        var (batch, time) = (new SampleBatch { HasStartTimestamps = true }, 1_700_000_000_000);
        foreach (var (delta, value, start) in samples)
        {
            time += delta;
            (batch.Timestamps[batch.Count], batch.Values[batch.Count], batch.StartTimestamps[batch.Count]) = (time, value, start);
            batch.Count++;
        }

        return batch;
    }

    [Fact]
    public void What_is_packed_is_unpacked() => Gen.Select(s_labels, s_samples).Array[0, 30].Sample(series =>
    {
        var distinct = series.DistinctBy(one => one.Item1).ToList();
        using var builder = new SliceBuilder();
        foreach (var (labels, samples) in distinct)
        {
            builder.Add(labels, new OneBatch(Batch(samples)));
        }

        var slice = Sealed(builder.Pack());
        using var unpacked = slice.Unpack();
        Assert.Equal(distinct.Select(one => one.Item1), unpacked.Series);
        var expected = distinct.SelectMany((one, number) =>
        {
            var batch = Batch(one.Item2);
            return Enumerable.Range(0, batch.Count).Select(i => (
                number, batch.Timestamps[i], BitConverter.DoubleToInt64Bits(batch.Values[i]), batch.StartTimestamps[i]));
        });
        Assert.Equal(expected, unpacked.Floats.ToArray().Select(s => (s.Series, s.Time, BitConverter.DoubleToInt64Bits(s.Value), s.Start)));
        Assert.Equal((7L, 2), (slice.Header.Lost.Count, slice.Header.Lost.Ranges.Count));
    });

    [Fact]
    public void Histograms_come_through() => RandomHistograms.Run.Sample(run =>
    {
        var batch = new SampleBatch { Kind = SampleKind.Histogram };
        foreach (var (time, histogram) in run)
        {
            (batch.Timestamps[batch.Count], batch.Histograms[batch.Count]) = (time, histogram);
            batch.Count++;
        }

        using var builder = new SliceBuilder();
        builder.Add(Labels.Of(("a", "0")), new OneBatch());
        builder.Add(Labels.Of(("a", "1")), new OneBatch(batch));
        using var unpacked = Sealed(builder.Pack()).Unpack();
        Assert.Equal(run.Select(one => (1, one.Timestamp)), unpacked.Histograms.Select(one => (one.Series, one.Time)));
        Assert.All(run.Zip(unpacked.Histograms), pair =>
        {
            var (written, read) = (pair.First.Histogram, pair.Second.Histogram);
            Assert.Equal(written.IsStale, read.IsStale);
            Assert.True(written.IsStale || (written.Count == read.Count && written.Sum == read.Sum && written.IsInteger == read.IsInteger
                && written.PositiveBuckets.Where(b => b != 0).SequenceEqual(read.PositiveBuckets.Where(b => b != 0))));
        });
    });

    [Fact]
    public void Commits_of_a_head_are_sorted_by_series_and_samples_that_are_not_newer_are_left_out()
    {
        using var builder = new SliceBuilder();
        for (var commit = 1; commit <= 3; commit++)
        {
            foreach (var name in (ReadOnlySpan<string>)["a", "b", "c"])
            {
                builder.Add(Labels.Of(("n", name)), new OneBatch(Batch([(commit == 3 ? 2 : commit, commit, 0)])));
            }
        }

        using var unpacked = Sealed(builder.Pack()).Unpack();
        Assert.Equal(
            [(0, 1, 1), (0, 2, 2), (1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2)],
            unpacked.Floats.ToArray().Select(s => (s.Series, s.Time - 1_700_000_000_000, (int)s.Value)));
    }

    [Fact]
    public void Histograms_that_come_twice_are_written_once()
    {
        var batch = new SampleBatch { Kind = SampleKind.Histogram, Count = 1 };
        (batch.Timestamps[0], batch.Histograms[0]) = (5, new Histogram { IsInteger = true, Count = 1, PositiveSpans = [new(0, 1)], PositiveBuckets = [1] });
        using var builder = new SliceBuilder();
        for (var i = 0; i < 2; i++)
        {
            builder.Add(Labels.Of(("n", "a")), new OneBatch(batch));
        }

        using var unpacked = Sealed(builder.Pack()).Unpack();
        Assert.Equal(5, Assert.Single(unpacked.Histograms).Time);
    }

    [Fact]
    public void A_flipped_bit_anywhere_is_a_corruption_that_names_the_object()
    {
        var whole = Sample(0);
        for (var bit = 0; bit < whole.Length * 8; bit++)
        {
            var damaged = whole.ToArray();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Equal("slice", Assert.Throws<CorruptionException>(() => Slice.Parse(damaged, "slice")).Where);
        }

        for (var length = 0; length < whole.Length; length++)
        {
            Assert.Throws<CorruptionException>(() => Slice.Parse(whole.AsMemory(0, length), "slice"));
        }
    }

    [Fact]
    public void Whatever_has_a_right_hash_is_read_or_is_a_corruption()
    {
        var bodies = Enumerable.Range(0, 4).Select(Plain).ToList();
        Gen.Select(Gen.Int[0, 3], Gen.Select(Gen.Int[0, int.MaxValue], Gen.Byte).Array[1, 4]).Sample((which, changes) =>
        {
            var bytes = bodies[which].ToArray();
            foreach (var (at, value) in changes)
            {
                bytes[9 + (at % (bytes.Length - 9 - SliceHeader.HashSize))] = value;
            }

            Rehash(bytes);
            try
            {
                using var unpacked = Assert.Single(Slice.Parse(bytes, "slice")).Unpack();
            }
            catch (CorruptionException)
            {
            }
        });
    }

    [Fact]
    public void Slices_of_several_collectors_lie_in_one_object_and_sections_that_nobody_knows_are_skipped()
    {
        byte[] both = [.. Sample(1), .. Plain(2)];
        Assert.Equal(2, Slice.Parse(both, "object").Count);
        both[^1] ^= 1;
        Assert.Throws<CorruptionException>(() => Slice.Parse(both, "object"));
        var packed = Builder(3).Pack();
        using var sections = new ByteWriter();
        sections.UVarint(77);
        sections.LengthPrefixed([1, 2, 3]);
        sections.Raw(Unpacked(packed));
        using var content = new ByteWriter();
        content.Byte(0);
        content.UVarint((ulong)sections.Length);
        content.LengthPrefixed(sections.Written);
        using var unpacked = Sealed(packed with { Content = content.Written.ToArray() }).Unpack();
        Assert.Equal(packed.Samples, unpacked.Floats.Length + unpacked.Histograms.Count);
    }

    [Fact]
    public async Task A_page_that_is_scraped_once_costs_few_bytes_a_sample()
    {
        var folder = Checkout.NewFolder("slice");
        await using var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = folder, Time = TimeProvider.System }, default);
        using var tap = head.Tap(long.MaxValue);
        using var appender = head.Appender();
        var random = new Random(1);
        for (var series = 0; series < 5_000; series++)
        {
            var labels = Labels.Of(
                ("__name__", $"node_some_metric_{series / 20}_total"), ("instance", "10.1.2.3:9100"), ("job", "node"),
                ("device", string.Create(CultureInfo.InvariantCulture, $"eth{series % 20}")));
            appender.Append(appender.GetOrAdd(labels), 1_700_000_000_000, series % 3 == 0 ? 0 : random.Next());
        }

        appender.Commit();
        using var builder = new SliceBuilder();
        while (tap.TryRead(out var commit))
        {
            Assert.Equal(0, builder.Add(tap, commit, () => Assert.Fail("it is full")).Count);
        }

        var packed = builder.Pack();
        var slice = Slice.Seal(Header(packed), packed);
        Assert.Equal(5_000, packed.Samples);
        Assert.InRange(slice.Length / 5_000.0, 1, 5.5);
    }

    static SliceBuilder Builder(int seed)
    {
        var (builder, random) = (new SliceBuilder(), new Random(seed));
        for (var series = 0; series < 6; series++)
        {
            var labels = Labels.Of(("__name__", "m" + (series / 2)), ("le", random.Next(5).ToString(CultureInfo.InvariantCulture)), ("n", series.ToString(CultureInfo.InvariantCulture)));
            builder.Add(labels, new OneBatch(Batch([(1, random.Next(), seed), (2, random.NextDouble(), 0), (3, 12.34, 0)])));
        }

        var histograms = new SampleBatch { Kind = SampleKind.Histogram, Count = 2 };
        for (var i = 0; i < 2; i++)
        {
            histograms.Timestamps[i] = 1_700_000_000_000 + i;
            histograms.Histograms[i] = new Histogram { IsInteger = true, Count = 3 + i, Sum = 2, PositiveSpans = [new(0, 2)], PositiveBuckets = [2, 1 + i] };
        }

        builder.Add(Labels.Of(("__name__", "h")), new OneBatch(histograms));
        return builder;
    }

    static byte[] Sample(int seed)
    {
        using var builder = Builder(seed);
        var packed = builder.Pack();
        return Slice.Seal(Header(packed), packed);
    }

    /// <summary>A slice whose sections are not compressed.</summary>
    static byte[] Plain(int seed)
    {
        using var builder = Builder(seed);
        var packed = builder.Pack();
        var sections = Unpacked(packed);
        using var content = new ByteWriter();
        content.Byte(0);
        content.UVarint((ulong)sections.Length);
        content.LengthPrefixed(sections);
        return Slice.Seal(Header(packed), packed with { Content = content.Written.ToArray() });
    }

    static byte[] Unpacked(PackedSamples packed)
    {
        var reader = new ByteReader(packed.Content.Span, "packed");
        reader.Byte();
        var unpacked = new byte[reader.UVarint()];
        using var decompressor = new ZstdSharp.Decompressor();
        decompressor.Unwrap(reader.LengthPrefixed(), unpacked);
        return unpacked;
    }

    static void Rehash(byte[] slice) => SHA256.HashData(slice.AsSpan(0, slice.Length - SliceHeader.HashSize), slice.AsSpan(slice.Length - SliceHeader.HashSize));
}
