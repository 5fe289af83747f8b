using System.Globalization;
using System.Text;
using System.Text.Json;
using CsCheck;
using Observe.Query.HttpApi;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Query.Tests.HttpApi;

public sealed class JsonTextTests
{
    [Theory]
    [InlineData(0, "0")]
    [InlineData(-0.0, "-0")]
    [InlineData(1, "1")]
    [InlineData(-1.5, "-1.5")]
    [InlineData(0.1, "0.1")]
    [InlineData(1e6, "1000000")]
    [InlineData(123456789.125, "123456789.125")]
    [InlineData(1e15, "1000000000000000")]
    [InlineData(1e16, "10000000000000000")]
    [InlineData(123456789012345680000.0, "123456789012345680000")]
    [InlineData(1e20, "100000000000000000000")]
    [InlineData(1e21, "1e+21")]
    [InlineData(-2.5e21, "-2.5e+21")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(1e-5, "0.00001")]
    [InlineData(1e-6, "0.000001")]
    [InlineData(1.25e-6, "0.00000125")]
    [InlineData(9.99e-7, "9.99e-07")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.NegativeInfinity, "-Inf")]
    public void Values_are_printed_as_Go_prints_them(double value, string expected) =>
        Assert.Equal($"\"{expected}\"", Written(json => json.Value(value)));

    [Theory]
    [InlineData(1e21, "1000000000000000000000")]
    [InlineData(-1.5e25, "-15000000000000000000000000")]
    [InlineData(1e-7, "0.0000001")]
    [InlineData(1.5e-10, "0.00000000015")]
    public void Scalars_never_have_an_exponent(double value, string expected) =>
        Assert.Equal($"\"{expected}\"", Written(json => json.ScalarValue(value)));

    [Theory]
    [InlineData(1e-7, "1e-7")]
    [InlineData(1.5e-10, "1.5e-10")]
    [InlineData(1e21, "1e+21")]
    [InlineData(0.25, "0.25")]
    public void Numbers_have_the_exponents_of_JSON(double value, string expected) => Assert.Equal(expected, Written(json => json.Number(value)));

    [Fact]
    public void Every_double_reads_back_in_both_forms() => Gen.Double.Sample(value =>
    {
        foreach (var text in (string[])[Written(json => json.Value(value)), Written(json => json.ScalarValue(value))])
        {
            var plain = text.Trim('"');
            var back = plain switch
            {
                "NaN" => double.NaN,
                "+Inf" => double.PositiveInfinity,
                "-Inf" => double.NegativeInfinity,
                _ => double.Parse(plain, CultureInfo.InvariantCulture),
            };
            Assert.Equal(value, back);
        }

        Assert.Equal(GoText.Float(value), Written(json => json.ScalarValue(value)).Trim('"'));
    });

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1_435_781_451_781, "1435781451.781")]
    [InlineData(1_500, "1.500")]
    [InlineData(1_050, "1.050")]
    [InlineData(1_005, "1.005")]
    [InlineData(-1, "-0.001")]
    [InlineData(-1_500, "-1.500")]
    [InlineData(60_000, "60")]
    [InlineData(long.MinValue, "-9223372036854775.808")]
    public void Timestamps_are_seconds_with_three_decimals_where_they_are_not_whole(long milliseconds, string expected) =>
        Assert.Equal(expected, Written(json => json.Timestamp(milliseconds)));

    [Fact]
    public void Text_is_escaped_as_Go_escapes_it()
    {
        Assert.Equal("\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u003c\\u003e\\u0026é\\u2028😀\"", Written(json => json.Text("a\"b\\c\n\r\t\u0001<>&é\u2028😀")));
        Assert.Equal("\"a\\\"b\\\\c\\n\\r\\t\\u0001<>&é😀\"", Written(json => json.LabelText("a\"b\\c\n\r\t\u0001<>&é😀"u8)));
    }

    [Fact]
    public void Text_is_always_JSON_that_reads_back() => Gen.String.Sample(text =>
    {
        var valid = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
        Assert.Equal(valid, JsonSerializer.Deserialize<string>(Written(json => json.Text(text))));
        Assert.Equal(valid, JsonSerializer.Deserialize<string>(Written(json => json.LabelText(Encoding.UTF8.GetBytes(text)))));
    });

    [Fact]
    public void Both_ways_of_writing_escape_alike() => Gen.String[Gen.OneOf(Gen.Char, Gen.Char["<>&\"\\\n\b\u2028\ud83d\ude00é"]), 0, 40].Sample(text =>
    {
        var labels = Labels.Of((text, text));
        Assert.Equal(Written(json => json.Text(text)), Written(json => Write(json, writer => writer.WriteStringValue(text))));
        Assert.Equal(Written(json => json.LabelSet(labels)), Written(json => Write(json, writer => writer.WriteLabels(labels))));
    });

    [Fact]
    public void A_key_is_set_apart_from_what_stands_before_it() =>
        Assert.Equal("{\"a\":1,\"b\":{\"c\":\"{\",\"d\":2}}", Written(json =>
            json.Raw("{"u8).Key("a"u8).Number(1L).Key("b"u8).Raw("{"u8).Key("c"u8).Text("{").Key("d"u8).Number(2L).Raw("}}"u8)));

    [Fact]
    public void Times_are_RFC_3339()
    {
        Assert.Equal("{\"t\":\"0001-01-01T00:00:00Z\"}", Written(json => Write(json, writer =>
        {
            writer.WriteStartObject();
            writer.WriteTime("t", 0);
            writer.WriteEndObject();
        })));
        Assert.Equal("2015-07-01T20:10:51.781Z", GoText.Rfc3339Nano(1_435_781_451_781));
        Assert.Equal("2015-07-01T20:10:51.5Z", GoText.Rfc3339Nano(1_435_781_451_500));
        Assert.Equal("2015-07-01T20:10:51Z", GoText.Rfc3339Nano(1_435_781_451_000));
    }

    static void Write(JsonText json, Action<Utf8JsonWriter> write)
    {
        using var writer = new Utf8JsonWriter(json, ApiJson.Options);
        write(writer);
    }

    static string Written(Action<JsonText> write)
    {
        using var json = new JsonText();
        write(json);
        return Encoding.UTF8.GetString(json.Written.Span);
    }
}
