using System.Globalization;
using CsCheck;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Tsdb.Tests.Bytes;

/// <summary>Against what Go's strconv and fmt print.</summary>
public class GoTextTests
{
    [Theory]
    [InlineData(0, "0", "0")]
    [InlineData(-0.0, "-0", "-0")]
    [InlineData(1, "1", "1")]
    [InlineData(-1.5, "-1.5", "-1.5")]
    [InlineData(0.1, "0.1", "0.1")]
    [InlineData(100000, "100000", "100000")]
    [InlineData(1e20, "100000000000000000000", "1e+20")]
    [InlineData(1e21, "1000000000000000000000", "1e+21")]
    [InlineData(1.5e300, null, "1.5e+300")]
    [InlineData(0.0001, "0.0001", "0.0001")]
    [InlineData(0.00001, "0.00001", "1e-05")]
    [InlineData(-1.25e-7, "-0.000000125", "-1.25e-07")]
    [InlineData(123456789.125, "123456789.125", "1.23456789125e+08")]
    [InlineData(999999.5, "999999.5", "999999.5")]
    [InlineData(1234567, "1234567", "1.234567e+06")]
    [InlineData(1e-100, null, "1e-100")]
    [InlineData(5e-324, null, "5e-324")]
    [InlineData(double.MaxValue, null, "1.7976931348623157e+308")]
    [InlineData(double.NaN, "NaN", "NaN")]
    [InlineData(double.PositiveInfinity, "+Inf", "+Inf")]
    [InlineData(double.NegativeInfinity, "-Inf", "-Inf")]
    public void Floats(double value, string? f, string g)
    {
        if (f is not null)
        {
            Assert.Equal(f, GoText.Float(value));
        }

        Assert.Equal(g, GoText.FloatG(value));
    }

    [Fact]
    public void Floats_read_back() => Gen.Double.Sample(value =>
        double.IsNaN(value) || double.IsInfinity(value)
        || (double.Parse(GoText.Float(value), CultureInfo.InvariantCulture) == value
            && double.Parse(GoText.FloatG(value), CultureInfo.InvariantCulture) == value
            && double.Parse(GoText.Exponent(value), CultureInfo.InvariantCulture) == value
            && !GoText.Float(value).Contains('E', StringComparison.OrdinalIgnoreCase)));

    [Theory]
    [InlineData("", "\"\"")]
    [InlineData("a\"b\\c", "\"a\\\"b\\\\c\"")]
    [InlineData("\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\"")]
    [InlineData("\0\x1f\x7f", "\"\\x00\\x1f\\x7f\"")]
    [InlineData("é日😀", "\"é日😀\"")]
    [InlineData("\u0085\u00a0\u200b\u2028\ufeff", "\"\\u0085\\u00a0\\u200b\\u2028\\ufeff\"")]
    [InlineData("\U000E0001", "\"\\U000e0001\"")]
    [InlineData("it's", "\"it's\"")]
    public void Quoted_strings(string text, string quoted) => Assert.Equal(quoted, GoText.Quote(text));

    [Fact]
    public void A_byte_that_was_not_UTF8_is_printed_as_such() => Assert.Equal("\"a\\xffz\uFFFD\"", GoText.Quote("a\udcffz\ud800"));

    [Theory]
    [InlineData('a', "'a'")]
    [InlineData('\'', "'\\''")]
    [InlineData('"', "'\"'")]
    [InlineData('\n', "'\\n'")]
    [InlineData(0x1F600, "'😀'")]
    [InlineData(-1, "'\uFFFD'")]
    public void Quoted_runes(int rune, string quoted) => Assert.Equal(quoted, GoText.QuoteRune(rune));

    [Theory]
    [InlineData('A', "U+0041 'A'")]
    [InlineData('\a', "U+0007")]
    [InlineData(0x1F600, "U+1F600 '😀'")]
    public void Code_points(int rune, string text) => Assert.Equal(text, GoText.CodePoint(rune));
}
