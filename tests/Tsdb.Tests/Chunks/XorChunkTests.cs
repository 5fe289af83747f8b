using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class XorChunkTests
{
    static readonly double[] s_special = [0, -0.0, double.PositiveInfinity, StaleMarker.Value, StaleMarker.NormalNaN];

    static readonly Gen<double> s_value = Gen.OneOf(
        Gen.Double, Gen.Int[-3, 3].Select(i => (double)i), Gen.Int[0, 4].Select(i => s_special[i]),
        Gen.ULong.Select(BitConverter.UInt64BitsToDouble));

    static readonly Gen<(long Timestamp, double Value)[]> s_samples =
        Gen.Select(
            Gen.Long[-(1L << 50), 1L << 50],
            Gen.Select(Gen.OneOf(Gen.Const(15_000L), Gen.Long[1, 40_000], Gen.Long[1, 2_000_000], Gen.Long[1, 1L << 45]), s_value).Array[0, 300],
            (start, steps) => steps.Select(s => (start += s.Item1, s.Item2)).ToArray());

    [Fact]
    public void What_was_appended_is_read_back_bit_by_bit() => s_samples.Sample(samples =>
    {
        var read = Samples.Floats(new XorIterator(Encode(samples), "test", 0), capacity: 97);
        Assert.Equal(samples.Select(Bits), read.Select(Bits));
    });

    [Fact]
    public void A_snapshot_stays_readable_while_samples_are_appended() => s_samples.Where(s => s.Length > 4).Sample(samples =>
    {
        var open = new XorAppender(new byte[32]);
        var half = samples.Length / 2;
        foreach (var (timestamp, value) in samples[..half])
        {
            open.Append(timestamp, value);
        }

        var (buffer, length, count) = (open.Buffer, open.Length, open.Count);
        foreach (var (timestamp, value) in samples[half..])
        {
            open.Append(timestamp, value);
        }

        var read = Samples.Floats(new XorIterator(buffer.AsMemory(0, length), count, "test"));
        Assert.Equal(samples[..half].Select(Bits), read.Select(Bits));
    });

    [Fact]
    public void Seek_skips_to_the_first_sample_at_or_after_a_time() => Gen.Select(s_samples.Where(s => s.Length > 0), Gen.Int[0, 320]).Sample((samples, at) =>
    {
        var from = at < samples.Length ? samples[at].Timestamp - 1 : samples[^1].Timestamp + 1;
        var iterator = new XorIterator(Encode(samples), "test", 0);
        iterator.Seek(from);
        Assert.Equal(samples.Where(s => s.Timestamp >= from).Select(Bits), Samples.Floats(iterator, capacity: 16).Select(Bits));
    });

    [Fact]
    public void A_flipped_byte_or_a_cut_never_throws_anything_but_corruption() => Gen.Select(s_samples, Gen.Int[0, 4000], Gen.Byte, Gen.Bool).Sample((samples, at, flip, cut) =>
    {
        var data = Encode(samples);
        data = cut ? data[..(at % (data.Length + 1))] : data;
        if (!cut)
        {
            data[at % data.Length] ^= flip;
        }

        try
        {
            _ = Samples.Floats(new XorIterator(data, "test", 0));
        }
        catch (CorruptionException)
        {
        }
    });

    [Fact]
    public void A_chunk_that_ends_early_is_named_with_its_place()
    {
        var data = Encode([.. Enumerable.Range(0, 50).Select(i => (i * 1000L, i * 1.1))]);
        var error = Assert.Throws<CorruptionException>(() => Samples.Floats(new XorIterator(data.AsMemory(0, data.Length - 9), "000001", 4711)));
        Assert.Equal("000001", error.Where);
        Assert.InRange(error.Offset, 4711, 4711 + data.Length);
    }

    [Fact]
    public void Decoding_allocates_nothing_per_sample()
    {
        var iterator = new XorIterator(Encode([.. Enumerable.Range(0, 120).Select(i => (i * 15_000L, Math.Sqrt(i)))]), "test", 0);
        var data = Encode([.. Enumerable.Range(0, 120).Select(i => (i * 15_000L, Math.Sqrt(i)))]);
        var batch = new SampleBatch();
        var read = Decode();
        var before = GC.GetAllocatedBytesForCurrentThread();
        read += Decode();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2 * 12_000, read);

        int Decode()
        {
            var count = 0;
            for (var i = 0; i < 100; i++)
            {
                iterator.Reset(data, "test", 0);
                while (iterator.Read(batch))
                {
                    count += batch.Count;
                }
            }

            return count;
        }
    }

    static byte[] Encode((long Timestamp, double Value)[] samples)
    {
        var open = new XorAppender(new byte[32]);
        foreach (var (timestamp, value) in samples)
        {
            open.Append(timestamp, value);
        }

        return open.Written.ToArray();
    }

    static (long, ulong) Bits((long Timestamp, double Value) sample) => (sample.Timestamp, BitConverter.DoubleToUInt64Bits(sample.Value));
}
