using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class Xor2ChunkTests
{
    static readonly Gen<(long Timestamp, double Value, long Start)[]> s_samples =
        Gen.Select(
            Gen.Select(
                Gen.OneOf(Gen.Const(15_000L), Gen.Long[1, 40_000], Gen.Long[1, 1L << 40]),
                Gen.OneOf(Gen.Double, Gen.Const(1.5), Gen.Const(StaleMarker.Value)),
                Gen.Int[0, 9]).Array[1, 300],
            Gen.Bool).Select((steps, startsEarly) =>
        {
            var (time, start) = (1_700_000_000_000L, startsEarly ? 1_699_999_000_000L : 0);
            return steps.Select(s =>
            {
                var before = time;
                time += s.Item1;
                start = s.Item3 == 0 ? before : start;
                return (time, s.Item2, start);
            }).ToArray();
        });

    [Fact]
    public void Values_and_start_timestamps_are_read_back() => s_samples.Sample(samples =>
    {
        var read = Samples.All(new Xor2Iterator(Encode(samples), "test", 0), capacity: 50);
        Assert.Equal(
            samples.Select(s => (s.Timestamp, s.Start, BitConverter.DoubleToInt64Bits(s.Value))),
            read.Select(s => (s.Timestamp, s.Start, BitConverter.DoubleToInt64Bits(s.Value))));
    });

    [Fact]
    public void A_flipped_byte_never_throws_anything_but_corruption() => Gen.Select(s_samples, Gen.Int[0, 4000], Gen.Byte).Sample((samples, at, flip) =>
    {
        var data = Encode(samples);
        data[at % data.Length] ^= flip;
        try
        {
            _ = Samples.All(new Xor2Iterator(data, "test", 0));
        }
        catch (CorruptionException)
        {
        }
    });

    [Fact]
    public void The_bits_are_those_of_the_format()
    {
        // Header: 4 samples, no starts. Then varint 1000, 1.0; uvarint 500 and "unchanged"; "as before"; dod 0 and stale (11111).
        var data = Encode([(1000, 1, 0), (1500, 1, 0), (2000, 1, 0), (2500, StaleMarker.Value, 0)]);
        Assert.Equal("000400D00F3FF0000000000000F4033E", Convert.ToHexString(data));
    }

    static byte[] Encode((long Timestamp, double Value, long Start)[] samples)
    {
        var open = new Xor2Appender();
        foreach (var (timestamp, value, start) in samples)
        {
            open.Append(timestamp, value, start);
        }

        return open.Written.ToArray();
    }
}
