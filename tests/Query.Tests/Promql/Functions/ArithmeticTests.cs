using System.Globalization;
using Observe.Query.Promql.Execution.Calls;
using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Xunit;

namespace Observe.Query.Tests.Promql.Functions;

public class ArithmeticTests
{
    // Values that Prometheus printed, all of them other than the C library's in the last digit.
    [Theory]
    [InlineData(3.0, 1.5849625007211563)]
    [InlineData(0.5, -1.0)]
    [InlineData(8.0, 3.0)]
    public void Logarithms_are_rounded_as_Go_rounds_them(double value, double expected) => Assert.Equal(expected, GoMath.Log2(value));

    [Theory]
    [MemberData(nameof(OfPrometheus))]
    public void Functions_are_rounded_as_Prometheus_has_them(string query, double expected)
    {
        var (name, value) = (query[..query.IndexOf('(', StringComparison.Ordinal)], query[(query.IndexOf('(', StringComparison.Ordinal) + 1)..^1]);
        Assert.Equal(expected, VectorFunctions.OfFloats(FunctionTable.Find(name)!.Id)!(double.Parse(value, CultureInfo.InvariantCulture), []));
    }

    public static TheoryData<string, double> OfPrometheus => new()
    {
        { "acosh(3)", 1.7627471740390859 },
        { "acosh(1.3)", 0.7564329108569596 },
        { "asinh(0.7)", 0.6526665660823557 },
        { "asinh(-5)", -2.3124383412727525 },
        { "atanh(0.3)", 0.30951960420311175 },
        { "atanh(-0.7)", -0.8673005276940531 },
        { "cos(-665458870640.1906)", -0.0849270934814187 },
        { "sin(1e300)", -0.8178819121159087 },
        { "tan(1700000000)", -25.566062650656736 },
        { "sin(536870912)", 0.3265676630185634 },
    };

    [Theory]
    [InlineData(709.4, 1.2260423226426727e+308)]
    [InlineData(709.5, double.PositiveInfinity)]
    [InlineData(-745.0, 5e-324)]
    public void Exponentials_end_where_those_of_Go_end(double value, double expected) => Assert.Equal(expected, GoMath.Exp(value));

    [Fact]
    public void Elementary_functions_are_within_a_few_ulps_of_the_C_library()
    {
        var random = new Random(1);
        for (var i = 0; i < 10_000; i++)
        {
            var x = (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-5, 3));
            Close(Math.Exp(x), GoMath.Exp(x), x);
            Close(Math.Sin(x), GoMath.Sin(x), x);
            Close(Math.Cos(x), GoMath.Cos(x), x);
            Close(Math.Tan(x), GoMath.Tan(x), x);
            Close(Math.Atan(x), GoMath.Atan(x), x);
            Close(Math.Sinh(x), GoMath.Sinh(x), x);
            Close(Math.Cosh(x), GoMath.Cosh(x), x);
            Close(Math.Tanh(x), GoMath.Tanh(x), x);
            Close(Math.Log(Math.Abs(x)), GoMath.Log(Math.Abs(x)), x);
            Close(Math.Log10(Math.Abs(x)), GoMath.Log10(Math.Abs(x)), x);
            Close(Math.Pow(Math.Abs(x), 2.5), GoMath.Pow(Math.Abs(x), 2.5), x);
            Close(Math.Pow(2, x), GoMath.Exp2(x), x);
            Close(Math.Atan2(x, 3), GoMath.Atan2(x, 3), x);
            Close(Math.Asin(0.9 * Math.Sin(x)), GoMath.Asin(0.9 * Math.Sin(x)), x);
        }
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(0.0)]
    [InlineData(-1.0)]
    [InlineData(5e-324)]
    [InlineData(-750.0)]
    [InlineData(1e308)]
    [InlineData(-1e308)]
    public void Elementary_functions_agree_where_the_result_is_special(double x)
    {
        Close(Math.Exp(x), GoMath.Exp(x), x);
        Close(Math.Log(x), GoMath.Log(x), x);
        Close(Math.Log2(x), GoMath.Log2(x), x);
        Close(Math.Log10(x), GoMath.Log10(x), x);
        Close(Math.Atan(x), GoMath.Atan(x), x);
        Close(Math.Tanh(x), GoMath.Tanh(x), x);
        foreach (var y in new[] { 0, 1, -1, 0.5, 3, -3, 1e300, double.NaN, double.PositiveInfinity, double.NegativeInfinity })
        {
            Close(Math.Pow(x, y), GoMath.Pow(x, y), x);
            Close(Math.Atan2(x, y), GoMath.Atan2(x, y), x);
        }
    }

    [Theory]
    [InlineData(0.0, 1970, 1, 1, 4, 1)]
    [InlineData(951782400.0, 2000, 2, 29, 2, 60)]
    [InlineData(-1.0, 1969, 12, 31, 3, 365)]
    [InlineData(4107542399.9, 2100, 2, 28, 0, 59)]
    [InlineData(-62167219200.0, 0, 1, 1, 6, 1)]
    public void A_number_of_seconds_has_a_date(double seconds, int year, int month, int day, int weekday, int dayOfYear) => Assert.Equal(
        (year, month, day, weekday, dayOfYear),
        ((int)TimeFunctions.Year(seconds), (int)TimeFunctions.Month(seconds), (int)TimeFunctions.DayOfMonth(seconds),
            (int)TimeFunctions.DayOfWeek(seconds), (int)TimeFunctions.DayOfYear(seconds)));

    [Theory]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NaN)]
    public void What_is_no_time_has_the_hour_that_Prometheus_gives_it(double seconds) =>
        Assert.Equal((15, 30), ((int)TimeFunctions.Hour(seconds), (int)TimeFunctions.Minute(seconds)));

    [Theory]
    [InlineData(0.5, new[] { 1.0, 2, 3, 4 }, 2.5)]
    [InlineData(0.25, new[] { 4.0, 1, 3, 2 }, 1.75)]
    [InlineData(0.0, new[] { 3.0, double.NaN, 1 }, double.NaN)]
    [InlineData(-0.1, new[] { 3.0 }, double.NegativeInfinity)]
    [InlineData(1.1, new[] { 3.0 }, double.PositiveInfinity)]
    [InlineData(0.5, new double[0], double.NaN)]
    public void A_quantile_lies_between_its_neighbours(double quantile, double[] values, double expected) =>
        Assert.Equal(expected, Quantile.Of(quantile, values));

    [Fact]
    public void A_quantile_is_that_of_the_sorted_values()
    {
        var random = new Random(11);
        for (var round = 0; round < 20_000; round++)
        {
            var kinds = random.Next(1, 30);
            var values = new double[random.Next(1, 60)];
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (round % 5) switch
                {
                    0 => random.NextDouble(),
                    1 => random.Next(kinds),
                    2 => i < values.Length / 2 ? i : values.Length - i,
                    3 => random.Next(10) == 0 ? double.NaN : random.Next(kinds),
                    _ => random.Next(10) switch { 0 => double.PositiveInfinity, 1 => double.NegativeInfinity, _ => random.NextDouble() },
                };
            }

            var quantile = random.Next(4) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
            double[] sorted = [.. values.Order()];
            var rank = quantile * (sorted.Length - 1);
            var (low, weight) = ((int)Math.Floor(rank), rank - Math.Floor(rank));
            var expected = (sorted[low] * (1 - weight)) + (sorted[Math.Min(sorted.Length - 1, low + 1)] * weight);
            Assert.Equal(expected, Quantile.Of(quantile, values));
        }
    }

    [Fact]
    public void A_classic_histogram_whose_counts_fall_is_mended_and_told()
    {
        ClassicBucket[] buckets = [new(double.PositiveInfinity, 10), new(1, 4), new(2, 3), new(4, 8)];
        Assert.Equal(2.5, ClassicHistogram.Quantile(0.5, buckets, out var monotonicity));
        Assert.Equal(new Monotonicity(true, 2, 2, 1), monotonicity);
    }

    [Fact]
    public void A_classic_histogram_without_an_infinite_bucket_has_no_quantile()
    {
        ClassicBucket[] buckets = [new(1, 4), new(2, 8)];
        Assert.Equal(double.NaN, ClassicHistogram.Quantile(0.5, buckets, out _));
    }

    [Theory]
    [InlineData("a2", "a10", true)]
    [InlineData("a10", "a2", false)]
    [InlineData("a", "b", true)]
    [InlineData("a", "a1", true)]
    [InlineData("10", "9", false)]
    [InlineData("a1b2", "a1b10", true)]
    public void Numbers_in_labels_are_sorted_as_numbers(string left, string right, bool less) => Assert.Equal(less, NaturalOrder.IsLess(left, right));

    static void Close(double expected, double actual, double x)
    {
        if (!expected.Equals(actual))
        {
            Assert.True(Math.Abs(expected - actual) <= 2e-15 * Math.Max(1, Math.Abs(expected)), $"{x}: {actual}, expected {expected}");
        }
    }
}
