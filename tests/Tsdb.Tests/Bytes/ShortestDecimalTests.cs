using System.Globalization;
using System.Numerics;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Tsdb.Tests.Bytes;

/// <summary>Against .NET's own shortest digits, which take several times as long.</summary>
public class ShortestDecimalTests
{
    [Fact]
    public void It_is_what_the_round_trip_format_prints()
    {
        var random = new Random(7);
        for (var i = 0; i < 1_000_000; i++)
        {
            Check(BitConverter.UInt64BitsToDouble((ulong)random.NextInt64() & 0x7fff_ffff_ffff_ffff));
            Check(random.NextDouble() * Math.Pow(10, random.Next(-6, 16)));
            Check(Math.Round(random.NextDouble() * 1_000, random.Next(0, 8)));
            Check(random.NextInt64());
        }
    }

    [Fact]
    public void Ends_of_the_range_powers_and_their_neighbours_are_right()
    {
        for (var e = 0; e < 2047; e++)
        {
            for (var d = -3L; d <= 3; d++)
            {
                Check(BitConverter.Int64BitsToDouble(((long)e << 52) + d));
            }
        }

        for (var power = -324; power < 309; power++)
        {
            var ten = double.Parse("1e" + power, CultureInfo.InvariantCulture);
            foreach (var near in (double[])[ten, Math.BitIncrement(ten), Math.BitDecrement(ten), ten * 5, ten * 9])
            {
                Check(near);
            }
        }

        foreach (var value in (double[])[double.Epsilon, double.MaxValue, 2.2250738585072014e-308, 2.225073858507201e-308, 9007199254740993, 1e23, 0.3, 5e-324, 1.7976931348623157e308, 4.35, 2e-323])
        {
            Check(value);
        }
    }

    static void Check(double value)
    {
        if (value == 0 || !double.IsFinite(value))
        {
            return;
        }

        value = Math.Abs(value);
        var (significand, power) = ShortestDecimal.Of(value);
        var text = value.ToString("R", CultureInfo.InvariantCulture);
        if (double.Parse(text, CultureInfo.InvariantCulture) != value)
        {
            // So with 2^-958 and a few other powers of two, of which .NET prints a digit too few.
            Assert.Equal(value, double.Parse(string.Create(CultureInfo.InvariantCulture, $"{significand}e{power}"), CultureInfo.InvariantCulture));
            return;
        }

        var (mantissa, exponent) = text.Split('E') is [var m, var x] ? (m, int.Parse(x, CultureInfo.InvariantCulture)) : (text, 0);
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        exponent -= point < 0 ? 0 : mantissa.Length - point - 1;
        var digits = mantissa.Replace(".", "", StringComparison.Ordinal).TrimStart('0');
        var trimmed = digits.TrimEnd('0');
        exponent += digits.Length - trimmed.Length;
        if (BigInteger.Parse(trimmed, CultureInfo.InvariantCulture) != significand || exponent != power)
        {
            Assert.Fail($"{text}: {significand}e{power}");
        }
    }
}
