using System.Globalization;
using System.Text;
using CsCheck;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Tsdb.Tests.Bytes;

public sealed class GoFloatTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("-0", -0.0)]
    [InlineData("1", 1)]
    [InlineData("+1.5", 1.5)]
    [InlineData(".5", 0.5)]
    [InlineData("5.", 5)]
    [InlineData("1e5", 1e5)]
    [InlineData("1E-5", 1e-5)]
    [InlineData("0.1", 0.1)]
    [InlineData("123456789012345678901234567890", 123456789012345678901234567890.0)]
    [InlineData("9007199254740993", 9007199254740993.0)]
    [InlineData("0.000000000000000000000000000001", 1e-30)]
    [InlineData("00000000000000000000000000000000000000001.2e-1", 0.12)]
    [InlineData("4.9e-324", 4.9e-324)]
    [InlineData("1e-999", 0)]
    [InlineData("0e99999999999999999999", 0)]
    [InlineData("1.7976931348623157e308", 1.7976931348623157e308)]
    [InlineData("Inf", double.PositiveInfinity)]
    [InlineData("-inFinity", double.NegativeInfinity)]
    [InlineData("+Inf", double.PositiveInfinity)]
    [InlineData("nAn", double.NaN)]
    public void What_Go_reads_is_read(string text, double expected)
    {
        Assert.True(GoFloat.TryParse(Encoding.ASCII.GetBytes(text), out var value));
        Assert.Equal(expected, value);
        Assert.Equal(double.IsNegative(expected) && !double.IsNaN(expected), double.IsNegative(value));
    }

    [Theory]
    [InlineData("1_000", 1000)]
    [InlineData("1_23.50_0_0e+1_2", 1.235e14)]
    [InlineData("0x1p4", 16)]
    [InlineData("-0x.8P1", -1)]
    [InlineData("0X1.8p-2", 0.375)]
    [InlineData("0x_1p0", 1)]
    [InlineData("0x1fffffffffffff8p0", 144115188075855872.0)]
    [InlineData("0x1p-1074", 4.9e-324)]
    [InlineData("0x1.8p-1075", 4.9e-324)]
    [InlineData("0x1p-1075", 0)]
    [InlineData("0x123456789abcdef0123456789abcdefp-20", 1.442304682926341e+30)]
    [InlineData("1e3", 1000)]
    [InlineData("NaN", double.NaN)]
    public void Literals_have_underscores_and_hexadecimal_digits(string text, double expected)
    {
        Assert.True(GoFloat.TryParseLiteral(Encoding.ASCII.GetBytes(text), out var value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("0x10")]
    [InlineData("0xp1")]
    [InlineData("0x1p")]
    [InlineData("0x1p5000")]
    [InlineData("_1")]
    [InlineData("1_")]
    [InlineData("1__0")]
    [InlineData("1_.5")]
    [InlineData("1_e5")]
    [InlineData("0b1")]
    [InlineData("In_f")]
    [InlineData("")]
    public void Other_literals_are_none(string text) => Assert.False(GoFloat.TryParseLiteral(Encoding.ASCII.GetBytes(text), out _));

    [Theory]
    [InlineData("")]
    [InlineData("+")]
    [InlineData(".")]
    [InlineData("1e")]
    [InlineData("1e+")]
    [InlineData("e5")]
    [InlineData("1_0")]
    [InlineData("0x1p-2")]
    [InlineData("0x1")]
    [InlineData("1e309")]
    [InlineData("-1e99999999999")]
    [InlineData("+NaN")]
    [InlineData("-nan")]
    [InlineData("In")]
    [InlineData("infin")]
    [InlineData("1 ")]
    [InlineData(" 1")]
    [InlineData("1,000")]
    [InlineData("1.1.1")]
    [InlineData("∞")]
    public void What_Go_refuses_is_refused(string text) => Assert.False(GoFloat.TryParse(Encoding.UTF8.GetBytes(text), out _));

    [Fact]
    public void Every_double_is_read_back_from_any_notation() =>
        Gen.Double.Where(double.IsFinite).Sample(value =>
        {
            foreach (var format in new[] { "R", "E16", "G17" })
            {
                Assert.True(GoFloat.TryParse(Encoding.ASCII.GetBytes(value.ToString(format, CultureInfo.InvariantCulture)), out var read));
                Assert.Equal(value, read);
            }
        });

    [Fact]
    public void The_fast_path_rounds_as_the_slow_one() =>
        Gen.Select(Gen.Long[-999_999_999_999_999, 999_999_999_999_999], Gen.Int[-25, 25]).Sample((digits, exponent) =>
        {
            var text = string.Create(CultureInfo.InvariantCulture, $"{digits}e{exponent}");
            Assert.True(GoFloat.TryParse(Encoding.ASCII.GetBytes(text), out var read));
            Assert.Equal(double.Parse(text, CultureInfo.InvariantCulture), read);
        });

    [Theory]
    [InlineData(1, "1.0")]
    [InlineData(0, "0.0")]
    [InlineData(0.5, "0.5")]
    [InlineData(100000, "100000.0")]
    [InlineData(1000000, "1e+06")]
    [InlineData(123456789, "1.23456789e+08")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(0.00001, "1e-05")]
    [InlineData(1e22, "1e+22")]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.NaN, "NaN")]
    public void Bounds_of_buckets_have_one_form(double value, string expected) => Assert.Equal(expected, GoFloat.Canonical(value));

    [Fact]
    public void A_bound_of_minus_zero_is_zero() => Assert.Equal("0.0", GoFloat.Canonical(-0.0));
}
